"""Fast contrast adaptation: how the filter and the gain of a cell change with the contrast of noise."""

import numpy as np

from pellucid.errors import ConfigError
from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import ContrastAdaptation


def conditions(settings: ContrastAdaptation, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return the same noise in each contrast. Raises ConfigError for fewer frames than a window holds.

    The first `filter_frames` are new in every frame; `window` holds the rows that see only these, over which the caller
    averages gradients. Time is that since the first frame.
    """
    if min(settings.filter_frames, settings.frames - settings.bins) < scale.history:
        raise ConfigError(
            "phenomenon `contrast_adaptation`",
            expected=f"`filter_frames` of at least the history, {scale.history}, and `frames` of at least `bins` more",
            found=f"filter_frames: {settings.filter_frames}, frames: {settings.frames}",
            remedy="Raise them.",
        )
    size = shape if settings.space == "pixels" else ()
    generator = np.random.default_rng(seed)
    first = stimuli.noise(generator, settings.filter_frames, size)
    held = stimuli.noise(generator, settings.frames, size, settings.hold_frames)
    movie = np.concatenate([first, held])
    rows = len(movie) - scale.history + 1
    middle = movie[scale.history - 1 :]
    middle = middle[:, shape[0] // 2, shape[1] // 2] if settings.space == "pixels" else middle
    return Conditions(
        values=np.array(settings.contrasts, float),
        unit="1",
        labels=tuple(f"contrast {contrast:g}" for contrast in settings.contrasts),
        frames=[np.float32(contrast) * movie for contrast in settings.contrasts],
        time_s=scale.time_s(rows, 0) + (scale.history - 1) / scale.rate_hz,
        shown=np.stack([contrast * middle for contrast in settings.contrasts]),
        window=slice(0, settings.filter_frames - scale.history + 1),
    )


def measure(
    settings: ContrastAdaptation,
    conditions: Conditions,
    rate: np.ndarray,
    scale: Scale,
    *,
    kernels: np.ndarray | None,
) -> list[Measure]:
    """Return frequency and gain of the response in each contrast, and how they change with it.

    frequency            centre of mass of the filter's power spectrum up to `highest_hz`, sum f P / sum P, Hz
    frequency_published  sum f P / max P, Hz: what the reference code plots under that name
    gain                 slope of the nonlinearity over the filtered stimulus, units of the rate per s.d.
    frequency_slope, frequency_published_slope, gain_slope: of the regression on contrast.
    kernels  mean gradients, as in `phenomena.measure`; the gain needs filters over space for noise of pixels
    """
    if kernels is None:
        return []
    rate, contrasts = peaks.with_mean(rate), conditions.values
    kernels = np.moveaxis(peaks.with_mean(np.moveaxis(kernels, 1, -1)), -1, 1)  # the mean cell's filter is the mean
    spectra = np.array([[spectrum(settings, scale, one) for one in temporal(own)] for own in kernels])
    found = {"frequency": spectra[..., 0], "frequency_published": spectra[..., 1]}
    if kernels.ndim == 5 or settings.space == "full_field":
        filters = kernels.sum((3, 4)) if settings.space == "full_field" and kernels.ndim == 5 else kernels
        found["gain"] = np.stack(
            [gain(settings, scale, *parts) for parts in zip(conditions.frames, filters, rate, contrasts)]
        )
    out = []
    for name, values in found.items():
        unit = "Hz" if name != "gain" else scale.units
        out += [peaks.measured(name, unit, own, at) for at, own in zip(contrasts, values)]
        out.append(peaks.measured(f"{name}_slope", unit, peaks.slope(contrasts, values)))
    return out


def temporal(kernels: np.ndarray) -> np.ndarray:
    """Return the course in time of filters, (neuron, lag[, height, width]) -> (neuron, lag): first part of an SVD."""
    if kernels.ndim == 2:
        return kernels
    out = np.full(kernels.shape[:2], np.nan)
    for cell, own in enumerate(kernels.reshape(*kernels.shape[:2], -1)):
        if np.isfinite(own).all():
            power, left = np.linalg.eigh(own @ own.T)  # far smaller than the filter
            out[cell] = left[:, -1] * np.sqrt(max(power[-1], 0))
    return out


def spectrum(settings: ContrastAdaptation, scale: Scale, course: np.ndarray) -> tuple[float, float]:
    """Return both centres of a filter's power spectrum, Hz; course (lag,), the oldest frame first; NaN without power.

    Filters are 0 before their history; filled with zeros to `spectrum_s` their bins are 1 / spectrum_s wide.
    """
    from scipy.interpolate import CubicSpline

    if not np.isfinite(course).all() or not np.abs(course).max():
        return np.nan, np.nan
    samples = max(len(course), round(settings.spectrum_s * scale.rate_hz))
    filled = np.concatenate([np.zeros(samples - len(course)), course])
    fine = (np.arange(settings.points) + 0.5) * samples / settings.points - 0.5
    power = np.abs(np.fft.rfft(CubicSpline(np.arange(samples), filled)(fine))) ** 2
    frequency = np.arange(len(power)) * scale.rate_hz / samples
    low = frequency <= settings.highest_hz * (1 + 1e-9)
    moment = float((frequency * power)[low].sum())
    return moment / float(power[low].sum()), moment / float(power.max())


def gain(
    settings: ContrastAdaptation,
    scale: Scale,
    frames: np.ndarray,
    filters: np.ndarray,
    rate: np.ndarray,
    contrast: float,
) -> np.ndarray:
    """Return the slope of each cell's nonlinearity, (neuron,).

    frames   (time[, height, width])
    filters  (neuron, lag[, height, width]), scaled here so that the filtered stimulus has the stimulus' s.d. `contrast`
    rate     (row, neuron); the rows that see any of the first `filter_frames` are left out
    The nonlinearity is the mean rate against the mean filtered stimulus in `bins` of equal counts.
    """
    first = settings.filter_frames
    filtered, own = filtered_stimulus(frames[first:], filters), rate[first:]
    out = np.full(len(filters), np.nan)
    for cell, drive in enumerate(filtered.T):
        spread = drive.std()
        if not spread > 0 or not np.isfinite(own[:, cell]).all():
            continue
        parts = np.array_split(np.argsort(drive, kind="stable"), settings.bins)
        x = np.array([drive[part].mean() for part in parts]) * contrast / spread
        y = np.array([[own[part, cell].mean()] for part in parts])
        out[cell] = peaks.slope(x, y)[0]
    return out


def filtered_stimulus(frames: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the stimulus through filters, (time[, height, width]), (neuron, lag[, height, width]) -> (row, neuron)."""
    lags, rows = filters.shape[1], len(frames) - filters.shape[1] + 1
    weights = np.moveaxis(filters.reshape(len(filters), lags, -1), -1, 0).astype(np.float32)
    seen = (frames.reshape(len(frames), -1) @ weights.reshape(len(weights), -1)).reshape(-1, len(filters), lags)
    return np.asarray(sum(seen[lag : lag + rows, :, lag].astype(float) for lag in range(lags)))
