"""Gradients of every cell's rate with respect to the units of the first layer that it sees, and to the stimulus."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pellucid.systems.retina.attribute import cascade
from pellucid.systems.retina.attribute.cascade import Cascade
from pellucid.systems.retina.attribute.chords import Head, relu_slope
from pellucid.systems.retina.model.network import Network

WORK = 32_000_000
"""Bytes of the largest array that is worked on at once."""


def gradients(network: Network, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return rates, (row, neuron), and their gradients with respect to u, (row, neuron, feature, height, width).

    u  (row, feature, height | 1, width | 1) of the first layer, as from `network.first`, of a network in evaluation
       mode; along an axis of length 1 the gradient is that with respect to the common value, and of length 1, too
    One forward pass serves all cells. Backwards, each cell has the part of the maps that it reads for itself, so that
    one pass of a batch of rows and cells gives all gradients. Nothing is recorded for the parameters. Memory: twice
    the result.
    """
    with torch.no_grad():
        head = Head(cascade.of(network).for_maps((u.shape[2], u.shape[3])))
        part = head.cascade.part(u)
        z = head.cascade.scale * (part + head.cascade.bias[:, None, None]) + head.cascade.shift
        state = head.state(functional.relu(z))
        slope = head.cascade.scale * (z > 0)
        found = pull(head.cascade, [relu_slope(one, one) for one in state.layers], torch.sigmoid(state.drive))
        found = found * patches(slope, head.cascade.corners, (found.shape[3], found.shape[4]))
        return functional.softplus(state.drive), placed(head.cascade, found, network.maps, (u.shape[2], u.shape[3]))


def mean_gradient(network: Network, frames: np.ndarray, rows: np.ndarray | None = None) -> Tensor:
    """Return the gradient with respect to u averaged over rows, (neuron, feature, height | 1, width | 1).

    frames  (time,), (time, width) or (time, height, width), standardised
    rows    whose mean it is; None: all. Memory besides the frames: 100 MB or 3 rows, whichever is more.
    """
    rows = np.arange(len(frames) - network.history + 1) if rows is None else rows
    total, count = torch.zeros(()), 0
    for u in blocks(network, frames, rows, network.neurons):
        total = total + gradients(network, u)[1].sum(0)
        count += len(u)
    return total / count


def of_stimulus(network: Network, gradient: Tensor) -> Tensor:
    """Return gradients with respect to the frames of a window, (neuron, lag, height | 1, width | 1), oldest first.

    gradient  (neuron, feature, height | 1, width | 1) with respect to u: dr/ds = W^T dr/du
    """
    with torch.no_grad():
        kernel = network.kernels()
        for axis in (0, 1):
            if gradient.shape[axis + 2] == 1:
                kernel = kernel.sum(axis + 2, keepdim=True)
        return functional.conv_transpose2d(gradient, kernel)


def blocks(network: Network, frames: np.ndarray, rows: np.ndarray, copies: int) -> Iterator[Tensor]:
    """Give u of rows in their order, few enough of them that so many copies of u are no larger than `WORK`.

    The first convolution is done once for every row, on the runs of neighbouring rows.
    """
    bias = network.bias
    height, width = shape(network, frames)
    size = WORK // (copies * network.features * height * width * bias.element_size())
    size = max(1, min(size, 256))
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        for start in range(0, len(run), size):
            own = run[start : start + size]
            seen = np.array(frames[own[0] : own[-1] + network.history])  # a copy: torch warns of what is read-only
            with torch.no_grad():
                yield network.first(torch.from_numpy(seen).to(bias.device, bias.dtype))


def shape(network: Network, frames: np.ndarray) -> tuple[int, int]:
    """Return height and width of u: 1 along axes that frames, (time,) or (time, width), do not have."""
    height, width = network.maps
    return height if frames.ndim > 2 else 1, width if frames.ndim > 1 else 1


def pull(head: Cascade, gates: list[Tensor], slope: Tensor) -> Tensor:
    """Return what each rate gains per unit of the rectified first layer, (piece, neuron, feature, height, width).

    gates  (piece, output, height, width) slopes of the ReLUs of every later layer
    slope  (piece, neuron) of softplus
    Height and width are of the part that each cell reads, which begins at its corner.
    """
    found = head.weight * slope[:, :, None, None, None]
    for one, gate in zip(reversed(head.later), reversed(gates)):
        gate = gate if one.scale is None else gate * one.scale
        found = found * patches(gate, head.corners, (found.shape[3], found.shape[4]))
        joined = functional.conv_transpose2d(found.flatten(0, 1), one.kernel)
        found = joined.reshape(*slope.shape, *joined.shape[1:])
    return found


def patches(maps: Tensor, corners: list[tuple[int, int]], size: tuple[int, int]) -> Tensor:
    """Return the part of maps that each cell reads, (piece, neuron, feature, height, width)."""
    height, width = size
    return torch.stack([maps[:, :, row : row + height, column : column + width] for row, column in corners], dim=1)


def placed(head: Cascade, found: Tensor, maps: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Return values of units at their places on the whole maps, (piece, neuron, feature, height | 1, width | 1).

    found  (piece, neuron, feature, height, width) of the part that each cell reads
    shape  height and width of u; values are summed along axes of length 1
    """
    size = [1 if one == 1 else own for one, own in zip(shape, maps)]
    for axis, own in enumerate(size):
        found = found.sum(axis + 3, keepdim=True) if own == 1 else found
    height, width = found.shape[3:]
    full = found.new_zeros(*found.shape[:3], *size)
    for cell, corner in enumerate(head.corners):
        row, column = (0 if own == 1 else at + by for own, at, by in zip(size, corner, head.corner))
        full[:, cell, :, row : row + height, column : column + width] = found[:, cell]
    return full
