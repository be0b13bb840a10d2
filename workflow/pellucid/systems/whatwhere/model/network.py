"""Core, readout and output as one network; a linear network is also one filter per neuron."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.systems.whatwhere.model import penalties
from pellucid.systems.whatwhere.model.core import ConvolutionalCore
from pellucid.systems.whatwhere.model.readouts import Dense, Masked, Point
from pellucid.systems.whatwhere.model.settings import Penalties, Settings

_BY_FILTERS = 128
"""Neurons up to which a linear network is computed by filters, one convolution per neuron and not per image."""

FLOOR = 1e-5
"""Added to rates under a logarithm, as published."""


@dataclass(frozen=True)
class Start:
    """Where masks and biases begin, from training responses.

    position  (neuron, 2) row and column of the last maps, px
    peak      (neuron,) of the mask, with its sign
    mean      (neuron,) response
    unit      (neuron,) of responses, what the network's output is multiplied by; peak and mean are in it
    """

    position: np.ndarray
    peak: np.ndarray
    mean: np.ndarray
    unit: np.ndarray

    @classmethod
    def blank(cls, neurons: int) -> "Start":
        """Return a start for weights that are to be read."""
        return cls(np.zeros((neurons, 2)), np.ones(neurons), np.ones(neurons), np.ones(neurons))


class Network(nn.Module):
    """y_n = f(readout_n(core(x)) + b_n), f identity, softplus or exp.

    image  (channel, height, width)
    start  one entry per neuron
    """

    def __init__(self, settings: Settings, image: Sequence[int], start: Start) -> None:
        super().__init__()
        self.settings = settings
        shared = settings.core.shared_by or len(start.mean)
        self.core = ConvolutionalCore(settings.core, image, groups=-(-len(start.mean) // shared))
        self.readout = _readout(settings, self.core.maps, start)
        mean = torch.as_tensor(np.asarray(start.mean), dtype=torch.float32)
        self.bias = nn.Parameter(_inverse(settings.output, mean)) if settings.bias else None
        self.unit: Tensor
        self.register_buffer("unit", torch.as_tensor(np.asarray(start.unit), dtype=torch.float32))
        masked = isinstance(self.readout, Masked)
        few = len(mean) <= _BY_FILTERS or settings.core.shared_by is not None
        self.by_filters = settings.core.linear and masked and few
        self.group: Tensor
        self.register_buffer("group", torch.arange(len(mean)) // shared, persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Return what `respond` takes, computed once for many steps; images (image, channel, height, width)."""
        return _halves(torch.fft.rfft2(images), images.shape[-1]) if self.by_filters else self.core.prepare(images)

    def respond(self, prepared: Tensor) -> Tensor:
        """Return responses, (image, neuron), in the units of the recording."""
        if self.by_filters:  # Parseval: F . x = sum over frequencies of conj(F^) x^ / pixels
            activation = prepared @ torch.view_as_real(self._spectra()).flatten(1).T
        else:
            activation = self.readout(self.core(prepared))
        return self._output(activation if self.bias is None else activation + self.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return responses, (image, neuron); images (image, channel, height, width), standardised."""
        return self.respond(self.prepare(images))

    def filters(self) -> Tensor:
        """Return the receptive fields of a linear network, (neuron, channel, height, width).

        F_n = sum_k w_nk (m_n convolved with K_k, in full): for a linear core, a_n = F_n . x, times the neuron's unit
        """
        filters: Tensor = torch.fft.irfft2(self._spectra(), s=self.core.image[1:]) * self.unit[:, None, None, None]
        return filters

    def penalty(self, chosen: Penalties) -> Tensor:
        """Return all penalties but that on activity, a scalar."""
        total: Tensor = self.readout.penalty(chosen) + penalties.of_core(self.core, chosen)
        return total

    def loss(self, response: Tensor, prediction: Tensor) -> Tensor:
        """Return the loss of each neuron, (neuron,), averaged over the images it was recorded for.

        response, prediction  (image, neuron); NaN in the response where nothing was recorded
        squared: (y - y_hat)^2 in the neuron's unit; poisson: y_hat - y log(y_hat + 1e-5)
        """
        known = ~response.isnan()
        filled = torch.where(known, response, torch.zeros((), device=response.device))
        if self.settings.loss == "squared":
            each = ((filled - prediction) / self.unit).square()
        else:
            each = prediction - filled * (prediction + FLOOR).log()
        return (each * known).sum(0) / known.sum(0).clamp(min=1)

    def _spectra(self) -> Tensor:
        """Return the spectra of `filters`, (neuron, channel, height, width // 2 + 1)."""
        size = self.core.image[1:]
        kernels = torch.fft.rfft2(self.core.kernels(), s=size)
        weights: Tensor = self.readout.weights()  # type: ignore[operator]
        if self.settings.core.shared_by is None:
            mixed = torch.einsum("nk,kchw->nchw", weights.to(kernels.dtype), kernels)
        else:
            own = kernels.unflatten(0, (-1, weights.shape[1]))[self.group]
            mixed = torch.einsum("nk,nkchw->nchw", weights.to(kernels.dtype), own)
        spectra: Tensor = torch.fft.rfft2(self.readout.masks(), s=size)[:, None] * mixed  # type: ignore[operator]
        return spectra

    def _output(self, activation: Tensor) -> Tensor:
        if self.settings.output == "softplus":
            activation = functional.softplus(activation)
        elif self.settings.output == "exp":
            activation = activation.exp()
        return activation * self.unit


def _halves(spectra: Tensor, width: int) -> Tensor:
    """Return half spectra (image, channel, height, width // 2 + 1) as real rows, weighted for Parseval's sum.

    width  of the images; a column of the half spectrum stands for two, but for the first and that of Nyquist
    """
    weight = torch.full((spectra.shape[-1],), 2.0, dtype=spectra.real.dtype, device=spectra.device)
    weight[0] = 1
    if width % 2 == 0:
        weight[-1] = 1
    pixels = spectra.shape[-2] * width
    return torch.view_as_real(spectra * (weight / pixels)).flatten(1)


def parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def _inverse(output: str, mean: Tensor) -> Tensor:
    """Return the activation that gives the mean response."""
    if output == "linear":
        return mean.clone()
    mean = mean.clamp(min=1e-3)
    return mean.log() if output == "exp" else mean + torch.log(-torch.expm1(-mean))


def _readout(settings: Settings, maps: Sequence[int], start: Start) -> Masked | Dense | Point:
    """Return the readout as it begins (reference code: CNN.py); random numbers from torch's global generator."""
    readout, neurons = settings.readout, len(start.mean)
    features, height, width = maps
    if readout.kind == "dense":
        return Dense(readout, readout.mask_sd * torch.randn(neurons, features, height, width))
    level = 1 / features if readout.weight is None else readout.weight
    located = readout.start == "located"
    sign, size = np.sign(start.peak), np.abs(start.peak) if readout.peak is None else readout.peak
    peak = torch.as_tensor(sign * size, dtype=torch.float32)
    if readout.kind in ("factorised", "fixed"):
        mask = readout.mask_sd * torch.randn(neurons, height, width)
        if located:
            row, column = (torch.as_tensor(axis) for axis in np.round(start.position).astype(int).T)
            mask[torch.arange(neurons), row, column] = peak
        weights = torch.full((neurons, features), level)
        if features > 1:
            weights += readout.weight_sd * torch.randn(neurons, features)
        return Masked(readout, maps, mask, weights, learn=readout.kind == "factorised")
    scales = 1 + (readout.pool_steps if readout.kind == "transformer" else 0)
    position, gain = 0.2 * torch.rand(neurons, 2) - 0.1, torch.ones(neurons)
    if located:
        extent = np.maximum([height - 1, width - 1], 1)
        position, gain = torch.as_tensor(2 * start.position / extent - 1, dtype=torch.float32), peak
    weights = gain[:, None] * level + readout.weight_sd * torch.randn(neurons, features * scales)
    spread = readout.position_sd * torch.eye(2).repeat(neurons, 1, 1) if readout.kind == "gaussian" else None
    return Point(readout, position, weights, spread)
