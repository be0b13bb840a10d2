"""Full-field flicker: noise and, by turns, trains of flashes of varied period, each followed by a gap."""

from collections.abc import Iterator

import numpy as np

from pellucid.systems.retina.simulate import stimuli
from pellucid.systems.retina.simulate.settings import Settings

FLASH_FRAMES = 2
PERIODS = (5, 24)
"""Smallest and largest period of a train, in frames."""

FLASHES = (4, 10)
"""Smallest and largest number of flashes of a train."""

GAP_FRAMES, NOISE_FRAMES = 40, 150


def movie(settings: Settings, frames: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield blocks of a full-field movie, (time, height, width) uint8, of mean 0 and variance 1 in the long run.

    Each train is dark or bright with equal chances, its flashes of the probes' contrast; noise is held.
    """
    contrast = np.concatenate(list(_episodes(settings, frames, generator)))[:frames]
    for start in range(0, frames, stimuli.BLOCK_FRAMES):
        grey = stimuli.grey(contrast[start : start + stimuli.BLOCK_FRAMES])
        yield np.broadcast_to(grey[:, None, None], (len(grey), *settings.shape))


def noise_sd(contrast: float) -> float:
    """Return the s.d. of the noise with which the whole stimulus has variance 1.

    contrast  of a flash
    """
    flashes, period = np.mean(FLASHES), np.mean(PERIODS)
    total = flashes * period + GAP_FRAMES + NOISE_FRAMES
    return float(np.sqrt((total - FLASH_FRAMES * flashes * contrast**2) / NOISE_FRAMES))


def _episodes(settings: Settings, frames: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield noise and trains by turns, (time,) in s.d. of a pixel, until there are enough frames."""
    made, sd = 0, noise_sd(settings.contrast)
    while made < frames:
        held = sd * generator.standard_normal(-(-NOISE_FRAMES // settings.hold))
        train = _train(settings.contrast, generator)
        made += NOISE_FRAMES + len(train)
        yield held.repeat(settings.hold)[:NOISE_FRAMES]
        yield train


def _train(contrast: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a train of flashes and the gap behind it, (time,)."""
    period = int(generator.integers(PERIODS[0], PERIODS[1] + 1))
    count = int(generator.integers(FLASHES[0], FLASHES[1] + 1))
    sign = 1 if generator.random() < 0.5 else -1
    cycle = np.where(np.arange(period) < FLASH_FRAMES, sign * contrast, 0.0)
    return np.concatenate([np.tile(cycle, count), np.zeros(GAP_FRAMES)])
