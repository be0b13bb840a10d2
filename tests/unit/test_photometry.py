"""Correction of photometry: planted bleaching and motion are removed, planted transients stay."""

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import linregress

from pellucid.errors import DataError
from pellucid.preprocess import photometry
from pellucid.preprocess.settings import Photometry

RATE = 40.0


def planted(motion=0.6, seed=0, minutes=15):
    """A session with transients of dF/F, two decays in both signals, and motion that both share."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(minutes * 60 * RATE)) / RATE
    dff = np.zeros(len(time))
    for onset in generator.choice(len(time) - 400, 60, replace=False):
        dff[onset : onset + 400] += 0.05 * np.exp(-np.arange(400) / RATE / 1.5)
    movement = np.convolve(generator.normal(size=len(time)), np.ones(30) / 30, "same") * 0.2
    bleached = 1.2 + 0.4 * np.exp(-time / 120) + 0.8 * np.exp(-time / 1800)
    second = 0.7 + 0.2 * np.exp(-time / 100) + 0.1 * np.exp(-time / 1500) + movement
    noise = generator.normal(size=(2, len(time))) * 0.002
    return bleached * (1 + dff) + motion * movement + noise[0], second + noise[1], dff, bleached


def test_bleaching_and_motion_are_removed_and_transients_stay():
    signal, second, dff, bleached = planted()
    found = photometry.correct(signal, second, RATE, Photometry())
    # transients raise the fitted baseline by their mean of about 1 %; slope: its standard error is 0.7 %
    assert np.abs(found.baseline / bleached - 1).max() < 0.03
    assert found.slope == pytest.approx(0.6, rel=0.03)
    assert np.corrcoef(found.signal, dff)[0, 1] > 0.97
    left = photometry.correct(signal, None, RATE, Photometry())
    assert left.slope == 0
    assert np.corrcoef(left.signal, dff)[0, 1] < 0.9


def test_a_double_exponential_is_recovered():
    time = np.arange(48_000) / RATE
    curve = 3 * (0.4 + 0.25 * np.exp(-time / 1500) + 0.3 * np.exp(-time / 60))
    # several pairs of constants describe 20 minutes equally well, the curve is what counts: a part in 100 000
    assert photometry.double_exponential(curve, RATE) == pytest.approx(curve, rel=1e-5)


def test_the_fit_is_as_good_as_the_published_one():
    """The notebook fits all five parameters at once, from its own starting point and within its bounds."""
    signal = planted()[0][:: int(RATE)]
    time = np.arange(len(signal)) * 1.0

    def published(seconds, const, fast, slow, tau, ratio):
        return const + slow * np.exp(-seconds / tau) + fast * np.exp(-seconds / (tau * ratio))

    most = signal.max()
    bounds = ((0, 0, 0, 600, 1e-3), (most, most, most, 36000, 1))
    start = (most / 2, most / 4, most / 4, 3600, 0.1)
    fitted = curve_fit(published, time, signal, p0=start, bounds=bounds, maxfev=2000)[0]
    error = ((signal - published(time, *fitted)) ** 2).sum()
    assert ((signal - photometry.double_exponential(signal, 1.0)) ** 2).sum() <= error * (1 + 1e-4)


def test_the_high_pass_keeps_what_is_fast():
    time = np.arange(80_000) / RATE
    fast = np.sin(2 * np.pi * 0.2 * time)
    settings = Photometry(bleaching="highpass", highpass_hz=0.005)
    baseline = photometry.bleaching(5 + fast + np.exp(-time / 1000), RATE, settings)
    inner = slice(8000, -8000)  # one period of the cut-off at either end
    assert baseline[inner] == pytest.approx((5 + np.exp(-time / 1000))[inner], abs=5e-3)


def test_a_negative_slope_is_no_motion():
    signal, second, _, _ = planted(motion=-0.6)
    assert photometry.correct(signal, second, RATE, Photometry()).slope == 0
    found = photometry.correct(signal, second, RATE, Photometry(motion="any"))
    assert found.slope == pytest.approx(-0.6, rel=0.03)
    assert found.correlation < -0.5


def test_outputs_are_the_same_signal_in_other_units():
    signal, second, _, _ = planted(minutes=3)
    dff, difference, zscore = (
        photometry.correct(signal, second, RATE, Photometry(output=output))
        for output in ("dff", "difference", "zscore")
    )
    assert difference.signal == pytest.approx(dff.signal * dff.baseline)
    assert zscore.signal == pytest.approx((difference.signal - difference.signal.mean()) / difference.signal.std())


def test_regression_is_that_of_scipy():
    generator = np.random.default_rng(0)
    x = generator.normal(size=50)
    y = 0.3 * x + generator.normal(size=50)
    expected = linregress(x, y)
    assert photometry.regression(x, y) == pytest.approx((expected.slope, expected.rvalue))
    assert photometry.regression(np.ones(50), y)[0] == 0


def test_filters_leave_a_constant_and_remove_noise():
    settings = Photometry(lowpass_hz=2.0)
    assert photometry.denoise(np.full(500, 2.5), RATE, settings) == pytest.approx(np.full(500, 2.5))
    spiky = np.zeros(500)
    spiky[[100, 101, 300]] = 9
    assert np.abs(photometry.denoise(spiky, RATE, settings)).max() < 1e-9
    noise = np.random.default_rng(0).normal(size=4000)
    assert photometry.denoise(noise, RATE, settings).std() < 0.4


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (np.nan, {}, "sample 7: expected finite fluorescence, found nan, one of 1"),
        (np.inf, {}, "found inf"),
        (1.0, {"lowpass_hz": 20.0}, "below half the rate, 20 Hz, found 20 Hz"),
    ],
)
def test_signals_that_cannot_be_corrected_are_refused(change, settings, message):
    signal = np.ones(400)
    signal[7] = change
    with pytest.raises(DataError, match=message):
        photometry.correct(signal, None, RATE, Photometry.model_validate(settings))


def test_a_baseline_that_is_not_positive_cannot_divide():
    with pytest.raises(DataError, match="baseline above 0"):
        photometry.correct(np.zeros(400), None, RATE, Photometry(bleaching="none"))
