"""Static nonlinearities of one cell, from a filter's output to a rate: polynomial, spline or softplus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.optimize import minimize

from pellucid.systems.retina.model.settings import LN

KINDS = ("polynomial", "spline", "softplus")

FLOOR = 1e-3
"""Smallest predicted rate, as a share of the mean one; keeps the Poisson loss finite where a polynomial goes below."""

GROUPS = 400
"""Groups of equal size, ordered by the filter's output, whose means a spline or softplus is fitted to."""

_ORDER = 3
_SMOOTHING = 1e-3


@dataclass(frozen=True)
class Nonlinearity:
    """A rate as a function of the filter's output g.

    kind          polynomial: sum_k c_k u^k with u from -1 at `low` to 1 at `high`
                  spline: exp of a cubic spline
                  softplus: c_0 log(1 + exp(c_1 g + c_2))
    low, high     g is held at these ends of its range in fitting, beyond which polynomials and splines mean nothing
    floor         smallest rate
    knots         of the spline, else empty
    coefficients  c
    """

    kind: str
    low: float
    high: float
    floor: float
    knots: np.ndarray
    coefficients: np.ndarray

    def __call__(self, output: np.ndarray) -> np.ndarray:
        """Return rates of the shape of the filter's output, never below `floor`."""
        g = np.clip(np.asarray(output, float), self.low, self.high)
        if self.kind == "spline":
            found = np.exp(BSpline(self.knots, self.coefficients, _ORDER)(g))
        elif self.kind == "softplus":
            found = self.coefficients[0] * np.logaddexp(0, self.coefficients[1] * g + self.coefficients[2])
        else:
            found = np.polynomial.polynomial.polyval(_unit(g, self.low, self.high), self.coefficients)
        return np.asarray(np.maximum(found, self.floor))


def fit(kind: str, output: np.ndarray, response: np.ndarray, settings: LN) -> Nonlinearity:
    """Return the nonlinearity of one cell.

    output    (row,) of the filter
    response  (row,) in its unit, without NaN
    A polynomial is fitted by least squares (Maheswaranathan et al. 2023, reference code), the others by the Poisson
    likelihood of group means; a spline has a small penalty on second differences of its coefficients. A constant
    output or response gives the mean.
    """
    response, output = np.asarray(response, float), np.asarray(output, float)
    mean, low, high = float(response.mean()), float(output.min()), float(output.max())
    floor = FLOOR * mean
    if not high - low > 0 or not response.max() > response.min():
        return constant(mean)
    if kind == "polynomial":
        powers = np.vander(_unit(output, low, high), settings.degree + 1, increasing=True)
        return Nonlinearity(kind, low, high, floor, np.empty(0), np.linalg.lstsq(powers, response)[0])
    order = np.argsort(output, kind="stable")
    starts = np.unique(np.linspace(0, len(order), GROUPS + 1)[:-1].astype(int))
    counts = np.diff(np.append(starts, len(order)))
    g, rate = (np.add.reduceat(values[order], starts) / counts for values in (output, response))
    if kind == "spline":
        knots = _knots(output, settings.knots)
        return Nonlinearity(kind, low, high, floor, knots, _spline(g, rate, counts, knots))
    return Nonlinearity(kind, -np.inf, np.inf, floor, np.empty(0), _softplus(g, rate, counts))


def constant(rate: float) -> Nonlinearity:
    """Return a nonlinearity that says one rate whatever the filter's output."""
    return Nonlinearity("polynomial", -1.0, 1.0, min(rate, FLOOR * rate), np.empty(0), np.array([rate]))


def loss(response: np.ndarray, rate: np.ndarray) -> float:
    """Return the mean Poisson loss, mean (r - y log r), of responses y and rates r, both (row,)."""
    rate = np.maximum(rate, np.finfo(float).tiny)
    return float(np.mean(rate - response * np.log(rate)))


def stacked(cells: Sequence[Nonlinearity]) -> dict[str, np.ndarray]:
    """Return the nonlinearities of all cells as arrays whose first axis is neuron, padded with NaN."""
    return {
        "nonlinearity": np.array([KINDS.index(cell.kind) for cell in cells], np.int8),
        "ends": np.array([(cell.low, cell.high, cell.floor) for cell in cells]).reshape(-1, 3),
        "knots": _padded([cell.knots for cell in cells]),
        "coefficients": _padded([cell.coefficients for cell in cells]),
    }


def unstacked(arrays: Mapping[str, np.ndarray]) -> list[Nonlinearity]:
    """Return the nonlinearities behind the arrays of `stacked`."""
    found = []
    for kind, ends, knots, values in zip(*(arrays[k] for k in ("nonlinearity", "ends", "knots", "coefficients"))):
        low, high, floor = map(float, ends)
        own = [part[~np.isnan(part)] for part in (knots, values)]
        found.append(Nonlinearity(KINDS[kind], low, high, floor, own[0], own[1]))
    return found


def _unit(g: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray((2 * g - low - high) / (high - low))


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    table = np.full((len(parts), max((len(part) for part in parts), default=0)), np.nan)
    for row, part in zip(table, parts):
        row[: len(part)] = part
    return table


def _knots(output: np.ndarray, count: int) -> np.ndarray:
    """Return knots of a cubic spline at quantiles of g, both ends repeated."""
    inner = np.unique(np.quantile(output, np.linspace(0, 1, count)))
    return np.concatenate([[inner[0]] * _ORDER, inner, [inner[-1]] * _ORDER])


def _spline(g: np.ndarray, rate: np.ndarray, counts: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return coefficients of log rate = B c by Newton steps on the Poisson likelihood of group means, halved if bad."""
    basis = BSpline.design_matrix(np.clip(g, knots[0], knots[-1]), knots, _ORDER).toarray()
    weight = counts / counts.sum() / max(float(rate.mean()), np.finfo(float).tiny)
    rough = np.diff(np.eye(basis.shape[1]), 2, axis=0)
    penalty = _SMOOTHING * rough.T @ rough + 1e-9 * np.eye(basis.shape[1])

    def objective(c: np.ndarray) -> float:
        log_rate = np.minimum(basis @ c, 50)
        return float(weight @ (np.exp(log_rate) - rate * log_rate) + c @ penalty @ c / 2)

    c = np.full(basis.shape[1], np.log(rate.mean()))
    for _ in range(50):
        expected = np.exp(np.minimum(basis @ c, 50))
        gradient = basis.T @ (weight * (expected - rate)) + penalty @ c
        step = np.linalg.solve(basis.T @ ((weight * expected)[:, None] * basis) + penalty, gradient)
        size, before = 1.0, objective(c)
        while size > 1e-6 and objective(c - size * step) > before:
            size /= 2
        c = c - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return np.asarray(c)


def _softplus(g: np.ndarray, rate: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (c_0, c_1, c_2) of the softplus, the best of a start for rising and one for falling rates."""
    weight, sd = counts / counts.sum(), float(g.std()) or 1.0
    mean = float(weight @ rate)

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        drive, scale = p[1] * g / sd + p[2], np.exp(np.clip(p[0], -30, 30))
        soft = np.logaddexp(0, drive)
        found, slope = scale * soft + FLOOR * mean, scale * np.exp(drive - soft)
        by_rate = weight * (1 - rate / found) / mean
        gradient = np.array([by_rate @ (scale * soft), by_rate @ (slope * g / sd), by_rate @ slope])
        return float(weight @ (found - rate * np.log(found))) / mean, gradient

    starts = [np.array([np.log(mean), slope, 0.0]) for slope in (1.0, -1.0)]
    found = [minimize(objective, start, jac=True, method="L-BFGS-B") for start in starts]
    best = min(found, key=lambda one: float(one.fun))
    return np.array([np.exp(np.clip(best.x[0], -30, 30)), best.x[1] / sd, best.x[2]])
