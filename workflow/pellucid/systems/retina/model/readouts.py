"""Readouts: a weight for every unit of the last layer, or a kernel per cell at one place of its maps."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.systems.retina.model.norms import Normalised, start
from pellucid.systems.retina.model.settings import Readout


class Dense(nn.Module):
    """A weight for every unit and cell; then batch normalisation over each cell, or a bias."""

    def __init__(self, maps: tuple[int, int, int], neurons: int, settings: Readout, momentum: float) -> None:
        """maps: channels, height and width of the last layer."""
        super().__init__()
        self.neurons = neurons
        self.linear = nn.Linear(int(np.prod(maps)), neurons, bias=not settings.norm)
        self.norm = Normalised((neurons,), positive=False, momentum=momentum) if settings.norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the drive of each cell before softplus, (row, neuron); x (row, feature, height, width)."""
        found: Tensor = self.linear(x.flatten(1))
        return found if self.norm is None else cast(Tensor, self.norm(found))

    def begin(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Start with each cell's mean and s.d. (neuron,); without normalisation with its mean alone."""
        begin(self.norm, self.linear.bias, mean, sd)


class Located(nn.Module):
    """A kernel per cell, without bias, at one place of the maps; then batch normalisation over each cell, or a bias.

    It is the convolution of the maps with the kernel, of which one place is read (Maheswaranathan et al. 2023,
    reference code); only that place is computed.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        maps: tuple[int, int, int],
        places: Sequence[tuple[int, int]],
        settings: Readout,
        momentum: float,
        *,
        positive: bool,
    ) -> None:
        """maps: channels, height and width of the last layer; places: first row and column of each cell's kernel."""
        super().__init__()
        self.neurons, self.full = len(places), maps[1:]
        self.kernel_px = settings.kernel_px
        self.weight = nn.Parameter(torch.empty(self.neurons, maps[0], *settings.kernel_px))
        bound = 1 / np.sqrt(maps[0] * np.prod(settings.kernel_px))
        nn.init.uniform_(self.weight, -bound, bound)
        self.register_buffer("rows", torch.tensor([place[0] for place in places]))
        self.register_buffer("columns", torch.tensor([place[1] for place in places]))
        self.norm = Normalised((self.neurons,), positive=positive, momentum=momentum) if settings.norm else None
        self.bias = None if settings.norm else nn.Parameter(torch.zeros(self.neurons))

    def corners(self, uniform: tuple[bool, bool]) -> list[tuple[int, int]]:
        """Return the first row and column of each cell's kernel; 0 along axes along which maps are uniform."""
        rows, columns = self.rows.tolist(), self.columns.tolist()
        return [(0 if uniform[0] else row, 0 if uniform[1] else column) for row, column in zip(rows, columns)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the drive of each cell before softplus, (row, neuron); x (row, feature, height | 1, width | 1)."""
        uniform = (x.shape[2] < self.full[0], x.shape[3] < self.full[1])
        height, width = (1 if same else size for same, size in zip(uniform, self.kernel_px))
        patches = [x[:, :, row : row + height, column : column + width] for row, column in self.corners(uniform)]
        return self.of_patches(torch.stack(patches, dim=1))

    def of_patches(self, patches: Tensor) -> Tensor:
        """Return the drive of each cell, (row, neuron), from what it reads, (row, neuron, feature, height, width)."""
        weight: Tensor = self.weight
        for axis in (2, 3):
            weight = weight.sum(axis, keepdim=True) if patches.shape[axis + 1] == 1 else weight
        drive = (patches * weight).flatten(2).sum(2)
        if self.norm is not None:
            return cast(Tensor, self.norm(drive))
        assert self.bias is not None
        return drive + self.bias

    def begin(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Start with each cell's mean and s.d. (neuron,); without normalisation with its mean alone."""
        begin(self.norm, self.bias, mean, sd)


def begin(norm: Normalised | None, bias: Tensor | None, mean: np.ndarray, sd: np.ndarray) -> None:
    """Set the output's scale and shift so that rates start with a mean and s.d., (neuron,)."""
    with torch.no_grad():
        if norm is not None:
            shift, scale = start(mean, sd)
            norm.shift.copy_(torch.from_numpy(shift))
            norm.scale.copy_(torch.from_numpy(scale))
        elif bias is not None:
            bias.copy_(torch.from_numpy(np.log(np.expm1(np.clip(mean, 1e-3, 500)))))
