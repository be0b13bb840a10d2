"""Instantaneous receptive fields: how the rate of a cell changes with each pixel of each frame it sees."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pellucid.systems.retina.attribute import gradients
from pellucid.systems.retina.model.network import Network


@dataclass(frozen=True)
class Separated:
    """The first component of receptive fields, field = size space x time.

    space         (field, height, width), norm 1, mostly positive
    time          (field, lag), norm 1
    separability  (field,) share of the squared norm that it holds; NaN of a field that is 0
    """

    space: np.ndarray
    time: np.ndarray
    separability: np.ndarray


def mean_field(network: Network, frames: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the mean gradient of rates with respect to the stimulus, (neuron, lag, height | 1, width | 1).

    frames  (time,), (time, width) or (time, height, width), standardised; axes that they lack have length 1
    rows    (row,) of the response that are averaged over; row i sees frames i to i + history - 1, oldest first
    Its unit is that of the rates per s.d. of the stimulus: the spike-triggered average that the model would have.
    """
    return np.asarray(gradients.of_stimulus(network, gradients.mean_gradient(network, frames, rows)).numpy())


def projections(network: Network, frames: np.ndarray, rows: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the scalar product of each row's gradient with a field of each cell, (row, neuron).

    frames  (time, height, width) standardised
    field   (neuron, lag, height, width)
    As dr/ds = W^T g it is g . (W * field), so that no gradient is taken back to the stimulus.
    """
    with torch.no_grad():
        seen = functional.conv2d(torch.from_numpy(np.ascontiguousarray(field, np.float32)), network.kernels())
        parts = [
            torch.einsum("tnfhw,nfhw->tn", gradients.gradients(network, u)[1], seen)
            for u in gradients.blocks(network, frames, rows, network.neurons)
        ]
    return torch.cat(parts).numpy()


def separated(fields: np.ndarray) -> Separated:
    """Return the first component of the SVD of each field, (field, lag, height, width)."""
    flat = fields.reshape(*fields.shape[:2], -1).astype(np.float64)
    left, size, right = np.linalg.svd(flat, full_matrices=False)
    time, space = left[..., 0], right[:, 0]
    sign = np.where(space.sum(1) < 0, -1.0, 1.0)[:, None]
    whole = (size**2).sum(1)
    share = np.divide(size[:, 0] ** 2, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return Separated((space * sign).reshape(-1, *fields.shape[2:]), time * sign, share)
