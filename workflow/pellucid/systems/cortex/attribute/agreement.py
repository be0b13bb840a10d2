"""Whether methods agree: correlations over ROIs or over cells of a map, averaged over fits."""

import numpy as np

from pellucid.learning import metrics


def ranks(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation along the last axis, (...); one and other (..., roi), NaN entries left out."""
    return _each(one, other, metrics.spearman)


def linear(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation along the last axis, (...); one and other (..., cell), NaN entries left out."""
    return _each(one, other, metrics.pearson)


def mean(values: np.ndarray) -> float:
    """Return the mean of the finite values, NaN if there is none."""
    known = np.asarray(values, float)[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def largest(values: np.ndarray) -> float:
    """Return the largest finite value, NaN if there is none."""
    known = np.asarray(values, float)[np.isfinite(values)]
    return float(known.max()) if len(known) else float("nan")


def _each(one: np.ndarray, other: np.ndarray, score: metrics.Score) -> np.ndarray:
    one, other = np.broadcast_arrays(one, other)
    flat = zip(one.reshape(-1, one.shape[-1]), other.reshape(-1, one.shape[-1]))
    return np.reshape([_pair(a, b, score) for a, b in flat], one.shape[:-1])


def _pair(one: np.ndarray, other: np.ndarray, score: metrics.Score) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return float(score(one[known, None], other[known, None])[0]) if known.sum() > 2 else float("nan")
