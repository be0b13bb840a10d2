"""Latency of responses to full-field steps and flashes of several contrasts (Gollisch and Meister 2008)."""

import numpy as np

from pellucid.errors import ConfigError
from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import LatencyFlashes, LatencySteps


def conditions(settings: LatencySteps | LatencyFlashes, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return one condition per contrast. Raises ConfigError where rows end before the latency is read.

    The onset is newest in row `before_rows`; steps are held to the end.
    """
    rows, onset = settings.before_rows + settings.after_rows, scale.newest(settings.before_rows)
    if (settings.after_rows - 1 + scale.lag) / scale.rate_hz < settings.mass_s:
        raise ConfigError(
            f"phenomenon `{settings.kind}`",
            expected=f"responses up to {settings.mass_s:g} s after the onset",
            found=f"after_rows: {settings.after_rows} at {scale.rate_hz:g} Hz",
            remedy="Raise `after_rows` or lower `mass_s`.",
        )
    held = settings.flash_frames if isinstance(settings, LatencyFlashes) else settings.after_rows
    frames = [
        stimuli.full_field(scale.frames(rows), [(onset, onset + held, contrast)]) for contrast in settings.contrasts
    ]
    return Conditions(
        values=np.array(settings.contrasts, float),
        unit="1",
        labels=tuple(f"contrast {contrast:g}" for contrast in settings.contrasts),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack([movie[scale.history - 1 :] for movie in frames]),
        window=slice(settings.before_rows, rows),
    )


def measure(
    settings: LatencySteps | LatencyFlashes, conditions: Conditions, rate: np.ndarray, scale: Scale
) -> list[Measure]:
    """Return latency and size of the response to each contrast, and whether they follow the size of the contrast.

    latency       row of the largest rate after the onset, s (argmax, in whole bins: the published rule for steps)
    latency_mass  centre of mass of the rate, s (the published rule for flashes)
    peak          largest rate after the onset, units of the rate
    latency_rank, latency_mass_rank, peak_rank  Spearman's correlation with |contrast|
    latency_slope, latency_mass_slope           of the regression on |contrast|, s
    The first three are per contrast.
    """
    rate, size = peaks.with_mean(rate), np.abs(conditions.values)
    after = slice(settings.before_rows, conditions.rows)
    time = conditions.time_s[after]
    rows = np.stack([peaks.argmax(own[after]) for own in rate])
    found = {
        "latency": np.where(np.isfinite(rows), time[np.nan_to_num(rows).astype(int)], np.nan),
        "latency_mass": centre_of_mass(settings, conditions.time_s, rate, scale),
        "peak": rate[:, after].max(1),
    }
    unit = {"latency": "s", "latency_mass": "s", "peak": scale.units}
    out = [
        peaks.measured(name, unit[name], own, at)
        for name, values in found.items()
        for at, own in zip(conditions.values, values)
    ]
    for name, values in found.items():
        out.append(peaks.measured(f"{name}_rank", "1", peaks.rank_correlation(size, values)))
    for name in ("latency", "latency_mass"):
        out.append(peaks.measured(f"{name}_slope", "s", peaks.slope(size, found[name])))
    return out


def centre_of_mass(
    settings: LatencySteps | LatencyFlashes, time_s: np.ndarray, rate: np.ndarray, scale: Scale
) -> np.ndarray:
    """Return the centre of mass of rates after the onset, (trial, row, neuron) -> (trial, neuron), s.

    As in Maheswaranathan et al. 2023 (reference code): the rate is interpolated by a cubic spline at `points` times up
    to `upsampled_s`, rates below `threshold_hz` are 0, and the mass is taken up to `mass_s`. NaN if none is left, and
    for cells that do not respond, as a constant rate has no latency. Times are those of the responses; the reference
    code stretches 30 bins of 10 ms to 300 ms, by 3 %.
    """
    from scipy.interpolate import CubicSpline

    last = min(settings.upsampled_s, float(time_s[-1]))
    fine = np.linspace(0, last, settings.points)
    sound = np.isfinite(rate).all((0, 1))
    smooth = CubicSpline(time_s, np.where(sound, rate, 0), axis=1)(fine)
    least = settings.threshold_hz / (scale.rate_hz if scale.units == "count" else 1)
    mass = np.where((smooth < least) | (smooth < 0), 0, smooth)[:, fine <= settings.mass_s]
    centre = np.einsum("trn,r->tn", mass, fine[fine <= settings.mass_s])
    quiet = np.stack([peaks.silent(own) for own in rate])
    return np.where(quiet, np.nan, peaks.ratio(centre, mass.sum(1)))
