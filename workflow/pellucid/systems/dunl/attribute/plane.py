"""The plane of two codes that share an onset, and what PCA and NMF make of it and of the raw windows (published).

PCA works on standardised data, NMF on data minus their smallest value, as published. For two standardised features the
axes of PCA are always the diagonals; only its scores say anything. Orders and signs are fixed, so that a figure changes
only when the data do.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError
from pellucid.systems.dunl.attribute.covariates import rank_correlation


@dataclass(frozen=True)
class Decomposition:
    """Components of events by features.

    axes       (feature, output) unit norm
    score      (event, output), NaN for events with a missing feature
    rho        (output,) Spearman's rho of each score with the covariate
    share      (output,) share of the standardised variance (PCA) or of the summed data (NMF)
    converged  whether NMF ended before its last iteration; always true for PCA
    """

    axes: np.ndarray
    score: np.ndarray
    rho: np.ndarray
    share: np.ndarray
    converged: bool


def compare(
    codes: np.ndarray, windows: np.ndarray, covariate: np.ndarray, *, components: int = 2, seed: int = 0
) -> dict[str, Decomposition]:
    """Return PCA and NMF of codes and of raw windows as code_pca, code_nmf, window_pca and window_nmf.

    codes      (event, kernel) codes of the kernels that share the onset
    windows    (event, lag) signal after the onset
    covariate  (event,)
    """
    found = {}
    for name, values in (("code", codes), ("window", windows)):
        found[f"{name}_pca"] = pca(values, covariate, components)
        found[f"{name}_nmf"] = nmf(values, covariate, components, seed=seed)
    return found


def pca(values: np.ndarray, covariate: np.ndarray, components: int = 2) -> Decomposition:
    """Return principal components of standardised features, largest variance first.

    values  (event, feature); covariate (event,)
    Sign: of the loadings that are largest in magnitude, to rounding, the first is positive. Raises DataError for fewer
    complete events or features than components.
    """
    known = _complete(values, components)
    data = np.asarray(values[known], float)
    centred = data - data.mean(0)
    spread = centred.std(0)
    standard = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    left, size, right = np.linalg.svd(standard, full_matrices=False)
    axes = right[:components].T
    sign = _signs(axes)
    score = left[:, :components] * size[:components] * sign
    total = (size**2).sum()
    share = size[:components] ** 2 / total if total > 0 else np.full(components, np.nan)
    return _decomposition(axes * sign, score, share, known, covariate, True)


def nmf(
    values: np.ndarray, covariate: np.ndarray, components: int = 2, *, seed: int = 0, iterations: int = 1000
) -> Decomposition:
    """Return nonnegative components of the data minus their smallest value, largest share of the sum first.

    values  (event, feature); covariate (event,)
    Axes have unit norm, scores take up their size. Raises DataError as `pca` does.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    known = _complete(values, components)
    data = np.asarray(values[known], float)
    data = data - data.min()
    model = NMF(components, init="nndsvda", random_state=seed, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported as `converged`
        weights = model.fit_transform(data)
    norm = np.linalg.norm(model.components_, axis=1)
    axes = np.divide(model.components_, norm[:, None], out=np.zeros_like(model.components_), where=norm[:, None] > 0).T
    score = weights * norm
    sums = score.sum(0) * axes.sum(0)
    order = np.argsort(-sums, kind="stable")
    share = sums[order] / data.sum() if data.sum() > 0 else np.full(components, np.nan)
    return _decomposition(axes[:, order], score[:, order], share, known, covariate, model.n_iter_ < iterations)


def _complete(values: np.ndarray, components: int) -> np.ndarray:
    known = np.isfinite(values).all(1)
    if known.sum() < components or values.shape[1] < components:
        raise DataError(
            "attribute, plane of codes",
            expected=f"at least {components} complete events and features",
            found=f"{known.sum()} complete events of {values.shape[1]} features",
            remedy="Name kernels that share an event which occurs.",
        )
    return np.asarray(known)


def _signs(axes: np.ndarray) -> np.ndarray:
    size = np.abs(axes)
    first = np.argmax(size >= (1 - 1e-6) * size.max(0), axis=0)
    return np.where(axes[first, np.arange(axes.shape[1])] < 0, -1.0, 1.0)


def _decomposition(
    axes: np.ndarray,
    score: np.ndarray,
    share: np.ndarray,
    known: np.ndarray,
    covariate: np.ndarray,
    converged: bool,
) -> Decomposition:
    full = np.full((len(known), score.shape[1]), np.nan)
    full[known] = score
    return Decomposition(axes, full, rank_correlation(full, covariate).value, share, bool(converged))
