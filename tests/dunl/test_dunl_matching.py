"""Matching of kernels: closed forms, slow loops, and what must not change under permutation, sign, shift and mixing."""

import itertools

import numpy as np
import pytest
from scipy import stats

from pellucid.errors import DataError
from pellucid.systems.dunl.model import matching

H0 = [0.1094, 0.2680, 0.4253, 0.4151, 0.3608, 0.3148, 0.2760, 0.2430, 0.2152, 0.1916, 0.1716, 0.1547, 0.1404, 0.1283]
H0 += [0.1181, 0.1094]
H1 = [0.1567, 0.1903, 0.2204, 0.2463, 0.2677, 0.2841, 0.2952, 0.3008, 0.3008, 0.2952, 0.2841, 0.2677, 0.2463, 0.2204]
H1 += [0.1903, 0.1567]


def random_kernels(kernels, lags, seed=0):
    kernel = np.random.default_rng(seed).standard_normal((kernels, lags))
    return kernel / np.linalg.norm(kernel, axis=1, keepdims=True)


def test_the_published_pair_is_nearly_collinear():
    found = matching.correlations(np.array([H0]), np.array([H1]))
    assert found == pytest.approx(0.919, abs=5e-4)  # as printed
    assert matching.kernel_error(np.array([H0]), np.array([H1])) == pytest.approx(np.sqrt(1 - found[0, 0] ** 2))


def test_error_is_the_sine_of_the_angle_and_knows_neither_sign_nor_norm():
    angles = np.deg2rad([0.0, 12.0, 45.0, 90.0, 150.0])
    true = np.tile([1.0, 0.0, 0.0], (5, 1))
    estimated = np.stack([np.cos(angles), 0 * angles, np.sin(angles)], axis=1)
    assert matching.kernel_error(true, estimated) == pytest.approx(np.abs(np.sin(angles)), abs=1e-7)
    assert matching.kernel_error(-7 * true, 0.1 * estimated) == pytest.approx(np.abs(np.sin(angles)), abs=1e-7)


def test_best_lag_is_the_loops():
    first, second = random_kernels(3, 7), random_kernels(4, 7, seed=1)
    value, lag = matching.best_lag_correlations(first, second)
    for j, k in np.ndindex(3, 4):
        every = {
            shift: sum(first[j, t + shift] * second[k, t] for t in range(7) if 0 <= t + shift < 7)
            for shift in range(-6, 7)
        }
        assert lag[j, k] == max(every, key=lambda shift: abs(every[shift]))
        assert value[j, k] == pytest.approx(every[lag[j, k]])


@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_best_lag_finds_a_moved_kernel(shift):
    true = np.zeros((1, 12))
    true[0, 4:8] = [1, 3, 2, -1]
    moved = -2 * np.roll(true, shift, axis=1)
    found = matching.match(true, moved, any_lag=True)
    assert found.error == pytest.approx(0, abs=1e-7)
    assert found.lag == -shift
    assert found.correlation == pytest.approx(-1)


@pytest.mark.parametrize("any_lag", [False, True])
@pytest.mark.parametrize(("true_count", "count"), [(3, 3), (3, 5), (5, 3)])
def test_matching_undoes_permutation_sign_and_scale(true_count, count, any_lag):
    kernels = random_kernels(max(true_count, count), 20)
    generator = np.random.default_rng(1)
    order = generator.permutation(count)
    true = kernels[:true_count]
    estimated = (generator.choice([-1, 1], count) * generator.uniform(0.5, 2, count))[:, None] * kernels[:count][order]
    found = matching.match(true, estimated, any_lag=any_lag)
    both = min(true_count, count)
    assert (order[found.partner[:both]] == np.arange(both)).all()
    assert (found.partner[both:] == -1).all()
    assert found.error[:both] == pytest.approx(0, abs=1e-7)
    assert (found.error[both:] == 1).all()
    assert np.isnan(found.correlation[both:]).all()
    assert sorted([*found.partner[:both], *found.unmatched]) == list(range(count))
    aligned = found.aligned(estimated / np.linalg.norm(estimated, axis=1, keepdims=True))
    assert aligned[:both] == pytest.approx(true[:both])
    assert np.isnan(aligned[both:]).all()


def test_matching_is_the_best_of_all_permutations():
    true, estimated = random_kernels(4, 6), random_kernels(4, 6, seed=3)
    size = np.abs(true @ estimated.T)
    best = max(itertools.permutations(range(4)), key=lambda order: size[range(4), order].sum())
    assert tuple(matching.match(true, estimated).partner) == best


def test_kernels_of_unequal_length_are_compared_from_their_first_lag():
    true = random_kernels(2, 9)
    estimated = np.pad(true, ((0, 0), (0, 4)))[::-1]
    found = matching.match(true, estimated)
    assert tuple(found.partner) == (1, 0)
    assert found.error == pytest.approx(0, abs=1e-7)
    assert found.aligned(estimated).shape == (2, 13)


def test_a_kernel_of_zeros_matches_nothing():
    found = matching.match(random_kernels(2, 5), np.stack([np.zeros(5), random_kernels(2, 5)[1]]))
    assert found.error == pytest.approx([1, 0], abs=1e-7)


def test_principal_angles_ignore_mixing_and_see_a_planted_tilt():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((24, 4)))[0].T
    first = basis[:2]
    tilt = np.deg2rad(30)
    second = np.stack([basis[0], np.cos(tilt) * basis[1] + np.sin(tilt) * basis[2]])
    mixed = np.array([[1.0, 3.0], [-2.0, 0.5]]) @ second
    assert matching.principal_angles(first, mixed) == pytest.approx([0, 30], abs=1e-5)  # root of the precision at 0
    assert matching.principal_angles(first, first[:1]) == pytest.approx([0], abs=1e-5)
    assert matching.principal_angles(basis[:2], basis[2:]) == pytest.approx([90, 90])


def test_stability_of_restarts():
    kernels = random_kernels(3, 15)
    signs = np.array([[1], [-1], [1]])
    same = np.stack([kernels, signs * kernels[[2, 0, 1]], kernels[::-1]])
    assert matching.stability(same) == pytest.approx(1)
    assert matching.stability(same, any_lag=True) == pytest.approx(1)
    assert np.isnan(matching.stability(same[:1]))
    other = np.stack([kernels, kernels, random_kernels(3, 15, seed=4)])
    apart = np.abs(matching.match(kernels, other[2]).correlation).mean()
    assert matching.stability(other) == pytest.approx((1 + 2 * apart) / 3)
    padded = np.pad(kernels, ((0, 0), (4, 4)))
    moved = np.stack([padded, np.roll(padded, 3, axis=1)])
    assert matching.stability(moved, any_lag=True) == pytest.approx(1)
    assert matching.stability(moved) < 0.7


def test_stability_of_unrelated_kernels_is_that_of_random_directions():
    """With one kernel there is nothing to match: |cos| of random directions in L dimensions has a known mean."""
    lags, restarts = 16, 60
    generator = np.random.default_rng(0)
    found = matching.stability(generator.standard_normal((restarts, 1, lags)))
    # cos^2 ~ Beta(1/2, (L - 1) / 2)
    squared = stats.beta(0.5, (lags - 1) / 2)
    expected = squared.expect(np.sqrt)
    error = np.sqrt(squared.mean() - expected**2) / np.sqrt(restarts * (restarts - 1) / 2)
    assert found == pytest.approx(expected, abs=4 * error)  # pairs of directions are uncorrelated


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros((2, 3, 5)), np.full((2, 5), np.nan)])
def test_what_is_no_dictionary_is_refused(bad):
    with pytest.raises(DataError, match="kernels to compare"):
        matching.match(random_kernels(2, 5), bad)
