"""Behaviour on the clock of the features: interpolation, circular variables, laps and states."""

import numpy as np

ROUNDING = 1e-6
"""Samples by which a length in seconds may miss a whole number of them."""

SECONDS = 1e-9
"""Seconds by which rounding may lengthen a gap."""


def resample(
    times: np.ndarray, values: np.ndarray, at: np.ndarray, *, angular: bool = False, most_gap_s: float | None = None
) -> np.ndarray:
    """Interpolate linearly, shape (time, output) -> (row, output); a row outside the samples is NaN.

    times       (time,) seconds, increasing
    values      (time, output); NaN samples are bridged, as the published pipeline does
    at          (row,) seconds
    angular     values are radians: unwrapped before and wrapped to (-pi, pi] after
    most_gap_s  rows between known samples further apart are NaN; none: a gap of any length is bridged
    """
    columns = []
    for column in np.asarray(values, float).reshape(len(times), -1).T:
        known = np.isfinite(column)
        track = np.unwrap(column[known]) if angular else column[known]
        row = np.interp(at, times[known], track, left=np.nan, right=np.nan) if known.any() else at * np.nan
        if most_gap_s is not None and known.any():
            row[_inside_gaps(times[known], at, most_gap_s)] = np.nan
        columns.append(row)
    resampled = np.stack(columns, axis=1)
    return wrap(resampled) if angular else resampled


def _inside_gaps(known: np.ndarray, at: np.ndarray, most_gap_s: float) -> np.ndarray:
    """Return which moments, shape (row,), lie between two known times further apart than so many seconds."""
    after = np.searchsorted(known, at)
    between = np.clip(after, 1, max(1, len(known) - 1))
    gap = known[np.minimum(between, len(known) - 1)] - known[between - 1]
    inside = (after > 0) & (after < len(known))
    return np.asarray(inside & (known[np.minimum(after, len(known) - 1)] != at) & (gap > most_gap_s + SECONDS))


def wrap(angle: np.ndarray) -> np.ndarray:
    """Wrap radians to (-pi, pi]."""
    return np.asarray(np.pi - np.mod(np.pi - angle, 2 * np.pi))


def circular(values: np.ndarray, period: float) -> np.ndarray:
    """Encode a circular variable of the given period, shape (row,), as (sin, cos), shape (row, 2)."""
    phase = 2 * np.pi * np.asarray(values) / period
    return np.stack([np.sin(phase), np.cos(phase)], axis=-1)


def decircular(encoded: np.ndarray, period: float) -> np.ndarray:
    """Decode (sin, cos), shape (..., 2), to [0, period)."""
    angle = np.arctan2(encoded[..., 0], encoded[..., 1])
    return np.asarray(np.mod(angle / (2 * np.pi), 1.0) * period)


def circular_error(behaviour: np.ndarray, prediction: np.ndarray, period: float) -> np.ndarray:
    """Return the smallest absolute difference of circular values, elementwise, in the unit of `period`."""
    difference = np.mod(behaviour - prediction, period)
    return np.asarray(np.minimum(difference, period - difference))


def laps(position: np.ndarray, period: float) -> np.ndarray:
    """Number the laps of a circular track, shape (row,), by counting where position crosses its origin.

    position  (row,), in the unit of `period`; steps of more than half a period are crossings
    """
    unwrapped = np.unwrap(2 * np.pi * np.asarray(position, float) / period) / (2 * np.pi)
    lap = np.floor(unwrapped - unwrapped.min())
    forward = unwrapped[-1] >= unwrapped[0]
    furthest = np.maximum.accumulate(lap) if forward else np.minimum.accumulate(lap)
    return np.asarray(np.abs(furthest - furthest[0]).astype(np.int64))


def nearest(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the value of the nearest sample at each row, shape (row,) float64; for states, which have none between.

    times   (time,) seconds, increasing
    values  (time,); a NaN sample gives NaN
    at      (row,) seconds; a row further than one median interval outside the samples is NaN
    Of two samples equally near the earlier one counts.
    """
    times, values = np.asarray(times, float), np.asarray(values, float)
    after = np.clip(np.searchsorted(times, at), 1, max(1, len(times) - 1))
    index = np.minimum(after, len(times) - 1)
    index = np.where(np.abs(at - times[after - 1]) <= np.abs(times[index] - at), after - 1, index)
    reach = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    outside = (at < times[0] - reach) | (at > times[-1] + reach)
    return np.asarray(np.where(outside, np.nan, values[index]))


def states(
    trace: np.ndarray, low: float, high: float, *, least_s: float = 0.0, bridge_s: float = 0.0, rate_hz: float
) -> np.ndarray:
    """Return state 0 or 1 of every sample of a trace, shape (time,) float32, by thresholds with hysteresis.

    trace     (time,), any unit; NaN stays NaN, and what it separates is judged apart
    low       the state becomes 0 at or below it
    high      the state becomes 1 above it; with low = high the state is trace > high
    bridge_s  then state 0 shorter than this between two of state 1 becomes 1
    least_s   then bouts shorter than this, of either state, go to their neighbours, the shortest first
    Before the first crossing the state is that of the first sample against the middle of the thresholds.
    """
    trace = np.asarray(trace, float)
    out = np.full(trace.shape, np.nan, np.float32)
    known = np.concatenate([[False], np.isfinite(trace), [False]])
    edges = np.flatnonzero(np.diff(known.astype(np.int8))).reshape(-1, 2)
    for start, stop in edges:
        borders, first = _bouts(_hysteresis(trace[start:stop], low, high))
        borders, first = _bridged(borders, first, bridge_s * rate_hz - ROUNDING)
        borders, first = _lasting(borders, first, least_s * rate_hz - ROUNDING)
        values = (np.arange(len(borders) - 1) + first) % 2
        out[start:stop] = np.repeat(values, np.diff(borders))
    return out


def _hysteresis(trace: np.ndarray, low: float, high: float) -> np.ndarray:
    decided = np.where(trace > high, 1, np.where(trace <= low, 0, -1))
    if decided[0] < 0:
        decided[0] = trace[0] > (low + high) / 2
    last = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(trace)), 0))
    return np.asarray(decided[last])


def _bouts(state: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the borders of runs of equal states, 0 and the length included, and the first state."""
    return np.concatenate([[0], np.flatnonzero(np.diff(state)) + 1, [len(state)]]), int(state[0])


def _bridged(borders: np.ndarray, first: int, least: float) -> tuple[np.ndarray, int]:
    """Fill bouts of state 0 between two of state 1 that are shorter than so many samples."""
    inner = np.arange(1, len(borders) - 2)
    short = inner[((inner + first) % 2 == 0) & (np.diff(borders)[inner] < least)]
    return np.delete(borders, np.concatenate([short, short + 1])), first


def _lasting(borders: np.ndarray, first: int, least: float) -> tuple[np.ndarray, int]:
    """Give bouts shorter than so many samples to their neighbours, the shortest and earliest first."""
    while len(borders) > 2:
        lengths = np.diff(borders)
        bout = int(np.argmin(lengths))
        if lengths[bout] >= least:
            break
        gone = [border for border in (bout, bout + 1) if 0 < border < len(borders) - 1]
        first = 1 - first if bout == 0 else first
        borders = np.delete(borders, gone)
    return borders, first
