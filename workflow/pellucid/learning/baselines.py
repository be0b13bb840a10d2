"""Decoders that any network has to beat, on the same rows and the same history."""

from collections.abc import Sequence

import numpy as np


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
    floor = 1e-6
    return np.maximum(spikes / np.maximum(occupancy, floor), floor), np.log(occupancy / occupancy.sum() + floor)


def poisson_posterior(counts: np.ndarray, rates: np.ndarray, log_prior: np.ndarray, rows: int) -> np.ndarray:
    """Return the log posterior over bins up to a constant, shape (window, bin).

    log P(x|k) = log P(x) + sum_i k_i log a_i(x) - T sum_i a_i(x)   (Frey et al. 2021, Bayesian baseline)

    counts  (window, neuron) spikes summed over T = `rows` rows
    rates   (neuron, bin) spikes per row
    """
    return np.asarray(log_prior + counts @ np.log(rates) - rows * rates.sum(0))
