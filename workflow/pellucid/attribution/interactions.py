"""Interactions of pairs of inputs: how much more is lost when both are shuffled than the sum of what each loses."""

from dataclasses import dataclass

import numpy as np

from pellucid.learning import intervals


@dataclass(frozen=True)
class Interaction:
    """Interaction I_xy - (I_x + I_y) of every pair, each (pair, output).

    value, low, high  relative to the unchanged loss; the intervals hold together over all pairs of one output
    p                 two-sided Wilcoxon signed-rank over (fold, seed, block)
    p_holm            the same, corrected by Holm-Sidak over all pairs of one output
    Blocks of one fold share training data and network, and seeds share rows: the values behind p are not fully
    independent, and p is smaller than that of as many independent ones.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray


def interaction(
    base: np.ndarray, singles: np.ndarray, pairs: np.ndarray, members: np.ndarray, weights: np.ndarray
) -> Interaction:
    """Return the interaction of every pair as a ratio of means pooled over folds, seeds and blocks.

    base     (fold, seed, block, output) summed loss of the unchanged input
    singles  (fold, seed, block, input, output) summed loss with one input shuffled, mean over repeats
    pairs    (fold, seed, block, pair, output) with two; a repeat shuffles an input alike alone and in every pair, so
             that the noise of the draw is not taken for an interaction
    members  (pair, 2) which two inputs
    weights  (resample, fold, seed, block) from intervals.resampled_weights
    Frey et al. 2021, Fig. 1, figure supplement 9, where I is a mean of ratios and here a ratio of means.
    """
    gained = pairs - singles[..., members[:, 0], :] - singles[..., members[:, 1], :] + base[..., None, :]
    value, replicates = intervals.pooled(
        np.concatenate([base[..., None, :], gained], axis=3), weights, lambda sums: sums[..., 1:, :] / sums[..., :1, :]
    )
    low, high = intervals.simultaneous(value, replicates)
    p = signed_rank(gained.reshape(-1, *gained.shape[3:]))
    return Interaction(value, low, high, p, holm_sidak(p))


def signed_rank(differences: np.ndarray) -> np.ndarray:
    """Return p of the two-sided Wilcoxon signed-rank test over the first axis; 1 where all differences are 0.

    differences  (sample, ...)
    """
    from scipy.stats import wilcoxon

    flat = differences.reshape(len(differences), -1)
    some = (flat != 0).any(axis=0)
    p = np.ones(flat.shape[1])
    if some.any():
        p[some] = wilcoxon(flat[:, some], axis=0).pvalue
    return np.asarray(p.reshape(differences.shape[1:]))


def holm_sidak(p: np.ndarray) -> np.ndarray:
    """Return p corrected for the number of tests along the first axis, step-down.

    p  (test, ...)
    With p sorted, p'_(i) = max over j <= i of 1 - (1 - p_(j))^(m - j + 1), m tests (Holm 1979 with Sidak's bound).
    """
    order = np.argsort(p, axis=0)
    left = np.arange(len(p), 0, -1).reshape(-1, *[1] * (p.ndim - 1))
    with np.errstate(divide="ignore"):  # p = 1 gives log 0, and a corrected p of 1
        raised = -np.expm1(left * np.log1p(-np.take_along_axis(p, order, axis=0)))
    corrected = np.empty_like(raised)
    np.put_along_axis(corrected, order, np.maximum.accumulate(raised, axis=0), axis=0)
    return np.asarray(corrected)
