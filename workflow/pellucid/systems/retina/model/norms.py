"""Batch normalisation per unit, per channel and per cell, and outputs that start with a cell's mean and s.d."""

import numpy as np
import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Added to variances (Maheswaranathan et al. 2023, reference code)."""


class Normalised(nn.Module):
    """y = g (x - mean) / sqrt(variance + epsilon) + shift, with moments of the batch in training, running ones after.

    g is the scale, or its absolute value, which keeps the sign of every channel.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple[int, ...], *, positive: bool, momentum: float) -> None:
        """shape: of one sample with length 1 along the axes that share a scale."""
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.positive, self.momentum = positive, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised values; x (window, *shape), or longer where the shape has length 1."""
        mean, variance = self.mean, self.variance
        if self.training:
            axes = [0, *[axis + 1 for axis, size in enumerate(self.scale.shape) if size == 1 and axis > 0]]
            variance, mean = torch.var_mean(x, dim=axes, keepdim=True, correction=0)
            mean, variance = mean[0], variance[0]
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        scale = self.scale.abs() if self.positive else self.scale
        return (x - mean) * (scale / torch.sqrt(variance + EPSILON)) + self.shift


def start(mean: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shift b and scale g, both (neuron,), with E softplus(b + g x) = mean and S.D. = sd for x ~ N(0, 1).

    mean, sd  (neuron,) of the response in its unit

    Adam's steps are bounded, so a gain learnt from b = 0, g = 1 needs thousands of them to reach rates of several Hz.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    mean, sd = np.maximum(mean, 1e-3), np.maximum(sd, 1e-3)
    low, high = np.log(1e-4) * np.ones_like(sd), np.log(20 * sd + 20 * mean)
    for _ in range(50):
        scale = np.exp((low + high) / 2)
        shift = _shift(mean, scale, nodes, weights)
        found = np.logaddexp(0, shift[:, None] + scale[:, None] * nodes)
        spread = np.sqrt(np.maximum((found**2) @ weights - (found @ weights) ** 2, 0))
        low, high = np.where(spread < sd, np.log(scale), low), np.where(spread < sd, high, np.log(scale))
    scale = np.exp((low + high) / 2)
    return _shift(mean, scale, nodes, weights), scale


def _shift(mean: np.ndarray, scale: np.ndarray, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the shift, (neuron,), that gives each mean for a scale, by bisection."""
    low, high = -40 * scale - 40, mean + 40 * scale
    for _ in range(60):
        middle = (low + high) / 2
        below = np.logaddexp(0, middle[:, None] + scale[:, None] * nodes) @ weights < mean
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
