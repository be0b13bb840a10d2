"""Scores agree with plain second implementations, noise formulas with simulated truth, edge cases with NaN."""

import numpy as np
import pytest

from pellucid.systems.whatwhere.model import scores, single_neurons
from pellucid.systems.whatwhere.model.settings import Evaluate


def simulated(*, images, repeats, neurons, signal, noise, seed=0):
    """Noise-free responses (image, neuron) of variance signal and repeats with Gaussian noise of variance noise."""
    generator = np.random.default_rng(seed)
    truth = 3 + np.sqrt(signal) * generator.standard_normal((images, neurons))
    return truth, truth + np.sqrt(noise) * generator.standard_normal((repeats, images, neurons))


def with_gaps(repeats, seed=1):
    """Some images shown less often, one only once, one never."""
    repeats = repeats.copy()
    repeats[np.random.default_rng(seed).random(repeats.shape) < 0.2] = np.nan
    repeats[1:, 3], repeats[:, 5] = np.nan, np.nan
    repeats[0, 3] = 2.5
    return repeats


def test_correlation_is_numpys_over_the_known_images():
    truth, repeats = simulated(images=30, repeats=4, neurons=5, signal=1, noise=1)
    observed = repeats.mean(0)
    observed[4:9, 2] = np.nan
    found = scores.correlation(observed, truth)
    for neuron in range(5):
        known = np.isfinite(observed[:, neuron])
        np.testing.assert_allclose(found[neuron], np.corrcoef(observed[known, neuron], truth[known, neuron])[0, 1])


def test_correlation_of_constants():
    observed = np.random.default_rng(0).standard_normal((20, 4))
    prediction = observed.copy()
    prediction[:, 0] = 0.1  # constant prediction: no skill
    prediction[:, 1] = 0.1 + 1e-7 * observed[:, 1]  # constant up to rounding
    observed[:, 2] = 0.3  # constant neuron: nothing to predict
    np.testing.assert_allclose(scores.correlation(observed, prediction), [0, 0, np.nan, 1])


def test_single_trial_correlation_equals_one_long_vector():
    truth, repeats = simulated(images=11, repeats=3, neurons=2, signal=1, noise=0.5)
    repeats[2, 4:, 0] = np.nan
    found = scores.single_trial(repeats, truth)
    for neuron in range(2):
        flat, same = repeats[:, :, neuron].ravel(), np.tile(truth[:, neuron], 3)
        known = np.isfinite(flat)
        np.testing.assert_allclose(found[neuron], np.corrcoef(flat[known], same[known])[0, 1])


def test_fev_of_truth_mean_and_scaled_truth():
    truth, _ = simulated(images=50, repeats=1, neurons=3, signal=2, noise=0)
    mean = np.broadcast_to(truth.mean(0), truth.shape)
    np.testing.assert_allclose(scores.fev(truth, truth), 1)
    np.testing.assert_allclose(scores.fev(truth, mean), 0, atol=1e-12)
    # 1 - (1 - c)^2 around the mean
    np.testing.assert_allclose(scores.fev(truth, mean + 3 * (truth - mean)), 1 - 2**2)


def test_feve_equals_a_loop_over_neurons_and_images():
    truth, repeats = simulated(images=25, repeats=6, neurons=3, signal=1, noise=2)
    repeats, prediction = with_gaps(repeats), truth + 0.3
    expected = []
    for neuron in range(3):
        shown = [r[np.isfinite(r)] for r in repeats[:, :, neuron].T]
        pooled = np.mean([r.var(ddof=1) for r in shown if len(r) > 1])
        noise = np.mean([(r.var(ddof=1) if len(r) > 1 else pooled) / len(r) for r in shown if len(r)])
        rows = [i for i, r in enumerate(shown) if len(r)]
        average = np.array([shown[i].mean() for i in rows])
        variance = average.var(ddof=1)
        expected.append((variance - np.mean((average - prediction[rows, neuron]) ** 2)) / (variance - noise))
    np.testing.assert_allclose(scores.feve(repeats, prediction), expected)


@pytest.mark.parametrize("gaps", [False, True])
def test_noise_corrected_scores_recover_the_simulated_values(gaps):
    truth, repeats = simulated(images=400, repeats=8, neurons=60, signal=1, noise=3, seed=2)
    repeats = with_gaps(repeats) if gaps else repeats
    half = 3 + 0.5 * (truth - 3)
    # means of 60 neurons: s.d. of each is below .006
    assert abs(scores.feve(repeats, truth).mean() - 1) < 0.02
    assert abs(scores.feve(repeats, half).mean() - 0.75) < 0.02
    assert abs(scores.explainable(repeats).mean() - 1 / 4) < 0.015
    assert abs(scores.noise_power(repeats).mean() - 3 / 4) < 0.015
    assert abs(scores.single_trial(repeats, truth).mean() - np.sqrt(1 / 4)) < 0.015
    average = np.nanmean(repeats[:, np.isfinite(repeats).any(axis=(0, 2))], axis=0)
    known = truth[np.isfinite(repeats).any(axis=(0, 2))]
    # the ceiling is what the truth itself reaches
    assert abs(scores.ceiling(repeats).mean() - scores.correlation(average, known).mean()) < 0.01
    if not gaps:
        assert abs(scores.ceiling(repeats).mean() - np.sqrt(1 / (1 + 3 / 8))) < 0.01
        # a trial against the mean of seven others: sqrt(1/4) sqrt(1 / (1 + 3/7)), below the single-trial limit
        assert abs(scores.oracle(repeats).mean() - 0.5 * np.sqrt(7 / 10)) < 0.015


def test_noise_alone_scatters_around_nothing():
    _, repeats = simulated(images=60, repeats=5, neurons=200, signal=0, noise=1, seed=3)
    # s.d. of one neuron about .03, of the mean of 200 .002
    assert abs(scores.explainable(repeats).mean()) < 0.015
    assert abs(scores.noise_power(repeats).mean() - 1) < 0.015
    assert abs(scores.oracle(repeats).mean()) < 0.02
    assert np.all((scores.ceiling(repeats) >= 0) & (scores.ceiling(repeats) < 0.8))
    assert np.isnan(scores.feve(repeats, np.full((60, 200), 3.0))).any()


def test_oracle_equals_a_loop_over_presentations():
    _, repeats = simulated(images=12, repeats=4, neurons=2, signal=1, noise=1)
    repeats = with_gaps(repeats)
    for neuron, found in enumerate(scores.oracle(repeats)):
        pairs = []
        for image in range(12):
            shown = [x for x in repeats[:, image, neuron] if np.isfinite(x)]
            if len(shown) > 1:
                pairs += [(x, np.mean(shown[:i] + shown[i + 1 :])) for i, x in enumerate(shown)]
        np.testing.assert_allclose(found, np.corrcoef(np.array(pairs).T)[0, 1])


def test_ceiling_formula_with_equal_repeats():
    _, repeats = simulated(images=20, repeats=5, neurons=4, signal=1, noise=1)
    total, noise = repeats.mean(0).var(0, ddof=1), repeats.var(0, ddof=1).mean(0)
    np.testing.assert_allclose(scores.ceiling(repeats), np.sqrt((total - noise / 5) / total))
    np.testing.assert_allclose(scores.noise_power(repeats), noise / repeats.var(axis=(0, 1)))


def test_undefined_scores_are_nan_without_a_warning():
    truth, repeats = simulated(images=10, repeats=3, neurons=4, signal=1, noise=1)
    repeats = repeats.astype(np.float32)
    repeats[:, :, 1], repeats[:, :, 2] = 0.3, np.nan  # a constant neuron, one never recorded
    for name in ("noise_power", "explainable", "ceiling", "oracle"):
        np.testing.assert_array_equal(np.isnan(getattr(scores, name)(repeats)), [False, True, True, False])
        assert np.isnan(getattr(scores, name)(repeats[:1])).all()  # a single repeat
    for name in ("feve", "single_trial"):
        np.testing.assert_array_equal(np.isnan(getattr(scores, name)(repeats, truth)), [False, True, True, False])
    assert np.isnan(scores.feve(repeats[:1], truth)).all()
    truth[:, 1], truth[:, 2] = 0.3, np.nan
    np.testing.assert_array_equal(np.isnan(scores.fev(truth, truth)), [False, True, True, False])


def test_interval_covers_the_mean_of_the_population():
    generator = np.random.default_rng(4)
    hits = [
        low <= 0.4 <= high
        for low, high in (
            scores.interval(0.4 + 0.2 * generator.standard_normal(40), resamples=300, seed=i) for i in range(150)
        )
    ]
    assert 0.87 <= np.mean(hits) <= 1  # 95 % asked for; a bootstrap of 40 is slightly narrow, s.d. of the share .018


def test_interval_has_the_width_of_the_standard_error_and_ignores_undefined_neurons():
    values = np.random.default_rng(5).standard_normal(400)
    low, high = scores.interval(values, resamples=2000, seed=1)
    assert abs((high - low) / (2 * 1.96 * values.std() / 20) - 1) < 0.1  # s.d. of a percentile of 2000 draws: 3 %
    assert scores.interval(np.append(values, np.nan), resamples=2000, seed=1) == (low, high)
    assert scores.interval(values, resamples=2000, seed=1) == (low, high)
    assert np.isnan(scores.interval(np.full(3, np.nan))).all()
    assert scores.interval(np.array([0.3])) == (0.3, 0.3)


def test_drawing_images_as_well_widens_the_interval():
    truth, repeats = simulated(images=40, repeats=3, neurons=80, signal=1, noise=1)
    observed = repeats.mean(0)
    alone = scores.interval(scores.correlation(observed, truth), seed=1)
    draws = single_neurons.resampled(observed, truth, 100, np.random.default_rng(2))
    assert draws.shape == (100, 80)
    both = scores.interval(draws, seed=1)
    assert both[1] - both[0] > alone[1] - alone[0]


def test_weighted_correlations_are_those_of_repeated_images():
    generator = np.random.default_rng(8)
    observed, prediction = generator.standard_normal((2, 40, 3))
    observed[5:9, 1] = np.nan
    weights = generator.integers(0, 4, (6, 40))
    found = single_neurons.weighted(observed, prediction, weights)
    for draw, neuron in np.ndindex(found.shape):
        rows = np.repeat(np.arange(40), weights[draw])
        rows = rows[np.isfinite(observed[rows, neuron])]
        assert found[draw, neuron] == pytest.approx(np.corrcoef(observed[rows, neuron], prediction[rows, neuron])[0, 1])


def test_intervals_of_single_neurons_cover_the_true_correlation():
    generator = np.random.default_rng(9)
    settings, inside = Evaluate(bootstrap=200), 0
    for _ in range(60):
        truth = generator.standard_normal((300, 2))
        noisy = 0.5 * truth + np.sqrt(0.75) * generator.standard_normal((300, 2))
        for row in single_neurons.rows("main", ["a", "b"], [(noisy, truth)], settings):
            inside += row["low"] < 0.5 < row["high"]
    assert 104 <= inside <= 120  # 95 % of 120, less 4 s.d.
    unknown = np.full((300, 2), np.nan)
    assert single_neurons.rows("main", ["a", "b"], [(unknown, truth)], settings) == []
