"""Calcium signals along time: dF/F, slow baselines, detrending and scaling, as arrays and as streams.

Arrays are (time, ...): traces (time, roi) or movies (time, height, width).
"""

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess import streams
from pellucid.preprocess.streams import Stream

WRITTEN_S = 10.0
"""Lengths from here on that are written with one decimal may stand for a third of a second, see `samples`."""


def samples(seconds: float, rate_hz: float) -> int:
    """Return a length in samples, round(seconds x rate), at least 1.

    A length of 10 s or more with one decimal that is a rounded third of a second counts as that third: 33.3 s is the
    published 1000 samples at 30 Hz (Ajioka et al. 2024, reference code) and 333 at 10 Hz.
    """
    third = round(3 * seconds) / 3
    if seconds >= WRITTEN_S and seconds == round(seconds, 1) == round(third, 1):
        seconds = third
    return max(1, round(seconds * rate_hz))


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Return the centred moving mean over `window` samples, shape (time, ...).

    The window reaches window // 2 samples back and (window - 1) // 2 ahead, as MATLAB's movmean: an odd one is
    symmetric, one of 1000 reaches 500 back and 499 ahead. At the ends it shrinks to the samples there are.
    """
    return streams.columnwise(lambda columns: _moving_mean(columns, window), values)


def detrend(values: np.ndarray, window: int) -> np.ndarray:
    """Return the values minus their centred moving mean over `window` samples, shape (time, ...)."""
    return streams.columnwise(lambda columns: columns - _moving_mean(columns, window), values)


def detrended(stream: Stream, window: int) -> Stream:
    """Return `detrend` as a stream."""
    return stream.local(lambda values: detrend(values, window), window // 2, (window - 1) // 2)


def percentile_baseline(values: np.ndarray, rate_hz: float, percentile: float, window_s: float) -> np.ndarray:
    """Return a rolling percentile, shape (time, ...), in the unit of the values.

    It is computed at every round(rate)-th sample (about one a second), over the window around that sample, which
    shrinks at the ends, and interpolated linearly between them; after the last one it stays.
    percentile  0..100, between samples by linear interpolation; window_s: whole width of the window
    """
    return _percentiles(Stream.of(values), rate_hz, percentile, window_s).whole()


def relative(values: np.ndarray, baseline: np.ndarray, where: str = "dF/F") -> np.ndarray:
    """Return dF/F = (F - F0) / F0, shape (time, ...); 0 where both are 0, as outside a masked brain.

    baseline  F0, any shape that fits; where: the signal, for messages
    Raises DataError for a baseline that is not above 0.
    """
    zero = (baseline == 0) & (values == 0)
    if not ((baseline > 0) | zero).all():
        raise DataError(
            where,
            expected="a baseline F0 above 0, to divide by",
            found=f"one that falls to {float(np.min(baseline)):g}",
            remedy="Give raw fluorescence, or leave `dff` out if the signal is relative already.",
        )
    kind = np.float64 if values.dtype == np.float64 else np.float32
    found = np.subtract(values, baseline, dtype=np.float64)
    found /= np.where(baseline > 0, baseline, 1.0)
    return np.asarray(found.astype(kind, copy=False))


def dff(
    stream: Stream,
    rate_hz: float,
    baseline: str,
    *,
    percentile: float = 10.0,
    window_s: float = 60.0,
    first_s: float = 60.0,
    where: str = "dF/F",
) -> Stream:
    """Return dF/F as a stream.

    baseline  mean: F0 is the mean over all samples; first: over the first `first_s` seconds; percentile: the rolling
              `percentile` over `window_s`, see `percentile_baseline`
    Raises DataError, at once or when read, for a baseline that is not above 0.
    """
    if baseline == "percentile":
        slow = _percentiles(stream, rate_hz, percentile, window_s)
        return stream.joined(slow, lambda values, floor: relative(values, floor, where))
    count = stream.shape[0] if baseline == "mean" else min(stream.shape[0], samples(first_s, rate_hz))
    level = streams.mean(Stream(stream.read, (count, *stream.shape[1:]), stream.reach), "baseline")
    return stream.each(lambda values: relative(values, level, where))


def minmax(values: np.ndarray) -> np.ndarray:
    """Return every trace scaled to 0..1 over time, (x - min) / (max - min), shape (time, ...); 0 where constant."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.asarray((values - low) / np.where(high > low, high - low, np.inf))


def zscore(values: np.ndarray, *, by: str) -> np.ndarray:
    """Return (x - mean) / s.d., shape (time, ...); 0 where constant.

    by  element: each by its own s.d. over time; all: one s.d. over all elements and samples before their means are
        subtracted, which so holds the differences between pixels (Ajioka et al. 2024, reference code)
    """
    centre = values.mean(axis=0, dtype=np.float64)
    spread = values.std(axis=0, dtype=np.float64) if by == "element" else values.std(dtype=np.float64)
    return np.asarray((values - centre) / np.where(spread > 0, spread, np.inf))


def _moving_mean(columns: np.ndarray, window: int) -> np.ndarray:
    count = len(columns)
    total = np.zeros((count + 1, columns.shape[1]))
    np.cumsum(columns, axis=0, out=total[1:])
    start = np.maximum(np.arange(count) - window // 2, 0)
    stop = np.minimum(np.arange(count) + (window - 1) // 2 + 1, count)
    return np.asarray((total[stop] - total[start]) / (stop - start)[:, None])


def _percentiles(stream: Stream, rate_hz: float, percentile: float, window_s: float) -> Stream:
    """Return the rolling percentile as a stream; its grid does not depend on where a stretch begins."""
    step, window = max(1, round(rate_hz)), samples(window_s, rate_hz)
    before, after, count = window // 2, (window - 1) // 2, stream.shape[0]

    def read(start: int, stop: int) -> np.ndarray:
        last = min((count - 1) // step, -(-(stop - 1) // step))
        grid = np.arange(start // step, last + 1) * step
        first = max(0, int(grid[0]) - before)
        values = stream.read(first, min(count, int(grid[-1]) + after + 1))
        spans = [slice(max(0, at - before - first), at + after + 1 - first) for at in grid]

        def between(columns: np.ndarray) -> np.ndarray:
            found = np.stack([np.percentile(columns[span], percentile, axis=0) for span in spans])
            return _interpolated(found, (np.arange(start, stop) - grid[0]) / step)

        return streams.columnwise(between, values)

    return Stream(read, stream.shape, stream.reach + max(before, after) + step)


def _interpolated(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return values, (grid, column), at places between the grid's numbers, (row, column); constant after the last."""
    low = np.minimum(at.astype(int), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    share = np.minimum(at - low, 1.0)[:, None]
    return np.asarray(values[low] * (1 - share) + values[high] * share)
