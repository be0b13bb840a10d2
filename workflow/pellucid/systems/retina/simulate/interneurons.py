"""Subunits as if recorded intracellularly, under flickering boxes in the middle of the image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.systems.retina.simulate import stimuli
from pellucid.systems.retina.simulate.settings import Settings
from pellucid.systems.retina.simulate.teacher import Subunits

FIELD = 0.75
"""Side of the field of boxes, as a share of the image's; published 38 of 50 px."""

BOX_PX = 2

CENTRAL = 0.25
"""Recorded subunits lie up to this share of the map from its centre."""


@dataclass(frozen=True)
class Recorded:
    """What the file holds, and which subunits it is of.

    boxes      (time, height, width) uint8, 0 or 1
    potential  (neuron, time)
    feature    (neuron,) channel of the teacher
    place      (neuron, 2) row and column of the valid map
    """

    boxes: np.ndarray
    potential: np.ndarray
    feature: np.ndarray
    place: np.ndarray


def record(settings: Settings, teacher: Subunits, seed: int) -> Recorded:
    """Draw boxes, subunits and noise; potential = kernel * s at one unit, before the threshold, + noise."""
    shown, placed, noise = (stimuli.stream(seed, "interneurons", role) for role in ("train", "test", "train_noise"))
    maps = np.array(settings.shape) - settings.kernel_px + 1
    place = np.round((maps - 1) / 2 + placed.uniform(-CENTRAL, CENTRAL, (settings.interneurons, 2)) * (maps - 1))
    feature, place = np.arange(settings.interneurons) % len(teacher.names), place.astype(int)
    boxes = _boxes(settings, shown)
    clean = np.concatenate(list(_drive(settings, teacher, boxes, feature, place)), axis=1)
    noisy = clean + settings.interneuron_noise * clean.std(axis=1, keepdims=True) * noise.standard_normal(clean.shape)
    return Recorded(boxes, noisy.astype(np.float32), feature, place)


def _boxes(settings: Settings, generator: np.random.Generator) -> np.ndarray:
    """Draw flickering boxes, (time, height, width) uint8."""
    size = [max(settings.kernel_px, round(FIELD * length)) for length in settings.shape]
    kept = -(-settings.interneuron_frames // settings.hold)
    drawn = generator.integers(0, 2, (kept, *(-(-length // BOX_PX) for length in size)), dtype=np.uint8)
    boxes = drawn.repeat(settings.hold, axis=0).repeat(BOX_PX, axis=1).repeat(BOX_PX, axis=2)
    return boxes[: settings.interneuron_frames, : size[0], : size[1]]


def _drive(
    settings: Settings, teacher: Subunits, boxes: np.ndarray, feature: np.ndarray, place: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the drive of the recorded subunits, (neuron, time), a block of frames at a time."""
    spare = [length - side for length, side in zip(settings.shape, boxes.shape[1:], strict=True)]
    borders = [(0, 0), *((extra // 2, extra - extra // 2) for extra in spare)]
    state = teacher.begin()
    for start in range(0, len(boxes), stimuli.BLOCK_FRAMES):
        contrast = 2.0 * boxes[start : start + stimuli.BLOCK_FRAMES] - 1
        maps, state = teacher.drive(np.pad(contrast, borders), state)
        yield maps[:, feature, place[:, 0], place[:, 1]].T
