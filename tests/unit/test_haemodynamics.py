"""Haemodynamic correction: a calcium signal, absorption in both channels, and noise in the violet one, all known.

The generator is an independent one: run bouts, a drive delayed by 0.1 s, an arousal signal shared by all ROIs, and
private noise; no drift. The calcium channel is neural + h and the violet one h + noise, with h = -0.6 (shared + drive)
through a gamma kernel t exp(-t / 1 s), whose peak is at 1 s.
"""

import numpy as np
import pytest
from scipy.signal import butter, lfilter, sosfiltfilt

from pellucid.errors import DataError
from pellucid.preprocess import haemodynamics, streams
from pellucid.preprocess.streams import Stream

RATE = 30.0


def bouts(generator, count):
    """State 0 or 1 of every frame, in bouts of a gamma distribution of shape 2 and at least 0.3 s."""
    means, state, out = (generator.uniform(3, 6), generator.uniform(3, 7)), 0, []
    while len(out) < count:
        out += [state] * round(RATE * max(0.3, generator.gamma(2, means[state] / 2)))
        state = 1 - state
    return np.array(out[:count], float)


def autoregressive(generator, count, rho, width=1):
    innovations = np.sqrt(1 - rho**2) * generator.normal(size=(count + 500, width))
    return lfilter([1], [1, -rho], innovations, axis=0)[500:]


def simulated(seed, *, noise=0.0, independent=False, count=4500, rois=12):
    """True neural traces, and what the calcium and the violet channel show, (time, roi) each."""
    generator = np.random.default_rng(seed)
    seconds = np.arange(0, 3, 1 / RATE)
    kernel = (1 - np.exp(-seconds / 0.05)) * np.exp(-seconds / 0.4)
    drive = np.convolve(bouts(generator, count), np.r_[0, 0, 0, kernel / kernel.sum()])[:count]
    gain = np.where(np.arange(rois) < 3, 1.5, 0.15) * generator.normal(1, 0.1, rois)
    shared = autoregressive(generator, count, 0.98)[:, 0]
    private = 0.6 * autoregressive(generator, count, 0.9, rois) + 0.3 * generator.normal(size=(count, rois))
    neural = gain * drive[:, None] + 0.35 * shared[:, None] + 0.7 * private
    cause = autoregressive(generator, count, 0.98)[:, 0] if independent else shared + drive
    lags = np.arange(0, 12, 1 / RATE)
    response = lags * np.exp(-lags)
    h = -0.6 * np.convolve(cause, response / response.sum())[:count, None]
    return neural, neural + h, h + noise * generator.normal(size=neural.shape)


def corrected(seed, noise, lowpass_hz=None, **more):
    """Correlation of corrected and of uncorrected traces with the high-passed neural ones, and the coefficient."""
    neural, signal, violet = simulated(seed, noise=noise, **more)
    found, slope = haemodynamics.regressed(Stream.of(signal), Stream.of(violet), RATE, lowpass_hz=lowpass_hz)
    slow = haemodynamics.kernel(0.1, RATE)
    truth, before = haemodynamics.highpass(neural, slow), haemodynamics.highpass(signal, slow)
    return correlation(found.whole(), truth).mean(), correlation(before, truth).mean(), slope.mean()


def correlation(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T)])


def test_correction_recovers_the_neural_signal():
    after, before, slope = np.mean([corrected(seed, 0.05) for seed in range(4)], axis=0)
    assert after >= 0.99
    assert 0.93 <= before <= 0.97
    assert slope == pytest.approx(1, abs=0.1)  # h follows the neural signal, so least squares misses 1 a little


def test_noise_in_violet_biases_the_coefficient_and_a_low_pass_mends_it():
    plain = [np.mean([corrected(seed, noise)[2] for seed in range(3)]) for noise in (0.0, 0.05, 0.2)]
    mended = [np.mean([corrected(seed, noise, 1.0)[2] for seed in range(3)]) for noise in (0.0, 0.05, 0.2)]
    assert plain[0] == pytest.approx(1, abs=0.12)
    assert plain[2] < 0.6
    assert mended[2] == pytest.approx(mended[0], rel=0.1)
    assert corrected(0, 0.2, 1.0)[0] > corrected(0, 0.2)[0] + 0.005


def test_the_coefficient_is_unbiased_where_absorption_is_independent():
    found = [
        corrected(seed, 0.0, independent=True, count=54_000, rois=3)[2] for seed in range(3)
    ]  # 30 min: error of 2 %
    assert np.mean(found) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [1, 200, 777])
def test_blocks_equal_the_whole(size, monkeypatch):
    _, signal, violet = simulated(1, noise=0.05, count=2400, rois=4)
    made, slope = haemodynamics.regressed(Stream.of(signal), Stream.of(violet), RATE, lowpass_hz=2.0)
    whole = made.whole()
    slow, fast = haemodynamics.kernel(0.1, RATE), haemodynamics.kernel(2.0, RATE)
    control = haemodynamics.lowpass(haemodynamics.highpass(violet, slow), fast)
    target = haemodynamics.highpass(signal, slow)
    assert slope == pytest.approx((target * control).sum(0) / (control**2).sum(0), rel=1e-9)
    assert whole == pytest.approx(target - slope * control, abs=1e-9)
    starts = range(0, 2400, 611) if size == 1 else range(0, 2400, size)
    for start in starts:
        assert made.read(start, min(start + size, 2400)) == pytest.approx(whole[start : start + size], abs=1e-9)
    monkeypatch.setattr(streams, "TILE_VALUES", 2400 * 3)  # a movie's pixels are filtered a few columns at a time
    assert made.whole() == pytest.approx(whole, abs=1e-12)


def test_the_filter_is_a_weighted_mean_cut_at_the_ends():
    weights = haemodynamics.kernel(2.0, 20.0)
    assert weights == pytest.approx(weights[::-1])
    assert weights.sum() == pytest.approx(1)
    reach = len(weights) // 2
    for count in (3 * reach, reach // 2):
        values = np.random.default_rng(0).normal(size=(count, 2))
        for index in range(0, count, 5):
            start, stop = max(0, index - reach), min(count, index + reach + 1)
            part = weights[start - index + reach : stop - index + reach]
            expected = (part[:, None] * values[start:stop]).sum(0) / part.sum()
            assert haemodynamics.lowpass(values, weights)[index] == pytest.approx(expected, abs=1e-9)
    assert haemodynamics.highpass(np.full((50, 2), 7.0), weights) == pytest.approx(0, abs=1e-9)


def test_the_high_pass_does_what_that_of_wfield_does():
    """wfield filters with a Butterworth of order 2, forwards and backwards, which is not local."""
    _, signal, _ = simulated(0)
    reference = sosfiltfilt(butter(2, 0.1, "high", fs=RATE, output="sos"), signal, axis=0)
    found = haemodynamics.highpass(signal, haemodynamics.kernel(0.1, RATE))
    inner = slice(500, -500)  # the reach of the filter at either end
    assert correlation(found[inner], reference[inner]).min() > 0.98


def test_the_ratio_removes_what_multiplies_both_channels():
    generator = np.random.default_rng(0)
    true = 0.1 * generator.normal(size=(300, 4))
    absorbed = np.exp(-0.05 * generator.normal(size=(300, 4)))
    found = haemodynamics.ratio(Stream.of((1 + true) * absorbed - 1), Stream.of(absorbed - 1)).whole()
    assert found == pytest.approx(true, abs=1e-12)


def test_a_violet_channel_that_is_off_changes_nothing():
    signal = np.random.default_rng(0).normal(size=(900, 3))
    made, slope = haemodynamics.regressed(Stream.of(signal), Stream.of(0 * signal), RATE)
    assert (slope == 0).all()
    assert made.whole() == pytest.approx(haemodynamics.highpass(signal, haemodynamics.kernel(0.1, RATE)))


def test_a_cut_off_beyond_half_the_rate_is_refused():
    with pytest.raises(DataError, match="below half the frame rate, 5 Hz, found 5 Hz"):
        haemodynamics.kernel(5.0, 10.0)
