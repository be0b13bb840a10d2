"""Bouts, the runs of one state within a session: the independent pieces of a recording, and their decoded edges."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pellucid.learning import intervals

BINS = 1024
"""Bins of equal count for resampled probabilities: exact up to that many windows, beyond within about 1e-5."""


@dataclass(frozen=True)
class Latency:
    """How late transitions of one direction are decoded.

    median_s     s, positive if decoded after the true one; NaN if none was found
    transitions  number of true transitions
    found        how many have a decoded one of the same direction within reach
    """

    median_s: float
    transitions: int
    found: int


def stretches(session: np.ndarray, row: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Return the number of the stretch of successive windows that each window belongs to, shape (window,).

    session  (window,) number of the session
    row      (window,) row of the labelled frame, rising within a session
    segment  (window,) number of the recorded segment (e.g. trial) it lies in
    A stretch ends with its session or segment, and where a row is left out, as rows without a label are.
    """
    if not len(row):
        return np.empty(0, int)
    step = np.diff(row)
    within = (np.diff(session) == 0) & (np.diff(segment) == 0)
    usual = step[within].min(initial=np.iinfo(np.int64).max)
    return np.concatenate([[0], np.cumsum(~within | (step != usual))])


def bouts(state: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    """Return the number of the bout, a run of equal state within a stretch, of each window, shape (window,).

    state    (window,), 0 or 1
    stretch  (window,) from `stretches`
    """
    if not len(state):
        return np.empty(0, int)
    return np.concatenate([[0], np.cumsum((np.diff(state) != 0) | (np.diff(stretch) != 0))])


def auc_interval(
    state: np.ndarray, probability: np.ndarray, bout: np.ndarray, *, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the AUC over bouts, (low, high).

    state, probability  (window,)
    bout                (window,) from `bouts`
    Bouts of state 1 and bouts of state 0 are drawn with replacement, whole; windows within one are not independent.
    It speaks of other bouts of the same sessions, not of other mice. NaN if a state has fewer than two bouts.
    """
    bins = min(BINS, max(1, len(probability)))
    number = ((stats.rankdata(probability) - 0.5) * bins / max(1, len(probability))).astype(int)
    counts = [_histograms(number[state == value], bout[state == value], bins) for value in (0, 1)]
    if min(map(len, counts)) < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    zeros, ones = (_resampled(count, resamples, generator) for count in counts)
    below = np.cumsum(zeros, axis=1) - zeros / 2  # windows of state 0 with a lower probability, ties one half
    replicates = (ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1))
    low, high = intervals.pointwise(replicates, level)
    return float(low), float(high)


def latency(
    time: np.ndarray,
    state: np.ndarray,
    probability: np.ndarray,
    stretch: np.ndarray,
    *,
    onset: bool,
    reach_s: float = 2.0,
    threshold: float = 0.5,
) -> Latency:
    """Return how late the onsets of state 1, or its offsets, are decoded.

    time                (window,) s
    state, probability  (window,); state 1 is decoded at or above the threshold
    stretch             (window,) from `stretches`: transitions lie within one
    onset               True: transitions from 0 to 1; False: from 1 to 0
    reach_s             a decoded transition further from the true one does not count, s
    To each true transition belongs the nearest decoded one of the same direction, the earlier of two equally near;
    one decoded transition may be the nearest to several.
    """
    direction = 1 if onset else -1
    true = transitions(state == 1, stretch, direction)
    decoded = transitions(probability >= threshold, stretch, direction)
    lags = []
    for index in true:
        own = time[decoded[stretch[decoded] == stretch[index]]] - time[index]
        if len(own) and np.abs(own).min() <= reach_s:
            lags.append(own[np.abs(own).argmin()])
    return Latency(float(np.median(lags)) if lags else float("nan"), len(true), len(lags))


def transitions(high: np.ndarray, stretch: np.ndarray, direction: int) -> np.ndarray:
    """Return the first window after each transition, shape (transition,).

    high       (window,) bool
    stretch    (window,)
    direction  1: from False to True, -1: from True to False
    """
    step = np.diff(high.astype(int)) * (np.diff(stretch) == 0)
    return np.flatnonzero(step == direction) + 1


def _histograms(number: np.ndarray, bout: np.ndarray, bins: int) -> np.ndarray:
    """Return how many windows of each bout fall into each bin, (bout, bin); number and bout are (window,)."""
    names, index = np.unique(bout, return_inverse=True)
    counts = np.bincount(index * bins + number, minlength=len(names) * bins)
    return counts.reshape(len(names), bins).astype(np.float32)


def _resampled(counts: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Return summed histograms of bouts drawn with replacement, (resample, bin)."""
    drawn = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=resamples)
    return np.asarray(drawn.astype(np.float32) @ counts, float)
