"""Penalties on kernels and readouts (reference code: CNN.py, v1data/convnet.py); each is a sum, none a mean."""

import torch
from torch import Tensor
from torch.nn import functional

from pellucid.systems.whatwhere.model.core import ConvolutionalCore
from pellucid.systems.whatwhere.model.settings import Penalties

LAPLACIAN = ((0.25, 0.5, 0.25), (0.5, -3.0, 0.5), (0.25, 0.5, 0.25))


def of_core(core: ConvolutionalCore, penalties: Penalties) -> Tensor:
    """Return the penalty on the kernels of the layers that ask for it, a scalar."""
    total = torch.zeros((), device=next(core.parameters(), torch.zeros(())).device)
    for convolution in core.convolutions:
        if convolution.layer.smooth and penalties.smoothness:
            total = total + penalties.smoothness * smoothness(convolution.weight)
        if convolution.layer.group and penalties.group_sparsity:
            total = total + penalties.group_sparsity * group_sparsity(convolution.weight)
    return total


def smoothness(kernels: Tensor) -> Tensor:
    """Return sum over kernels of sum_xy (Laplacian * W)^2 / sum_xy W^2, a scalar, whatever the kernels' scale.

    kernels  (..., height, width); beyond their borders they are 0
    """
    flat = kernels.reshape(-1, 1, *kernels.shape[-2:])
    laplacian = torch.tensor(LAPLACIAN, dtype=flat.dtype, device=flat.device)[None, None]
    rough = functional.conv2d(flat, laplacian, padding=1).square().sum((1, 2, 3))
    return (rough / (flat.square().sum((1, 2, 3)) + 1e-12)).sum()


def group_sparsity(kernels: Tensor) -> Tensor:
    """Return the sum over (output, input) pairs of sqrt(sum_xy W^2), a scalar; kernels (..., height, width)."""
    return (kernels.square().sum((-2, -1)) + 1e-12).sqrt().sum()
