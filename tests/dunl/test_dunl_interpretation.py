"""The reading of codes: correlations and their chance, neutral points, planes, standard errors, identifiability."""

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import NMF, PCA
from sklearn.preprocessing import StandardScaler

from pellucid.errors import DataError
from pellucid.systems.dunl.attribute import (
    chance,
    covariates,
    curves,
    faithfulness,
    identifiability,
    neutral,
    plane,
    uncertainty,
)

EXACT = 1e-12  # float64, other order of sums


def codes_with_gaps(generator, trials=23, neurons=5, kernels=3):
    """Return codes with ties and missing values, and a covariate with both."""
    code = np.round(generator.normal(size=(trials, neurons, kernels)), 1)
    code[generator.random(code.shape) < 0.15] = np.nan
    covariate = generator.choice([0.1, 0.3, 1.2, 2.5, 5.0], trials)
    covariate[[2, 11]] = np.nan
    return code, covariate


def scipy_rho(values, covariate):
    known = np.isfinite(values) & np.isfinite(covariate)
    return stats.spearmanr(values[known], covariate[known]).statistic


# ---- rank correlation


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_equals_scipy_column_by_column(seed):
    code, covariate = codes_with_gaps(np.random.default_rng(seed))
    found = covariates.rank_correlation(code, covariate)
    assert found.value.shape == found.trials.shape == (5, 3)
    assert found.undefined == 0
    for neuron, kernel in np.ndindex(5, 3):
        assert found.value[neuron, kernel] == pytest.approx(scipy_rho(code[:, neuron, kernel], covariate), abs=EXACT)
        assert found.trials[neuron, kernel] == (np.isfinite(code[:, neuron, kernel]) & np.isfinite(covariate)).sum()


def test_monotone_transforms_change_no_rank_correlation():
    code, covariate = codes_with_gaps(np.random.default_rng(3))
    found = covariates.rank_correlation(code, covariate).value
    bent = covariates.rank_correlation(np.exp(code), np.log(covariate)).value
    falling = covariates.rank_correlation(-(code**3), covariate).value
    np.testing.assert_allclose(bent, found, atol=EXACT)
    np.testing.assert_allclose(falling, -found, atol=EXACT)


def test_constant_and_empty_columns_are_counted_as_undefined():
    code = np.random.default_rng(0).normal(size=(9, 4))
    code[:, 1] = 2.5
    code[:, 2] = np.nan
    found = covariates.rank_correlation(code, np.arange(9.0))
    assert np.isnan(found.value).tolist() == [False, True, True, False]
    assert found.undefined == 2
    assert found.trials.tolist() == [9, 9, 0, 9]
    assert covariates.rank_correlation(code, np.ones(9)).undefined == 4
    assert covariates.rank_correlation(code[:0], np.ones(0)).undefined == 4


def test_trials_must_match():
    with pytest.raises(DataError, match="9 trials"):
        covariates.rank_correlation(np.ones((9, 2)), np.ones(8))


def test_bootstrap_equals_ranking_every_resample_anew():
    code, covariate = codes_with_gaps(np.random.default_rng(4), trials=15, neurons=2, kernels=2)
    low, high = covariates.bootstrap(code, covariate, resamples=50, generator=np.random.default_rng(7))
    drawn = np.random.default_rng(7).multinomial(15, np.full(15, 1 / 15), 50)
    replicates = np.stack(
        [covariates.rank_correlation(np.repeat(code, n, 0), np.repeat(covariate, n)).value for n in drawn]
    )
    expected = np.quantile(replicates, [0.025, 0.975], axis=0)
    np.testing.assert_allclose([low, high], expected, atol=1e-10)  # weighted sums against sums over copies


def test_bootstrap_leaves_undefined_columns_undefined():
    code = np.random.default_rng(0).normal(size=(8, 3))
    code[:, 1] = 0
    low, high = covariates.bootstrap(code, np.arange(8.0), resamples=40, generator=np.random.default_rng(0))
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]
    assert (low <= high)[[0, 2]].all()


def test_bootstrap_interval_covers_the_correlation_of_the_population():
    generator = np.random.default_rng(5)
    sets, trials, r = 300, 60, 0.5
    covariate = generator.normal(size=trials)
    rho = 6 / np.pi * np.arcsin(r / 2)  # Spearman's rho of a bivariate normal
    inside = []
    for _ in range(sets):
        covariate = generator.normal(size=trials)
        code = r * covariate + np.sqrt(1 - r**2) * generator.normal(size=trials)
        low, high = covariates.bootstrap(code[:, None], covariate, resamples=200, generator=generator)
        inside.append(low[0] <= rho <= high[0])
    # 95 % +- 3.3 binomial s.d. of 300 sets, and 2 % for the percentile bootstrap's known shortfall at 60 trials
    assert 0.89 <= np.mean(inside) <= 0.99


def test_summed_codes_are_the_codes_of_the_sum():
    code = np.random.default_rng(0).normal(size=(7, 4, 3))
    np.testing.assert_array_equal(covariates.summed(code, [1, 2]), code[:, :, 1] + code[:, :, 2])


# ---- counts in windows


def loop_counts(signal, onset, width, starts):
    out = np.full((len(starts), signal.shape[0], signal.shape[2]), np.nan)
    for s, start in enumerate(starts):
        for trial, at in enumerate(onset):
            if at >= 0 and at + start >= 0 and at + width <= signal.shape[1]:
                out[s, trial] = signal[trial, at + start : at + width].sum(0)  # NaN inside stays NaN
    return out


def test_sliding_counts_equal_a_loop():
    generator = np.random.default_rng(6)
    signal = generator.poisson(2.0, (17, 40, 3)).astype(float)
    signal[3, 30:] = np.nan
    signal[5, 12, 1] = np.nan
    onset = generator.integers(-1, 36, 17)
    onset[:6] = [
        -1,
        0,
        28,
        25,
        29,
        8,
    ]  # none, both ends, into the NaN of trial 3, past the end, over the NaN of trial 5
    for starts in (range(9), [-2, 0, 5]):
        np.testing.assert_array_equal(
            covariates.sliding_counts(signal, onset, 12, starts), loop_counts(signal, onset, 12, starts)
        )


def test_a_window_needs_a_bin():
    with pytest.raises(DataError, match="sliding windows"):
        covariates.sliding_counts(np.ones((2, 9, 1)), np.zeros(2, int), 4, range(5))


def test_sliding_past_an_early_response_uncovers_the_covariate():
    generator = np.random.default_rng(8)
    reward = np.tile(np.arange(1.0, 8), 40)
    rate = np.full((280, 40), 0.5)
    rate[:, 10:14] += generator.gamma(2, 4, (280, 1))  # an early response that varies but not with reward
    rate[:, 14:22] += 0.15 * reward[:, None]
    signal = generator.poisson(rate)[:, :, None].astype(float)
    counts = covariates.sliding_counts(signal, np.full(280, 10), 12, range(8))
    rho = covariates.rank_correlation(counts, reward, axis=1).value
    assert rho.shape == (8, 1)
    assert rho[4, 0] > rho[0, 0] + 0.2


# ---- chance and comparison


def test_permutation_keeps_types_and_missing_values():
    generator = np.random.default_rng(0)
    covariate = generator.normal(size=21)
    covariate[4] = np.nan
    types = np.array(["a", "b", "c"] * 7, object)
    drawn = chance.permuted(covariate, types, 6, generator)
    assert np.isnan(drawn[:, 4]).all()
    for label in "abc":
        for row in drawn:
            np.testing.assert_array_equal(np.sort(row[types == label]), np.sort(covariate[types == label]))
    assert not (drawn == covariate).all(1).any()


def test_permuted_correlations_equal_correlating_each_permutation():
    code, covariate = codes_with_gaps(np.random.default_rng(9))
    types = np.array(["expected", "not"] * 12, object)[:23]
    found = chance.permuted_rho(code, covariate, types, permutations=8, generator=np.random.default_rng(2))
    drawn = chance.permuted(covariate, types, 8, np.random.default_rng(2))
    expected = np.stack([covariates.rank_correlation(code, one).value for one in drawn])
    np.testing.assert_allclose(found, expected, atol=EXACT)


def test_nothing_to_permute_gives_no_level_of_chance():
    reward = np.array([1.0, 2, 3] * 4)
    code = np.random.default_rng(0).normal(size=(12, 2, 1))
    types = reward.astype(str)  # the type of a trial is its reward
    assert chance.exchangeable(reward, types) == 0
    assert chance.exchangeable(reward, np.full(12, "all")) == 12
    draws = chance.permuted_rho(code, reward, types, permutations=5, generator=np.random.default_rng(0))
    found = chance.chance(covariates.rank_correlation(code, reward).value, draws)
    assert np.isnan(found.high).all()
    assert np.isnan(found.p).all()
    assert found.neurons.tolist() == [0]


def test_p_values_are_uniform_without_a_relation():
    generator = np.random.default_rng(10)
    p = []
    for _ in range(200):
        shared = generator.normal(size=(30, 1, 1))  # neurons of a trial share noise: the mean rho is not a mean of 4
        code = shared + generator.normal(size=(30, 4, 1))
        reward, types = generator.choice([1.0, 2, 5], 30), generator.choice(["a", "b"], 30)
        draws = chance.permuted_rho(code, reward, types, permutations=99, generator=generator)
        p.append(chance.chance(covariates.rank_correlation(code, reward).value, draws).p[0])
    # Kolmogorov-Smirnov distance of 200 uniform p values: 0.136 is exceeded with probability 0.001; steps of 1/100
    assert stats.kstest(p, "uniform").statistic < 0.136 + 0.01


def test_a_relation_exceeds_chance_and_its_absence_does_not():
    generator = np.random.default_rng(11)
    reward = np.tile([0.1, 0.3, 1.2, 2.5, 5.0], 12)
    code = generator.normal(size=(60, 8, 2))
    code[..., 1] += 0.5 * reward[:, None]
    rho = covariates.rank_correlation(code, reward).value
    draws = chance.permuted_rho(code, reward, np.full(60, "all"), permutations=200, generator=generator)
    found = chance.chance(rho, draws)
    assert found.observed[1] > found.high[1]
    assert found.observed[0] < found.high[0]
    assert found.p[1] == pytest.approx(1 / 201)
    np.testing.assert_allclose(found.observed, rho.mean(0), atol=EXACT)


def test_paired_tests_are_scipys_on_known_pairs():
    generator = np.random.default_rng(12)
    first, second = generator.normal(0.3, 1, 31), generator.normal(0, 1, 31)
    first[3], second[7] = np.nan, np.nan
    kept = np.isfinite(first) & np.isfinite(second)
    found = chance.paired(first, second)
    t, p = stats.ttest_rel(first, second, nan_policy="omit")
    assert (found.t, found.p) == pytest.approx((t, p))
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(first[kept] - second[kept]).pvalue)
    assert found.neurons == 29
    assert found.mean_difference == pytest.approx((first - second)[kept].mean())
    swapped = chance.paired(second, first)
    assert (swapped.t, swapped.p, swapped.wilcoxon_p) == pytest.approx((-found.t, found.p, found.wilcoxon_p))


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_differences_that_do_not_vary_have_no_test(count):
    found = chance.paired(np.arange(count) + 0.1, np.arange(count) * 1.0)
    assert np.isnan([found.t, found.p, found.wilcoxon_p]).all()
    assert found.neurons == count


def test_two_neurons_can_be_compared():
    found = chance.paired(np.array([0.5, 0.7]), np.array([0.1, 0.2]))
    assert found.wilcoxon_p == 0.5  # both signs agree: 2 of 4 sign patterns are as extreme


# ---- neutral points


def test_planted_neutral_points_are_recovered():
    generator = np.random.default_rng(13)
    levels = np.array([0.1, 0.3, 1.2, 2.5, 5, 10, 20])
    reward = np.repeat(levels, 40)
    planted = np.array([[0.7, 3.0], [6.0, 1.5], [15.0, 0.2]])
    code = np.log(reward)[:, None, None] - np.log(planted) + generator.normal(0, 0.15, (280, 3, 2))
    found = neutral.neutral_points(code, reward)
    assert (found.low < planted).all()
    assert (planted < found.high).all()
    np.testing.assert_array_equal(found.point, (found.low + found.high) / 2)
    assert (found.share > 0.95).all()
    assert found.undefined == 0


def brute_force_count(code, covariate, threshold):
    return ((code > 0) & (covariate > threshold)).sum() + ((code < 0) & (covariate < threshold)).sum()


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_is_better_than_the_neutral_point(seed):
    generator = np.random.default_rng(seed)
    reward = np.round(generator.gamma(2, 2, 31), 1)
    code = np.round(reward[:, None] - 4 + generator.normal(0, 3, (31, 5)))[:, :, None]  # some codes are exactly 0
    code[3, 0] = np.nan
    found = neutral.neutral_points(code, reward)
    known = np.isfinite(code[:, :, 0])
    thresholds = np.arange(-0.95, reward.max() + 1, 0.1) + 0.001  # between all neighbouring rewards
    for neuron in range(5):
        kept = known[:, neuron]
        best = max(brute_force_count(code[kept, neuron, 0], reward[kept], one) for one in thresholds)
        assert found.share[neuron, 0] == pytest.approx(best / kept.sum())
        low, high = found.low[neuron, 0], found.high[neuron, 0]
        for inside in (low + 1e-6, high - 1e-6):
            assert brute_force_count(code[kept, neuron, 0], reward[kept], inside) == best


def test_the_tied_interval_follows_a_monotone_transform():
    generator = np.random.default_rng(14)
    reward = generator.gamma(2, 2, 50)
    code = (reward[:, None, None] - 3) + generator.normal(size=(50, 3, 2))
    found, bent = neutral.neutral_points(code, reward), neutral.neutral_points(code, np.log(reward))
    np.testing.assert_allclose(bent.low, np.log(found.low), atol=EXACT)
    np.testing.assert_allclose(bent.high, np.log(found.high), atol=EXACT)


def test_of_separate_tied_intervals_the_middle_one_counts():
    reward = np.arange(7.0)
    code = np.array([-1.0, 1, -1, 1, -1, 1, 1])[:, None, None]  # thresholds 0.5, 2.5 and 4.5 leave 2 trials wrong each
    found = neutral.neutral_points(code, reward)
    assert (found.low[0, 0], found.point[0, 0], found.high[0, 0]) == (2, 2.5, 3)
    assert found.share[0, 0] == pytest.approx(5 / 7)


def test_codes_without_a_change_of_sign_have_no_neutral_point():
    reward = np.arange(1.0, 9)
    code = np.stack([reward, -reward, 0 * reward, reward - 4.5, np.full(8, np.nan)], axis=1)[:, :, None]
    found = neutral.neutral_points(code, reward)
    np.testing.assert_array_equal(found.point[:, 0], [np.nan, np.nan, np.nan, 4.5, np.nan])
    np.testing.assert_array_equal(found.share[:, 0], [1, 1, 0, 1, np.nan])
    assert found.undefined == 4


# ---- curves


def test_planted_hill_curves_are_recovered():
    reward = np.tile([0.0, 0.3, 0.5, 1.2, 2.5, 5, 8, 11], 15)
    planted = np.array([[-1.0, 4.0, 1.0, 1.5], [0.5, 8.0, 2.0, 2.0], [3.0, -2.0, 0.8, 1.0]])
    code = np.stack([curves.hill_curve(reward, *one) for one in planted], axis=1)[:, :, None]
    exact = curves.hill(code, reward)
    assert exact.names == ("base", "span", "half", "exponent")
    np.testing.assert_allclose(exact.parameters[:, :, 0].T, planted, rtol=1e-3)  # curve_fit stops at 1e-8 of the cost
    np.testing.assert_allclose(exact.r2, 1, atol=1e-9)
    noisy = curves.hill(code + np.random.default_rng(0).normal(0, 0.1, code.shape), reward)
    assert not noisy.failed.any()
    fit = np.stack([curves.hill_curve(reward, *one) for one in noisy.parameters[:, :, 0].T], axis=1)[:, :, None]
    assert np.abs(fit - code).max() < 0.2  # 4 parameters from 120 trials of noise 0.1


def test_a_line_is_the_least_squares_line():
    code, covariate = codes_with_gaps(np.random.default_rng(15))
    found = curves.linear(code, covariate)
    for neuron, kernel in np.ndindex(5, 3):
        kept = np.isfinite(code[:, neuron, kernel]) & np.isfinite(covariate)
        expected = stats.linregress(covariate[kept], code[kept, neuron, kernel])
        assert found.parameters[:, neuron, kernel] == pytest.approx([expected.intercept, expected.slope])
        assert found.r2[neuron, kernel] == pytest.approx(expected.rvalue**2)


def test_a_hill_curve_that_never_saturates_says_so():
    generator = np.random.default_rng(16)
    reward = np.tile([0.1, 0.3, 1.2, 2.5, 5, 10, 20], 10)
    code = (0.3 * reward[:, None] + generator.normal(0, 0.01, (70, 3)))[:, :, None]  # a line: it never saturates
    found = curves.hill(code, reward)
    assert found.bound.all()
    assert (
        found.r2 > curves.linear(code, reward).r2 - 0.01
    ).all()  # nearly a line: half is 10 times the largest reward


def test_fits_that_fail_are_reported():
    reward = np.tile([0.1, 0.3, 1.2, 2.5, 5.0], 4)
    code = np.random.default_rng(0).normal(size=(20, 4, 1))
    code[:, 1] = 3.0
    code[4:, 2] = np.nan
    found = curves.hill(code, reward)
    assert found.failed[:, 0].tolist() == [False, True, True, False]
    assert np.isnan(found.parameters[:, found.failed]).all()
    assert np.isnan(found.r2[found.failed]).all()
    starved = curves.hill(code, reward, evaluations=1)  # curve_fit raises RuntimeError
    assert starved.failed.all()
    with pytest.raises(DataError, match="at least 0"):
        curves.hill(code, reward - 1)


# ---- plane


def latent_events(generator, events=120, lags=18):
    early, late = generator.gamma(2, 1, events), generator.gamma(2, 1, events)
    shapes = np.abs(np.random.default_rng(0).normal(size=(2, lags)))
    windows = early[:, None] * shapes[0] + late[:, None] * shapes[1] + generator.normal(0, 0.05, (events, lags))
    return np.column_stack([early, late]) + generator.normal(0, 0.05, (events, 2)), windows, late


def test_components_equal_scikit_learns_up_to_convention():
    codes, windows, covariate = latent_events(np.random.default_rng(17))
    ours = plane.pca(windows, covariate)
    theirs = PCA(2).fit(StandardScaler().fit_transform(windows))
    np.testing.assert_allclose(np.abs(ours.axes), np.abs(theirs.components_.T), atol=1e-9)  # another solver's rounding
    np.testing.assert_allclose(ours.share, theirs.explained_variance_ratio_, atol=1e-9)
    np.testing.assert_allclose(ours.score, StandardScaler().fit_transform(windows) @ ours.axes, atol=1e-9)
    parts = plane.nmf(codes, covariate)
    model = NMF(2, init="nndsvda", random_state=0, max_iter=1000)
    weights = model.fit_transform(codes - codes.min())
    np.testing.assert_allclose(parts.score @ parts.axes.T, weights @ model.components_, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(parts.axes, axis=0), 1, atol=EXACT)
    assert parts.share[0] >= parts.share[1]
    assert parts.converged


def test_compare_returns_every_decomposition_with_its_correlation():
    codes, windows, covariate = latent_events(np.random.default_rng(18))
    found = plane.compare(codes, windows, covariate)
    assert sorted(found) == ["code_nmf", "code_pca", "window_nmf", "window_pca"]
    for name, one in found.items():
        assert one.axes.shape == ((2, 2) if name.startswith("code") else (18, 2))
        assert one.score.shape == (120, 2)
        assert one.rho == pytest.approx([scipy_rho(one.score[:, k], covariate) for k in range(2)])
    np.testing.assert_allclose(np.abs(found["code_pca"].axes), np.sqrt(0.5), atol=1e-9)  # always the diagonals
    assert np.abs(found["code_nmf"].rho).max() > 0.9  # a code is a component, and one of them is the covariate


def test_signs_and_orders_do_not_depend_on_the_order_of_events():
    codes, windows, covariate = latent_events(np.random.default_rng(19))
    order = np.random.default_rng(0).permutation(len(codes))
    first = plane.compare(codes, windows, covariate)
    second = plane.compare(codes[order], windows[order], covariate[order])
    for name in first:
        tolerance = 1e-9 if name.endswith("pca") else 0.02  # NMF stops at a tolerance of 1e-4 of its own
        np.testing.assert_allclose(second[name].axes, first[name].axes, atol=tolerance)
    for one in first.values():
        size = np.abs(one.axes)
        largest = np.argmax(size >= size.max(0) * (1 - 1e-6), axis=0)
        assert (one.axes[largest, [0, 1]] > 0).all()


def test_incomplete_events_have_no_score():
    codes, _, covariate = latent_events(np.random.default_rng(20))
    codes[[4, 9], [0, 1]] = np.nan
    for method in (plane.pca, plane.nmf):
        found = method(codes, covariate)
        assert np.flatnonzero(np.isnan(found.score).any(1)).tolist() == [4, 9]
    with pytest.raises(DataError, match="complete events"):
        plane.pca(np.full((5, 2), np.nan), np.arange(5.0))


def test_nmf_that_stops_early_says_so():
    codes, _, covariate = latent_events(np.random.default_rng(21))
    assert not plane.nmf(codes, covariate, iterations=2).converged


def test_constant_features_do_no_harm():
    codes = np.column_stack([np.arange(6.0), np.full(6, 2.0), np.arange(6.0) ** 2])
    found = plane.pca(codes, np.arange(6.0))
    assert found.axes[1] == pytest.approx([0, 0], abs=EXACT)
    assert np.isfinite(plane.nmf(np.full((6, 3), 2.0), np.arange(6.0)).score).all()


# ---- uncertainty


def simulated_gaussian(generator, traces=400, bins=30, slots=3, sigma=0.7):
    design = generator.normal(size=(bins, slots)) / np.sqrt(bins)
    design[:, 1] += 0.8 * design[:, 0]  # overlapping kernels
    truth = generator.normal(2, 1, (traces, slots))
    signal = truth @ design.T + sigma * generator.normal(size=(traces, bins))
    code = np.linalg.lstsq(design, signal.T, rcond=None)[0].T
    return design, truth, signal, code


def test_intervals_of_a_gaussian_model_cover_the_truth():
    design, truth, signal, code = simulated_gaussian(np.random.default_rng(22), traces=2000)
    hessian = np.broadcast_to(design.T @ design, (2000, 3, 3))
    active = np.ones((2000, 3), bool)
    noise = uncertainty.noise_variance(signal - code @ design.T, np.ones(signal.shape, bool), np.full(2000, 3))
    assert noise.mean() == pytest.approx(0.49, rel=0.02)  # s.d. of the mean: 0.49 sqrt(2 / 27 / 2000), 0.6 %
    sd = uncertainty.laplace_sd(hessian, active, 0.49)
    for slot in range(3):
        share, count = uncertainty.coverage(code[:, slot], sd[:, slot], truth[:, slot])
        assert count == 2000
        assert abs(share - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / 2000)  # exceeded with probability 0.001
    estimated = uncertainty.laplace_sd(hessian, active, noise)
    share, _ = uncertainty.coverage(code, estimated, truth)
    expected = 2 * stats.t.cdf(stats.norm.ppf(0.975), 27) - 1  # variance from 27 degrees of freedom: Student's t
    assert abs(share - expected) < 3.3 * np.sqrt(0.06 / 2000)


def test_standard_errors_equal_the_inverse_of_each_active_block():
    generator = np.random.default_rng(23)
    root = generator.normal(size=(11, 9, 5)) * np.array([1, 10, 0.01, 1, 100])  # slots of very different scale
    hessian = root.mT @ root
    active = generator.random((11, 5)) < 0.7
    dispersion = generator.gamma(2, 1, 11)
    found = uncertainty.laplace_sd(hessian, active, dispersion)
    assert np.isnan(found[~active]).all()
    for trace in range(11):
        kept = np.flatnonzero(active[trace])
        block = np.linalg.inv(hessian[trace][np.ix_(kept, kept)])
        np.testing.assert_allclose(found[trace, kept], np.sqrt(dispersion[trace] * np.diag(block)), rtol=1e-8)


def test_slots_that_the_data_do_not_determine_have_no_standard_error():
    column = np.random.default_rng(24).normal(size=(8, 1))
    other = np.random.default_rng(25).normal(size=(8, 1))
    other -= column * (column * other).sum() / (column**2).sum()
    design = np.hstack([column, column, other])  # the first two kernels are the same
    hessian = (design.T @ design)[None].repeat(3, 0)
    hessian[1, 2, 2] = np.nan
    hessian[2] = -np.eye(3)
    found = uncertainty.laplace_sd(hessian, np.ones((3, 3), bool))
    assert np.isnan(found[0, :2]).all()
    assert found[0, 2] == pytest.approx(1 / np.linalg.norm(other))
    assert np.isnan(found[1:]).all()
    assert uncertainty.laplace_sd(np.empty((2, 0, 0)), np.empty((2, 0), bool)).shape == (2, 0)


def test_fisher_information_predicts_the_correlation_with_truth():
    design, truth, _, code = simulated_gaussian(np.random.default_rng(26), traces=4000)
    sd = uncertainty.laplace_sd(np.broadcast_to(design.T @ design, (4000, 3, 3)), np.ones((4000, 3), bool), 0.49)
    measured = np.array([np.corrcoef(code[:, k], truth[:, k])[0, 1] for k in range(3)])
    assert measured.max() < 0.9  # the errors matter
    for predicted in (uncertainty.attenuation(truth, sd), uncertainty.reliability(code, sd)):
        np.testing.assert_allclose(np.sqrt(predicted), measured, atol=0.04)  # s.d. of r from 4000 traces: about 0.01


def test_predictions_use_known_trials_only():
    generator = np.random.default_rng(27)
    code, sd = generator.normal(size=(20, 3)), generator.gamma(2, 0.1, (20, 3))
    code[4, 0], sd[7, 0], code[1:, 2] = np.nan, np.nan, np.nan
    kept = np.delete(np.arange(20), [4, 7])
    variance, noise = code[kept, 0].var(ddof=1), (sd[kept, 0] ** 2).mean()
    assert uncertainty.attenuation(code, sd)[0] == pytest.approx(variance / (variance + noise))
    assert uncertainty.reliability(code, sd)[0] == pytest.approx(1 - noise / variance)
    assert np.isnan(uncertainty.attenuation(code, sd)[2])
    assert uncertainty.reliability(code, sd + 9)[0] == 0
    share, count = uncertainty.coverage(np.full(3, np.nan), np.ones(3), np.ones(3))
    assert np.isnan(share)
    assert count == 0


# ---- identifiability


def test_coherences_equal_direct_correlations():
    kernels = np.random.default_rng(28).normal(size=(11, 4)) * [1, 5, 0.1, 1]
    unit = kernels / np.linalg.norm(kernels, axis=0)
    found, best = identifiability.coherence(kernels), identifiability.best_lag_coherence(kernels)
    for j, k in np.ndindex(4, 4):
        assert found[j, k] == pytest.approx(abs(unit[:, j] @ unit[:, k]))
        assert best[j, k] == pytest.approx(np.abs(np.correlate(unit[:, j], unit[:, k], "full")).max())
    assert (best >= found - EXACT).all()


def test_a_shifted_copy_is_coherent_at_its_lag_only():
    early, late = np.zeros(12), np.zeros(12)
    early[:4], late[6:10] = [1, 2, 3, 1], [1, 2, 3, 1]
    kernels = np.column_stack([early, late])
    assert identifiability.coherence(kernels)[0, 1] == 0
    assert identifiability.best_lag_coherence(kernels)[0, 1] == pytest.approx(1)


def test_event_overlap_equals_a_loop():
    onset = np.random.default_rng(29).integers(-8, 60, (3, 14, 4))
    onset[2] = -1
    found = identifiability.event_overlap(onset, 7)
    for j, k in np.ndindex(2, 2):
        hits = []
        for trial in range(14):
            for event, at in enumerate(onset[j, trial]):
                if at >= 0:
                    others = [b for i, b in enumerate(onset[k, trial]) if b >= 0 and (j != k or i != event)]
                    hits.append(bool(set(range(at, at + 7)) & {bin_ for b in others for bin_ in range(b, b + 7)}))
        assert found[j, k] == pytest.approx(np.mean(hits))
    assert np.isnan(found[2]).all()
    assert (found[:2, 2] == 0).all()


def test_kernels_that_always_start_together_are_found():
    generator = np.random.default_rng(30)
    cue = generator.integers(0, 20, (9, 2))
    reward = generator.integers(20, 50, (9, 2))
    reward[3, 1] = -1
    nearly = reward.copy()
    nearly[8, 0] += 1
    absent = np.full((9, 2), -1)
    onset = np.stack([cue, reward, nearly, reward[:, ::-1], absent, absent, cue])
    assert identifiability.shared_onset(onset) == [[0, 6], [1, 3]]


def test_the_sentence_names_what_restricts_mixing():
    names = ["reward I", "reward II"]
    free = identifiability.ambiguity(names, [False, False], [0, 0])
    kernels = identifiability.ambiguity(names, [True, True], [0, 0])
    both = identifiability.ambiguity(names, [True, True], [1, 1])
    partly = identifiability.ambiguity(names, [False, True], [0, -1])
    codes = identifiability.ambiguity(names, [False, False], [1, -1])
    assert "nothing in the model" in free
    assert "nonnegative kernels (reward I, reward II)" in kernels
    assert "positive share" in kernels
    assert "unique only if" in both
    assert "codes of one sign (reward II)" in partly
    assert "keeps the signs" in codes
    assert len({free, kernels, both, partly, codes}) == 5


def test_what_the_sentences_claim_about_mixing_is_so():
    generator = np.random.default_rng(31)
    kernels, codes = generator.gamma(1, 1, (9, 2)), generator.normal(size=(2, 30))
    share = np.array([[1, 0.4], [0.3, 1]])  # positive shares added: kernels stay nonnegative, free codes take it back
    mixed, back = kernels @ share, np.linalg.solve(share, codes)
    np.testing.assert_allclose(mixed @ back, kernels @ codes, atol=1e-10)
    assert (mixed >= 0).all()
    assert identifiability.subspace_angles_deg(mixed, kernels) == pytest.approx([0, 0], abs=1e-5)
    # with signed codes as well, kernels and codes that are 0 where the other is not admit permutations and scales only
    kernels[:2] = [[1, 0], [0, 1]]
    codes = np.abs(codes)
    codes[:, :2] = [[1, 0], [0, 1]]
    for one in generator.normal(size=(300, 2, 2)):
        off = np.sort(np.abs(one).ravel())
        allowed = (kernels @ one >= 0).all() and (np.linalg.solve(one, codes) >= 0).all()
        assert not allowed or off[1] < 1e-12


def test_principal_angles_of_planted_planes():
    angle, axes = 25.0, np.eye(7)
    first = axes[:, :2]
    tilted = np.cos(np.radians(angle)) * axes[:, 1] + np.sin(np.radians(angle)) * axes[:, 4]
    second = np.column_stack([axes[:, 0], tilted]) @ [[2.0, 1], [0.5, -3]]  # any mixing spans the same plane
    found = identifiability.subspace_angles_deg(second, first)
    assert found == pytest.approx([angle, 0], abs=1e-5)  # an angle of 0 is known to the root of the rounding


def test_condition_equals_numpys_on_the_design_of_each_trial():
    generator = np.random.default_rng(32)
    kernels = generator.normal(size=(6, 3))
    onset = generator.integers(-6, 27, (3, 10, 2))
    onset[:, 4] = -1
    valid = generator.random((10, 30)) < 0.9
    found = identifiability.design_conditions(kernels, onset, valid)
    assert np.isnan(found[4])
    for trial in np.delete(np.arange(10), 4):
        columns = []
        for kernel, event in np.ndindex(3, 2):
            at = onset[kernel, trial, event]
            if at >= 0:
                column = np.zeros(40)
                column[at : at + 6] = kernels[:, kernel]
                column = column[:30] * valid[trial]
                columns.append(column / np.linalg.norm(column))
        assert found[trial] == pytest.approx(np.linalg.cond(np.column_stack(columns)), rel=1e-8)
    by_kernel = identifiability.median_by_kernel(found, onset)
    expected = [np.median(found[(onset[k] >= 0).any(1)]) for k in range(3)]
    assert by_kernel == pytest.approx(expected)


def test_condition_of_separate_and_of_equal_columns():
    kernels = np.column_stack([[1.0, 2, 1], [3.0, 1, 0], [3.0, 1, 0]])
    onset = np.array([[[2], [2], [-1]], [[9], [-1], [-1]], [[5], [2], [-1]]])
    valid = np.ones((3, 12), bool)
    assert identifiability.design_conditions(kernels[:, :2], onset[:2, :1], valid[:1]) == pytest.approx([1])
    same = np.array([[[2]], [[2]]])
    assert np.isinf(identifiability.design_conditions(kernels[:, 1:], same, valid[:1])).all()
    assert np.isnan(identifiability.median_by_kernel(np.array([np.nan]), np.array([[[-1]]]))).all()


# ---- faithfulness


def decomposed(generator, likelihood="binomial", trials=20, neurons=3, bins=50, most=25):
    traces = trials * neurons
    shapes = np.stack([np.exp(-(((np.arange(bins) - at) / 4.0) ** 2)) for at in (12, 30, 30)], axis=1)
    codes = generator.normal(0, 1.0, (traces, 3)) * [0.0, 1.0, 0.0] + [1.5, 1.0, 0.0]
    component = codes[:, None, :] * shapes
    drive = component.sum(2) - 2
    mean = {"gaussian": drive, "poisson": np.exp(drive), "binomial": most / (1 + np.exp(-drive))}[likelihood]
    draw = {
        "gaussian": lambda: generator.normal(mean),
        "poisson": lambda: generator.poisson(mean),
        "binomial": lambda: generator.binomial(most, mean / most),
    }[likelihood]
    signal = draw().astype(float)
    valid = np.ones(signal.shape, bool)
    valid[::4, 40:] = False
    signal[~valid] = np.nan
    trial, neuron = np.repeat(np.arange(trials), neurons) + 100, np.tile(np.arange(neurons), trials)
    return faithfulness.Decomposed(component, drive, signal, valid, trial, neuron, likelihood, most)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson", "binomial"])
def test_nll_is_scipys_up_to_what_does_not_depend_on_the_drive(likelihood):
    generator = np.random.default_rng(33)
    drive, other = generator.normal(size=(2, 40))
    y = generator.integers(0, 13, 40).astype(float)
    exact = {
        "gaussian": lambda z: -stats.norm.logpdf(y, z),
        "poisson": lambda z: -stats.poisson.logpmf(y, np.exp(z)),
        "binomial": lambda z: -stats.binom.logpmf(y, 12, 1 / (1 + np.exp(-z))),
    }[likelihood]
    found = faithfulness.nll(likelihood, y, drive, 12) - faithfulness.nll(likelihood, y, other, 12)
    np.testing.assert_allclose(found, exact(drive) - exact(other), atol=1e-10)


def test_nll_is_finite_at_extreme_drives():
    assert faithfulness.nll("binomial", np.array([3.0]), np.array([1e4]), 5) == pytest.approx(2e4)
    assert faithfulness.nll("binomial", np.array([3.0]), np.array([-1e4]), 5) == pytest.approx(3e4)


def test_other_trials_never_are_the_own_and_keep_the_neuron():
    neuron = np.array([0, 1, 0, 2, 1, 0, 1, 0])
    for seed in range(20):
        other = faithfulness.other_trials(neuron, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(other), np.arange(8))
        np.testing.assert_array_equal(neuron[other], neuron)
        assert np.flatnonzero(other == np.arange(8)).tolist() == [3]  # neuron 2 has one trial


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson", "binomial"])
def test_faithfulness_tells_what_is_needed_and_what_belongs_to_its_trial(likelihood):
    generator = np.random.default_rng(34)
    parts = decomposed(generator, likelihood)
    found = faithfulness.faithfulness(parts, repeats=2, resamples=200, generator=generator)
    assert found.removed[2] == found.removed_low[2] == found.removed_high[2] == 0  # a component of 0
    assert found.replaced[2] == 0
    assert found.removed_low[0] > 0
    assert found.replaced[0] == pytest.approx(0, abs=EXACT)  # the same on every trial: any trial's will do
    assert found.removed_low[1] > 0
    assert found.replaced_low[1] > 0  # differs between trials
    assert (found.removed_low <= found.removed).all()
    assert (found.removed <= found.removed_high).all()
    assert found.alone == 0


def test_faithfulness_equals_a_loop_over_traces():
    parts = decomposed(np.random.default_rng(35), trials=5, neurons=2)
    found = faithfulness.faithfulness(parts, repeats=2, resamples=20, generator=np.random.default_rng(1))
    generator = np.random.default_rng(1)
    others = [faithfulness.other_trials(parts.neuron, generator) for _ in range(2)]
    removed, replaced = np.zeros(3), np.zeros(3)
    for trace in range(10):
        for time in np.flatnonzero(parts.valid[trace]):
            y, z = parts.signal[trace, time], parts.drive[trace, time]
            for kernel in range(3):
                own = parts.component[trace, time, kernel]
                base = faithfulness.nll("binomial", y, z, 25)
                removed[kernel] += faithfulness.nll("binomial", y, z - own, 25) - base
                for other in others:
                    moved = parts.component[other[trace], time, kernel]
                    replaced[kernel] += (faithfulness.nll("binomial", y, z - own + moved, 25) - base) / 2
    np.testing.assert_allclose(found.removed, removed / parts.valid.sum(), atol=EXACT)
    np.testing.assert_allclose(found.replaced, replaced / parts.valid.sum(), atol=EXACT)


def test_a_neuron_with_one_trial_is_counted_and_not_replaced():
    parts = decomposed(np.random.default_rng(36), trials=1, neurons=3)
    found = faithfulness.faithfulness(parts, repeats=1, resamples=20, generator=np.random.default_rng(0))
    assert found.alone == 3
    assert np.isnan(found.replaced).all()
    assert np.isfinite(found.removed).all()
