"""Tracked lights on the head to position, heading and speed, as Frey et al. 2021 (eLife 10:e66551) derive them.

Frey et al. interpolate lost samples over gaps of any length and average both lights over the last 5 samples, which
delays them by 2 samples (67 ms at 30 Hz). Here gaps longer than a limit stay lost and the average is an option.
"""

import numpy as np

from pellucid.preprocess import behaviour


def bridged(times: np.ndarray, values: np.ndarray, most_gap_s: float | None = None) -> np.ndarray:
    """Interpolate lost samples linearly, shape (time, output); what lies outside known samples stays NaN.

    times       (time,) s, increasing
    values      (time, output), NaN: lost
    most_gap_s  s; lost samples between known ones further apart stay NaN; none: any gap is bridged
    """
    return behaviour.resample(times, values, times, most_gap_s=most_gap_s)


def smoothed(times: np.ndarray, lights: np.ndarray, samples: int, most_gap_s: float | None = None) -> np.ndarray:
    """Average each coordinate over the last samples, gaps interpolated before, shape (time, output); it lags.

    times       (time,) s, increasing
    lights      (time, output) px or m, NaN: lost
    samples     length of the average, which delays by (samples - 1) / 2; published 5; 1: lights as they are
    most_gap_s  s; a sample lost for longer stays NaN and enters no average
    """
    if samples == 1:
        return lights
    known = bridged(times, lights, most_gap_s)
    padded = np.concatenate([np.full((samples - 1, known.shape[1]), np.nan), known])
    last = np.lib.stride_tricks.sliding_window_view(padded, samples, axis=0)
    count = np.maximum(np.isfinite(last).sum(axis=-1), 1)
    return np.asarray(np.where(np.isfinite(known), np.nansum(last, axis=-1) / count, np.nan))


def midpoint(times: np.ndarray, lights: np.ndarray, most_gap_s: float | None = None) -> np.ndarray:
    """Return the midpoint of the lights that are known, shape (time, 2), NaN where none is.

    times       (time,) s, increasing
    lights      (time, 2 or 4) x1, y1[, x2, y2] in px or m, NaN: lost
    most_gap_s  s; while one light is lost for no longer than this, the other is moved by half their interpolated
                separation, so that position does not jump; after that the known one counts alone
    """
    if lights.shape[1] == 2:
        return np.where(_known(lights)[:, None], lights, np.nan)
    first, second = lights[:, :2], lights[:, 2:]
    half = np.nan_to_num(bridged(times, second - first, most_gap_s)) / 2
    alone = np.where(_known(second)[:, None], second - half, np.nan)
    return np.where(_known(first)[:, None], first + half, alone)


def heading(lights: np.ndarray) -> np.ndarray:
    """Return the heading -(theta + pi/2), theta = atan2(x1 - x2, y1 - y2), in radians (-pi, pi], shape (time,).

    lights  (time, 4) x1, y1, x2, y2 of two lights, NaN: lost; heading is NaN unless both are known
    Source: the released code of Frey et al. 2021.
    """
    x, y = lights[:, 0] - lights[:, 2], lights[:, 1] - lights[:, 3]
    return behaviour.wrap(-(np.arctan2(x, y) + np.pi / 2))


def speed(times: np.ndarray, position: np.ndarray, most_gap_s: float | None = None) -> np.ndarray:
    """Return speed sqrt(vx^2 + vy^2), shape (time,), in the unit of position per s; NaN where position is lost.

    times       (time,) s, increasing
    position    (time, 2), NaN: lost
    most_gap_s  s; longer gaps are not bridged
    vx and vy are steps over their time, averaged over a centred box of 3 steps (Frey et al. 2021, released code: times
    30 for their rate), and belong to the middle of a step: they are interpolated back to the samples, so none lags.
    """
    if len(times) < 2:
        return np.full(len(times), np.nan)
    velocity = np.diff(bridged(times, position, most_gap_s), axis=0) / np.diff(times)[:, None]
    padded = np.concatenate([velocity[:1] * np.nan, velocity, velocity[:1] * np.nan])
    box = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)
    count = np.maximum(np.isfinite(box).sum(axis=-1), 1)
    mean = np.where(np.isfinite(velocity), np.nansum(box, axis=-1) / count, np.nan)
    steps = np.linalg.norm(mean, axis=1)
    middle = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2, times[-1:]])
    ends = np.concatenate([steps[:1], steps, steps[-1:]])
    return behaviour.resample(middle, ends[:, None], times, most_gap_s=most_gap_s)[:, 0]


def _known(light: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(light).all(axis=1))
