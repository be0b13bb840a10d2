"""Intervals of pooled statistics, by resampling what is independent: folds, seeds and blocks of test time.

Shuffle repeats of one fit on one stretch of data are not independent evidence: intervals over them alone are several
times too narrow.
"""

from collections.abc import Callable

import numpy as np


def block_numbers(count: int, blocks: int) -> np.ndarray:
    """Return the number of the contiguous block each of `count` test rows belongs to, shape (row,)."""
    return np.arange(count) * blocks // max(1, count)


def resampled_weights(
    folds: int, seeds: int, blocks: int, *, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return how often each (fold, seed, block) is drawn, shape (resample, fold, seed, block).

    Folds and seeds are drawn with replacement where there are several; within each fold its blocks are, the same ones
    for every seed, since all seeds are scored on the same rows.
    """

    def draws(outcomes: int, rows: int) -> np.ndarray:
        chosen = generator.integers(0, outcomes, (rows, outcomes)) if outcomes > 1 else np.zeros((rows, 1), int)
        return np.stack([np.bincount(row, minlength=outcomes) for row in chosen])

    by_fold, by_seed = draws(folds, resamples), draws(seeds, resamples)
    by_block = draws(blocks, resamples * folds).reshape(resamples, folds, 1, blocks)
    return np.asarray(by_fold[:, :, None, None] * by_seed[:, None, :, None] * by_block)


def pointwise(replicates: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of each statistic; replicates is (resample, ...)."""
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def simultaneous(estimate: np.ndarray, replicates: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals that hold together for all statistics along the first axis, by the maximum of |t|.

    estimate    (statistic, ...)
    replicates  (resample, statistic, ...)
    Each interval is estimate +- q s, with s the resampled s.d. and q the quantile of max |replicate - estimate| / s.
    """
    spread = replicates.std(axis=0)
    scaled = np.abs(replicates - estimate) / np.where(spread > 0, spread, np.inf)
    quantile = np.quantile(scaled.max(axis=1), level, axis=0)
    return estimate - quantile * spread, estimate + quantile * spread


def pooled(
    sums: np.ndarray, weights: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a statistic of pooled sums and its resampled replicates.

    sums       (fold, seed, block, ...) additive quantities, e.g. summed losses and counts
    weights    (resample, fold, seed, block) from `resampled_weights`
    statistic  maps sums (..., as in `sums` after block) to the statistic
    """
    flat = sums.reshape(-1, *sums.shape[3:])
    return statistic(flat.sum(0)[None])[0], statistic(np.tensordot(weights.reshape(len(weights), -1), flat, axes=1))
