"""Is a correlation with a covariate more than chance, and is one measure's larger than another's, over neurons?

Chance: the covariate is permuted over trials of the same type, so that what trial types share is kept and only the
trial-by-trial relation is broken; all neurons of a recording see the same permutation, so that what they share is kept
too. Comparison: paired tests over neurons, the t-test as published (published) and Wilcoxon's beside it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pellucid.systems.dunl.attribute.covariates import pairs, unit_ranks


@dataclass(frozen=True)
class Chance:
    """The mean rho over neurons against permutations.

    observed  (kernel,) mean over the neurons that enter
    high      (kernel,) quantile of the mean rho under permutation, NaN if nothing could be permuted
    p         (kernel,) share of permutations, the data among them, whose mean rho is at least the observed one
    neurons   (kernel,) int, neurons whose rho is defined in the data and in every permutation
    """

    observed: np.ndarray
    high: np.ndarray
    p: np.ndarray
    neurons: np.ndarray


@dataclass(frozen=True)
class Paired:
    """Two measures of the same neurons compared; every p is two-sided, NaN where the differences do not vary."""

    t: float
    p: float
    wilcoxon_p: float
    mean_difference: float
    neurons: int


def permuted(
    covariate: np.ndarray, trial_type: np.ndarray, permutations: int, generator: np.random.Generator
) -> np.ndarray:
    """Return a covariate permuted within trials of one type, (permutation, trial); missing values stay where they are.

    covariate, trial_type  (trial,)
    """
    values = np.asarray(covariate, float)
    drawn = np.tile(values, (permutations, 1))
    labels = np.asarray(trial_type).astype(str)
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & np.isfinite(values))
        drawn[:, rows] = generator.permuted(drawn[:, rows], axis=1)
    return drawn


def exchangeable(covariate: np.ndarray, trial_type: np.ndarray) -> int:
    """Return how many trials permutation can change: those whose type holds several values of the covariate."""
    values, labels = np.asarray(covariate, float), np.asarray(trial_type).astype(str)
    known = np.isfinite(values)
    groups = [values[known & (labels == label)] for label in np.unique(labels)]
    return sum(len(group) for group in groups if len(np.unique(group)) > 1)


def permuted_rho(
    values: np.ndarray,
    covariate: np.ndarray,
    trial_type: np.ndarray,
    *,
    permutations: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return every rho under permutation of the covariate, (permutation, neuron, kernel) for codes.

    values      (trial, ...) codes or counts of one recording; covariate, trial_type (trial,)
    All NaN where the covariate is the same on all trials of each type: permutation then changes nothing.
    """
    table = pairs(values, covariate)
    rho = np.full((permutations, table.values.shape[1]), np.nan)
    if exchangeable(covariate, trial_type):
        drawn = permuted(covariate, trial_type, permutations, generator)
        for kept, columns in table.patterns():
            chosen = np.ix_(kept, columns)
            codes = unit_ranks(table.values[chosen], table.known[chosen])
            others = drawn[:, kept].T
            rho[:, columns] = unit_ranks(others, np.ones(others.shape, bool)).T @ codes
    return rho.reshape(permutations, *table.shape)


def chance(rho: np.ndarray, draws: np.ndarray, quantile: float = 0.975) -> Chance:
    """Return the mean rho over neurons with its level of chance.

    rho    (neuron, kernel); draws (permutation, neuron, kernel), both possibly joined over recordings along `neuron`
    """
    used = np.isfinite(rho) & np.isfinite(draws).all(0)
    neurons = used.sum(0)
    share = np.where(neurons > 0, 1 / np.maximum(neurons, 1), np.nan)
    observed = np.where(used, rho, 0).sum(0) * share
    null = np.where(used, draws, 0).sum(1) * share
    rounding = 1e-12  # permutations that give the same ranks differ from the data in the order of their sums
    p = (1 + (null >= observed - rounding).sum(0)) / (1 + len(null))
    return Chance(observed, np.quantile(null, quantile, axis=0), np.where(neurons > 0, p, np.nan), neurons)


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Return the paired tests of first - second over neurons.

    first, second  (neuron,) say rho of codes and rho of counts; neurons where one is not finite are left out
    """
    both = np.isfinite(first) & np.isfinite(second)
    a, b = np.asarray(first, float)[both], np.asarray(second, float)[both]
    difference = a - b
    if not len(a):
        return Paired(np.nan, np.nan, np.nan, np.nan, 0)
    mean = float(difference.mean())
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():  # equal to rounding, one neuron included
        return Paired(np.nan, np.nan, np.nan, mean, len(a))
    t, p = stats.ttest_rel(a, b)
    return Paired(float(t), float(p), float(stats.wilcoxon(a, b).pvalue), mean, len(a))
