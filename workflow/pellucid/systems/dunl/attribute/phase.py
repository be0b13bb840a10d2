"""Circular statistics: are events, or spikes, locked to the phase of a behaviour, and is that more than chance?

The bins that have a phase are strung together. A column of weights w (number of events, their size, spikes) is summed
over them, in each phase bin b and as a vector:

    S_b = sum of w_t over bins with phase_t in b      R exp(i preferred) = sum_t w_t exp(i phase_t) / sum_t w_t

Chance: the phase is shifted circularly against the weights, so that both keep their autocorrelation and their
distribution, and only what ties one to the other is lost. Sums keep the phase bins first, then cos and sin.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from pellucid.learning import intervals
from pellucid.preprocess.behaviour import wrap

ROUNDING = 1e-9
"""Lengths this close are equal: sums over all shifts at once differ from direct ones by rounding."""


@dataclass(frozen=True)
class Locking:
    """How strongly, and to which phase, columns of weights are locked; NaN where a column has no weight.

    length     (column,) R, 0: none to 1: all at one phase; preferred (column,) rad in (-pi, pi]
    low, high  (column,) interval of R, over trials
    chance     (column,) 95 % quantile of R under shifts
    p          (column,) share of shifts, the data among them, whose R is at least the observed one
    """

    length: np.ndarray
    preferred: np.ndarray
    low: np.ndarray
    high: np.ndarray
    chance: np.ndarray
    p: np.ndarray


def centres(bins: int) -> np.ndarray:
    """Return the middle of each phase bin, shape (feature,), rad, from -pi on."""
    return np.asarray(-np.pi + (np.arange(bins) + 0.5) * 2 * np.pi / bins)


def table(phase: np.ndarray, bins: int) -> np.ndarray:
    """Return what weights are summed with, shape (time, feature): 1 in the phase bin of each bin, then cos and sin.

    phase  (time,) rad, finite
    """
    turned = (np.asarray(phase, float) + np.pi) / (2 * np.pi)
    member = np.minimum(((turned - np.floor(turned)) * bins).astype(int), bins - 1)
    one = np.zeros((len(member), bins))
    one[np.arange(len(member)), member] = 1
    return np.concatenate([one, np.cos(phase)[:, None], np.sin(phase)[:, None]], axis=1)


def by_trial(weights: np.ndarray, features: np.ndarray, trial: np.ndarray) -> np.ndarray:
    """Return the sums of each trial, shape (trial, column, feature).

    weights   (column, time); features (time, feature), see `table`
    trial     (time,) number of the trial, the bins of one trial following each other
    """
    starts = np.flatnonzero(np.diff(trial, prepend=-1))
    parts = [np.add.reduceat(column[:, None] * features, starts, axis=0) for column in weights]
    return np.stack(parts, axis=1)


def shifted(weights: np.ndarray, features: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return sum_t w_t f_(t + s) over all bins, round the end, for some shifts s, shape (shift, column, feature).

    weights   (column, time); features (time, feature); shifts (shift,) bins, from 0 to less than the number of bins
    All shifts are computed at once, as a correlation with the features twice over.
    """
    size = fft.next_fast_len(2 * len(features), real=True)
    spectrum = fft.rfft(np.tile(features.T, 2), size)
    found = np.empty((len(shifts), len(weights), features.shape[1]))
    for index, column in enumerate(weights):
        if np.ptp(column) == 0:
            found[:, index] = column[0] * features.sum(0)
        else:
            found[:, index] = fft.irfft(np.conj(fft.rfft(column, size)) * spectrum, size)[:, shifts].T
    return found


def resultant(sums: np.ndarray) -> np.ndarray:
    """Return R exp(i preferred), complex, shape (...), of sums (..., feature); NaN without weight."""
    total = sums[..., :-2].sum(-1)
    vector = sums[..., -2] + 1j * sums[..., -1]
    return np.asarray(np.divide(vector, total, out=np.full(total.shape, np.nan + 0j), where=total > 0))


def ratio(sums: np.ndarray, others: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Return one column's sum in each phase bin over another's, shape (..., feature); NaN where that is below `least`.

    sums, others  (..., feature) with cos and sin
    """
    top, bottom = np.broadcast_arrays(sums[..., :-2], others[..., :-2])
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom >= least))


def corrected(rate: np.ndarray) -> np.ndarray:
    """Return R exp(i preferred) of a tuning curve, complex, shape (...): each phase counts as if visited equally.

    sum_b r_b exp(i phase_b) / sum_b r_b * (pi / B) / sin(pi / B), the last factor for B bins instead of exact phases

    rate  (..., feature) in each phase bin; NaN where a phase was never visited makes the result NaN
    """
    bins = rate.shape[-1]
    total = rate.sum(-1)
    width = np.pi / bins
    vector = (rate * np.exp(1j * centres(bins))).sum(-1) * width / np.sin(width)
    return np.asarray(np.divide(vector, total, out=np.full(total.shape, np.nan + 0j), where=total > 0))


def locking(vector: np.ndarray, null: np.ndarray, replicates: np.ndarray, quantile: float = 0.95) -> Locking:
    """Return length and direction of resultant vectors, with interval and chance.

    vector      (column,) complex; null (shift, column) under shifts; replicates (resample, column) over trials
    The interval is that of the component along the preferred phase: lengths of replicates are never 0, and theirs
    would not reach 0 where there is no locking.
    """
    length, luck = np.abs(vector), np.abs(null)
    along = (replicates * np.exp(-1j * np.angle(vector))).real
    low, high, chance = np.full((3, *vector.shape), np.nan)
    known = np.isfinite(length)
    several = known & (np.isfinite(along).sum(0) > 1)
    if several.any():
        low[several], high[several] = intervals.pointwise(along[:, several])
    drawn = np.isfinite(luck).sum(0)
    reached = known & (drawn > 0)
    chance[reached] = np.nanquantile(luck[:, reached], quantile, axis=0)
    p = (1 + (luck >= length - ROUNDING).sum(0)) / (1 + drawn)
    return Locking(length, wrap(np.angle(vector)), low, high, chance, np.where(reached, p, np.nan))
