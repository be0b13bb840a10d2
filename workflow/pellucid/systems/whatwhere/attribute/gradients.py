"""Gradients of each neuron's response with respect to images, by automatic differentiation of its own readout only."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from pellucid.systems.whatwhere.model.network import Network
from pellucid.systems.whatwhere.model.restore import Fitted

_AT_ONCE = 128
"""Images, of all neurons together, that are differentiated at once: it bounds memory."""


def chunks(fitted: Fitted, rows: np.ndarray, images: int) -> Iterator[tuple[Network, np.ndarray]]:
    """Give networks with some of their neurons, few enough for `images` images each; constant neurons are left out.

    rows  places of the wanted neurons in the fit
    """
    size = max(1, _AT_ONCE // images)
    for index, part in fitted.parts.items():
        own = rows[fitted.choice[rows] == index]
        for start in range(0, len(own), size):
            yield part, own[start : start + size]


def respond(network: Network, rows: np.ndarray, images: Tensor) -> Tensor:
    """Return responses of some neurons, (image, row), differentiable; images (image, channel, height, width).

    Only their rows of readout, bias and unit are used, so the cost does not grow with the neurons of the network.
    """
    index = torch.from_numpy(rows)
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    own = {
        name: value.detach()[index]
        for name, value in state.items()
        if name.startswith("readout.") or name in ("bias", "unit")
    }
    responses: Tensor = functional_call(network, own, (images,))
    return responses


def own_gradients(network: Network, rows: np.ndarray, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return each neuron's responses to its own images, (row, image), and their gradients, shaped as the images.

    images  (row, image, channel, height, width), standardised
    """
    count, each = images.shape[:2]
    flat = images.flatten(0, 1).detach().requires_grad_(True)
    said = respond(network, rows, flat).view(count, each, count).diagonal(dim1=0, dim2=2).T
    (gradient,) = torch.autograd.grad(said.sum(), flat)
    return said.detach(), gradient.view_as(images)


def mean_gradients(fitted: Fitted, rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return each neuron's gradient averaged over images, (row, channel, height, width), per unit of a pixel.

    rows    places of neurons in the fit; 0 for those whose response is constant
    images  (image, channel, height, width), standardised
    """
    out = np.zeros((len(rows), *images.shape[1:]), np.float32)
    shown = torch.from_numpy(np.ascontiguousarray(images, np.float32))
    for network, own in chunks(fitted, rows, len(shown)):
        place = np.searchsorted(rows, own)
        for block in torch.split(shown, _AT_ONCE):
            _, gradient = own_gradients(network, own, block.expand(len(own), *block.shape))
            out[place] += gradient.sum(1).numpy()
    return out / len(shown)


def integrated(network: Network, row: int, images: Tensor, baseline: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return integrated gradients of one neuron, shaped as the images, and what they should sum to, (image,).

    images    (image, channel, height, width), standardised
    baseline  (channel, height, width) where the path begins
    IG = (x - x0) * mean over midpoints t of the gradient at x0 + t (x - x0) (Sundararajan et al. 2017);
    Completeness: sum IG = f(x) - f(x0) for an exact integral.
    """
    rows = np.array([row])
    midpoints = (torch.arange(steps) + 0.5) / steps
    found = []
    for image in images:
        path = baseline + midpoints[:, None, None, None] * (image - baseline)
        found.append((image - baseline) * own_gradients(network, rows, path[None])[1][0].mean(0))
    with torch.no_grad():
        ends = respond(network, rows, torch.cat([images, baseline[None]]))[:, 0]
    return torch.stack(found), ends[:-1] - ends[-1]
