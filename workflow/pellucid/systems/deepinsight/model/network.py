"""The published network: convolutions shared over channels, convolutions that merge channels, one head per output.

    (B, C, T, F) -> shared: 4 x {3x3 stride (2,1), 3x3 stride (1,2)} -> (B, C, 64, T/16, F/16)
                 -> merge: (1,2) stride (1,2) over (freq, channel) until at most two channels remain
                 -> heads: 1024, 1024, d, shared over the T/16 remaining times

Frey et al. 2021, Fig. 1B. Article and released code differ in kernels (3 throughout; 3x3 and 1x2), in filters (doubled
with every layer; 64, then 128) and in parameters (5 299 653; 5 168 964): the code is followed. 'Same' padding is
TensorFlow's: with stride 2 on an even length nothing is added before and one after.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = 4
"""Number of time strides of 2; one output every 2**STRIDES = 16 rows."""


class SharedConvolution(nn.Module):
    """One 3 x 3 convolution over (time, frequency) with TensorFlow's 'same' padding, and ELU."""

    def __init__(self, inputs: int, filters: int, stride: tuple[int, int]) -> None:
        """inputs, filters: feature maps; stride: over (time, frequency)."""
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(inputs, filters, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, T, F) to (N, filters, ceil(T / stride), ceil(F / stride))."""
        (first_t, last_t), (first_f, last_f) = (same_padding(x.shape[2 + i], self.stride[i]) for i in range(2))
        weight, bias = self.convolution.weight, self.convolution.bias
        if x.shape[3] == 1:  # the outer columns of the kernel see padding only
            weight, first_f, last_f = weight[..., 1:2], 0, 0
        wider = functional.pad(x, (0, last_f - first_f, 0, last_t - first_t))  # the rest is symmetric
        return functional.elu(functional.conv2d(wider, weight, bias, self.stride, (first_t, first_f)))


class DeepInsight(nn.Module):
    """Decode several outputs from windows of wavelet power with weights shared over channels."""

    def __init__(
        self,
        channels: int,
        frequencies: int,
        outputs: Mapping[str, int],
        *,
        filters: int,
        merge_filters: int,
        units: int,
    ) -> None:
        """outputs: target -> number of dimensions; filters, merge_filters, units: width of the three parts."""
        super().__init__()
        layers = []
        for index in range(STRIDES):
            layers.append(SharedConvolution(filters if index else 1, filters, (2, 1)))
            layers.append(SharedConvolution(filters, filters, (1, 2)))
        self.shared = nn.Sequential(*layers)
        merges, maps, left = [], filters, channels
        while left > 2:
            merges.append(nn.Conv2d(maps, merge_filters, (1, 2), (1, 2)))
            maps, left = merge_filters, -(-left // 2)
        self.merges = nn.ModuleList(merges)
        flat = maps * left * reduced(frequencies)
        self.heads = nn.ModuleDict({name: _head(flat, units, size) for name, size in outputs.items()})
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map normalised windows (B, C, T, F) to target -> (B, max(1, T // 16), dimension)."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Apply the layers shared over channels: (B, C, T, F) -> (B, C, maps, T', F')."""
        batch, channels, rows, bands = x.shape
        shared: Tensor = self.shared(x.reshape(batch * channels, 1, rows, bands))
        return shared.reshape(batch, channels, *shared.shape[1:])

    def decode(self, code: Tensor) -> dict[str, Tensor]:
        """Merge channels and apply the heads: (B, C, maps, T', F') -> target -> (B, T', dimension)."""
        batch, times = code.shape[0], code.shape[3]
        x = code.permute(0, 3, 2, 4, 1).flatten(0, 1)  # (B T', maps, F', C)
        for merge in self.merges:
            x = functional.elu(merge(functional.pad(x, (0, x.shape[3] % 2))))
        flat = x.flatten(1)
        return {name: head(flat).reshape(batch, times, -1) for name, head in self.heads.items()}


def same_padding(length: int, stride: int) -> tuple[int, int]:
    """Return what TensorFlow's 'same' padding adds before and after, for a kernel of 3."""
    total = max(0, (-(-length // stride) - 1) * stride + 3 - length)
    return total // 2, total - total // 2


def reduced(length: int) -> int:
    """Return the length that is left after the strides of 2."""
    for _ in range(STRIDES):
        length = -(-length // 2)
    return length


def parameters(network: nn.Module) -> int:
    """Count trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _head(inputs: int, units: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, units), nn.ELU(), nn.Linear(units, units), nn.ELU(), nn.Linear(units, outputs)
    )


def last_outputs(predictions: Mapping[str, Tensor]) -> Tensor:
    """Return the prediction for the last row of each window, the one that is scored, as (B, output)."""
    return torch.cat([prediction[:, -1] for prediction in predictions.values()], dim=1)
