"""Estimators on responses: peaks, silence, regression and rank correlation, per cell and for the mean of cells.

Functions take cells along the last axis; a cell whose value is undefined has NaN.
"""

import numpy as np

from pellucid.systems.retina.attribute.phenomena.probe import Measure

SILENT = 1e-3
"""Range of a rate, as a share of its largest size, below which a cell does not respond."""


def with_mean(rate: np.ndarray) -> np.ndarray:
    """Return rates with the mean over cells as one more cell at the end, (..., neuron + 1) float64.

    Cells with values that are not finite are left out of the mean.
    """
    rate = np.asarray(rate, float)
    sound = np.isfinite(rate).all(tuple(range(rate.ndim - 1)))
    mean = rate[..., sound].mean(-1) if sound.any() else np.full(rate.shape[:-1], np.nan)
    return np.concatenate([rate, mean[..., None]], axis=-1)


def measured(name: str, unit: str, value: np.ndarray, at: float = np.nan) -> Measure:
    """Return a measure of rates made by `with_mean`, value (neuron + 1,)."""
    return Measure(name, unit, np.asarray(value[:-1], float), float(value[-1]), float(at))


def silent(rate: np.ndarray) -> np.ndarray:
    """Return which cells do not respond: (row, neuron) -> (neuron,) bool."""
    sound = np.isfinite(rate).all(0)
    known = np.where(sound, rate, 0)
    return np.asarray(~sound | (np.ptp(known, axis=0) <= SILENT * np.abs(known).max(0)))


def argmax(rate: np.ndarray) -> np.ndarray:
    """Return the row of the largest rate, (row, neuron) -> (neuron,); NaN for silent cells."""
    return np.where(silent(rate), np.nan, np.nan_to_num(rate).argmax(0).astype(float))


def largest_peak(rate: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Return the row of the largest local maximum, (row, neuron) -> (neuron,); NaN where there is none.

    least  (neuron,) rate that a peak must exceed
    A maximum at the first or last row is none: the rate may be higher outside.
    """
    if len(rate) < 3:
        return np.full(rate.shape[1], np.nan)
    inner = rate[1:-1]
    found = (inner > rate[:-2]) & (inner >= rate[2:]) & (inner > least)
    place = np.where(found, inner, -np.inf).argmax(0) + 1.0
    return np.where(found.any(0), place, np.nan)


def slope(x: np.ndarray, y: np.ndarray, least: int = 3) -> np.ndarray:
    """Return the slope of the regression line of y on x, (n,), (n, neuron) -> (neuron,), over what is no NaN.

    least  values below which there is no slope
    """
    known = np.isfinite(y)
    count = known.sum(0)
    over = np.maximum(count, 1)
    centred = np.where(known, x[:, None] - np.where(known, x[:, None], 0).sum(0) / over, 0)
    spread = (centred**2).sum(0)
    defined = (count >= least) & (spread > 0)
    return np.where(defined, (centred * np.where(known, y, 0)).sum(0) / np.where(defined, spread, 1), np.nan)


def rank_correlation(x: np.ndarray, y: np.ndarray, least: int = 3) -> np.ndarray:
    """Return Spearman's correlation of y with x, (n,), (n, neuron) -> (neuron,), over what is no NaN; ties share ranks.

    NaN with fewer than `least` values, or where x or y is constant.
    """
    from scipy.stats import rankdata

    out = np.full(y.shape[1], np.nan)
    for cell, own in enumerate(y.T):
        known = np.isfinite(own)
        if known.sum() < least or np.ptp(x[known]) == 0 or np.ptp(own[known]) == 0:
            continue
        out[cell] = np.corrcoef(rankdata(x[known]), rankdata(own[known]))[0, 1]
    return out


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below, NaN where `below` is not above 0."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0))
