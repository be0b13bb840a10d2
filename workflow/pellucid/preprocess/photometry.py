"""Fibre photometry: noise, bleaching and motion of a fluorescence, with a second signal that sees only the last two.

The steps and their published values are those of Simpson et al. 2024 (Neuron 112:718) and its notebook.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess.settings import Photometry

FITTED_POINTS = 2000
"""The session is averaged to at most this many points before the decays, which take minutes, are fitted."""

SLOW_S = (600.0, 36000.0)
"""Published bounds of the slower time constant; the faster one is up to 1000 times as fast."""


@dataclass(frozen=True)
class Corrected:
    """One fibre after correction.

    signal       (time,) as `Photometry.output` says
    baseline     (time,) what bleaching left of the fluorescence, in the units of the recording
    slope        of the regression on the second signal, as it was subtracted; 0 without one
    correlation  of the two signals after bleaching, NaN without a second one
    """

    signal: np.ndarray
    baseline: np.ndarray
    slope: float
    correlation: float


def correct(
    signal: np.ndarray,
    second: np.ndarray | None,
    rate_hz: float,
    settings: Photometry,
    where: str = "photometry",
) -> Corrected:
    """Return one fibre without noise, bleaching and motion.

    signal   (time,) fluorescence, above 0 for `output: dff`
    second   (time,) isosbestic or red signal; none: no correction of motion
    rate_hz  samples per second
    where    the signal, for messages
    dF/F = (F - B - slope (G - B_G)) / B, with the baselines B of both signals F and G.
    Baseline and slope are fitted to the whole session, test rows included, but to no labels.
    Raises DataError for NaN or inf, a baseline that is not positive, or a filter above half the rate.
    """
    fluorescence = denoise(signal, rate_hz, settings, where)
    baseline = bleaching(fluorescence, rate_hz, settings)
    found, slope, correlation = fluorescence - baseline, 0.0, float("nan")
    if second is not None and settings.motion != "none":
        control = denoise(second, rate_hz, settings, f"{where}, second signal")
        control = control - bleaching(control, rate_hz, settings)
        slope, correlation = regression(control, found)
        slope = max(slope, 0.0) if settings.motion == "positive" else slope
        found = found - slope * (control - control.mean())
    return Corrected(_scaled(found, baseline, settings, where), baseline, slope, correlation)


def denoise(signal: np.ndarray, rate_hz: float, settings: Photometry, where: str = "photometry") -> np.ndarray:
    """Return a signal, shape (time,), after median filter and zero-phase low-pass."""
    from scipy import ndimage
    from scipy import signal as filters

    values = np.asarray(signal, float)
    if not np.isfinite(values).all():
        index = int(np.argmin(np.isfinite(values)))
        raise DataError(
            f"{where}, sample {index}",
            expected="finite fluorescence",
            found=f"{values[index]}, one of {int((~np.isfinite(values)).sum())}",
            remedy="Cut the recording where the signal is missing.",
        )
    if settings.median_samples > 1:
        values = ndimage.median_filter(values, settings.median_samples, mode="nearest")
    if settings.lowpass_hz is None:
        return values
    _check_below_nyquist(settings.lowpass_hz, rate_hz, where)
    low = filters.butter(2, settings.lowpass_hz, output="sos", fs=rate_hz)
    return np.asarray(_both_ways(low, values, rate_hz / settings.lowpass_hz))


def bleaching(signal: np.ndarray, rate_hz: float, settings: Photometry) -> np.ndarray:
    """Return the slow baseline of a signal, shape (time,), in its units.

    exponential  const + fast exp(-t / tau_fast) + slow exp(-t / tau_slow), all amplitudes from 0
    highpass     the signal minus its zero-phase Butterworth high-pass of order 2
    none         the mean
    """
    from scipy import signal as filters

    if settings.bleaching == "exponential":
        return double_exponential(signal, rate_hz)
    if settings.bleaching == "none":
        return np.full(len(signal), signal.mean())
    high = filters.butter(2, settings.highpass_hz, "highpass", output="sos", fs=rate_hz)
    return np.asarray(signal - _both_ways(high, signal, rate_hz / settings.highpass_hz))


def double_exponential(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the least-squares double exponential of a signal, shape (time,), fitted to means of blocks.

    Only the two time constants are searched for: the amplitudes that go with them are a non-negative linear fit.
    """
    from scipy.optimize import least_squares, nnls

    time = np.arange(len(signal)) / rate_hz
    block = -(-len(signal) // FITTED_POINTS)
    whole = len(signal) // block * block
    means, at = (values[:whole].reshape(-1, block).mean(axis=1) for values in (signal, time))

    def amplitudes(logarithms: np.ndarray) -> np.ndarray:
        return np.asarray(nnls(_decays(logarithms, at), means)[0])

    found = least_squares(
        lambda logarithms: _decays(logarithms, at) @ amplitudes(logarithms) - means,
        x0=np.log((3600.0, 0.1)),
        bounds=np.log(((SLOW_S[0], 1e-3), (SLOW_S[1], 1.0))),
    ).x
    return np.asarray(_decays(found, time) @ amplitudes(found))


def _decays(logarithms: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return a constant and two decays, shape (time, 3), of log tau_slow (s) and log (tau_fast / tau_slow)."""
    slow, ratio = np.exp(logarithms)
    return np.stack([np.ones(len(seconds)), np.exp(-seconds / slow), np.exp(-seconds / (slow * ratio))], axis=1)


def regression(control: np.ndarray, signal: np.ndarray) -> tuple[float, float]:
    """Return slope and correlation of the linear regression of a signal on a control, shapes (time,)."""
    centred, response = control - control.mean(), signal - signal.mean()
    product, power = float(centred @ response), float(centred @ centred)
    total = float(np.sqrt(power * float(response @ response)))
    return (product / power if power > 0 else 0.0), (product / total if total > 0 else float("nan"))


def _both_ways(sections: np.ndarray, signal: np.ndarray, period: float) -> np.ndarray:
    """Filter forwards and backwards; the ends are mirrored over one period of the cut-off, in samples."""
    from scipy import signal as filters

    margin = min(len(signal) - 1, int(np.ceil(period)) + 3 * sections.size)
    return np.asarray(filters.sosfiltfilt(sections, signal, padtype="even", padlen=margin))


def _scaled(found: np.ndarray, baseline: np.ndarray, settings: Photometry, where: str) -> np.ndarray:
    if settings.output == "difference":
        return found
    if settings.output == "zscore":
        spread = found.std()
        return np.asarray((found - found.mean()) / (spread if spread > 0 else 1))
    if baseline.min() <= 0:
        raise DataError(
            where,
            expected="a baseline above 0, to divide by",
            found=f"one that falls to {baseline.min():g}",
            remedy="Give the raw fluorescence, or set `output: difference` or `zscore`.",
        )
    return np.asarray(found / baseline)


def _check_below_nyquist(hertz: float, rate_hz: float, where: str) -> None:
    if hertz >= rate_hz / 2:
        raise DataError(
            where,
            expected=f"a low-pass below half the rate, {rate_hz / 2:g} Hz",
            found=f"{hertz:g} Hz",
            remedy="Lower `lowpass_hz`, or set it to null.",
        )
