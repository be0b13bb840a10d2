"""Scores of predictions, per output and before any averaging, with chance and intervals.

Predictions and behaviour are (row, output). A score that is undefined (constant behaviour or prediction) is NaN.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def pearson(behaviour: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation per output, shape (output,)."""
    b, p = behaviour - behaviour.mean(0), prediction - prediction.mean(0)
    norm = np.sqrt((b**2).sum(0) * (p**2).sum(0))
    return np.asarray(np.divide((b * p).sum(0), norm, out=np.full(norm.shape, np.nan), where=norm > 0))


def spearman(behaviour: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation per output, shape (output,)."""
    return pearson(stats.rankdata(behaviour, axis=0), stats.rankdata(prediction, axis=0))


def explained(behaviour: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return R2 = 1 - sum (y - yhat)^2 / sum (y - ybar)^2 per output: not rescaled, not bounded (Frey et al. 2021)."""
    residual = ((behaviour - prediction) ** 2).sum(0)
    total = ((behaviour - behaviour.mean(0)) ** 2).sum(0)
    return np.asarray(1 - np.divide(residual, total, out=np.full(total.shape, np.nan), where=total > 0))


def circular_shifts(
    behaviour: Sequence[np.ndarray],
    prediction: Sequence[np.ndarray],
    score: Score,
    *,
    count: int,
    least: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the chance distribution of a score, shape (count, output), biased by nothing but autocorrelation.

    behaviour, prediction  one (row, output) array per contiguous stretch of test rows; all stretches are shifted
                           circularly by a random amount of at least `least` rows (or a third of a short stretch)
                           and the scores averaged over stretches
    """
    draws = np.empty((count, behaviour[0].shape[1]))
    for draw in range(count):
        scores = []
        for b, p in zip(behaviour, prediction):
            low = min(least, len(b) // 3)
            shift = int(generator.integers(low, max(low + 1, len(b) - low)))
            scores.append(score(np.roll(b, shift, axis=0), p))
        draws[draw] = np.mean(scores, axis=0)
    return draws
