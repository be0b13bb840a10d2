"""Convolutions, plain or as a stack of 3 x 3 convolutions without nonlinearity that is one kernel exactly."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from pellucid.systems.retina.model.settings import Layer


class Convolution(nn.Module):
    """A valid convolution with stride 1 and bias.

    A stacked one of k x k px has (k - 1) / 2 convolutions of 3 x 3 with a bias on the last one only (Maheswaranathan
    et al. 2023, reference code); dropout between them works in training alone.
    """

    def __init__(self, inputs: int, layer: Layer, dropout: float = 0.0) -> None:
        """inputs: channels (or frames) of the input."""
        super().__init__()
        count = (layer.kernel_px[0] - 1) // 2 if layer.stacked else 1
        size = (3, 3) if layer.stacked else layer.kernel_px
        widths = [inputs, *[layer.channels] * count]
        self.size = layer.kernel_px
        parts = [nn.Conv2d(a, b, size, bias=index == count - 1) for index, (a, b) in enumerate(pairwise(widths))]
        self.parts = nn.ModuleList(parts)
        self.dropout = nn.Dropout(dropout if layer.stacked else 0.0)

    @property
    def bias(self) -> Tensor:
        """Bias of each channel, (feature,)."""
        bias = self.parts[-1].bias
        assert isinstance(bias, Tensor)
        return bias

    def kernel(self) -> Tensor:
        """Return the one kernel, (feature, input, height, width): the full convolution of the stack's kernels."""
        found = _weight(self.parts[0])
        for part in list(self.parts)[1:]:
            joined = functional.conv_transpose2d(found.transpose(0, 1), _weight(part).transpose(0, 1))
            found = joined.transpose(0, 1)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return maps, (window, feature, height, width).

        x  (window, input, height, width); an axis of length 1 stands for maps that are uniform along it, and stays
        """
        if not self.training or len(self.parts) == 1:
            kernel = self.kernel()
            for axis in (2, 3):
                kernel = kernel.sum(axis, keepdim=True) if x.shape[axis] == 1 else kernel
            return functional.conv2d(x, kernel, self.bias)
        for index, part in enumerate(self.parts):
            x = part(self.dropout(x) if index else x)
        return x


def _weight(part: nn.Module) -> Tensor:
    assert isinstance(part, nn.Conv2d)
    return part.weight


def parameters(module: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(value.numel() for value in module.parameters() if value.requires_grad)
