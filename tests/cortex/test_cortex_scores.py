"""Scores agree with sklearn and scipy, bouts with plain loops, statistics over mice with hand computations."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from pellucid.systems.cortex.model import bouts, scores, statistics
from pellucid.systems.cortex.model.settings import Evaluate

PUBLISHED = {  # AUC by test mouse (rows of four validation mice), stored notebooks of the reference code
    "cnn": ".818 .768 .861 .671 .891 .879 .886 .918 .926 .926 .945 .948 .959 .930 .950 .944 .923 .938 .924 .920",
    "cnn_gru": ".926 .880 .901 .875 .968 .981 .983 .975 .968 .970 .977 .977 .982 .982 .978 .976 .950 .956 .952 .953",
    "roi": ".9581 .9551 .9601 .9589 .9865 .9859 .9810 .9826 .9837 .9836 .9814 .9846 .9875 .9873 .9837 .9853 .9611 "
    ".9550 .9577 .9564",
    "other": ".9307 .9404 .9296 .9399 .9330 .9490 .9144 .9407 .9241 .9313 .9248 .9446 .9523 .9563 .9475 .9605 .9377 "
    ".9392 .9378 .9342",
}


def decoded(windows=523, ties=False, seed=0):
    """States in runs and a float32 probability that says something about them."""
    generator = np.random.default_rng(seed)
    state = np.repeat(np.arange(windows) % 2, generator.integers(1, 30, windows))[:windows].astype(np.float32)
    probability = 1 / (1 + np.exp(-(1.5 * (state - 0.4) + generator.standard_normal(windows))))
    return state, (np.round(probability, 1) if ties else probability).astype(np.float32)


def published(model):
    """Flat rows of the twenty published fits of a model."""
    pairs = [(t, v) for t in range(1, 6) for v in range(1, 6) if v != t]
    values = map(float, PUBLISHED[model].split())
    return [
        {"model": model, "test": f"m{t}", "auc": auc, "target": "state", "null": False, "unit": "mouse"}
        for (t, _), auc in zip(pairs, values, strict=True)
    ]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_are_sklearns(ties, seed):
    state, probability = decoded(ties=ties, seed=seed)
    decision = probability >= 0.5
    np.testing.assert_allclose(scores.auc(state, probability), oracle.roc_auc_score(state, probability))
    np.testing.assert_allclose(scores.accuracy(state, probability), oracle.accuracy_score(state, decision))
    expected = oracle.balanced_accuracy_score(state, decision)
    np.testing.assert_allclose(scores.balanced_accuracy(state, probability), expected)
    expected = oracle.average_precision_score(state, probability)
    np.testing.assert_allclose(scores.average_precision(state, probability), expected)
    false, true, thresholds = oracle.roc_curve(state, probability, drop_intermediate=False)
    assert scores.youden(state, probability) == thresholds[np.argmax(true - false)]
    speed = probability.astype(float) ** 2 + state
    np.testing.assert_allclose(scores.correlation(speed, probability), np.corrcoef(speed, probability)[0, 1])
    np.testing.assert_allclose(scores.explained(speed, probability), oracle.r2_score(speed, probability))


def test_auc_identities():
    state, probability = decoded(ties=True)
    np.testing.assert_allclose(scores.auc(state, -probability), 1 - scores.auc(state, probability))
    np.testing.assert_allclose(scores.auc(1 - state, probability), 1 - scores.auc(state, probability))
    np.testing.assert_allclose(scores.auc(state, np.exp(3 * probability)), scores.auc(state, probability))
    assert scores.auc(state, np.full_like(probability, 0.3)) == 0.5
    assert scores.auc(state, state) == 1


def test_calibration_error_of_a_loop_over_bins_and_of_a_calibrated_decoder():
    state, probability = decoded(windows=311)
    expected = 0
    for low in np.arange(7) / 7:
        own = (probability >= low) & (probability < low + 1 / 7)
        expected += own.mean() * abs(probability[own].mean() - state[own].mean()) if own.any() else 0
    np.testing.assert_allclose(scores.calibration_error(state, probability, 7), expected, rtol=1e-5)  # float32 means
    assert scores.calibration_error(np.array([0.0, 1, 1, 1]), np.array([0.75, 0.75, 0.75, 0.75]), 10) == 0
    assert scores.calibration_error(np.array([0.0, 1]), np.array([1.0, 0.0]), 10) == 1  # p = 1 is in the last bin


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_state_alone_leaves_scores_undefined(value):
    state, probability = np.full(17, value), decoded(windows=17)[1]
    for score in (scores.auc, scores.balanced_accuracy, scores.average_precision, scores.youden):
        assert np.isnan(score(state, probability)), score.__name__
    assert scores.accuracy(state, probability) == np.mean((probability >= 0.5) == value)
    assert np.isnan(bouts.auc_interval(state, probability, np.arange(17), resamples=100, seed=0)).all()
    empty = np.empty(0)
    for score in (scores.auc, scores.accuracy, scores.average_precision, scores.youden, scores.calibration_error):
        assert np.isnan(score(empty, empty)), score.__name__
    assert np.isnan(scores.correlation(np.ones(4), np.arange(4.0)))


def test_bouts_end_with_state_session_segment_and_gap():
    session = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    segment = np.array([0, 0, 0, 0, 0, 0, 0, 0, 3, 3])
    row = np.array([4, 5, 6, 9, 10, 11, 12, 13, 14, 15])
    state = np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    stretch = bouts.stretches(session, row, segment)
    assert stretch.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert bouts.bouts(state, stretch).tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]
    assert bouts.stretches(session, 5 * row, segment).tolist() == stretch.tolist()
    assert len(bouts.bouts(np.empty(0), bouts.stretches(*(np.empty(0, int),) * 3))) == 0


def test_interval_equals_resampling_windows_one_by_one():
    state, probability = decoded(windows=400, ties=True)
    bout = bouts.bouts(state, np.zeros(400, int))
    low, high = bouts.auc_interval(state, probability, bout, resamples=400, seed=3)
    generator = np.random.default_rng(8)
    draws = []
    for _ in range(400):
        rows = []
        for value in (0, 1):
            own = np.unique(bout[state == value])
            rows += [np.flatnonzero(bout == number) for number in generator.choice(own, len(own))]
        chosen = np.concatenate(rows)
        draws.append(scores.auc(state[chosen], probability[chosen]))
    # both are quantiles of 400 draws: each end has an s.d. of about .1 s.d. of the draws
    np.testing.assert_allclose([low, high], np.quantile(draws, [0.025, 0.975]), atol=0.5 * np.std(draws))


def test_replicates_keep_the_auc_of_more_windows_than_bins():
    state, probability = (np.repeat(values, 2) for values in decoded(windows=20_000))
    twin = np.arange(40_000) % 2 + 2 * state  # two bouts of each state with the same probabilities
    low, high = bouts.auc_interval(state, probability, twin, resamples=50, seed=0)
    # every replicate is the AUC itself, but for the 1024 bins
    np.testing.assert_allclose([low, high], scores.auc(state, probability), atol=1e-5)


@pytest.mark.slow
def test_interval_over_bouts_covers_the_true_auc_where_windows_would_not():
    generator = np.random.default_rng(5)
    true = stats.norm.cdf(1 / np.sqrt(2 * (1 + 0.2)))  # shift 1, variance of bouts 1 and of windows .2
    inside = {"bout": 0, "window": 0}
    for draw in range(200):
        bout = np.repeat(np.arange(60), 8)
        state = (bout % 2).astype(float)
        probability = state + generator.standard_normal(60)[bout] + np.sqrt(0.2) * generator.standard_normal(len(bout))
        for name, unit in (("bout", bout), ("window", np.arange(len(bout)))):
            low, high = bouts.auc_interval(state, probability, unit, resamples=200, seed=draw)
            inside[name] += low <= true <= high
    # 95 % minus four s.d. of 200 draws (.015 each), and what percentile intervals of 30 bouts of a state lose
    assert inside["bout"] / 200 > 0.87
    assert inside["window"] / 200 < 0.7


@pytest.mark.parametrize("delay", [-4, 0, 7])
def test_latency_of_a_delayed_copy_is_its_delay(delay):
    state, _ = decoded(windows=900)
    long = np.repeat(state, 25)  # bouts of at least 25 windows, delays are shorter
    copy = np.roll(long, delay)
    time, stretch = np.arange(len(long)) / 20 + 3, np.zeros(len(long), int)
    for onset in (True, False):
        found = bouts.latency(time, long, copy, stretch, onset=onset)
        assert found.transitions == (np.diff(long) == (1 if onset else -1)).sum() > 5
        assert found.found >= found.transitions - 1  # the one that rolls out of the session
        np.testing.assert_allclose(found.median_s, delay / 20, atol=1e-9)


def test_latency_counts_what_is_not_found():
    state = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0], float)
    probability = np.array([0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1, 0.49, 0])
    session = np.zeros(12, int)
    time = np.arange(12) * 1.0
    onset = bouts.latency(time, state, probability, session, onset=True, reach_s=2.0)
    assert (onset.transitions, onset.found, onset.median_s) == (2, 1, 1.0)  # the second onset is 5 s away: not found
    offset = bouts.latency(time, state, probability, session, onset=False)
    assert (offset.transitions, offset.found, offset.median_s) == (2, 1, 0.0)
    apart = np.repeat([0, 1], [3, 9])  # the decoded onset lies in another stretch
    onset = bouts.latency(time, state, np.roll(probability, 1), apart, onset=True)
    assert (onset.transitions, onset.found) == (2, 0)
    assert np.isnan(onset.median_s)


def test_published_means_and_rank_sum_tests():
    table = [row for model in PUBLISHED for row in published(model)]
    found = {row["model"]: row for row in statistics.models(table, Evaluate())}
    for model, mean, spread in (("cnn", 0.896, 0.071), ("cnn_gru", 0.955, 0.034), ("roi", 0.9738, 0.0135)):
        # given with three or four decimals
        assert abs(found[model]["auc"] - mean) < 6e-4
        assert abs(found[model]["sd"] - spread) < 6e-4
        assert found[model]["fits"] == 20
        assert found[model]["mice"] == 5
    rows = {row["model"]: row for row in statistics.comparisons(table, Evaluate(reference="roi"))}
    assert set(rows) == {"cnn", "cnn_gru", "other"}
    # values recomputed from the same table, given with one or two digits
    np.testing.assert_allclose(rows["cnn_gru"]["p_ranksum"], 0.010, rtol=0.1)
    np.testing.assert_allclose(rows["other"]["p_ranksum"], 2.4e-7, rtol=0.1)
    np.testing.assert_allclose(rows["cnn_gru"]["p_holm"], rows["cnn_gru"]["p_ranksum"])  # the largest of three
    # five mice, all in one direction: the smallest p there is
    assert rows["other"]["p_mice"] == rows["other"]["p_least"] == 2 / 32


def test_mean_over_mice_comes_after_the_mean_over_fits():
    table = published("roi")[:6]  # four fits of mouse 1, two of mouse 2
    row = statistics.models(table, Evaluate())[0]
    values = [one["auc"] for one in table]
    expected = np.array([np.mean(values[:4]), np.mean(values[4:])])
    np.testing.assert_allclose(row["auc"], expected.mean())
    low, high = stats.t.interval(0.95, 1, expected.mean(), stats.sem(expected))
    assert high > 1
    np.testing.assert_allclose([row["low"], row["high"]], [low, 1])  # cut: no AUC is larger
    alone = statistics.models(table[:4], Evaluate())[0]
    assert np.isnan([alone["low"], alone["high"]]).all()


def test_undefined_fits_are_counted_and_do_not_enter_means():
    table = published("roi")
    table[2] = {**table[2], "auc": float("nan")}
    table[4:8] = [{**row, "auc": float("nan")} for row in table[4:8]]
    row = statistics.models(table, Evaluate())[0]
    assert (row["undefined"], row["fits"], row["mice"]) == (5, 20, 4)
    assert np.isfinite([row["auc"], row["low"], row["high"], row["sd"]]).all()
    compared = statistics.comparisons([*table, *published("cnn")], Evaluate(reference="cnn"))[0]
    assert compared["mice"] == 4
    assert compared["p_least"] == 2 / 16


def test_blocks_have_bootstrap_intervals():
    table = [{**row, "unit": "block", "test": f"block {i}"} for i, row in enumerate(published("roi"))]
    row = statistics.models(table, Evaluate(bootstrap=4000))[0]
    values = np.array([one["auc"] for one in table])
    found = stats.bootstrap([values], np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    expected = found.confidence_interval
    # each end of the interval is known to a tenth of its half width
    np.testing.assert_allclose([row["low"], row["high"]], expected, atol=0.1 * (expected.high - expected.low) / 2)


@pytest.mark.slow
def test_interval_over_mice_covers_and_over_dependent_fits_would_not():
    generator = np.random.default_rng(2)
    inside, fooled, draws = 0, 0, 600
    for _ in range(draws):
        values = 0.9 + 0.03 * np.repeat(generator.standard_normal(5), 4) + 0.01 * generator.standard_normal(20)
        table = [{**row, "auc": value} for row, value in zip(published("roi"), values)]
        row = statistics.models(table, Evaluate())[0]
        inside += row["low"] <= 0.9 <= row["high"]
        low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
        fooled += low <= 0.9 <= high
    assert 0.92 < inside / draws < 0.98  # 95 % with an s.d. of .9 % over 600 draws
    assert fooled / draws < 0.8


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_sign_flips_are_exact(count):
    differences = np.random.default_rng(count).standard_normal(count) + 0.4
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=count)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert statistics.sign_flip(differences) == expected
    assert statistics.sign_flip(-differences) == expected


def test_sign_flips_of_five_mice_and_of_none():
    assert statistics.sign_flip(np.array([0.01, 0.03, 0.02, 0.05, 0.001])) == 2 / 32
    assert statistics.sign_flip(np.full(5, 0.1)) == 2 / 32  # equal sums but for rounding
    assert statistics.sign_flip(np.zeros(5)) == 1
    assert np.isnan(statistics.sign_flip(np.empty(0)))
    many = np.random.default_rng(0).standard_normal(24) + 0.5
    expected = stats.permutation_test(
        (many,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    ).pvalue
    assert abs(statistics.sign_flip(many, seed=3) - expected) < 0.005  # s.d. of 20 000 draws of p = .03: .0012


def test_holm_by_hand():
    p = np.array([0.04, 0.01, np.nan, 0.03, 0.005])
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, then never falling
    np.testing.assert_allclose(statistics.holm(p), [0.06, 0.03, np.nan, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm(np.array([0.6, 0.7])), [1, 1])
    assert statistics.holm(np.empty(0)).shape == (0,)


def test_rank_sum_is_scipys_and_undefined_for_single_fits():
    first, second = np.array([0.91, 0.93, 0.96, 0.94]), np.array([0.9, 0.92, 0.89, 0.95, 0.88])
    expected = stats.mannwhitneyu(first, second, use_continuity=False, method="asymptotic").pvalue
    np.testing.assert_allclose(statistics.rank_sum(first, second), expected)
    assert np.isnan(statistics.rank_sum(first[:1], second))
