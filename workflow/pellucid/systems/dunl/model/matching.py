"""Which estimated kernel is which: errors, permutation, sign and lag, subspaces, and stability over restarts.

Kernels are (kernel, lag) at the same bin width; of two dictionaries of unequal length the shorter is padded with zeros
after its last lag. Norms do not matter: every kernel is scaled to unit l2 norm, and one of zeros stays zeros.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return <h_j, h'_k> of unit-norm kernels, shape (kernel of first, kernel of second)."""
    a, b = _alike(first, second)
    return np.asarray(a @ b.T)


def best_lag_correlations(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the full cross-correlation of largest size, and the lag where it is, both (kernel, kernel).

    c(s) = sum_t h_j(t + s) h'_k(t);  s > 0: the second kernel has to be delayed by s bins to match the first.
    Of equal sizes the lag nearest 0 is taken.
    """
    a, b = _alike(first, second)
    lags = a.shape[1]
    padded = np.pad(a, ((0, 0), (lags - 1, lags - 1)))
    shifted = np.lib.stride_tricks.sliding_window_view(padded, lags, axis=1)  # (kernel, shift, lag)
    every = np.einsum("jst,kt->jks", shifted, b)
    by_size = np.argsort(np.abs(np.arange(1 - lags, lags)), kind="stable")
    best = by_size[np.abs(every[..., by_size]).argmax(axis=2)]
    return np.take_along_axis(every, best[..., None], axis=2)[..., 0], best - (lags - 1)


def kernel_error(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Return sqrt(max(1 - <h, h^>^2, 0)) of kernels paired by position, shape (kernel,) (published)."""
    return _error(np.diagonal(correlations(true, estimated)))


@dataclass(frozen=True)
class Matching:
    """Which estimated kernel stands for each true one; kernels without a partner have -1, and NaN.

    partner      (kernel,) index of the estimated kernel; unmatched (kernel,) the estimated ones left over
    correlation  (kernel,) signed; at the best lag where lags were searched
    lag          (kernel,) bins by which the estimated kernel has to be delayed, 0 where lags were not searched
    error        (kernel,) sqrt(max(1 - correlation^2, 0)), 1 without a partner
    """

    partner: np.ndarray
    unmatched: np.ndarray
    correlation: np.ndarray
    lag: np.ndarray
    error: np.ndarray

    def aligned(self, estimated: np.ndarray) -> np.ndarray:
        """Return the estimated kernels (kernel, lag) in the order and with the sign of the true ones, not moved in lag.

        Rows without a partner are NaN.
        """
        found = np.full((len(self.partner), estimated.shape[1]), np.nan)
        has = self.partner >= 0
        found[has] = estimated[self.partner[has]] * np.where(self.correlation[has] < 0, -1, 1)[:, None]
        return found


def match(true: np.ndarray, estimated: np.ndarray, *, any_lag: bool = False) -> Matching:
    """Return the one-to-one matching of largest summed |correlation| (Hungarian), whatever order and sign.

    true, estimated  (kernel, lag); their numbers of kernels may differ
    any_lag          use the best lag of the full cross-correlation instead of lag 0
    """
    from scipy.optimize import linear_sum_assignment

    found = correlations(true, estimated)
    lags = np.zeros(found.shape, int)
    if any_lag:
        found, lags = best_lag_correlations(true, estimated)
    rows, columns = linear_sum_assignment(np.abs(found), maximize=True)
    partner, lag = np.full(len(true), -1), np.zeros(len(true), int)
    correlation = np.full(len(true), np.nan)
    partner[rows], lag[rows], correlation[rows] = columns, lags[rows, columns], found[rows, columns]
    left = np.setdiff1d(np.arange(len(estimated)), columns)
    return Matching(partner, left, correlation, lag, _error(np.nan_to_num(correlation)))


def principal_angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the principal angles between the spans of two sets of kernels, degrees, smallest first, shape (angle,).

    As many as the smaller dimension; kernels that depend on each other count once. Mixing the kernels of a set by an
    invertible matrix leaves the angles as they are, which is what an onset shared by several kernels calls for.
    """
    from scipy.linalg import subspace_angles

    a, b = _alike(first, second)
    return np.asarray(np.rad2deg(subspace_angles(a.T, b.T)))[::-1]


def stability(dictionaries: np.ndarray, *, any_lag: bool = False) -> float:
    """Return the mean over pairs of restarts of the mean matched |<h, h'>|; NaN for fewer than two restarts.

    dictionaries  (restart, kernel, lag)
    """
    pairs = [
        np.abs(match(one, other, any_lag=any_lag).correlation).mean()
        for place, one in enumerate(dictionaries)
        for other in dictionaries[place + 1 :]
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


def _error(correlation: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(1 - correlation**2, 0)))


def _alike(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both with unit norms and as many lags as the longer one. Raises DataError unless (kernel, lag)."""
    for kernels in (first, second):
        if kernels.ndim != 2 or not np.isfinite(kernels).all():
            raise DataError(
                "kernels to compare",
                expected="finite values (kernel, lag)",
                found=f"shape {kernels.shape}, {int((~np.isfinite(kernels)).sum())} values not finite",
                remedy="Take one dictionary, and look at how its fit ended.",
            )
    lags = max(first.shape[1], second.shape[1])
    padded = [np.pad(kernels.astype(float), ((0, 0), (0, lags - kernels.shape[1]))) for kernels in (first, second)]
    norms = [np.linalg.norm(kernels, axis=1, keepdims=True) for kernels in padded]
    a, b = (kernels / np.where(norm > 0, norm, 1) for kernels, norm in zip(padded, norms))
    return a, b
