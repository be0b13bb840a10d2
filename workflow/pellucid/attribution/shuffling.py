"""Attribution by shuffling inputs at test time: permutations, and the influence they give with its interval."""

from dataclasses import dataclass

import numpy as np

from pellucid.learning import intervals


@dataclass(frozen=True)
class Influence:
    """Relative increase of the loss when an input is shuffled, I = (mean e' - mean e) / mean e.

    value, low, high  (input, output); the intervals hold together over all inputs of one output
    repeat_sd         (input, output) s.d. over shuffles, the repeat error of the method
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    repeat_sd: np.ndarray


def permutation(rows: int, generator: np.random.Generator, *, block_rows: int | None = None) -> np.ndarray:
    """Return a permutation of rows, shape (row,).

    block_rows  none: every row on its own, as published; a number: blocks of so many rows keep their inside, and with
                it the autocorrelation of the input
    """
    if block_rows is None:
        return generator.permutation(rows)
    starts = np.arange(0, rows, block_rows)
    return np.concatenate([np.arange(rows)[start : start + block_rows] for start in generator.permutation(starts)])


def influence(base: np.ndarray, shuffled: np.ndarray, weights: np.ndarray) -> Influence:
    """Return the influence of every input on every output, as a ratio of means pooled over folds, seeds and blocks.

    base      (fold, seed, block, output) summed loss of the unchanged input
    shuffled  (fold, seed, repeat, block, input, output) summed loss with one input shuffled
    weights   (resample, fold, seed, block) from intervals.resampled_weights
    The mean of per-sample ratios is heavy-tailed and is not used here.
    """
    sums = np.concatenate([base[:, :, :, None], shuffled.mean(2)], axis=3)
    log_ratio, replicates = intervals.pooled(sums, weights, _log_ratio)
    low, high = intervals.simultaneous(log_ratio, replicates)
    total = base.sum((0, 1, 2))
    by_repeat = shuffled.sum((0, 1, 3)) / total - 1
    spread = by_repeat.std(axis=0, ddof=1) if len(by_repeat) > 1 else np.full(log_ratio.shape, np.nan)
    return Influence(np.expm1(log_ratio), np.expm1(low), np.expm1(high), spread)


def _log_ratio(sums: np.ndarray) -> np.ndarray:
    """Map summed losses (..., 1 + input, output), unchanged input first, to log(1 + influence) (..., input, output).

    On this scale the spread of a large influence does not grow with it, and an interval cannot pass -1.
    """
    return np.asarray(np.log(sums[..., 1:, :]) - np.log(sums[..., :1, :]))
