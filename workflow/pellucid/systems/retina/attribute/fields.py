"""Instantaneous receptive fields: how the rate of a cell changes with each pixel of each frame it sees."""

import numpy as np
import torch
from torch.nn import functional

from pellucid.systems.retina.attribute import gradients
from pellucid.systems.retina.model.network import Network


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
