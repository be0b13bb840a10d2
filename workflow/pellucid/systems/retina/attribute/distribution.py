"""Whether a stimulus drives the first layer within the range it had in training."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pellucid.artifacts import Features
from pellucid.systems.retina.attribute.settings import Distribution
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.restore import Fitted

PIECE = 500
"""Training rows read at once; pieces are evenly spread over the recordings."""


@dataclass(frozen=True)
class Range:
    """Smallest and largest drive over training rows, (feature,) each: the mean of u over a channel's map."""

    low: np.ndarray
    high: np.ndarray

    def outside(self, drive: np.ndarray, margin: float) -> float:
        """Return the share of rows with a channel out of range by more than a margin, a share of the range's width.

        drive  (row, feature)
        """
        slack = margin * (self.high - self.low)
        return float(((drive < self.low - slack) | (drive > self.high + slack)).any(1).mean())


def drive(network: Network, frames: np.ndarray) -> np.ndarray:
    """Return the mean over the map of every channel's drive u, (row, feature).

    frames  (time,) full field, (time, width) or (time, height, width), standardised; row i sees frames i to i+history-1

    The mean of a valid convolution over its map needs no map: it is the kernel times what each of its elements sees on
    average, mean_xy u_xy = sum_k W_k mean_xy s_(xy+k).
    """
    movie = torch.from_numpy(np.ascontiguousarray(frames, np.float32))
    with torch.inference_mode():
        kernel = network.kernels()
        while movie.ndim < 3:
            movie = movie[:, None]
        for axis in (2, 3):
            uniform = frames.ndim + axis < 5
            kernel = kernel.sum(axis, keepdim=True) if uniform else kernel
        height, width = (_averages(movie.shape[axis - 1], kernel.shape[axis]) for axis in (2, 3))
        seen = torch.einsum("ih,thw,jw->tij", height, movie, width)
        rows = len(seen) - kernel.shape[1] + 1
        windows = seen.flatten(1).unfold(0, kernel.shape[1], 1)[:rows]
        return torch.einsum("tkl,flk->tf", windows, kernel.flatten(2)).numpy()


def _averages(size: int, kernel: int) -> Tensor:
    """Return the matrix whose row k averages the pixels that element k of a kernel sees, (kernel, size)."""
    made = torch.zeros(kernel, size)
    span = size - kernel + 1
    for element in range(kernel):
        made[element, element : element + span] = 1 / span
    return made


def training_range(features: Features, fitted: Fitted, settings: Distribution) -> Range:
    """Return the range over training rows of a network's recordings, at most `settings.rows` of them in pieces."""
    assert fitted.network is not None
    lows, highs = [], []
    for movie, start, stop in _pieces(features, fitted, settings.rows):
        frames = fitted.standardise(movie[start - fitted.lag - fitted.history + 1 : stop - fitted.lag].values)
        found = drive(fitted.network, frames)
        lows.append(found.min(0))
        highs.append(found.max(0))
    return Range(np.min(lows, axis=0), np.max(highs, axis=0))


def _pieces(features: Features, fitted: Fitted, rows: int) -> Iterator[tuple[xr.DataArray, int, int]]:
    """Yield the movie and the first and last row (exclusive) of evenly spread pieces of training rows."""
    train = features.folds[fitted.fit.fold].train
    found = [
        (name, first, min(first + PIECE, stop))
        for name in fitted.recordings
        for start, stop in train.get(name, [])
        for first in range(start, stop, PIECE)
    ]
    count = min(len(found), max(1, rows // PIECE))
    movies = {name: features.group(name, "stimulus")["movie"] for name in fitted.recordings}
    for index in np.linspace(0, len(found) - 1, count).round().astype(int):
        name, start, stop = found[index]
        yield movies[name], start, stop
