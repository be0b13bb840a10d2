"""Ridge and support vector regression on flattened windows: fitting and decoding."""

from collections.abc import Mapping, Sequence

import numpy as np

from pellucid.artifacts import Trained
from pellucid.learning import baselines
from pellucid.systems.deepinsight.model import codec
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import Stretch, Windows

MOST_VALUES = 1 << 27
"""Inputs of a baseline (512 MiB); longer recordings enter with every n-th window."""
MOST_ROWS = 4000
ROWS_AT_ONCE = 256


def fit(train: Windows, held: Windows, found: Sequence[Target], settings: Settings) -> Trained:
    """Fit every behaviour dimension of every target; angles enter as (sin, cos)."""
    inputs, behaviour = _thinned(train, found)
    held_inputs, held_behaviour = _thinned(held, found)
    if settings.kind == "ridge":
        coefficients, intercepts, chosen = baselines.ridge(
            (inputs, behaviour), (held_inputs, held_behaviour), settings.penalties
        )
        weights, notes = {"coefficients": coefficients, "intercepts": intercepts}, {"penalties": chosen.tolist()}
    else:
        weights, converged = baselines.svm(inputs, behaviour, settings.svm.kernel, settings.svm.cost)
        notes = {"converged": converged}
    error = float(((_predicted(held_inputs, weights) - held_behaviour) ** 2).mean())
    return Trained(weights, [{"validation": error}], {**notes, "rows": len(inputs)})


def decode(
    weights: Mapping[str, np.ndarray], stretch: Stretch, ends: np.ndarray, window: int, found: Sequence[Target]
) -> np.ndarray:
    """Return predictions (window, output) for the windows of `window` rows that end at `ends`."""
    parts = []
    for start in range(0, len(ends), ROWS_AT_ONCE):
        inputs = [stretch.power[e - window + 1 : e + 1].numpy().ravel() for e in ends[start : start + ROWS_AT_ONCE]]
        parts.append(_predicted(np.stack(inputs), weights))
    return codec.behaviour_of(np.concatenate(parts), found)


def _predicted(inputs: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    if "vectors" in weights:
        return baselines.support_vectors(inputs, weights)
    return np.asarray(inputs @ weights["coefficients"] + weights["intercepts"])


def _thinned(windows: Windows, found: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
    width = windows.window * windows.stretches[0].power[0].numel()
    most = max(2, min(MOST_ROWS, MOST_VALUES // width))
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), most)).round().astype(int)
    return windows.flat(chosen), codec.linear(windows.last_behaviour()[chosen], found)
