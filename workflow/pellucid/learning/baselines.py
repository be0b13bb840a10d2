"""Decoders that any network has to beat, on the same rows and the same history."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

FLOOR = 1e-6
"""Spikes per row below which a rate map never falls, so that its logarithm exists; also added to occupancy."""
MOST_SVM_STEPS = 1_000_000
"""Steps of the solver per output; a linear kernel at high cost may otherwise run for hours."""


def ridge(
    train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray], penalties: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit ridge regression and choose the penalty of each output on validation rows.

    train, validation  inputs (row, feature) and behaviour (row, output)
    penalties          candidates, relative to nothing: they multiply |coefficient|^2
    Returns coefficients (feature, output), intercepts (output,) and the chosen penalties (output,).
    """
    from sklearn.linear_model import Ridge

    inputs, behaviour = train
    best = np.full(behaviour.shape[1], np.inf)
    coefficients = np.zeros((inputs.shape[1], behaviour.shape[1]), np.float32)
    intercepts, chosen = np.zeros(behaviour.shape[1], np.float32), np.zeros(behaviour.shape[1])
    for penalty in penalties:
        fitted = Ridge(alpha=penalty, solver="cholesky").fit(inputs, behaviour)
        error = ((fitted.predict(validation[0]).reshape(validation[1].shape) - validation[1]) ** 2).mean(0)
        better = error < best
        best[better], chosen[better] = error[better], penalty
        coefficients[:, better] = fitted.coef_.reshape(behaviour.shape[1], -1)[better].T
        intercepts[better] = np.broadcast_to(fitted.intercept_, best.shape)[better]
    return coefficients, intercepts, chosen


def svm(
    inputs: np.ndarray, behaviour: np.ndarray, kernel: Literal["linear", "rbf"], cost: float
) -> tuple[dict[str, np.ndarray], list[bool]]:
    """Fit support vector regression of each output (epsilon 0.1, scikit-learn's default).

    inputs, behaviour  (row, feature) and (row, output)
    kernel             linear x y, or rbf exp(-gamma |x - y|^2) with gamma = 1 / (features x variance of all inputs)
    cost               C
    Returns weights and whether each output converged. Weights: coefficients (feature, output) of a linear kernel, or
    vectors (n, feature), dual (n, output) and gamma; and intercepts (output,).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVR

    variance = float(inputs.var(dtype=float))
    gamma = 1 / (inputs.shape[1] * variance) if variance > 0 else 1.0
    exact = inputs.astype(float)
    gram = exact @ exact.T if kernel == "linear" else _rbf(exact, exact, gamma)
    dual, intercepts, converged = np.zeros(behaviour.shape), np.zeros(behaviour.shape[1]), []
    for output, values in enumerate(behaviour.T):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # reported as `converged`
            fitted = SVR(kernel="precomputed", C=cost, max_iter=MOST_SVM_STEPS).fit(gram, values)
        dual[fitted.support_, output] = fitted.dual_coef_[0]
        intercepts[output] = fitted.intercept_[0]
        converged.append(fitted.fit_status_ == 0)
    if kernel == "linear":
        return {"coefficients": np.ascontiguousarray(exact.T @ dual), "intercepts": intercepts}, converged
    used = (dual != 0).any(axis=1)
    vectors = {"vectors": np.ascontiguousarray(inputs[used]), "dual": np.ascontiguousarray(dual[used])}
    return {**vectors, "intercepts": intercepts, "gamma": np.array([gamma])}, converged


def support_vectors(inputs: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return sum_n dual_n exp(-gamma |x - v_n|^2) + intercept, shape (row, output), from the weights of `svm`."""
    kernel = _rbf(inputs.astype(float), weights["vectors"].astype(float), float(weights["gamma"][0]))
    return np.asarray(kernel @ weights["dual"] + weights["intercepts"])


def _rbf(one: np.ndarray, other: np.ndarray, gamma: float) -> np.ndarray:
    squared = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.asarray(np.exp(-gamma * np.maximum(squared, 0)))


def rate_maps(counts: np.ndarray, phase: np.ndarray, bins: int, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return firing per row as a function of a circular variable, (neuron, bin), and log occupancy, (bin,).

    counts     (row, neuron) spikes
    phase      (row,) in [0, 1)
    smoothing  s.d. of a circular Gaussian over bins, applied to counts and occupancy alike
    """
    from scipy.ndimage import gaussian_filter1d

    where = np.minimum((phase * bins).astype(int), bins - 1)
    occupancy = np.bincount(where, minlength=bins).astype(float)
    spikes = np.stack([np.bincount(where, weights=neuron, minlength=bins) for neuron in counts.T])
    if smoothing > 0:
        occupancy = gaussian_filter1d(occupancy, smoothing, mode="wrap")
        spikes = gaussian_filter1d(spikes, smoothing, axis=1, mode="wrap")
    return np.maximum(spikes / np.maximum(occupancy, FLOOR), FLOOR), np.log(occupancy / occupancy.sum() + FLOOR)


def grid_rate_maps(
    counts: np.ndarray, where: np.ndarray, shape: tuple[int, ...], smoothing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return firing per row on the visited bins of a grid, (neuron, bin), log occupancy, (bin,), and which they are.

    counts     (row, neuron) spikes
    where      (row, dimension) bin numbers
    shape      bins per dimension
    smoothing  s.d. of a Gaussian over bins, applied to counts and occupancy alike, so that borders are no lower
    """
    from scipy.ndimage import gaussian_filter

    flat = np.ravel_multi_index(tuple(where.T), shape)
    size = int(np.prod(shape))
    occupancy = np.bincount(flat, minlength=size).astype(float).reshape(shape)
    visited = occupancy > 0
    maps = [np.bincount(flat, weights=neuron, minlength=size).reshape(shape) for neuron in counts.T]
    if smoothing > 0:
        occupancy = gaussian_filter(occupancy, smoothing, mode="constant")
        maps = [gaussian_filter(one, smoothing, mode="constant") for one in maps]
    rates = np.stack([np.maximum(one[visited] / occupancy[visited], FLOOR) for one in maps])
    return rates, np.log(occupancy[visited] / occupancy[visited].sum()), visited


def poisson_posterior(counts: np.ndarray, rates: np.ndarray, log_prior: np.ndarray, rows: int) -> np.ndarray:
    """Return the log posterior over bins up to a constant, shape (window, bin).

    log P(x|k) = log P(x) + sum_i k_i log a_i(x) - T sum_i a_i(x)   (Frey et al. 2021, Bayesian baseline)

    counts  (window, neuron) spikes summed over T = `rows` rows
    rates   (neuron, bin) spikes per row
    """
    return np.asarray(log_prior + counts @ np.log(rates) - rows * rates.sum(0))


def distances(one: np.ndarray, other: np.ndarray, wraps: bool) -> np.ndarray:
    """Return the Euclidean distance between coordinates (..., dimension), shape (...); around the circle for phases."""
    difference = np.abs(one - other)
    if wraps:
        difference = np.minimum(difference, 1 - difference)
    return np.asarray(difference[..., 0] if difference.shape[-1] == 1 else np.linalg.norm(difference, axis=-1))


def follow(
    posteriors: Iterable[np.ndarray], centres: np.ndarray, *, spread: float, steps: int, least: float, wraps: bool
) -> np.ndarray:
    """Return the most probable bin's centre at every step, each step's prior centred on the estimate before.

    log P(x_t) = posterior_t(x) - |x - x_(t-1)|^2 / (2 sigma_t^2),  sigma_t = max(least, spread d_t),
    with d_t the mean length of the `steps` steps before (of those there are); the first two estimates have no d_t and
    no prior. The article gives sigma_t = v_t V (spread = V / step) and neither a floor nor the start of the recursion;
    without a floor an estimate that stays in its bin would never leave it.

    posteriors  per step, log posterior (series, bin) up to a constant, of series decoded side by side; the last step
                may have fewer series
    centres     (bin, dimension)
    Returns (step x series, dimension): step after step, the series of each in order.
    """
    found: list[np.ndarray] = []
    for posterior in posteriors:
        score, series = posterior, len(posterior)
        if len(found) > 1:
            past = np.stack([estimate[:series] for estimate in found[-steps - 1 :]])
            sigma = np.maximum(least, spread * distances(past[1:], past[:-1], wraps).mean(0))
            away = distances(centres[None], past[-1][:, None], wraps)
            score = posterior - away**2 / (2 * sigma[:, None] ** 2)
        found.append(centres[score.argmax(axis=1)])
    return np.concatenate(found) if found else np.empty((0, centres.shape[1]))
