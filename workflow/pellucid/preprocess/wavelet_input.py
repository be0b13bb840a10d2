"""What a transform sees of a recording: its segments, their ends mirrored, referenced and free of gaps."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import DataError
from pellucid.preprocess.settings import Wavelets
from pellucid.preprocess.wavelet_segments import SegmentBank

Read = Callable[[int, int], NDArray[Any]]


def windowed(samples: int, settings: Wavelets) -> bool:
    """Whether a recording is cut into the published windows."""
    return settings.edges == "published" and samples >= settings.window_samples


def rows(samples: int, settings: Wavelets) -> int:
    """Rows that a recording of so many samples gives: one per block, the last of which may be partial.

    With `edges: published`, samples past the last half window are lost, as in the released code.
    """
    if windowed(samples, settings):
        half = settings.window_samples // 2
        return samples // half * half // settings.block_samples
    return ceil(samples / settings.block_samples)


@dataclass(frozen=True)
class Segment:
    """Rows computed together: those from sample `start` on, of which the first `skip` are dropped."""

    start: int
    skip: int
    rows: int


@dataclass(frozen=True)
class Recording:
    """Samples that are read when they are needed; `read(start, stop)` gives (time, channel)."""

    read: Read
    samples: int
    rate_hz: float
    settings: Wavelets

    def index(self, segment: Segment, bank: SegmentBank) -> NDArray[np.int64]:
        """Numbers of the samples a segment sees, (time,): its window alone, or with halos that mirror the ends."""
        if self.settings.edges == "published":
            return np.arange(segment.start, min(segment.start + bank.rows * bank.block_samples, self.samples))
        period = 2 * (self.samples - 1)
        index = (np.arange(bank.samples) + segment.start - bank.before * bank.block_samples) % period
        return np.minimum(index, period - index)

    def signal(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Samples of these numbers, (time, channel), each read once."""
        first, last = int(index.min()), int(index.max())
        signal = np.asarray(self.read(first, last + 1))
        return signal if last - first == index[-1] - index[0] == len(index) - 1 else signal[index - first]


def halo_segments(samples: int, most: int, settings: Wavelets) -> tuple[int, list[Segment]]:
    """Rows of a segment, at most so many, and the segments."""
    total = rows(samples, settings)
    each = ceil(total / ceil(total / most))
    return each, [Segment(at * settings.block_samples, 0, min(each, total - at)) for at in range(0, total, each)]


def published_segments(samples: int, settings: Wavelets) -> tuple[int, list[Segment]]:
    """Rows of a window, and the windows as the released code cuts them (DeepInsight, preprocess.py).

    Windows start every half window, surrounded by zeros; a quarter window is dropped at each inner edge. A recording
    shorter than a window is transformed as a whole.
    """
    block, window = settings.block_samples, settings.window_samples
    if not windowed(samples, settings):
        total = rows(samples, settings)
        return total, [Segment(0, 0, total)]
    if window % (4 * block):
        found, remedy = f"{window} samples", f"Take a multiple of {4 * block}."
        raise data_error("wavelets.window_samples", "whole blocks in a quarter window", found, remedy)
    windows = samples // (window // 2) - 1
    quarter = window // 4 // block
    segments = []
    for w in range(windows):
        first = 0 if w == 0 else quarter
        last = 4 * quarter if w == windows - 1 else 3 * quarter
        segments.append(Segment(w * window // 2, first, last - first))
    return 4 * quarter, segments


def overlapping(segments: list[Segment], wanted: tuple[int, int] | None) -> list[tuple[Segment, slice]]:
    """Segments that hold rows [start, stop) of a recording, and which of their rows these are; none: all of all.

    Raises DataError if the recording does not have these rows.
    """
    total = sum(segment.rows for segment in segments)
    start, stop = (0, total) if wanted is None else wanted
    if not 0 <= start <= stop <= total:
        raise data_error("rows", f"a range within [0, {total})", f"[{start}, {stop})", "Ask for rows that there are.")
    found, first = [], 0
    for segment in segments:
        inside = slice(max(start - first, 0), min(stop - first, segment.rows))
        if inside.start < inside.stop:
            found.append((segment, inside))
        first += segment.rows
    return found


def common_average(raw: NDArray[Any]) -> NDArray[Any]:
    """Mean over channels, (time,), in float32, or in float64 where the samples need it."""
    common: NDArray[Any] = raw.mean(axis=1, dtype=np.result_type(raw.dtype, np.float32))
    return common


def centred(raw: NDArray[Any], common: NDArray[Any] | None, window_mean: bool) -> NDArray[np.float32]:
    """Referenced samples as (channel, time) float32, less a constant, to which wavelets are blind but rounding not."""
    narrow = np.ascontiguousarray(raw)  # few columns of many, which are then turned within the cache
    work = narrow.T.astype(np.result_type(raw.dtype, np.float32), order="C")
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are refused next
        if common is not None:
            work -= common
        work -= work[:, :1]
        if window_mean:
            work -= work.mean(axis=1, keepdims=True)
        return work.astype(np.float32, copy=False)


def check_finite(signal: NDArray[np.float32], raw: NDArray[Any], index: NDArray[np.int64], rate_hz: float) -> None:
    """Refuse NaN and infinity, naming the first.

    signal  (channel, time) some channels as `centred` gives them, where one bad channel has spoilt all by its mean
    raw     (time, channel) all channels as they were read
    index   (time,) numbers of the samples
    """
    finite = np.isfinite(signal).all(axis=0)
    if finite.all():
        return
    time = int(np.argmin(np.where(finite, index.max() + 1, index)))
    channel = int(np.argmin(np.isfinite(raw[time].astype(np.float32))))
    raise data_error(
        f"signal, channel {channel}, time {index[time] / rate_hz:.6g} s",
        "finite samples",
        "NaN or infinity",
        "Interpolate the gap, or drop the channel or the stretch, before the transform.",
    )


def data_error(what: str, expected: str, found: str, remedy: str) -> DataError:
    """Make the error of a signal that cannot be used."""
    return DataError(what, expected=expected, found=found, remedy=remedy)
