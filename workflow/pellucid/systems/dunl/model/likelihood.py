"""Observation models: the negative log-likelihood of a bin given its drive, with its slope and curvature.

Sheet §4. The drive is z = a + sum_k h_k * x_k. Signals enter as y: values (Gaussian), counts per bin (Poisson), or
counts divided by the number N of Bernoulli trials in a bin (binomial). Every bin carries a weight: 0 where it is not
valid, N for a binomial bin (the published code leaves N out), 1 otherwise.

    Gaussian  (y - z)^2 / 2               mean z
    Poisson   exp(z) - y z                mean exp(z)
    binomial  log(1 + exp(z)) - y z       mean 1 / (1 + exp(-z))
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Name = Literal["gaussian", "poisson", "binomial"]

CURVATURE: dict[str, float] = {"gaussian": 1.0, "binomial": 0.25}
"""The largest second derivative over all drives; Poisson has none."""
LINEAR = 40.0
"""Drive from which log(1 + exp(z)) equals z to the last digit of float64."""


def nll(name: Name, signal: Tensor, drive: Tensor) -> Tensor:
    """Return the negative log-likelihood of each bin, up to what does not depend on the drive, any shape."""
    if name == "gaussian":
        return (signal - drive) ** 2 / 2
    if name == "poisson":
        return torch.exp(drive) - signal * drive
    return functional.softplus(drive, threshold=LINEAR) - signal * drive


def mean(name: Name, drive: Tensor) -> Tensor:
    """Return the expected y of each bin."""
    if name == "gaussian":
        return drive
    return torch.exp(drive) if name == "poisson" else torch.sigmoid(drive)


def curvature(name: Name, drive: Tensor) -> Tensor:
    """Return the second derivative of the negative log-likelihood with respect to the drive."""
    if name == "gaussian":
        return torch.ones_like(drive)
    if name == "poisson":
        return torch.exp(drive)
    p = torch.sigmoid(drive)
    return p * (1 - p)


def scaled(name: Name, signal: np.ndarray, most_counts: int) -> np.ndarray:
    """Return y from counts or values, any shape: binomial counts are divided by the N of their bin."""
    return np.divide(signal, most_counts, dtype=float) if name == "binomial" else signal


def weight(name: Name, most_counts: int, *, counted: bool) -> float:
    """Return the weight of a valid bin: N for binomial bins, 1 otherwise; `counted=False` leaves N out (published)."""
    return float(most_counts) if name == "binomial" and counted else 1.0


def link(name: Name, expected: np.ndarray, floor: float) -> np.ndarray:
    """Return the drive whose mean is `expected`, any shape; means are kept `floor` away from an infinite drive."""
    if name == "gaussian":
        return np.asarray(expected)
    if name == "poisson":
        return np.asarray(np.log(np.maximum(expected, floor)))
    p = np.clip(expected, floor, 1 - floor)
    return np.asarray(np.log(p / (1 - p)))


def expected(name: Name, drive: np.ndarray, most_counts: int) -> np.ndarray:
    """Return the expected count or value of each bin, any shape."""
    found = mean(name, torch.as_tensor(drive)).numpy()
    return np.asarray(found * most_counts if name == "binomial" else found)
