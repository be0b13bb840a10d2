"""Omitted stimulus response: what follows a rhythm of flashes of which one is left out (Schwartz et al. 2007).

Time is counted from the onset of the last flash. A burst that marks the expected flash comes one period later for every
period longer: its latency has slope 1 over periods; a response that only follows the last flash has slope 0.
"""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import Omitted


def conditions(settings: Omitted, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return one condition per period; the last flash is newest in row `before_rows`, the omitted one comes later."""
    rows = settings.before_rows + 1 + settings.after_rows
    last = scale.newest(settings.before_rows)
    frames = []
    for period in settings.periods_frames:
        onsets = range(last, -1, -period)[: settings.flashes]
        movie = stimuli.full_field(
            scale.frames(rows), [(k, k + settings.flash_frames, settings.contrast) for k in onsets]
        )
        if settings.noise_sd:
            own = stimuli.noise(np.random.default_rng([seed, period]), len(movie), ())
            movie = movie + np.float32(settings.noise_sd) * own
        frames.append(movie)
    return Conditions(
        values=np.array(settings.periods_frames, float),
        unit="frames",
        labels=tuple(f"period {period}" for period in settings.periods_frames),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack([movie[scale.history - 1 :] for movie in frames]),
        window=slice(settings.before_rows + settings.periods_frames[0], rows),
    )


def measure(settings: Omitted, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return strength and latency of the response to the omission.

    ratio          summed rate in the cycle of the omitted flash over the mean of the cycles before, per period; very
                   large for cells that flashes silence
    burst          height of the peak after the omission above the rate at rest (that of the last row), units of the
                   rate, per period; 0 where there is none
    latency        of that peak after the onset of the last flash, s, per period; NaN where there is none
    latency_slope  of the regression of that latency on the period, s per s
    periods        number of periods with a peak
    Under regular flashes a rate is what it was one period before. The omission is felt from the first row on in which
    that fails; there its cycle begins, and the peak is the largest local maximum from there on. So the response to the
    last flash, which may come after the omission, is not taken for it.
    """
    rate = peaks.with_mean(rate)
    found = [
        _one(settings, int(period), rate[k], conditions.time_s) for k, period in enumerate(settings.periods_frames)
    ]
    out = []
    for name, unit in (("ratio", "1"), ("burst", scale.units), ("latency", "s")):
        out += [peaks.measured(name, unit, own[name], at) for at, own in zip(conditions.values, found)]
    latency = np.stack([own["latency"] for own in found])
    periods_s = conditions.values / scale.rate_hz
    out.append(peaks.measured("latency_slope", "s/s", peaks.slope(periods_s, latency)))
    out.append(peaks.measured("periods", "1", np.isfinite(latency).sum(0)))
    return out


def felt(settings: Omitted, period: int, rate: np.ndarray) -> np.ndarray:
    """Return the first row, from the omission on, that differs from one period before, (row, neuron) -> (neuron,)."""
    first = settings.before_rows + period
    least = settings.least_share * np.ptp(rate, axis=0)
    differs = np.abs(rate[first:] - rate[first - period : len(rate) - period]) > least
    return np.where(differs.any(0), first + differs.argmax(0), first)


def _one(settings: Omitted, period: int, rate: np.ndarray, time_s: np.ndarray) -> dict[str, np.ndarray]:
    """Return ratio, burst and latency of one period, each (neuron,); rate (row, neuron)."""
    found = {name: np.full(rate.shape[1], np.nan) for name in ("ratio", "burst", "latency")}
    for cell in np.flatnonzero(~peaks.silent(rate)):
        own = rate[:, cell]
        start = int(felt(settings, period, own[:, None])[0])
        if start + period <= len(own):
            cycles = [own[k : k + period].sum() for k in range(start - period, -1, -period)]
            found["ratio"][cell] = peaks.ratio(own[start : start + period].sum(), np.mean(cycles))
        rest = own[-1]
        least = np.array([rest + settings.least_share * np.ptp(own)])
        place = peaks.largest_peak(own[start - 1 :, None], least)[0]
        found["burst"][cell] = 0.0
        if np.isfinite(place):
            row = start - 1 + int(place)
            found["burst"][cell], found["latency"][cell] = own[row] - rest, time_s[row]
    return found
