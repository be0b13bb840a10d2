"""The core: convolutions shared by all neurons, each followed by its normalisation and activation.

A first layer of few large kernels works on the spectra of the images, which are computed once: `prepare` turns images
into what `forward` convolves.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.errors import DataError
from pellucid.systems.whatwhere.model.settings import Core, Gaussian, Layer

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "relu": functional.relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
}

_SPECTRAL_PX = 81
"""Kernel area from which few kernels are convolved by their spectra (measured: 9 ms against 60 for 17 x 17 px)."""
_SPECTRAL_KERNELS = 4


_LAYOUT = torch.channels_last
"""Memory layout of maps: convolutions of few channels take a quarter to two thirds of the time on a CPU."""


class ConvolutionalCore(nn.Module):
    """Maps z_k(i, j) of images: convolution -> normalisation -> activation, layer by layer (Klindt et al. 2017).

    settings  the layers
    image     (channel, height, width)
    groups    sets of kernels, one for each group of neurons that shares one; the maps are those of the first
    Raises DataError if the image is smaller than the kernels.
    """

    def __init__(self, settings: Core, image: Sequence[int], groups: int = 1) -> None:
        super().__init__()
        channels, *size = image
        self.settings, self.image = settings, tuple(image)
        self.convolutions: list[Convolution] = []
        for layer in settings.layers:
            self.convolutions.append(Convolution(layer, settings, channels, groups))
            channels = layer.maps
            size = [n - (k - 1) * (layer.padding == "valid") for n, k in zip(size, layer.kernel_px)]
        if min(size) < 1:
            raise DataError(
                "fit.shared.core.layers",
                expected=f"kernels that fit into images of {image[1]} x {image[2]} px",
                found=f"maps of {size[0]} x {size[1]} px",
                remedy="Use smaller or fewer kernels, `padding: same`, or larger images.",
            )
        self.layers = nn.ModuleList(self.convolutions)
        self.maps = (channels, size[0], size[1])
        self.offset = ((image[1] - size[0]) / 2, (image[2] - size[1]) / 2)
        if settings.known:
            self.convolutions[0].fix(settings.known)

    @property
    def spectral(self) -> bool:
        """Whether the first layer works on spectra."""
        if not self.settings.layers:
            return False
        first = self.settings.layers[0]
        few = first.maps * self.image[0] <= _SPECTRAL_KERNELS
        return few and first.padding == "valid" and math.prod(first.kernel_px) >= _SPECTRAL_PX

    def prepare(self, images: Tensor) -> Tensor:
        """Return what `forward` takes: images (image, channel, height, width), or their spectra."""
        return torch.fft.rfft2(images) if self.spectral else images

    def forward(self, prepared: Tensor) -> Tensor:
        """Return the last layer's maps, (image, feature, height, width)."""
        z = prepared
        for index, layer in enumerate(self.convolutions):
            z = layer.spectral(z, self.image[1:]) if index == 0 and self.spectral else layer(z)
        return z

    def kernels(self) -> Tensor:
        """Return the first layer's kernels as they are used, (kernel, channel, height, width)."""
        return self.convolutions[0].kernels()

    def estimate(self, prepared: Tensor, batch: int) -> None:
        """Set the statistics of batch norm to their mean over batches of images (reference code: running averages).

        prepared  images as `prepare` returns them
        """
        norms = [layer.norm for layer in self.convolutions if layer.norm is not None]
        if not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
        for start in range(0, len(prepared), batch):
            self(prepared[start : start + batch])
        for norm in norms:
            norm.momentum = 1 - self.settings.decay
            norm.eval()


class Convolution(nn.Module):
    """One layer; with unit-norm kernels each output map's kernel is divided by 1e-5 + its L2 norm."""

    def __init__(self, layer: Layer, core: Core, channels: int, groups: int) -> None:
        super().__init__()
        self.layer, self.unit = layer, core.normalisation == "unit"
        weight = torch.empty(groups * layer.maps, channels, *layer.kernel_px)
        self.weight = nn.Parameter(nn.init.trunc_normal_(weight, std=core.initial_sd, a=-2 * core.initial_sd))
        batch = core.normalisation == "batch"
        self.norm = (
            nn.BatchNorm2d(layer.maps, eps=1e-3, momentum=1 - core.decay, affine=False) if batch else None
        )  # the library's affine form learns scale and centre together or not at all
        offset = core.centre if batch else True
        linear = layer.activation == "identity"
        self.offset = nn.Parameter(torch.zeros(layer.maps)) if offset and (batch or not linear) else None
        self.scale = nn.Parameter(torch.ones(layer.maps)) if batch and core.scale else None
        self.activation = ACTIVATIONS[layer.activation]

    def fix(self, gaussians: Sequence[Gaussian]) -> None:
        """Set the one kernel to a sum of Gaussians and keep it."""
        weight = gaussian_kernel(self.layer.kernel_px, gaussians)
        with torch.no_grad():
            self.weight.copy_(weight.expand_as(self.weight))
        self.weight.requires_grad_(False)

    def kernels(self) -> Tensor:
        """Return the kernels as they are used, (kernel, channel, height, width)."""
        if not self.unit:
            return self.weight
        kernels: Tensor = self.weight / (1e-5 + self.weight.flatten(1).norm(dim=1)[:, None, None, None])
        return kernels

    def forward(self, z: Tensor) -> Tensor:
        """Return the maps of an input (image, channel, height, width)."""
        z, kernels = (x.contiguous(memory_format=_LAYOUT) for x in (z, self.kernels()))
        return self._finish(functional.conv2d(z, kernels, padding=self.layer.padding))

    def spectral(self, spectra: Tensor, size: Sequence[int]) -> Tensor:
        """Return the same maps from the spectra of images of a size (height, width): `valid` cross-correlation."""
        kernels = torch.fft.rfft2(self.kernels(), s=tuple(size))
        product = torch.einsum("bchw,kchw->bkhw", spectra, kernels.conj())
        full = torch.fft.irfft2(product, s=tuple(size))
        height, width = (n - k + 1 for n, k in zip(size, self.layer.kernel_px))
        return self._finish(full[..., :height, :width])

    def _finish(self, z: Tensor) -> Tensor:
        if self.norm is not None:
            z = self.norm(z)
        if self.scale is not None:
            z = z * self.scale[:, None, None]
        if self.offset is not None:
            z = z + self.offset[:, None, None]
        return self.activation(z)


def gaussian_kernel(size: Sequence[int], gaussians: Sequence[Gaussian]) -> Tensor:
    """Return sum_i a_i N(x; 0, s_i^2) on a grid of (height, width) px around its centre, of unit L2 norm."""
    row, column = (torch.arange(n) - (n - 1) / 2 for n in size)
    squared = row[:, None] ** 2 + column[None, :] ** 2
    total = torch.zeros(tuple(size))
    for one in gaussians:
        total = total + one.weight / (2 * math.pi * one.sd_px**2) * torch.exp(-squared / (2 * one.sd_px**2))
    unit: Tensor = total / total.norm()
    return unit
