"""Importance of every ROI at every lag of the window: expected gradients of one fit, trained or not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.attribution import gradients
from pellucid.systems.cortex.attribute.settings import Settings
from pellucid.systems.cortex.model.restore import Decoder

SATURATED = 0.01
"""p (1 - p) below which a probability counts as saturated: its slope is less than 4 % of the largest."""


@dataclass(frozen=True)
class Importance:
    """Expected gradients of one fit, over the windows explained.

    magnitude     (lag, roi) mean |phi|, whose sum over lags is the score of a ROI (Ajioka et al. 2024, Fig. 6)
    signed        (lag, roi) mean phi of windows of state 1 minus that of state 0; NaN if one does not occur
    completeness  largest |sum phi - (f(x) - mean f(b))| over the mean |f(x) - mean f(b)|
    typical       the same, mean over windows
    saturated     share of windows whose probability is saturated
    """

    magnitude: np.ndarray
    signed: np.ndarray
    completeness: float
    typical: float
    saturated: float


def importance(decoder: Decoder, settings: Settings, network: nn.Module | None = None) -> Importance:
    """Return the importance of one fit on its test windows.

    network  in place of the fit's own, e.g. one with untrained weights
    Baselines are drawn once per fit, the same ones for the fit, for its untrained copy and for a null of that seed.
    """
    network = decoder.network if network is None else network
    shown, drawn = decoder.windows("test"), decoder.windows(settings.background)
    generator = np.random.default_rng([settings.seed, decoder.fit.fold, decoder.fit.seed])
    baselines = np.sort(generator.choice(drawn.count, size=min(settings.baselines, drawn.count), replace=False))
    indices = shown.thinned(settings.windows)
    found = gradients.refined(
        explained(network, settings),
        on_device(network, shown.take(indices)),
        on_device(network, drawn.take(baselines)),
        steps=settings.steps,
        tolerance=settings.tolerance,
    )
    errors, state = found.completeness(), shown.state[indices]
    chance = 1 / (1 + np.exp(-found.output)) if settings.explain == "logit" else found.output
    return Importance(
        np.abs(found.phi).mean(0),
        _mean(found.phi[state == 1]) - _mean(found.phi[state == 0]),
        float(errors.max()),
        float(errors.mean()),
        float((chance * (1 - chance) < SATURATED).mean()),
    )


def explained(network: nn.Module, settings: Settings) -> Callable[[Tensor], Tensor]:
    """Return what is explained: the network's logit, or the probability of state 1."""

    def probability(windows: Tensor) -> Tensor:
        return torch.sigmoid(network(windows))

    return network if settings.explain == "logit" else probability


def untrained(decoder: Decoder, seed: int) -> nn.Module:
    """Return a network of a fit's shape with random weights drawn by a seed, where the fit's own is."""
    with torch.random.fork_rng(devices=[]):
        return decoder.untrained(seed).to(device(decoder.network)).eval()


def on_device(network: nn.Module, windows: np.ndarray) -> Tensor:
    """Return windows as a tensor where the network is."""
    return torch.from_numpy(np.ascontiguousarray(windows, np.float32)).to(device(network))


def device(network: nn.Module) -> torch.device:
    """Return the device of a network."""
    return next(network.parameters()).device


def shares(magnitude: np.ndarray) -> np.ndarray:
    """Return each ROI's share of the importance summed over lags, (..., roi); magnitude (..., lag, roi)."""
    total = magnitude.sum(-2)
    whole = total.sum(-1, keepdims=True)
    return np.asarray(np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole > 0))


def _mean(phi: np.ndarray) -> np.ndarray:
    return np.asarray(phi.mean(0)) if len(phi) else np.full(phi.shape[1:], np.nan)
