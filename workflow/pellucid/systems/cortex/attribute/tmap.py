"""How each pixel differs between the states, by itself: Welch's t over test frames, streamed."""

import numpy as np

from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.restore import Decoder

BLOCK = 512
"""Frames read at once."""


def tmap(decoder: Decoder) -> np.ndarray:
    """Return Welch's t of state 1 against state 0 of every pixel, (height, width), over the labelled test frames.

    t = (m1 - m0) / sqrt(v1 / n1 + v0 / n0), m, v and n being mean, variance and number of frames of a state.
    Pixels are normalised as the decoder sees them. Frames are not independent, so t is a map, not a test. NaN for
    pixels that do not vary or are masked, and where a state has fewer than two frames.
    """
    windows = decoder.windows("test")
    shape = windows.sessions[0].signal.shape[-2:]
    moments = {value: _Moments(shape) for value in (0, 1)}
    for number, session in enumerate(windows.sessions):
        own = windows.session == number
        rows, state = windows.row[own], windows.state[own]
        movie = session.signal
        if not isinstance(movie, Movie):
            raise TypeError("a t-map is of a movie")
        for start in range(0, len(rows), BLOCK):
            block = slice(start, start + BLOCK)
            frames = movie.images(rows[block], 1)[:, 0]
            for value, found in moments.items():
                found.add(frames[state[block] == value])
    return _welch(moments[1], moments[0])


class _Moments:
    """Number, mean and sum of squared deviations of frames, merged block by block (Chan et al. 1979)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(shape), np.zeros(shape)

    def add(self, frames: np.ndarray) -> None:
        """Add frames (frame, height, width)."""
        if not len(frames):
            return
        mean = frames.mean(0, dtype=np.float64)
        squares = ((frames - mean) ** 2).sum(0, dtype=np.float64)
        total, step = self.count + len(frames), mean - self.mean
        self.squares += squares + step**2 * self.count * len(frames) / total
        self.mean += step * len(frames) / total
        self.count = total


def _welch(one: _Moments, other: _Moments) -> np.ndarray:
    if min(one.count, other.count) < 2:
        return np.full(one.mean.shape, np.nan)
    error = sum(found.squares / (found.count - 1) / found.count for found in (one, other))
    varies = np.asarray(error) > 0
    spread = np.sqrt(np.where(varies, error, 1.0))
    return np.asarray(np.where(varies, (one.mean - other.mean) / spread, np.nan))
