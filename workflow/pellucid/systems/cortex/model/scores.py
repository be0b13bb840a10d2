"""Scores of decoded states, one number each, NaN where a score is undefined because a state does not occur.

State is (window,), 0 or 1 throughout; probability of state 1 is (window,); both without missing values.
"""

import numpy as np
from scipy import stats

from pellucid.learning import metrics


def auc(state: np.ndarray, probability: np.ndarray) -> float:
    """Return the area under the ROC curve, the chance that a window of state 1 gets the higher probability.

    AUC = (R - n1 (n1 + 1) / 2) / (n1 n0), R the sum of the ranks of state 1; ties count one half.
    state        (window,), 0 or 1
    probability  (window,), or any score that rises with it
    NaN if only one state occurs. Ajioka et al. 2024: pooled over all windows of all sessions of the test mouse.
    """
    high = state == 1
    ones, zeros = int(high.sum()), int((~high).sum())
    if not ones or not zeros:
        return float("nan")
    ranks = stats.rankdata(probability)
    return float((ranks[high].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def accuracy(state: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> float:
    """Return the share of windows on the right side of the threshold; a probability equal to it means state 1.

    state, probability  (window,)
    NaN without windows.
    """
    return float(np.mean((probability >= threshold) == (state == 1))) if len(state) else float("nan")


def balanced_accuracy(state: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> float:
    """Return the mean of the accuracies within either state, .5 for a constant decision; NaN if only one occurs.

    state, probability  (window,)
    """
    within = [accuracy(state[state == value], probability[state == value], threshold) for value in (0, 1)]
    return float(np.mean(within))


def average_precision(state: np.ndarray, probability: np.ndarray) -> float:
    """Return AP = sum_k (R_k - R_{k-1}) P_k over the distinct thresholds, recall R and precision P.

    state, probability  (window,)
    The chance level is the share of state 1. NaN if only one state occurs.
    """
    _, hits, alarms = _curve(state, probability)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float("nan")
    return float((np.diff(hits, prepend=0) / hits[-1] * hits / (hits + alarms)).sum())


def youden(state: np.ndarray, probability: np.ndarray) -> float:
    """Return the threshold with the largest J = true positive rate - false positive rate, the highest of equals.

    state, probability  (window,)
    State 1 is decoded at or above the threshold. Found on the windows it is given: a description of test windows, not
    a threshold to score them with. NaN if only one state occurs.
    """
    thresholds, hits, alarms = _curve(state, probability)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float("nan")
    return float(thresholds[np.argmax(hits / hits[-1] - alarms / alarms[-1])])


def calibration_error(state: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error, sum_b (n_b / n) |mean probability - share of state 1| of bin b.

    state, probability  (window,)
    bins                of equal width on [0, 1]
    NaN without windows.
    """
    if not len(state):
        return float("nan")
    number = np.minimum((np.asarray(probability, float) * bins).astype(int), bins - 1)
    gap = np.bincount(number, weights=np.asarray(probability, float) - (state == 1), minlength=bins)
    return float(np.abs(gap).sum() / len(state))


def correlation(target: np.ndarray, prediction: np.ndarray) -> float:
    """Return Pearson's r of a continuous target, e.g. speed, and its prediction, both (window,).

    NaN if one of them is constant.
    """
    return float(metrics.pearson(np.asarray(target, float)[:, None], np.asarray(prediction, float)[:, None])[0])


def explained(target: np.ndarray, prediction: np.ndarray) -> float:
    """Return R2 = 1 - sum (y - yhat)^2 / sum (y - ybar)^2, both (window,); below 0 for a bad prediction."""
    return float(metrics.explained(np.asarray(target, float)[:, None], np.asarray(prediction, float)[:, None])[0])


def _curve(state: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct thresholds, falling, and the windows of state 1 and of state 0 at or above each."""
    order = np.argsort(probability, kind="stable")[::-1]
    ordered = probability[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else np.empty(0, int)
    hits = np.cumsum(state[order] == 1)[last]
    return ordered[last], hits, last + 1 - hits
