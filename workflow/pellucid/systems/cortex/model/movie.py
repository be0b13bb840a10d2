"""A movie as a decoder reads it: normalised images of successive frames, held in memory or streamed from the store."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.systems.cortex.model.settings import Normalise

READ = 512
"""Frames read at once when a movie is put into memory."""


class Movie:
    """Normalised frames (x - offset) / divisor of one session; 0 is each pixel's mean.

    Three frames as channels are made when asked for and never stored.
    """

    def __init__(self, array: xr.DataArray, offset: np.ndarray, divisor: np.ndarray, *, held: bool) -> None:
        """array: (time, height, width) as stored; offset, divisor: (height, width), divisor inf where masked."""
        self.offset, self.divisor = offset.astype(np.float32), divisor.astype(np.float32)
        self._array = array
        self._held = self._whole() if held else None
        height, width = array.shape[1:]
        self.shape: tuple[int, int] = (height, width)

    @property
    def held(self) -> bool:
        """Whether all frames are in memory."""
        return self._held is not None

    def images(self, rows: np.ndarray, frames: int) -> np.ndarray:
        """Return images of successive frames as channels, (image, channel, height, width) float32.

        rows    (image,) middle frames
        frames  number of channels, odd
        """
        reach = frames // 2
        wanted = np.asarray(rows)[:, None] + np.arange(-reach, reach + 1)
        if self._held is not None:
            return np.asarray(self._held[wanted])
        found, place = np.unique(wanted, return_inverse=True)
        return np.asarray(self._read(found)[place.reshape(wanted.shape)])

    def flat(self) -> np.ndarray:
        """Return all frames with their pixels in one axis, (time, pixel) float32: a movie as traces."""
        return (self._whole() if self._held is None else self._held).reshape(len(self._array), -1)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """Read frames, sorted and without repeats; runs of neighbours are read in one go."""
        out = np.empty((len(rows), *self._array.shape[1:]), np.float32)
        breaks = np.flatnonzero(np.diff(rows) > READ) + 1
        for run in np.split(np.arange(len(rows)), breaks):
            first, last = int(rows[run[0]]), int(rows[run[-1]])
            block = self._array.isel(time=slice(first, last + 1)).values
            out[run] = self._normalised(block[rows[run] - first])
        return out

    def _whole(self) -> np.ndarray:
        out = np.empty(self._array.shape, np.float32)
        for start in range(0, len(out), READ):
            out[start : start + READ] = self._normalised(self._array.isel(time=slice(start, start + READ)).values)
        return out

    def _normalised(self, frames: np.ndarray) -> np.ndarray:
        return (frames.astype(np.float32) - self.offset) / self.divisor


def load(features: Features, fold: int, recording: str, name: str, normalise: Normalise, *, held: bool) -> Movie:
    """Return a movie of one recording with the normalisation of a fit. Raises DataError for one that it cannot have."""
    group = features.group(recording, name)
    array = group["movie"]
    mean, spread = _statistics(group, normalise)
    if normalise.kind == "none":
        mean, spread = np.zeros_like(mean), np.ones_like(mean)
    elif normalise.kind == "minmax" or normalise.over == "training":
        raise DataError(
            f"fit, normalise of input {name!r}",
            expected="kind: scalar, zscore or none, over: session or first, for a movie",
            found=f"kind: {normalise.kind}, over: {normalise.over}",
            remedy="Correct `normalise`.",
        )
    threshold = features.statistics.get(f"{name}/threshold")
    if threshold is not None:
        bad = ~(group["scale"].values <= threshold.values[fold]) | ~(group["scale"].values > 0)
        if normalise.kind == "scalar":
            spread = np.full_like(mean, np.sqrt((group["sd"].values[~bad].astype(float) ** 2).mean()))
        spread = np.where(bad, np.inf, spread)
    return Movie(array, mean, np.where(spread > 0, spread, np.inf), held=held)


def _statistics(group: xr.Dataset, normalise: Normalise) -> tuple[np.ndarray, np.ndarray]:
    """Return offset and divisor of each pixel, (height, width)."""
    if normalise.over == "first":
        rate = float(group.attrs["rate_hz"])
        frames = group["movie"].isel(time=slice(0, max(2, round(normalise.first_s * rate)))).values.astype(np.float64)
        mean, spread, whole = frames.mean(0), frames.std(0), float(frames.std())
    else:
        mean, spread = group["mean"].values.astype(np.float64), group["sd"].values.astype(np.float64)
        whole = float(group.attrs["sd"])
    return mean, np.full_like(mean, whole) if normalise.kind == "scalar" else spread


def size_mb(features: Features, recordings: Sequence[str], name: str) -> float:
    """Return the size of the movies of some recordings as float32, in MiB."""
    return sum(features.group(recording, name)["movie"].size for recording in recordings) * 4 / 2**20
