"""The linear baseline: logistic regression of the state, or ridge regression of the speed, on lagged samples."""

from collections.abc import Sequence

import numpy as np
import torch

from pellucid.systems.cortex.model.scores import auc
from pellucid.systems.cortex.model.settings import Settings
from pellucid.systems.cortex.model.training import Target
from pellucid.systems.cortex.model.windows import Windows


def lags(samples: int, every: int) -> np.ndarray:
    """Return the samples of a window that are used, (lag,): the middle one and every n-th to either side."""
    middle = samples // 2
    return np.arange(middle % every, samples, every)


def fit(
    train: Windows, held: Windows, target: Target, settings: Settings
) -> tuple[np.ndarray, float, list[dict[str, float]]]:
    """Return weights (lag, roi), an intercept, and one row per penalty with its validation loss.

    train, held  windows of traces (or of the pixels of a movie)
    The penalty lambda minimises mean loss + lambda / 2 |w|^2, with the loss of the networks; validation chooses it.
    """
    used = lags(train.reach.samples, settings.linear.every)
    chosen = train.thinned(settings.linear.windows)
    inputs, shape = _flat(train, chosen, used)
    outside = held.thinned(settings.training.validation_windows)
    held_inputs, _ = _flat(held, outside, used)
    best: tuple[float, np.ndarray, float] | None = None
    rows = []
    for index, penalty in enumerate(settings.linear.penalties):
        coefficients, intercept = _solve(inputs, train.target[chosen], penalty, target, settings)
        output = held_inputs @ coefficients + intercept
        lost = _loss(output, held.target[outside], target, settings)
        score = float("nan") if target.speed else auc(held.target[outside], output)
        rows.append({"stage": 0, "epoch": index, "penalty": penalty, "validation": lost, "auc": score})
        if best is None or lost < best[0]:
            best = (lost, coefficients, intercept)
    assert best is not None
    weights = np.zeros((train.reach.samples, shape[1]), np.float32)
    weights[used] = best[1].reshape(shape)
    return weights, best[2], rows


def _flat(windows: Windows, indices: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, Sequence[int]]:
    taken = windows.take(indices)[:, used]
    return taken.reshape(len(taken), -1).astype(np.float64), taken.shape[1:]


def _solve(
    inputs: np.ndarray, target: np.ndarray, penalty: float, kind: Target, settings: Settings
) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind.speed:
        ridge = Ridge(alpha=penalty * len(inputs) / 2, solver="cholesky").fit(inputs, (target - kind.mean) / kind.sd)
        return ridge.coef_.ravel(), float(ridge.intercept_)
    weight = "balanced" if settings.training.balanced else None
    found = LogisticRegression(C=1 / (penalty * len(inputs)), max_iter=2000, class_weight=weight)
    found.fit(inputs, target > 0.5)
    return found.coef_.ravel(), float(found.intercept_[0])


def _loss(output: np.ndarray, target: np.ndarray, kind: Target, settings: Settings) -> float:
    return float(kind.loss(torch.from_numpy(output), torch.from_numpy(target.astype(np.float64)), settings.training))
