"""The network: a linear first layer of space and time, and everything after it as a function of its maps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.systems.retina.model.norms import Normalised
from pellucid.systems.retina.model.readouts import Dense, Located
from pellucid.systems.retina.model.settings import Settings
from pellucid.systems.retina.model.stacks import Convolution

CHUNK = 256
"""Rows of a movie seen at once."""


class Network(nn.Module):
    """r = F(u + b) with u = W * s: McIntosh et al. 2016, Maheswaranathan et al. 2023.

    Each layer is a valid convolution over height and width with the frames of the window (oldest first) as its input
    channels, then batch normalisation, noise (in training) and ReLU; a readout and softplus give the rates.
    """

    def __init__(self, settings: Settings, shape: tuple[int, int], places: Sequence[tuple[int, int]]) -> None:
        """shape: height and width of the movie; places: (row, column) each cell's located readout reads the maps at."""
        super().__init__()
        self.history, self.shape, self.noise = settings.history, shape, settings.noise
        widths = [settings.history, *[layer.channels for layer in settings.layers]]
        self.sizes = _sizes(shape, [layer.kernel_px for layer in settings.layers])
        self.convolutions = nn.ModuleList(
            [Convolution(width, layer, settings.dropout) for width, layer in zip(widths, settings.layers)]
        )
        norm = settings.norm
        self.norms = nn.ModuleList()
        for size, layer in zip(self.sizes, settings.layers):
            maps = (layer.channels, *(size if norm and norm.per == "unit" else (1, 1)))
            made = Normalised(maps, positive=norm.positive, momentum=norm.momentum) if norm else nn.Identity()
            self.norms.append(made)
        momentum = norm.momentum if norm else 0.01
        last = (widths[-1], *self.sizes[-1])
        self.readout: Dense | Located = (
            Dense(last, len(places), settings.readout, momentum)
            if settings.readout.kind == "dense"
            else Located(last, places, settings.readout, momentum, positive=bool(norm and norm.positive))
        )
        self.even = not (norm and norm.per == "unit")

    @property
    def features(self) -> int:
        """Channels of the first layer."""
        return int(self.bias.shape[0])

    @property
    def maps(self) -> tuple[int, int]:
        """Height and width of the first layer's maps."""
        return self.sizes[0]

    @property
    def neurons(self) -> int:
        """Number of cells."""
        return self.readout.neurons

    @property
    def bias(self) -> Tensor:
        """Bias b of the first layer, (feature,)."""
        return self.convolution_list()[0].bias

    def kernels(self) -> Tensor:
        """Return the first layer's kernels W, (feature, lag, height, width), oldest frame first."""
        return self.convolution_list()[0].kernel()

    def first(self, frames: Tensor) -> Tensor:
        """Return u = W * s of every window, (row, feature, height, width) without the bias.

        frames  (time,) full field, (time, width) uniform along height, or (time, height, width), standardised; axes
                along which they are uniform have length 1 in u, which is the same all along them
        """
        kernel = self.kernels()
        if frames.ndim < 3:
            kernel = kernel.sum(2, keepdim=True)
            frames = frames[:, None]
        if frames.ndim < 3:
            kernel = kernel.sum(3, keepdim=True)
            frames = frames[:, None]
        rows = frames.shape[0] - self.history + 1
        parts = [
            functional.conv2d(windows(frames[start : start + CHUNK + self.history - 1], self.history), kernel)
            for start in range(0, rows, CHUNK)
        ]
        return torch.cat(parts)

    def head(self, z: Tensor) -> Tensor:
        """Return rates, (row, neuron).

        z  (row, feature, height, width) pre-activations u + b of the first layer; axes of length 1 stand for maps that
           are uniform along them
        """
        if not self.even or isinstance(self.readout, Dense):
            z = z.expand(-1, -1, *self.maps)
        return functional.softplus(self.readout(self._hidden(z)))

    def seen(self, z: Tensor) -> Tensor | None:
        """Return the part of the first layer's maps that each cell reads, (row, neuron, feature, height, width).

        z  as in `head`; None where a cell reads all of them, or its place on them matters
        """
        if not self.even or isinstance(self.readout, Dense):
            return None
        reach = _reach([*[c.size for c in self.convolution_list()[1:]], self.readout.kernel_px])
        sides = [1 if z.shape[axis + 2] < self.maps[axis] else reach[axis] for axis in (0, 1)]
        places = self.readout.corners(uniform=(sides[0] < reach[0], sides[1] < reach[1]))
        parts = [z[:, :, row : row + sides[0], column : column + sides[1]] for row, column in places]
        return torch.stack(parts, dim=1)

    def of_seen(self, seen: Tensor) -> Tensor:
        """Return rates, (row, neuron), from what each cell reads, (row, neuron, feature, height, width)."""
        assert isinstance(self.readout, Located)
        hidden = self._hidden(seen.flatten(0, 1))
        hidden = hidden.reshape(*seen.shape[:2], *hidden.shape[1:])
        return functional.softplus(self.readout.of_patches(hidden))

    def _hidden(self, z: Tensor) -> Tensor:
        """Return the last layer's maps, or a part of them, from the same of the first layer's pre-activations."""
        for index, (convolution, norm) in enumerate(zip(self.convolution_list(), self.norms)):
            if index:
                z = convolution(z)
            z = norm(z)
            if self.training and self.noise:
                z = z + self.noise * torch.randn_like(z)
            z = functional.relu(z)
        return z

    def forward(self, stimulus: Tensor) -> Tensor:
        """Return rates, (window, neuron); stimulus (window, lag, height, width), standardised, oldest frame first."""
        return self.head(self.convolution_list()[0](stimulus))

    def respond(self, frames: Tensor) -> Tensor:
        """Return rates, (row, neuron), to frames as in `first`; row i sees frames i to i + history - 1."""
        u = self.first(frames)
        return torch.cat([self.head(part + self.bias[:, None, None]) for part in torch.split(u, CHUNK)])

    def weights(self) -> list[Tensor]:
        """Return kernels and readout weights, which the penalty of weights is over."""
        return [value for name, value in self.named_parameters() if value.ndim > 1 and not name.startswith("norms")]

    def convolution_list(self) -> list[Convolution]:
        """Return the convolutions, first to last."""
        return [found for found in self.convolutions if isinstance(found, Convolution)]


def windows(frames: Tensor, history: int) -> Tensor:
    """Return every window of frames as a view, (row, lag, height, width); frames (time, height, width)."""
    return frames.unfold(0, history, 1).permute(0, 3, 1, 2)


def _reach(kernels: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return height and width that one place sees through valid convolutions one after the other."""
    return 1 + sum(kernel[0] - 1 for kernel in kernels), 1 + sum(kernel[1] - 1 for kernel in kernels)


def _sizes(shape: tuple[int, int], kernels: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return height and width of the maps of each layer."""
    sizes = [shape]
    for height, width in kernels:
        sizes.append((sizes[-1][0] - height + 1, sizes[-1][1] - width + 1))
    return sizes[1:]


def check_size(settings: Settings, shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the last maps, on which readouts work. Raises DataError if nothing is left of them."""
    from pellucid.errors import DataError

    kernels = [layer.kernel_px for layer in settings.layers]
    located = settings.readout.kind == "located"
    sizes = _sizes(shape, [*kernels, settings.readout.kernel_px] if located else kernels)
    for (height, width), kernel in zip(sizes, [*kernels, settings.readout.kernel_px]):
        if min(height, width) < 1:
            raise DataError(
                f"fit, kernels of {kernel[0]} x {kernel[1]} px",
                expected=f"layers that fit into a movie of {shape[0]} x {shape[1]} px",
                found=f"maps of {' x '.join(map(str, (height, width)))} px",
                remedy="Set `layers` with smaller kernels, and a smaller `readout.kernel_px`.",
            )
    return sizes[len(kernels) - 1]
