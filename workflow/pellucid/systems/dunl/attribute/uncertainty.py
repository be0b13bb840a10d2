"""How well each code is determined: Laplace standard errors, and what they predict for codes against truth.

At the solution the negative log-likelihood of a trace is a bowl in its codes; the inverse of its Hessian on the codes
that are not 0 is their covariance. This holds given kernels, baseline (unless it is a slot of its own) and which slots
are active: it is no uncertainty about whether an event happened.
"""

import numpy as np
from scipy import stats

SINGULAR = 1e-10
"""Curvature, relative to the largest of the scaled Hessian, below which a direction counts as not determined."""
TOUCHED = 1e-6
"""Share of a slot's squared direction that may lie in directions that are not determined."""


def laplace_sd(hessian: np.ndarray, active: np.ndarray, dispersion: np.ndarray | float = 1.0) -> np.ndarray:
    """Return the standard error of every code, (trace, slot), in units of the code.

    sd_i = sqrt(dispersion [H_AA^-1]_ii)  over the active slots A

    hessian     (trace, slot, slot) second derivatives of the summed negative log-likelihood
    active      (trace, slot) bool: slots that exist and whose code is not held at 0
    dispersion  noise variance, scalar or (trace,): of Gaussian bins, whose likelihood is written for variance 1
    NaN where inactive, and where the data do not determine the slot: it enters a direction without curvature.
    """
    both = active[:, :, None] & active[:, None, :]
    kept = np.where(both, hessian, 0)
    diagonal = np.diagonal(kept, axis1=1, axis2=2)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    scaled = kept / (scale[:, :, None] * scale[:, None, :])
    scaled = scaled + np.eye(active.shape[1]) * ~active[:, None, :]
    sound = np.isfinite(scaled).all((1, 2))
    curvature, direction = np.linalg.eigh(np.where(sound[:, None, None], scaled, 0))
    flat = curvature <= SINGULAR * curvature[:, -1:].clip(min=np.finfo(float).tiny)
    weight = np.where(flat, 0, 1 / np.where(flat, 1, curvature))
    variance = (direction**2 * weight[:, None, :]).sum(2) / scale**2
    touched = (direction**2 * flat[:, None, :]).sum(2) > TOUCHED
    noise = np.broadcast_to(np.asarray(dispersion, float), len(active))[:, None]
    return np.where(active & sound[:, None] & ~touched, np.sqrt(variance * noise), np.nan)


def noise_variance(residual: np.ndarray, valid: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Return the noise variance of Gaussian traces, sum of squared residuals / (valid bins - parameters), (trace,).

    residual    (trace, time) signal minus its fit
    valid       (trace, time) bool
    parameters  (trace,) active codes of the trace, and its baseline if it was inferred with them
    NaN where there are no more bins than parameters.
    """
    left = valid.sum(1) - parameters
    squares = np.where(valid, residual, 0).astype(float) ** 2
    return np.asarray(np.divide(squares.sum(1), left, out=np.full(len(left), np.nan), where=left > 0))


def attenuation(code: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return the squared correlation over trials that Fisher information predicts between estimated and true codes.

    var(code) / (var(code) + mean(sd^2))   for TRUE codes; the correlation itself is its square root

    code, sd  (trial, ...) true codes, and standard errors of their estimates; trials with a NaN are left out
    """
    variance, noise = _moments(code, sd)
    total = variance + noise
    return np.asarray(np.divide(variance, total, out=np.full(total.shape, np.nan), where=total > 0))


def reliability(code: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return the same prediction from ESTIMATED codes, whose variance holds that of their errors already.

    max(0, 1 - mean(sd^2) / var(code))

    code, sd  (trial, ...) estimated codes and their standard errors; trials with a NaN are left out
    """
    variance, noise = _moments(code, sd)
    ratio = np.divide(noise, variance, out=np.full(variance.shape, np.nan), where=variance > 0)
    return np.asarray(np.maximum(0, 1 - ratio))


def coverage(code: np.ndarray, sd: np.ndarray, truth: np.ndarray, level: float = 0.95) -> tuple[float, int]:
    """Return the share of intervals code +- q sd that hold the true code, and how many were counted.

    code, sd, truth  any one shape; entries with a NaN do not count
    """
    known = np.isfinite(code) & np.isfinite(sd) & np.isfinite(truth)
    reach = stats.norm.ppf((1 + level) / 2)
    inside = np.abs(code[known] - truth[known]) <= reach * sd[known]
    return (float(inside.mean()) if len(inside) else np.nan), len(inside)


def _moments(code: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of codes and the mean squared standard error over trials, NaN below two known trials."""
    known = np.isfinite(code) & np.isfinite(sd)
    count = known.sum(0)
    several = np.where(count > 1, count, np.nan)
    mean = np.where(known, code, 0).sum(0) / several
    variance = np.where(known, code - mean, 0) ** 2
    return variance.sum(0) / (several - 1), (np.where(known, sd, 0) ** 2).sum(0) / several
