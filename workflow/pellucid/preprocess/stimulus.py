"""Frames of a movie and responses to them: measured onsets, spikes per frame, repeats, and the lag of a response.

A frame lasts from its onset to the next one; the last frame lasts as long as the median frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess.streams import Stream

LONG, SHORT = 1.5, 0.5
"""Frames longer or shorter than so many median frames are irregular."""

LATE_FRAMES = 8
"""The clock of late time stamps is back on schedule after at most so many frames."""

ON_SCHEDULE = 0.25
"""Share of a median frame by which a time stamp may miss the schedule and still be on it."""

LAG_ROWS = 20_000
LAG_VALUES = 1 << 25
"""Most rows, and most pixels of all of them, that the lag of a response is estimated from."""


@dataclass(frozen=True)
class Onsets:
    """Onsets of frames as they are used.

    times      (time,) s, strictly increasing
    median_s   median frame
    irregular  (time,) True for frames longer than LONG or shorter than SHORT median frames
    late       number of time stamps that were moved back onto the schedule
    """

    times: np.ndarray
    median_s: float
    irregular: np.ndarray
    late: int

    @property
    def edges(self) -> np.ndarray:
        """Onsets and the end of the last frame, (time + 1,), s."""
        return np.append(self.times, self.times[-1] + self.median_s)


def onsets(times: np.ndarray) -> Onsets:
    """Return onsets of frames with late time stamps put back on schedule.

    times  (time,) s, strictly increasing, two or more
    A long frame followed by short ones that end where as many median frames would (within ON_SCHEDULE of one) had late
    time stamps, not late frames: its onsets are spaced evenly. Frames irregular after that are marked.
    """
    found = np.array(times, np.float64)
    median = float(np.median(np.diff(found)))
    late = 0
    for first in np.flatnonzero(np.diff(found) > LONG * median).tolist():
        for count in range(2, min(LATE_FRAMES, len(found) - 1 - first) + 1):
            if abs(found[first + count] - found[first] - count * median) < ON_SCHEDULE * median:
                found[first : first + count + 1] = np.linspace(found[first], found[first + count], count + 1)
                late += count - 1
                break
    lengths = np.append(np.diff(found), median)
    return Onsets(found, median, (lengths > LONG * median) | (lengths < SHORT * median), late)


def counts_in_frames(times: np.ndarray, units: np.ndarray, edges: np.ndarray, neurons: int) -> np.ndarray:
    """Count spikes in frames, shape (time, neuron), int32.

    times  (spike,) s, in any order
    units  (spike,) index of the neuron, 0 to neurons - 1
    edges  (time + 1,) s: a spike at x is in the frame with edges[t] <= x < edges[t + 1]; others are not counted
    Raises DataError for NaN or inf.
    """
    if not np.isfinite(times).all():
        raise DataError(
            "spike times",
            expected="finite times in s",
            found=f"{int((~np.isfinite(times)).sum())} that are not",
            remedy="Remove these spikes.",
        )
    frame = np.searchsorted(edges, times, side="right") - 1
    inside = (frame >= 0) & (frame < len(edges) - 1)
    place = frame[inside] * neurons + np.asarray(units, np.int64)[inside]
    count = np.bincount(place, minlength=(len(edges) - 1) * neurons)
    return count.reshape(len(edges) - 1, neurons).astype(np.int32)


def showings(movie: Stream, start: int, frames: int, period: int, where: str) -> list[int]:
    """Return the first frames of all complete showings of a segment that returns at a fixed period.

    movie   (time, ...); start: first frame of the first showing; frames: of a showing; period: between showings
    where   the movie, for messages
    A showing that the end of the movie cuts off is compared, too, but not returned. Raises DataError if there are fewer
    than two complete ones, or if a frame differs from that of the first showing in any pixel.
    """
    begins = list(range(start, movie.shape[0], period))
    complete = [begin for begin in begins if begin + frames <= movie.shape[0]]
    if len(complete) < 2:
        raise DataError(
            where,
            expected=f"two showings or more of {frames} frames, every {period} frames from frame {start}",
            found=f"{len(complete)} in {movie.shape[0]} frames",
            remedy="Correct `frozen`.",
        )
    first = movie.read(start, start + frames)
    for begin in begins[1:]:
        again = movie.read(begin, min(begin + frames, movie.shape[0]))
        same = (again == first[: len(again)]).reshape(len(again), -1).all(axis=1)
        if not same.all():
            wrong = int(np.argmin(same))
            raise DataError(
                f"{where}, frame {begin + wrong}",
                expected=f"the pixels of frame {start + wrong}, which it repeats",
                found=f"others, as in {int((~same).sum())} of {len(again)} frames of this showing",
                remedy="Correct `frozen`, or leave it out if nothing was repeated.",
            )
    return complete


def lags(
    movie: Stream, response: np.ndarray, runs: Sequence[tuple[int, int]], reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lag of each response behind the frames it is correlated with most, and that correlation's z.

    movie     (time, height, width)
    response  (time, neuron); NaN counts as the mean
    runs      half-open ranges of rows that may be used, each without a gap; the first LAG_ROWS of them are
    reach     largest lag, in frames; as many negative ones are searched, at which a response precedes the frame
    Returns lag (neuron,) int32 in frames, the largest |r| over lags and pixels, and z = r sqrt(rows) there (neuron,).
    Both are noise for a cell without a linear response.
    """
    pixels = int(np.prod(movie.shape[1:]))
    left = min(LAG_ROWS, LAG_VALUES // pixels)
    products = np.zeros((2 * reach + 1, response.shape[1], pixels), np.float32)
    squares_x, squares_r, rows = np.zeros(pixels), np.zeros(response.shape[1]), 0
    for start, stop in runs:
        stop = min(stop, start + left)
        if stop - start <= 2 * reach:
            continue
        frames = movie.read(start, stop).reshape(stop - start, -1).astype(np.float32)
        frames -= frames.mean(axis=0)
        values = _centred(response[start:stop])
        for index, lag in enumerate(range(-reach, reach + 1)):
            later, earlier = values[max(lag, 0) : len(values) + min(lag, 0)], frames[max(-lag, 0) :]
            products[index] += later.T @ earlier[: len(later)]
        squares_x += np.einsum("tp,tp->p", frames, frames)
        squares_r += np.einsum("tn,tn->n", values, values)
        rows, left = rows + len(frames), left - len(frames)
    scale = np.sqrt(np.outer(squares_r, squares_x))
    r = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    by_lag = np.take_along_axis(r, np.abs(r).argmax(axis=2)[..., None], axis=2)[..., 0]
    best = np.abs(by_lag).argmax(axis=0)
    peak = by_lag[best, np.arange(len(best))]
    return (best - reach).astype(np.int32), (peak * np.sqrt(rows)).astype(np.float32)


def _centred(response: np.ndarray) -> np.ndarray:
    """Return responses minus their mean, (time, neuron) float32, 0 where they are NaN."""
    known = np.isfinite(response)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, response, 0.0)
    return np.asarray(np.where(known, filled - filled.sum(axis=0) / count, 0.0), np.float32)
