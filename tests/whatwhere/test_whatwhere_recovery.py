"""Recovery scores: exact values on made-up fits, invariances, second implementations, and unequal counts."""

from itertools import permutations

import numpy as np
import pytest

from pellucid.systems.whatwhere.model import recovery, scores


def test_location_errors_are_the_largest_of_both_axes():
    truth = np.array([[3, 5], [3, 5], [10, 2.5], [np.nan, np.nan], [7, 7]])
    found = np.array([[4, 6], [3, 7], [9.5, 2.0], [1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(recovery.located(found, truth), [1, 2, 0.5, np.nan, np.nan])


def test_kernels_are_matched_up_to_sign_scale_order_and_shift():
    generator = np.random.default_rng(0)
    true = generator.standard_normal((3, 9, 7))
    true[:, [0, 1, -2, -1]], true[:, :, [0, 1, -2, -1]] = 0, 0  # a border, so that a shift loses nothing
    true[:, 2:7, 2:5] -= true[:, 2:7, 2:5].mean(axis=(1, 2), keepdims=True)
    found = np.stack(
        [-3 * true[2], generator.standard_normal((9, 7)), 0.1 * np.roll(true[0], (2, -1), (0, 1)), true[1]]
    )
    best, number = recovery.kernel_pairs(found[:, None], true)
    np.testing.assert_allclose(best, 1)
    np.testing.assert_array_equal(number, [2, 3, 0])
    np.testing.assert_array_equal(recovery.kernel_correlation(found[:, None], true), best)
    assert recovery.kernel_pairs(found[:, None], true, shift_px=1)[0][0] < 0.95
    # equal sizes, no displacement: Pearson's correlation
    unmoved, number = recovery.kernel_pairs(found[:, None], true, shift_px=0)
    for kernel, (r, index) in enumerate(zip(unmoved, number)):
        np.testing.assert_allclose(r, abs(np.corrcoef(found[index].ravel(), true[kernel].ravel())[0, 1]))


def test_kernels_of_other_size_are_centred_on_each_other():
    true = np.random.default_rng(1).standard_normal((2, 5, 7))
    true -= true.mean(axis=(1, 2), keepdims=True)
    found = np.zeros((2, 2, 9, 11))
    found[:, :, 2:-2, 2:-2] = true[::-1, None]
    found[:, 0] += 1  # channels are averaged and the mean does not matter
    np.testing.assert_allclose(recovery.kernel_pairs(found, true, shift_px=0)[0], 1)
    np.testing.assert_allclose(recovery.kernel_pairs(true[:, None], found.mean(1), shift_px=0)[0], 1)


def test_kernels_are_paired_one_to_one():
    true = np.random.default_rng(2).standard_normal((2, 6, 5))
    best, number = recovery.kernel_pairs(true[:1, None], true)
    np.testing.assert_allclose(best, [1, np.nan])
    np.testing.assert_array_equal(number, [0, -1])
    both = recovery.kernel_pairs(np.stack([true[0], true[0]])[:, None], true)
    assert sorted(both[1]) == [0, 1]
    assert recovery.kernel_pairs(np.ones((1, 1, 6, 5)), true[:1])[0] == 0  # a constant kernel


def test_filter_fev_is_the_fev_on_white_noise():
    generator = np.random.default_rng(3)
    true = generator.standard_normal((4, 5, 8))
    found = (true + np.array([0, 0.3, 1, 2])[:, None, None] * generator.standard_normal(true.shape))[:, None]
    images = generator.standard_normal((40000, 40))
    truth, prediction = images @ true.reshape(4, -1).T, images @ found.reshape(4, -1).T
    expected = scores.fev(truth, prediction)
    # relative sampling s.d. of each variance: sqrt(2 / 40000) = .7 %
    np.testing.assert_allclose(1 - recovery.filter_fev(found, true), 1 - expected, rtol=0.04, atol=1e-9)
    true[1] = 0
    np.testing.assert_array_equal(np.isnan(recovery.filter_fev(found, true)), [False, True, False, False])
    with pytest.raises(ValueError, match="reshape"):
        recovery.filter_fev(np.concatenate([found, found], axis=1), true)


@pytest.mark.parametrize(("features", "types"), [(3, 3), (2, 4), (4, 2)])
def test_type_accuracy_equals_a_search_over_all_assignments(features, types):
    generator = np.random.default_rng(4)
    weights, names = generator.standard_normal((60, features)), generator.integers(0, types, 60)
    strongest = np.abs(weights).argmax(1)
    padded = list(range(features)) + [-1] * types  # the feature that stands for each type, -1 for none
    best = max(
        np.mean([chosen[name] == feature for name, feature in zip(names, strongest)])
        for chosen in set(permutations(padded, types))
    )
    np.testing.assert_allclose(recovery.type_accuracy(weights, names), best)


def test_type_accuracy_of_perfect_features_in_any_order_and_sign():
    names = np.random.default_rng(5).integers(0, 4, 80)
    weights = -2.0 * np.eye(4)[:, [2, 0, 3, 1]][names] + 0.1
    assert recovery.type_accuracy(weights, 7 * names - 3) == 1
    weights[0], weights[1] = np.nan, 0
    assert recovery.type_accuracy(weights, names) == 78 / 80


def test_types_without_a_feature_and_features_without_a_type_are_wrong():
    names = np.repeat([0, 1, 2], [5, 3, 2])
    assert recovery.type_accuracy(np.ones((10, 1)), names) == 0.5
    split = np.eye(6)[np.arange(10) % 2 + 2 * names]  # every type split over two features
    assert recovery.type_accuracy(split, names) == (3 + 2 + 1) / 10


def test_purity_of_one_and_of_equal_features():
    weights = np.array([[0, -2.0, 0], [1, -1, 1], [3, -1, 0], [0, 0, 0]])
    np.testing.assert_allclose(recovery.purity(weights), [1, 1 / 3, 3 / 4, np.nan])
