"""Behaviour on the clock of the features: interpolation, circular variables and laps."""

import numpy as np


def resample(times: np.ndarray, values: np.ndarray, at: np.ndarray, *, angular: bool = False) -> np.ndarray:
    """Interpolate linearly, shape (time, output) -> (row, output); a row outside the samples is NaN.

    times    (time,) seconds, increasing
    values   (time, output); NaN samples are bridged, as the published pipeline does
    at       (row,) seconds
    angular  values are radians: unwrapped before and wrapped to (-pi, pi] after
    """
    columns = []
    for column in np.asarray(values, float).reshape(len(times), -1).T:
        known = np.isfinite(column)
        track = np.unwrap(column[known]) if angular else column[known]
        columns.append(np.interp(at, times[known], track, left=np.nan, right=np.nan) if known.any() else at * np.nan)
    resampled = np.stack(columns, axis=1)
    return wrap(resampled) if angular else resampled


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
