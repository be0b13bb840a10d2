"""When a mouse rests and runs, how fast, and the drive that running gives to cortex."""

import numpy as np

RUN_MEANS_S, REST_MEANS_S = (3.0, 7.0), (3.0, 6.0)
"""Ranges of a mouse's mean bout."""

GAMMA_SHAPE = 2.0
SHORTEST_S = 0.3

RISE_S, DECAY_S = 0.05, 0.4
KERNEL_S = 3.0
DELAY_S = 0.1

THRESHOLD = 0.5
"""Speed between rest and run, in cm/s."""


def bout_means(generator: np.random.Generator) -> tuple[float, float]:
    """Draw a mouse's mean bouts of rest and of running, in s."""
    return float(generator.uniform(*REST_MEANS_S)), float(generator.uniform(*RUN_MEANS_S))


def bouts(means_s: tuple[float, float], frames: int, rate_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Draw rest and run by turns, shape (time,) uint8, 1 in a run, beginning with either.

    means_s  of rest and of running; a bout lasts max(0.3 s, Gamma(2, mean / 2)), the last one is cut
    """
    first = int(generator.integers(2))
    count = int(np.ceil(frames / rate_hz / SHORTEST_S)) + 2
    scale = np.asarray(means_s)[(first + np.arange(count)) % 2] / GAMMA_SHAPE
    ends = np.cumsum(np.maximum(SHORTEST_S, generator.gamma(GAMMA_SHAPE, scale)))
    bout = np.searchsorted(np.round(ends * rate_hz), np.arange(frames), side="right")
    return ((first + bout) % 2).astype(np.uint8)


def kernel(rate_hz: float) -> np.ndarray:
    """Return how calcium follows running, shape (lag,), sum 1: k(t) = (1 - exp(-t / .05 s)) exp(-t / .4 s), 3 s."""
    t = np.arange(round(KERNEL_S * rate_hz)) / rate_hz
    shape = (1 - np.exp(-t / RISE_S)) * np.exp(-t / DECAY_S)
    return np.asarray(shape / shape.sum())


def drive(run: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the drive of cortex by running, shape (time,), 0 to 1: run (time,) filtered by k and 0.1 s later."""
    delay = round(DELAY_S * rate_hz)
    late = np.concatenate([np.zeros(delay), np.convolve(run, kernel(rate_hz))])
    return late[: len(run)]


def speed(run: np.ndarray, rate_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Draw speed in cm/s, shape (time,): above 0.5 wherever run (time,) is 1, below elsewhere, without jumps.

    A run speeds up within 0.3 s towards a pace about 8 cm/s that changes slowly, and slows down likewise.
    """
    edges = np.flatnonzero(np.diff(run)) + 0.5
    frames = np.arange(len(run))
    near = np.abs(frames[:, None] - edges).min(axis=1) if len(edges) else np.full(len(run), np.inf)
    settled = 1 - np.exp(-near / rate_hz / 0.3)
    pace = 8 * np.exp(0.3 * slow(len(run), 1, 5.0, rate_hz, generator)[:, 0])
    still = 0.45 * (1 - settled) + 0.02 * settled * generator.random(len(run))
    return np.where(run == 1, THRESHOLD + 0.05 + pace * settled, still)


def slow(frames: int, count: int, tau_s: float, rate_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Draw autoregressions of order 1, shape (time, count), of mean 0, variance 1 and correlation exp(-t / tau)."""
    from scipy.signal import lfilter

    rho = np.exp(-1 / (tau_s * rate_hz))
    steps = generator.standard_normal((frames, count))
    steps[1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], steps, axis=0))
