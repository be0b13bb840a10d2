"""Movies of noise, block by block, as 8-bit grey levels: a longer movie begins as a shorter one does."""

from collections.abc import Iterator

import numpy as np

from pellucid.systems.retina.simulate.settings import Settings, Stimulus

MEAN, SD = 128, 30
"""Grey level of no contrast, and of a contrast of 1; contrasts beyond 4.2 s.d. are cut."""

PIXEL, SMOOTH, FULL = 0.8, 0.4, 0.25
"""Shares of white, smooth and full-field noise in the mixed stimulus, divided by the root of their summed squares."""

GRID = 4
"""Smooth noise is drawn on GRID x GRID places and interpolated linearly in between."""

BLOCK_FRAMES = 256

STREAMS = ("teacher", "calibration", "white", "mixed", "flicker", "interneurons")
ROLES = ("train", "test", "train_noise", "test_noise")


def stream(seed: int, name: str, role: str = "train") -> np.random.Generator:
    """Return the random generator of one thing: equal for equal seeds, whatever else is drawn."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), ROLES.index(role))))


def grey(contrast: np.ndarray) -> np.ndarray:
    """Return contrasts of any shape, in s.d. of a pixel, as grey levels uint8."""
    return np.clip(np.round(MEAN + SD * contrast), 1, 255).astype(np.uint8)


def standardised(movie: np.ndarray) -> np.ndarray:
    """Return grey levels of any shape as contrasts, float64."""
    return (movie.astype(np.float64) - MEAN) / SD


def noise(kind: Stimulus, settings: Settings, frames: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield blocks of a movie of white or mixed noise, (time, height, width) uint8, each frame held.

    kind       "white" or "mixed"
    frames     length of the movie
    generator  from which the streams of the components are spawned
    """
    draw = {"white": _white, "mixed": _mixed}[kind]
    streams = generator.spawn(3)
    rows = max(1, BLOCK_FRAMES // settings.hold)
    for start in range(0, frames, rows * settings.hold):
        count = min(rows, -(-(frames - start) // settings.hold))
        shown = grey(draw(settings, count, streams))
        yield np.repeat(shown, settings.hold, axis=0)[: frames - start]


def checkers(shape: tuple[int, int], side: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw Gaussian noise of variance 1 in squares, (time, height, width)."""
    places = [-(-length // side) for length in shape]
    drawn = generator.standard_normal((count, *places))
    return drawn.repeat(side, axis=1).repeat(side, axis=2)[:, : shape[0], : shape[1]]


def _white(settings: Settings, count: int, streams: list[np.random.Generator]) -> np.ndarray:
    return checkers(settings.shape, settings.checker_px, count, streams[0])


def _mixed(settings: Settings, count: int, streams: list[np.random.Generator]) -> np.ndarray:
    """Draw the sum of three kinds of noise, each of variance 1 at every pixel before it is weighted."""
    pixel = checkers(settings.shape, settings.checker_px, count, streams[0])
    rows, columns = (interpolation(length) for length in settings.shape)
    smooth = rows @ streams[1].standard_normal((count, GRID, GRID)) @ columns.T
    full = streams[2].standard_normal((count, 1, 1))
    total = PIXEL * pixel + SMOOTH * smooth + FULL * full
    return np.asarray(total / np.sqrt(PIXEL**2 + SMOOTH**2 + FULL**2))


def interpolation(length: int) -> np.ndarray:
    """Return weights of the GRID places at each pixel, (length, GRID), every row of unit length."""
    at = np.linspace(0, GRID - 1, length)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(GRID)))
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True))
