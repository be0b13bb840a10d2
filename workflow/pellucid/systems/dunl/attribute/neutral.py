"""The neutral point: the size of a covariate at which a neuron's code changes sign from negative to positive.

Sheet §6.3. The threshold theta maximises  #(code > 0 above theta) + #(code < 0 below theta).  The count only changes at
the values that the covariate takes, so every threshold between two neighbouring values is equally good. The published
analysis breaks ties by adding Gaussian noise of s.d. 1e-3; here the middle of the tied interval is taken instead, which
needs no random numbers. Of several separate tied intervals the one that holds the middle of all tied steps counts (the
lower of two middles), near the median of the published random choice; it does not depend on the covariate's scale.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.systems.dunl.attribute.covariates import pairs


@dataclass(frozen=True)
class Neutral:
    """Neutral points in the units of the covariate.

    point      (neuron, kernel) middle of [low, high], NaN if no threshold inside the covariate's range is best
    low, high  (neuron, kernel) ends of the tied interval
    share      (neuron, kernel) share of trials on the right side of the best threshold, a code of 0 being on neither
    undefined  number of NaN points: the code never changes sign, or does so outside the covariate's range
    """

    point: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    undefined: int


def neutral_points(code: np.ndarray, covariate: np.ndarray) -> Neutral:
    """Return the neutral point of every neuron and kernel.

    code       (trial, neuron, kernel), signed; covariate (trial,), missing where not finite
    Codes must rise with the covariate; turn the sign of those that fall.
    """
    table = pairs(code, covariate)
    ends = np.full((2, table.values.shape[1]), np.nan)
    share = np.full(table.values.shape[1], np.nan)
    for kept, columns in table.patterns():
        if not kept.any():
            continue
        levels, member = np.unique(table.covariate[kept], return_inverse=True)
        correct = _correct(table.values[np.ix_(kept, columns)], member, len(levels))
        share[columns] = correct.max(0) / kept.sum()
        for index, column in enumerate(columns):
            ends[:, column] = _interval(correct[:, index], levels)
    low, high = ends.reshape(2, *table.shape)
    point = low + (high - low) / 2
    return Neutral(point, low, high, share.reshape(table.shape), int(np.isnan(point).sum()))


def _correct(code: np.ndarray, member: np.ndarray, levels: int) -> np.ndarray:
    """Return the trials on the right side of the threshold just below each level, and above all, (level + 1, column).

    code  (trial, column); member (trial,) index of the trial's level of the covariate
    """
    is_level = (member == np.arange(levels)[:, None]).astype(float)
    positive, negative = is_level @ (code > 0), is_level @ (code < 0)
    none = np.zeros((1, code.shape[1]))
    below = np.concatenate([none, np.cumsum(negative, axis=0)])
    above = np.concatenate([np.cumsum(positive[::-1], axis=0)[::-1], none])
    return np.asarray(below + above)


def _interval(correct: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """Return the middle interval of best thresholds between the lowest and the highest level, NaN if there is none.

    correct  (level + 1,) from `_correct`; levels (level,) sorted
    """
    best = (correct[1:-1] == correct.max()) & (correct.max() > 0)  # interval i is (levels[i], levels[i + 1])
    tied = np.flatnonzero(best)
    if not len(tied):
        return np.nan, np.nan
    run = np.cumsum(np.diff(tied, prepend=tied[0]) > 1)
    middle = tied[run == run[(len(tied) - 1) // 2]]
    return float(levels[middle[0]]), float(levels[middle[-1] + 1])
