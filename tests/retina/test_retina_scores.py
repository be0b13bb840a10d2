"""Scores of rates against other implementations, ceilings of known reliability, and intervals that cover."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from pellucid.systems.retina.model import scores
from pellucid.systems.retina.model.ceiling import ceiling


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_scores_are_those_of_scipy_and_sklearn(rng):
    predicted = rng.random((200, 3)) * 5
    observed = rng.poisson(predicted).astype(float)
    line = [stats.linregress(predicted[:, cell], observed[:, cell]) for cell in range(3)]
    np.testing.assert_allclose(scores.correlation(observed, predicted), [one.rvalue for one in line])
    np.testing.assert_allclose(scores.slope(observed, predicted), [one.slope for one in line])
    expected = r2_score(observed, predicted, multioutput="raw_values")
    np.testing.assert_allclose(scores.fraction_explained(observed, predicted), expected)


def test_missing_responses_count_for_nothing(rng):
    predicted, observed = rng.random((50, 2)), rng.random((50, 2))
    gaps = observed.copy()
    gaps[10:20, 1] = np.nan
    kept = np.r_[0:10, 20:50]
    for score in (scores.correlation, scores.slope, scores.fraction_explained, scores.rmse):
        found = score(gaps, predicted)
        assert found[0] == pytest.approx(score(observed, predicted)[0])
        assert found[1] == pytest.approx(score(observed[kept], predicted[kept])[1])


def test_constant_predictions_and_responses():
    rising = np.arange(20.0)[:, None] * np.ones((1, 2))
    flat = np.full((20, 2), 3.0)
    assert scores.correlation(rising, flat).tolist() == [0.0, 0.0]
    assert np.isnan(scores.correlation(flat, rising)).all()
    assert np.isnan(scores.slope(rising, flat)).all()


def test_bits_per_spike_are_differences_of_poisson_likelihoods(rng):
    rate = rng.random((300, 2)) * 4 + 0.1
    single = rng.poisson(rate, (5, 300, 2)).astype(float)
    mean = np.array([2.0, 2.5])
    gain, spikes = scores.gained_bits(single, rate, mean)
    model = stats.poisson.logpmf(single, rate).sum((0, 1))
    constant = stats.poisson.logpmf(single, mean).sum((0, 1))
    expected = (model - constant) / np.log(2) / single.sum((0, 1))
    np.testing.assert_allclose(scores.per_spike(gain, spikes), expected)
    hz = scores.gained_bits(100 * single, 100 * rate, 100 * mean)
    np.testing.assert_allclose(scores.per_spike(*hz), expected)  # whatever the unit


def test_a_constant_rate_gains_nothing(rng):
    single = rng.poisson(2.0, (1, 100, 2)).astype(float)
    gain, spikes = scores.gained_bits(single, np.full((100, 2), 2.0), np.array([2.0, 2.0]))
    np.testing.assert_allclose(scores.per_spike(gain, spikes), 0, atol=1e-12)


def test_intervals_of_information_cover_the_truth(rng):
    inside = 0
    rate = rng.random((400, 2)) * 3 + 0.2
    long = rng.poisson(rate, (200, 400, 2)).astype(float)
    truth = np.nanmean(scores.per_spike(*scores.gained_bits(long, rate, rate.mean(0))))
    for _ in range(40):
        found = scores.gained_bits(rng.poisson(rate, (1, 400, 2)).astype(float), rate, rate.mean(0))
        low, high = scores.blocks_interval(*found, 10, resamples=300, generator=rng)
        inside += low <= truth <= high
    assert inside >= 32  # of 40; 38 expected, 32 or more with a probability above .999


def test_one_block_and_one_cell_have_no_interval(rng):
    assert np.isnan(scores.blocks_interval(np.ones((5, 2)), np.ones((5, 2)), 10, resamples=100, generator=rng)).all()
    assert np.isnan(scores.cells_interval(np.array([0.5]), resamples=100, generator=rng)).all()


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_the_ceiling_is_the_correlation_of_the_true_rate_with_the_mean(rng, noise):
    rate = rng.standard_normal((4000, 3))
    repeats = rate + noise * rng.standard_normal((12, 4000, 3))
    found = ceiling(repeats, splits=20, generator=rng)
    reached = scores.correlation(repeats.mean(0), rate)
    np.testing.assert_allclose(found, reached, atol=0.01)  # 4000 rows


def test_ceilings_without_repeats_or_reliability(rng):
    assert np.isnan(ceiling(rng.random((1, 30, 2)), splits=3, generator=rng)).all()
    assert (ceiling(rng.standard_normal((2, 3000, 4)), splits=5, generator=rng) < 0.35).all()
