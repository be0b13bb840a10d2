"""Linear filters of cells by reverse correlation: as they are, decorrelated, or of rank one in space and time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.systems.retina.model.settings import LN

BLOCK = 4096
"""Rows seen at once."""

SAMPLES = 20_000
"""Most frames that the covariance of the movie is estimated from, evenly spaced over the training rows."""


@dataclass(frozen=True)
class Moments:
    """What filters are made of, with the windows of all rows gone through lag by lag.

    cross       (part, lag, pixel, neuron) sum over the rows of a part of centred pixel times centred response
    rows        (part, neuron) known responses
    space       (pixel, pixel) covariance of the movie's pixels
    time        (lag, lag) its correlation over frames
    """

    cross: np.ndarray
    rows: np.ndarray
    space: np.ndarray
    time: np.ndarray

    @property
    def variance(self) -> float:
        """Mean variance of a pixel."""
        return float(np.trace(self.space) / len(self.space))

    def average(self, parts: Sequence[int]) -> np.ndarray:
        """Return the covariance of window and response in some parts, (lag, pixel, neuron)."""
        return np.asarray(self.cross[list(parts)].sum(0) / np.maximum(self.rows[list(parts)].sum(0), 1))


def candidates(settings: LN) -> list[tuple[str, float]]:
    """Return the filters to choose from: (kind, penalty), the penalty infinite without decorrelation."""
    found = [("sta", np.inf)] if "sta" in settings.filters else []
    found += [("ridge", penalty) for penalty in settings.penalties if "ridge" in settings.filters]
    if "separable" in settings.filters:
        found += [("separable", penalty) for _, penalty in found] or [("separable", np.inf)]
    return found


def moments(
    frames: np.ndarray, parts: Sequence[np.ndarray], response: np.ndarray, *, history: int, lag: int
) -> Moments:
    """Return the moments of each part of the rows.

    frames    (time, pixel)
    parts     contiguous parts of the rows, ascending
    response  (time, neuron) of these rows, NaN elsewhere
    The covariance of the movie is taken as that of pixels times the correlation over frames: exact for one pixel and
    for noise that is separable in space and time, and of a size that can be inverted for any movie.
    """
    rows = np.concatenate(parts)
    known = np.isfinite(response)
    mean = np.where(known[rows], response[rows], 0).sum(0, dtype=float) / np.maximum(known[rows].sum(0), 1)
    centred = np.where(known, response - mean, 0).astype(np.float32)
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLES)).astype(int)] - lag
    pixel = frames[chosen].mean(0)
    cross = np.zeros((len(parts), history, frames.shape[1], response.shape[1]))
    for part, own in zip(cross, parts):
        for start, stop in blocks(own):
            for step in range(history):
                first = start - lag - history + 1 + step
                part[step] += frames[first : first + stop - start].T @ centred[start:stop]
        part -= pixel[:, None] * centred[own].sum(0, dtype=float)
    newest = frames[chosen] - pixel
    space = (newest.T @ newest).astype(float) / len(chosen)
    count = np.array([known[own].sum(0) for own in parts])
    return Moments(cross, count, space, _over_time(frames, pixel, chosen, history))


def solve(found: Moments, parts: Sequence[int], chosen: Sequence[tuple[str, float]], window: np.ndarray) -> np.ndarray:
    """Return filters of the cells that share a window, (candidate, lag, pixel, neuron), from some parts of the rows.

    window  (pixel,) bool
    sta        covariance of window and response / variance of a pixel
    ridge      (C + penalty v)^-1 of that covariance; C of the movie, v the mean variance of a pixel
    separable  the first component of either, by SVD of (lag, pixel)
    """
    average = found.average(parts)[:, window]
    space = found.space[np.ix_(window, window)]
    filters = np.zeros((len(chosen), *found.cross.shape[1:]), np.float32)
    decorrelated = _Decorrelated.of(average, space, found) if any(np.isfinite(p) for _, p in chosen) else None
    for filter_, (kind, penalty) in zip(filters, chosen):
        if decorrelated is not None and np.isfinite(penalty):
            full = decorrelated.filters(penalty * found.variance)
        else:
            full = average / max(found.variance, np.finfo(float).tiny)
        filter_[:, window] = _rank_one(full) if kind == "separable" else full
    return filters


def project(frames: np.ndarray, filters: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the output of filters, (row, candidate, neuron), with row i of `start` to `stop` seeing frames from i on.

    frames   (time, pixel)
    filters  (candidate, lag, pixel, neuron)
    """
    count, history, pixels, neurons = filters.shape
    flat = np.ascontiguousarray(np.moveaxis(filters, 0, 2).reshape(history, pixels, count * neurons), np.float32)
    output = np.zeros((stop - start, count * neurons), np.float32)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        for step, kernel in enumerate(flat):
            output[first - start : last - start] += frames[first + step : last + step] @ kernel
    return output.reshape(len(output), count, neurons)


def reduced(kernels: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return kernels for `project`, (1, lag, pixel, neuron), summed along the axes that the frames are uniform along.

    kernels  (neuron, lag, height, width)
    frames   (time,), (time, width) or (time, height, width)
    """
    if frames.ndim < 3:
        kernels = kernels.sum(axis=tuple(range(2, 5 - frames.ndim)), dtype=float)
    return np.moveaxis(kernels.reshape(*kernels.shape[:2], -1), 0, 2)[None]


def blocks(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges that hold all rows, none longer than BLOCK and none with a long gap; rows ascending."""
    cuts = np.flatnonzero(np.diff(rows) > BLOCK) + 1
    for run in np.split(rows, cuts):
        for start in range(int(run[0]), int(run[-1]) + 1, BLOCK):
            yield start, min(start + BLOCK, int(run[-1]) + 1)


def windows(peaks: np.ndarray, shape: tuple[int, int], cutout_px: int | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return groups of cells that share a window: (neuron numbers, (pixel,) bool).

    peaks  (neuron, 2) row and column of each centre, px
    """
    if cutout_px is None:
        return [(np.arange(len(peaks)), np.ones(shape[0] * shape[1], bool))]
    rows, columns = np.indices(shape)
    places, number = np.unique(np.rint(peaks).astype(int), axis=0, return_inverse=True)
    near = [np.maximum(abs(rows - row), abs(columns - column)) <= cutout_px for row, column in places]
    return [(np.flatnonzero(number.ravel() == index), window.ravel()) for index, window in enumerate(near)]


def centres(average: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixel with the most energy of each cell's average (lag, pixel, neuron), (neuron, 2) row and column."""
    return np.stack(np.unravel_index((average**2).sum(0).argmax(0), shape), 1).astype(float)


def _over_time(frames: np.ndarray, mean: np.ndarray, chosen: np.ndarray, history: int) -> np.ndarray:
    newest = frames[chosen] - mean
    each = [float(np.einsum("tp,tp->", newest, frames[chosen - step] - mean)) for step in range(history)]
    correlation = np.array(each) / each[0] if each[0] > 0 else np.eye(history)[0]
    return np.asarray(correlation[np.abs(np.subtract.outer(np.arange(history), np.arange(history)))])


@dataclass(frozen=True)
class _Decorrelated:
    """A covariance of window and response in the eigenvectors of the movie's covariance, for any penalty.

    turned         (lag, pixel, neuron)
    values         (lag, pixel) eigenvalues
    times, spaces  eigenvectors as columns
    """

    turned: np.ndarray
    values: np.ndarray
    times: np.ndarray
    spaces: np.ndarray

    @classmethod
    def of(cls, average: np.ndarray, space: np.ndarray, found: Moments) -> "_Decorrelated":
        """average (lag, pixel, neuron), space (pixel, pixel): of the pixels of a window."""
        (of_time, times), (of_space, spaces) = np.linalg.eigh(found.time), np.linalg.eigh(space)
        values = np.maximum(of_time, 0)[:, None] * np.maximum(of_space, 0)
        return cls(_turned(average, times.T, spaces.T), values, times, spaces)

    def filters(self, penalty: float) -> np.ndarray:
        """Return (C + penalty)^-1 times the covariance of window and response, (lag, pixel, neuron)."""
        return _turned(self.turned / (self.values + penalty)[:, :, None], self.times, self.spaces)


def _turned(values: np.ndarray, times: np.ndarray, spaces: np.ndarray) -> np.ndarray:
    """Return (lag, pixel, neuron) values with both axes multiplied by a matrix."""
    return np.asarray(np.einsum("ij,jpn->ipn", times, np.einsum("qp,jpn->jqn", spaces, values, optimize=True)))


def _rank_one(filters: np.ndarray) -> np.ndarray:
    """Return the first component of each cell's (lag, pixel, neuron) filter."""
    left, size, right = np.linalg.svd(np.moveaxis(filters, 2, 0), full_matrices=False)
    return np.asarray(np.einsum("n,nl,np->lpn", size[:, 0], left[:, :, 0], right[:, 0]))
