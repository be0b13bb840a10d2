"""Motion reversal: what follows the sudden turn of a moving bar (Schwartz et al. 2007, Chen et al. 2014)."""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import Reversal


def conditions(settings: Reversal, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return a turning bar for each contrast and position of the turn, then as controls bars that pass on there.

    The bar comes from the left, turns in the frame that is newest in row `before_rows`, and goes back at the same speed
    (the reference code shows the turning position twice).
    """
    rows = settings.before_rows + settings.after_rows
    passed = settings.speed_px * (np.arange(scale.frames(rows)) - scale.newest(settings.before_rows))
    positions, frames, labels = [], [], []
    for name, path in (("turn", -np.abs(passed)), ("sweep", passed)):
        for factor in settings.scales:
            for flip in settings.flips_px:
                positions.append(flip + path)
                frames.append(stimuli.bar(flip + path, settings.width_px, shape[1], factor * settings.contrast))
                labels.append(f"{name} {flip:g}" + (f" x {factor:g}" if len(settings.scales) > 1 else ""))
    each = len(frames) // 2
    return Conditions(
        values=np.array(settings.flips_px * (2 * len(settings.scales)), float),
        unit="px",
        labels=tuple(labels),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack(positions)[:, scale.history - 1 :],
        window=_window(settings, scale),
        control=tuple(range(each, 2 * each)),
    )


def measure(settings: Reversal, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return delay and size of the burst after the turn, for each contrast.

    delay        of the largest local maximum of the rate averaged over turning positions, s after the turn
    delay_sd     s.d. over positions of the delay of each position's own largest local maximum, s
    delay_slope  of the regression of those delays on the position, s per px: 0 for a burst that is tied to the turn
    gain         largest rate of that average over the largest rate of the sweeps' average in the same rows
    Maxima are looked for in the rows whose window holds the turn.
    """
    rate, rows = peaks.with_mean(rate), _window(settings, scale)
    time = conditions.time_s[rows]
    flips = np.array(settings.flips_px)
    grouped = rate[:, rows].reshape(2, len(settings.scales), len(flips), len(time), rate.shape[-1])
    out = []
    for k, factor in enumerate(settings.scales):
        turn, sweep = grouped[0, k], grouped[1, k]
        mean = turn.mean(0)
        delays = np.stack([_delay(own, time) for own in turn])
        at = factor if len(settings.scales) > 1 else np.nan
        gain = np.where(peaks.silent(mean), np.nan, peaks.ratio(mean.max(0), sweep.mean(0).max(0)))
        out.append(peaks.measured("delay", "s", _delay(mean, time), at))
        out.append(peaks.measured("delay_sd", "s", _spread(delays), at))
        out.append(peaks.measured("delay_slope", "s/px", peaks.slope(flips, delays), at))
        out.append(peaks.measured("gain", "1", gain, at))
    return out


def _window(settings: Reversal, scale: Scale) -> slice:
    """Return the rows whose window holds the turn."""
    return slice(settings.before_rows, settings.before_rows + min(scale.history, settings.after_rows))


def _delay(rate: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the time of the largest local maximum, (row, neuron), (row,) -> (neuron,)."""
    least = np.where(peaks.silent(rate), np.inf, -np.inf)
    place = peaks.largest_peak(rate, least)
    return np.where(np.isfinite(place), time[np.nan_to_num(place).astype(int)], np.nan)


def _spread(delays: np.ndarray) -> np.ndarray:
    """Return the s.d. over positions, (position, neuron) -> (neuron,), NaN with fewer than 3."""
    known = np.isfinite(delays)
    count = known.sum(0)
    mean = np.where(known, delays, 0).sum(0) / np.maximum(count, 1)
    square = (np.where(known, delays - mean, 0) ** 2).sum(0)
    return np.where(count >= 3, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)
