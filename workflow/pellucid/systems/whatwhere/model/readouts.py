"""Readouts: how a neuron's activation follows from the maps. All have the same interface.

z (image, feature, height, width) are maps, m (neuron, height, width) masks, w (neuron, feature) feature weights.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.systems.whatwhere.model.settings import Penalties, Readout

_FREE = 1e-12
"""Below this a norm's gradient would be undefined."""


class Masked(nn.Module):
    """a_n = sum_k w_nk sum_ij m_n(i, j) z_k(i, j): where times what (Klindt et al. 2017).

    With one map the weight is 1. `learn` false keeps the mask as it begins: the fixed-mask readout.
    """

    def __init__(self, settings: Readout, maps: Sequence[int], mask: Tensor, weights: Tensor, *, learn: bool) -> None:
        super().__init__()
        self.settings = settings
        self.mask = nn.Parameter(mask, requires_grad=learn)
        self.weight = nn.Parameter(weights, requires_grad=maps[0] > 1 or not learn)

    def masks(self) -> Tensor:
        """Return the masks as they are used, (neuron, height, width)."""
        return self.mask.abs() if self.settings.mask == "nonnegative" else self.mask

    def weights(self) -> Tensor:
        """Return the feature weights as they are used, (neuron, feature)."""
        return self.weight.abs() if self.settings.weights == "nonnegative" else self.weight

    def forward(self, z: Tensor) -> Tensor:
        """Return activations, (image, neuron)."""
        return torch.einsum("bkhw,nhw,nk->bn", z, self.masks(), self.weights())

    def penalty(self, penalties: Penalties) -> Tensor:
        """Return r_M sum |m| + r_W sum |w| + lambda_r sum_n (sum |m_n|)(sum |w_n|), a scalar."""
        mask, weight = self.mask.abs().sum((1, 2)), self.weight.abs().sum(1)
        total = penalties.mask_l1 * mask + penalties.weight_l1 * weight + penalties.product_l1 * mask * weight
        return total.sum()


class Dense(nn.Module):
    """a_n = sum_kij w_n(k, i, j) z_k(i, j): a weight for every pixel of every map, the comparator without sharing.

    weight  (neuron, feature, height, width)
    """

    def __init__(self, settings: Readout, weight: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(weight)

    def forward(self, z: Tensor) -> Tensor:
        """Return activations, (image, neuron)."""
        z = functional.dropout(z, self.settings.dropout, self.training)
        return z.flatten(1) @ self.weight.flatten(1).T

    def penalty(self, penalties: Penalties) -> Tensor:
        """Return l2 sum w^2 / 2 + l1 sum |w| + smoothness, a scalar."""
        total = penalties.weight_l2 * self.weight.square().sum() / 2 + penalties.mask_l1 * self.weight.abs().sum()
        if penalties.readout_smoothness:
            from pellucid.systems.whatwhere.model.penalties import smoothness

            total = total + penalties.readout_smoothness * smoothness(self.weight)
        return total


class Point(nn.Module):
    """a_n = sum_k w_nk z_k(p_n): one position per neuron, between pixels by bilinear interpolation.

    position  (neuron, 2) row and column of the map in -1 ... 1, from its first to its last pixel
    spread    (neuron, 2, 2) for the Gaussian readout: positions are drawn in training from N(p_n, L_n L_n^T) (Lurz et
              al. 2021); None for the spatial transformer (Sinz et al. 2018), which may read coarser scales besides
    """

    def __init__(self, settings: Readout, position: Tensor, weights: Tensor, spread: Tensor | None) -> None:
        super().__init__()
        self.settings = settings
        self.position = nn.Parameter(position)
        self.weight = nn.Parameter(weights)
        self.spread = None if spread is None else nn.Parameter(spread)

    def weights(self) -> Tensor:
        """Return the feature weights as they are used, (neuron, feature of each scale)."""
        return self.weight.abs() if self.settings.weights == "nonnegative" else self.weight

    def forward(self, z: Tensor) -> Tensor:
        """Return activations, (image, neuron)."""
        where = self.position.clamp(-1, 1).expand(len(z), -1, -1)
        if self.spread is not None and self.training:
            noise = torch.randn(where.shape, device=z.device, dtype=z.dtype)
            where = (where + torch.einsum("nij,bnj->bni", self.spread.tril(), noise)).clamp(-1, 1)
        read = [sample(z, where)]
        for _ in range(self.settings.pool_steps if self.spread is None else 0):
            z = functional.avg_pool2d(z, self.settings.pool_px, ceil_mode=True, count_include_pad=False)
            read.append(sample(z, where))
        return torch.einsum("bkn,nk->bn", torch.cat(read, dim=1), self.weights())

    def penalty(self, penalties: Penalties) -> Tensor:
        """Return r_W sum |w|, a scalar."""
        return penalties.weight_l1 * self.weight.abs().sum()


def sample(z: Tensor, where: Tensor) -> Tensor:
    """Return maps between their pixels, (image, feature, neuron), by bilinear interpolation.

    z      (image, feature, height, width)
    where  (image, neuron, 2) row and column in -1 ... 1, from the centre of the first to that of the last pixel
    """
    height, width = z.shape[-2:]
    last = torch.tensor([height - 1, width - 1], dtype=z.dtype, device=z.device)
    place = (where + 1) / 2 * last
    low = torch.minimum(place.detach().floor(), (last - 1).clamp(min=0))
    share = place - low
    flat, total = z.flatten(2), torch.zeros((), dtype=z.dtype, device=z.device)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row = (low[..., 0] + down).clamp(max=height - 1).long()
        column = (low[..., 1] + right).clamp(max=width - 1).long()
        index = (row * width + column)[:, None, :].expand(-1, z.shape[1], -1)
        weight = (share[..., 0] if down else 1 - share[..., 0]) * (share[..., 1] if right else 1 - share[..., 1])
        total = total + weight[:, None, :] * flat.gather(2, index)
    return total
