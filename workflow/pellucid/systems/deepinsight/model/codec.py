"""How behaviour is coded for the baselines: linear models regress (sin, cos) of an angle, Bayes decodes coordinates.

The coordinates of a circular variable or an angle are its phase in [0, 1); of any other target, its dimensions.
"""

from collections.abc import Sequence

import numpy as np

from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.windows import Stretch


def linear(behaviour: np.ndarray, found: Sequence[Target]) -> np.ndarray:
    """Return behaviour (row, output) with every angle replaced by (sin, cos), for a linear model."""
    parts = []
    for target in found:
        part = behaviour[:, target.columns]
        parts.append(np.concatenate([np.sin(part), np.cos(part)], axis=1) if target.output.loss == "cyclic" else part)
    return np.concatenate(parts, axis=1)


def behaviour_of(coded: np.ndarray, found: Sequence[Target]) -> np.ndarray:
    """Undo `linear`: angles are the direction of their (sin, cos)."""
    parts, start = [], 0
    for target in found:
        if target.output.loss == "cyclic":
            sin, cos = coded[:, start : start + target.size], coded[:, start + target.size : start + 2 * target.size]
            parts.append(np.arctan2(sin, cos))
            start += 2 * target.size
        else:
            parts.append(coded[:, start : start + target.size])
            start += target.size
    return np.concatenate(parts, axis=1)


def wraps(target: Target) -> bool:
    """Return whether a target is a phase: circular (sin, cos), or an angle in radians."""
    return target.kind == "circular" or (
        target.size == 1 and (target.kind == "angle" or target.output.loss == "cyclic")
    )


def coordinates(behaviour: np.ndarray, target: Target) -> np.ndarray:
    """Return what Bayes decodes, shape (row, dimension)."""
    part = behaviour[:, target.columns]
    if not wraps(target):
        return part
    angle = part if target.size == 1 else np.arctan2(part[:, :1], part[:, 1:])
    return np.asarray(np.mod(angle / (2 * np.pi), 1.0))


def from_coordinates(found: np.ndarray, target: Target) -> np.ndarray:
    """Undo `coordinates`: a phase as the target is written, (sin, cos) or radians in (-pi, pi]."""
    if not wraps(target):
        return found
    angle = 2 * np.pi * found
    if target.size == 1:
        return np.asarray(np.pi - np.mod(np.pi - angle, 2 * np.pi))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def summed(stretch: Stretch, ends: np.ndarray, rows: int) -> np.ndarray:
    """Return counts summed over the last `rows` rows before and at each end, shape (window, neuron)."""
    totals = np.cumsum(np.pad(stretch.power[:, 0].numpy(), ((1, 0), (0, 0))), axis=0)
    return np.asarray(totals[ends + 1] - totals[ends + 1 - rows])
