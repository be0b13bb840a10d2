"""How behaviour is coded for the baselines: linear models regress (sin, cos) of an angle, Bayes decodes a phase."""

from collections.abc import Sequence

import numpy as np

from pellucid.errors import DataError
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


def only_circular(found: Sequence[Target]) -> Target:
    """Return the one circular target the Bayes decoder works on. Raises DataError if there is another kind."""
    if len(found) != 1 or (found[0].size, found[0].output.loss) not in {(2, "squared"), (1, "cyclic")}:
        raise DataError(
            "model of kind bayes",
            expected="one target, circular (sin, cos) or an angle",
            found=", ".join(f"{target.name} ({target.size} dimensions)" for target in found),
            remedy="Decode the circular variable in an analysis of its own.",
        )
    return found[0]


def phase(behaviour: np.ndarray, target: Target) -> np.ndarray:
    """Return the phase of a circular target in [0, 1), shape (row,)."""
    part = behaviour[:, target.columns]
    angle = part[:, 0] if target.size == 1 else np.arctan2(part[:, 0], part[:, 1])
    return np.asarray(np.mod(angle / (2 * np.pi), 1.0))


def bin_phase(posterior: np.ndarray) -> np.ndarray:
    """Return the phase of the centre of the most probable bin, shape (window,); posterior is (window, bin)."""
    return np.asarray((posterior.argmax(axis=1) + 0.5) / posterior.shape[1])


def from_phase(found: np.ndarray, target: Target) -> np.ndarray:
    """Return a phase, shape (row,), as the target is written: (sin, cos) or radians in (-pi, pi]."""
    angle = 2 * np.pi * found
    if target.size == 1:
        return np.asarray(np.pi - np.mod(np.pi - angle, 2 * np.pi))[:, None]
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def summed(stretch: Stretch, ends: np.ndarray, rows: int) -> np.ndarray:
    """Return counts summed over the last `rows` rows before and at each end, shape (window, neuron)."""
    totals = np.cumsum(np.pad(stretch.power[:, 0].numpy(), ((1, 0), (0, 0))), axis=0)
    return np.asarray(totals[ends + 1] - totals[ends + 1 - rows])
