"""Long recordings as streams: stretches along time, read when asked for and computed with the neighbours they need."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid.errors import DataError

Read = Callable[[int, int], np.ndarray]

BLOCK_BYTES = 1 << 25
"""Size of a block as float32, unless its neighbours on either side are more."""

TILE_VALUES = 1 << 21
"""Values that `columnwise` computes on at once, as float64 (16 MiB)."""


@dataclass(frozen=True)
class Stream:
    """Samples of a recording along time, read or computed a stretch at a time.

    read   (start, stop) -> the samples from start to before stop, (stop - start, ...)
    shape  (time, ...)
    reach  samples to either side that are read for a stretch
    """

    read: Read
    shape: tuple[int, ...]
    reach: int = 0

    @classmethod
    def of(cls, values: np.ndarray | xr.DataArray) -> "Stream":
        """Return an array, shape (time, ...), in memory or read when sliced, as a stream."""
        return cls(lambda start, stop: np.asarray(values[start:stop]), tuple(values.shape))

    @classmethod
    def of_trials(cls, values: xr.DataArray) -> "Stream":
        """Return trials of one length, shape (trial, time, ...), one behind the other as a stream."""
        length = values.shape[1]

        def read(start: int, stop: int) -> np.ndarray:
            first = start // length
            found = np.asarray(values[first : -(-stop // length)])
            return found.reshape(-1, *found.shape[2:])[start - first * length : stop - first * length]

        return cls(read, (values.shape[0] * length, *values.shape[2:]))

    def whole(self) -> np.ndarray:
        """Return all samples, (time, ...)."""
        return self.read(0, self.shape[0])

    def blocks(self, label: str = "") -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first sample, samples) of one block after the other, with a progress bar."""
        size = max(BLOCK_BYTES // (4 * math.prod(self.shape[1:])), self.reach, 1)
        with tqdm(total=self.shape[0], desc=label, unit="frame", disable=None) as bar:
            for start in range(0, self.shape[0], size):
                block = self.read(start, min(start + size, self.shape[0]))
                yield start, block
                bar.update(len(block))

    def each(self, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] | None = None) -> "Stream":
        """Return a stream computed sample by sample; shape: of one sample, if it changes."""
        found = (self.shape[0], *(self.shape[1:] if shape is None else shape))
        return Stream(lambda start, stop: function(self.read(start, stop)), found, self.reach)

    def local(self, function: Callable[[np.ndarray], np.ndarray], before: int, after: int) -> "Stream":
        """Return a stream computed from neighbours: equal to the function of all samples at once.

        function       (time, ...) -> the same shape; what it does at the ends of the recording it may do at the ends
                       of a stretch, since those samples are cut off
        before, after  samples that a result depends on
        """

        def read(start: int, stop: int) -> np.ndarray:
            first = max(0, start - before)
            found = function(self.read(first, min(self.shape[0], stop + after)))
            return found[start - first : stop - first]

        return Stream(read, self.shape, self.reach + max(before, after))

    def segmented(self, function: Callable[[np.ndarray], np.ndarray], length: int) -> "Stream":
        """Return a stream computed from whole segments of one length; function: of any number of them."""

        def read(start: int, stop: int) -> np.ndarray:
            first = start // length * length
            return function(self.read(first, -(-stop // length) * length))[start - first : stop - first]

        return Stream(read, self.shape, self.reach + length)

    def joined(self, other: "Stream", function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> "Stream":
        """Return a stream computed from this one and another one of its shape."""
        reach = max(self.reach, other.reach)
        return Stream(lambda start, stop: function(self.read(start, stop), other.read(start, stop)), self.shape, reach)

    def finite(self, where: str) -> "Stream":
        """Return the stream, which raises DataError at the first sample that is NaN or infinite; where: its name."""

        def read(start: int, stop: int) -> np.ndarray:
            found = self.read(start, stop)
            if found.dtype.kind == "f" and not np.isfinite(found).all():
                wrong = ~np.isfinite(found.reshape(len(found), -1))
                first = int(np.argmax(wrong.any(axis=1)))
                raise DataError(
                    f"{where}, frame {start + first}",
                    expected="finite values",
                    found=f"{int(wrong[first].sum())} of {wrong.shape[1]} that are NaN or infinite",
                    remedy="Cut these frames or fill them before; set pixels without a signal to 0 in all frames.",
                )
            return found

        return Stream(read, self.shape, self.reach)


def columnwise(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Return a function of every column along time, in as little memory as the values themselves.

    function  (time, column) float64 -> (row, column)
    values    (time, ...), any type; the result is float64 where they are, else float32
    """
    flat = values.reshape(len(values), -1)
    size = max(1, TILE_VALUES // max(1, len(values)))
    kind = np.float64 if values.dtype == np.float64 else np.float32
    out = np.empty((0, flat.shape[1]), kind)
    for start in range(0, flat.shape[1], size):
        tile = function(np.asarray(flat[:, start : start + size], np.float64))
        if not start:
            out = np.empty((len(tile), flat.shape[1]), kind)
        out[:, start : start + size] = tile
    return out.reshape(len(out), *values.shape[1:])


def mean(stream: Stream, label: str = "mean") -> np.ndarray:
    """Return the mean over all samples, float64."""
    total = np.zeros(stream.shape[1:])
    for _, block in stream.blocks(label):
        total += block.sum(axis=0, dtype=np.float64)
    return total / stream.shape[0]


class Moments:
    """Mean and s.d. over time of every element, and over everything, from blocks that come one after the other."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """shape: of one sample."""
        self.count = 0
        self.mean = np.zeros(shape)
        self._squares = np.zeros(shape)

    def add(self, block: np.ndarray) -> None:
        """Add samples, shape (time, ...), by the pairwise update of Chan, Golub & LeVeque 1983."""
        mean = block.mean(axis=0, dtype=np.float64)
        squares = sum(((sample - mean) ** 2 for sample in block), np.zeros(mean.shape))
        shift, joined = mean - self.mean, self.count + len(block)
        self.mean = self.mean + shift * (len(block) / joined)
        self._squares += squares + shift**2 * (self.count * len(block) / joined)
        self.count = joined

    @property
    def sd(self) -> np.ndarray:
        """S.d. of each element over time, divided by the number of samples."""
        return np.asarray(np.sqrt(self._squares / self.count))

    @property
    def overall_sd(self) -> float:
        """S.d. over all elements and samples together: variance over time plus that of the means."""
        return float(np.sqrt((self._squares / self.count).mean() + self.mean.var()))
