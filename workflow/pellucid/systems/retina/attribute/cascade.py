"""What follows the first layer in one form: rectified affine maps, then a weighted sum and softplus for each cell."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.norms import EPSILON, Normalised
from pellucid.systems.retina.model.readouts import Dense


@dataclass(frozen=True)
class Later:
    """A layer after the first: y = scale * (kernel * x) + shift.

    kernel  (output, feature, height, width), with the scales of channels in it
    scale   (output, height, width) of single units, or None
    shift   (output, 1 | height, 1 | width)
    """

    kernel: Tensor
    scale: Tensor | None
    shift: Tensor

    def through(self, x: Tensor, power: int = 1) -> Tensor:
        """Return scale * (kernel * x) of every channel's x, (piece, feature, ...), or with both to a power."""
        found = functional.conv2d(x.flatten(0, 1), self.kernel**power)
        found = found if self.scale is None else found * self.scale**power
        return found.reshape(*x.shape[:2], *found.shape[1:])


@dataclass(frozen=True)
class Cascade:
    """r = softplus(offset + sum weight relu(y)) with y of the last layer, each affine in the ReLU of the one before.

    scale, shift  (feature, 1 | height, 1 | width) of the first layer: y = scale z + shift, with z = u + bias
    bias          (feature,) of the first layer
    maps          height and width of the first layer's maps
    later         the layers after the first
    weight        (neuron, feature, height, width) of the readout, over the part of the last maps that a cell reads
    corners       first row and column of that part, by cell
    offset        (neuron,)
    corner        first row and column of the part of the first layer's maps that is worked on, see `for_maps`
    """

    scale: Tensor
    shift: Tensor
    bias: Tensor
    maps: tuple[int, int]
    later: tuple[Later, ...]
    weight: Tensor
    corners: list[tuple[int, int]]
    offset: Tensor
    corner: tuple[int, int] = (0, 0)

    @property
    def neurons(self) -> int:
        """Number of cells."""
        return len(self.corners)

    def for_maps(self, shape: tuple[int, int]) -> "Cascade":
        """Return the same for maps u of a shape: length 1 where uniform, and only what the cells read of them.

        Along an axis of length 1, kernels and readouts are summed, if no unit has a scale of its own; otherwise u is
        expanded by `part`.
        """
        found = self
        for axis in (0, 1):
            if shape[axis] == 1 and self.maps[axis] > 1 and not self._uneven(axis):
                found = found._collapsed(axis)
        return found._cropped()

    def part(self, u: Tensor) -> Tensor:
        """Return what is worked on of the first layer's maps, (row, feature, height, width); u with length 1 or all."""
        for axis, (start, size) in enumerate(zip(self.corner, self.maps)):
            if u.shape[axis + 2] == 1:
                sides = [-1] * 4
                sides[axis + 2] = size
                u = u.expand(sides)
            else:
                u = u.narrow(axis + 2, start, size)
        return u

    def line(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """Return p, like part, and q, with y = a p + q of the first layer along the path a u."""
        return self.scale * part, self.scale * self.bias[:, None, None] + self.shift

    def readout(self) -> Tensor:
        """Return the readout's weights over all of the last maps, (neuron, feature, height, width)."""
        height, width = self.weight.shape[2:]
        last = [max(corner[axis] for corner in self.corners) for axis in (0, 1)]
        full = self.weight.new_zeros(*self.weight.shape[:2], last[0] + height, last[1] + width)
        for cell, (row, column) in enumerate(self.corners):
            full[cell, :, row : row + height, column : column + width] = self.weight[cell]
        return full

    def _uneven(self, axis: int) -> bool:
        """Return whether units have scales of their own along an axis."""
        every = [self.scale, self.shift, *[x for one in self.later for x in (one.scale, one.shift) if x is not None]]
        return any(one.shape[axis + 1] > 1 for one in every)

    def _collapsed(self, axis: int) -> "Cascade":
        later = [replace(one, kernel=one.kernel.sum(axis + 2, keepdim=True)) for one in self.later]
        return replace(
            self,
            maps=(1, self.maps[1]) if axis == 0 else (self.maps[0], 1),
            later=tuple(later),
            weight=self.weight.sum(axis + 2, keepdim=True),
            corners=[(0, column) if axis == 0 else (row, 0) for row, column in self.corners],
        )

    def _cropped(self) -> "Cascade":
        """Return the same on the smallest part of the maps that holds all that the cells read."""
        first = tuple(min(corner[axis] for corner in self.corners) for axis in (0, 1))
        sizes = [
            self.weight.shape[axis + 2] + max(corner[axis] for corner in self.corners) - first[axis] for axis in (0, 1)
        ]
        later = []
        for one in reversed(self.later):
            scale = None if one.scale is None else _crop(one.scale, first, sizes)
            later.append(replace(one, scale=scale, shift=_crop(one.shift, first, sizes)))
            sizes = [size + kernel - 1 for size, kernel in zip(sizes, one.kernel.shape[2:])]
        return replace(
            self,
            scale=_crop(self.scale, first, sizes),
            shift=_crop(self.shift, first, sizes),
            maps=(sizes[0], sizes[1]),
            later=tuple(reversed(later)),
            corners=[(row - first[0], column - first[1]) for row, column in self.corners],
            corner=(first[0], first[1]),
        )


def of(network: Network) -> Cascade:
    """Return what follows the first layer of a network in evaluation mode; running moments are folded into scales."""
    with torch.no_grad():
        first = _affine(network.norms[0], network.bias.new_ones(network.features, 1, 1))
        later = []
        for convolution, norm in zip(network.convolution_list()[1:], list(network.norms)[1:]):
            shift = convolution.bias[:, None, None]
            own, more = _affine(norm, torch.ones_like(shift))
            single = own.shape[1:] == (1, 1)
            kernel = convolution.kernel() * own[:, None] if single else convolution.kernel()
            later.append(Later(kernel, None if single else own, own * shift + more))
        readout = network.readout
        gain, offset = _affine(readout.norm, network.bias.new_ones(readout.neurons))
        if isinstance(readout, Dense):
            weight = readout.linear.weight.reshape(readout.neurons, -1, *network.sizes[-1])
            corners = [(0, 0)] * readout.neurons
            added: Tensor | None = readout.linear.bias
        else:
            weight, added = readout.weight, readout.bias
            corners = readout.corners(uniform=(False, False))
        weight = weight * gain[:, None, None, None]
        offset = offset if added is None else offset + gain * added
        return Cascade(*first, network.bias.detach(), network.maps, tuple(later), weight, corners, offset)


def _affine(norm: nn.Module | None, ones: Tensor) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a normalisation, or 1 and 0 shaped as `ones` where there is none."""
    if not isinstance(norm, Normalised):
        return ones, torch.zeros_like(ones)
    scale = norm.scale.abs() if norm.positive else norm.scale
    scale = scale / torch.sqrt(norm.variance + EPSILON)
    return scale, norm.shift - norm.mean * scale


def _crop(x: Tensor, first: tuple[int, ...], sizes: list[int]) -> Tensor:
    """Return a part of maps, (feature, height, width); length 1 stays."""
    for axis, (start, size) in enumerate(zip(first, sizes)):
        x = x if x.shape[axis + 1] == 1 else x.narrow(axis + 1, start, size)
    return x


def channel_by_channel(x: Tensor, kernel: Tensor) -> Tensor:
    """Return what each input channel adds to a convolution, (row, feature, output, height, width).

    x       (row, feature, height, width)
    kernel  (output, feature, height, width)
    """
    parts = [functional.conv2d(x[:, c : c + 1], kernel[:, c : c + 1]) for c in range(x.shape[1])]
    return torch.stack(parts, dim=1)
