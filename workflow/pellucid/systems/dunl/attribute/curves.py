"""How codes grow with a covariate: a line, or a Hill curve that saturates (published).

A line is code = intercept + slope c, a Hill curve code = base + span c^n / (c^n + half^n) for c >= 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from pellucid.errors import DataError
from pellucid.systems.dunl.attribute.covariates import pairs

EXPONENT = (0.1, 10.0)
"""Exponents that a Hill curve may have."""
REACH = 10.0
"""`half` lies between the smallest positive value of the covariate over this and the largest one times this."""


@dataclass(frozen=True)
class Curves:
    """Curves fitted by least squares.

    names       of the parameters
    parameters  (parameter, neuron, kernel), NaN where there is no fit
    r2          (neuron, kernel) 1 - sum (code - fit)^2 / sum (code - mean)^2, in sample
    failed      (neuron, kernel) bool: too few trials or values of the covariate, a constant code, or no convergence
    bound       (neuron, kernel) bool: a shape parameter lies on its bound, so the data do not determine it
    """

    names: tuple[str, ...]
    parameters: np.ndarray
    r2: np.ndarray
    failed: np.ndarray
    bound: np.ndarray


def linear(code: np.ndarray, covariate: np.ndarray) -> Curves:
    """Fit a line to every neuron and kernel: code (trial, neuron, kernel), covariate (trial,)."""
    return _fitted(code, covariate, ("intercept", "slope"), _line)


def hill(code: np.ndarray, covariate: np.ndarray, evaluations: int = 2000) -> Curves:
    """Fit a Hill curve to every neuron and kernel.

    code         (trial, neuron, kernel); covariate (trial,) at least 0
    evaluations  of the curve after which a fit counts as failed
    Raises DataError for a negative covariate.
    """
    known = np.asarray(covariate, float)
    if (known[np.isfinite(known)] < 0).any():
        raise DataError(
            "attribute, Hill curve",
            expected="a covariate of at least 0",
            found=f"{np.nanmin(known):g}",
            remedy="Fit a line to this covariate.",
        )

    def one(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        return _hill(x, y, evaluations)

    return _fitted(code, covariate, ("base", "span", "half", "exponent"), one)


def hill_curve(c: np.ndarray, base: float, span: float, half: float, exponent: float) -> np.ndarray:
    """Return base + span c^n / (c^n + half^n) at covariates c >= 0, any shape."""
    return np.asarray(base + span * _saturation(c, np.log(half), exponent))


def _saturation(c: np.ndarray, log_half: float | np.ndarray, exponent: float | np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf, where the curve is 0
        return np.asarray(special.expit(exponent * (np.log(c) - log_half)))


Fitter = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, bool] | None]


def _fitted(code: np.ndarray, covariate: np.ndarray, names: tuple[str, ...], fitter: Fitter) -> Curves:
    """Fit each column; a fitter maps (trial,) covariates and codes to parameters, fitted codes and `bound`, or None."""
    table = pairs(code, covariate)
    columns = table.values.shape[1]
    parameters, r2 = np.full((len(names), columns), np.nan), np.full(columns, np.nan)
    failed, bound = np.ones(columns, bool), np.zeros(columns, bool)
    for column in range(columns):
        kept = table.known[:, column]
        x, y = table.covariate[kept], table.values[kept, column]
        determined = len(x) > len(names) and len(np.unique(x)) >= len(names) and np.ptp(y) > 0
        found = fitter(x, y) if determined else None
        if found is not None:
            parameters[:, column], fit, bound[column] = found
            r2[column] = 1 - ((y - fit) ** 2).sum() / ((y - y.mean()) ** 2).sum()
            failed[column] = False
    flat = [array.reshape(table.shape) for array in (r2, failed, bound)]
    return Curves(names, parameters.reshape(len(names), *table.shape), flat[0], flat[1], flat[2])


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    centred = x - x.mean()
    slope = (centred * y).sum() / (centred**2).sum()
    return np.array([y.mean() - slope * x.mean(), slope]), y.mean() + slope * centred, False


def _hill(x: np.ndarray, y: np.ndarray, evaluations: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Fit (base, span, log half, exponent) to codes scaled to unit range; None if it does not converge."""
    scale = np.ptp(y)
    positive = x[x > 0]
    reach = np.log([positive.min() / REACH, positive.max() * REACH])
    lowest = np.array([-np.inf, -np.inf, reach[0], EXPONENT[0]])
    highest = np.array([np.inf, np.inf, reach[1], EXPONENT[1]])

    def curve(c: np.ndarray, base: float, span: float, log_half: float, exponent: float) -> np.ndarray:
        return np.asarray(base + span * _saturation(c, log_half, exponent))

    try:
        start, bounds = _start(x, y / scale), (lowest, highest)
        found, _ = optimize.curve_fit(curve, x, y / scale, start, bounds=bounds, x_scale="jac", max_nfev=evaluations)
    except RuntimeError:  # no convergence within `evaluations`
        return None
    near = 1e-3 * (highest - lowest)[2:]
    bound = ((found[2:] - lowest[2:] < near) | (highest[2:] - found[2:] < near)).any()
    fit = curve(x, *found) * scale
    return np.array([found[0] * scale, found[1] * scale, np.exp(found[2]), found[3]]), fit, bool(bound)


def _start(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the best of a small grid of shapes, with the base and span that fit it best."""
    positive = x[x > 0]
    halves = np.linspace(np.log(positive.min()), np.log(positive.max()), 7)
    shapes = np.array([(half, exponent) for half in halves for exponent in (0.5, 1.0, 2.0, 4.0)])
    bent = _saturation(x[None], shapes[:, :1], shapes[:, 1:])
    bent_centred, centred = bent - bent.mean(1, keepdims=True), y - y.mean()
    spread = np.maximum((bent_centred**2).sum(1), np.finfo(float).tiny)
    best = int(np.argmax((bent_centred @ centred) ** 2 / spread))
    span = bent_centred[best] @ centred / spread[best]
    return np.array([y.mean() - span * bent[best].mean(), span, *shapes[best]])
