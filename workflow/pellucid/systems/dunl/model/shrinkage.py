"""The proximal steps between two layers of the encoder, in the published order (published).

Codes u are (trace, kernel, position) or (group, member, slot); kernels that allow negative codes only are turned round
beforehand, so that a code is either positive or free.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shrinkage:
    """What happens to codes after each gradient step; every weight is multiplied by the step alpha.

    penalty      lambda of each kernel, broadcast over codes
    ridge        rho of each kernel, broadcast over codes: half of it times the squared code is added to the objective
    positive     whether codes of each kernel are positive, broadcast over codes
    decay        lambda of layer r is lambda * decay^r
    hard         hard instead of soft threshold: the proximal step of lambda * (number of nonzeros)
    group        weight of the norm over neurons recorded together; 0: none
    competition  (kernel, kernel) matrix Q, or None; a strong kernel raises the threshold of its competitors
    top          most nonzeros per kernel and trace, or None; every `top_every` layers and after the last
    """

    penalty: Tensor
    ridge: Tensor
    positive: Tensor
    decay: float = 1.0
    hard: bool = False
    group: float = 0.0
    competition: Tensor | None = None
    top: int | None = None
    top_every: int = 10


@dataclass(frozen=True)
class Coupling:
    """What couples the codes of one place; everything returned has, or broadcasts to, the shape of the codes.

    over_neurons  l2 norm over the neurons recorded together, per trial, kernel and position
    least         the smallest value among the neurons recorded together, per trial, kernel and position
    compete       Q v, with v the l2 norm over time of each kernel's codes, per trace
    keep          mask of the `count` largest |codes| per trace and kernel; `grouped`: ranked by `over_neurons`
    allowed       bool, where a code may be other than 0; None: everywhere
    """

    over_neurons: Callable[[Tensor], Tensor]
    least: Callable[[Tensor], Tensor]
    compete: Callable[[Tensor, Tensor], Tensor]
    keep: Callable[[Tensor, int, bool], Tensor]
    allowed: Tensor | None = None


def shrink(moved: Tensor, step: Tensor | float, layer: int, rules: Shrinkage, coupling: Coupling) -> Tensor:
    """Return the codes of a layer from those moved along the gradient: support, ridge, threshold, group, competition.

    moved  x + alpha H^T r, shape of the codes
    step   alpha, broadcast over codes; the same for the neurons that a group norm couples
    layer  counted from 0, for the decay of lambda
    """
    shorter = (
        1 + step * rules.ridge
    )  # the ridge's own proximal step, which the others follow with alpha / (1 + alpha rho)
    moved, step = moved / shorter, step / shorter
    if coupling.allowed is not None:
        moved = torch.where(coupling.allowed, moved, torch.zeros_like(moved))
    codes = threshold(moved, step * rules.penalty * rules.decay**layer, rules.positive, hard=rules.hard)
    if rules.group:
        codes = group(codes, step * rules.group, coupling.over_neurons(codes))
    if rules.competition is not None:
        codes = threshold(codes, step * coupling.compete(codes, rules.competition), rules.positive)
    return codes


def threshold(moved: Tensor, by: Tensor, positive: Tensor, *, hard: bool = False) -> Tensor:
    """Return the proximal step of by * |x| (soft) or of by * [x != 0] (hard), with x >= 0 where `positive`.

    soft  sign(u) max(|u| - by, 0), and max(u - by, 0) where positive
    hard  u where u^2 > 2 by, else 0
    """
    bounded = torch.where(positive, moved.clamp(min=0), moved)
    if hard:
        return torch.where(bounded**2 > 2 * by, bounded, torch.zeros_like(bounded))
    return bounded.sign() * (bounded.abs() - by).clamp(min=0)


def group(codes: Tensor, by: Tensor | float, norm: Tensor) -> Tensor:
    """Return the proximal step of by * ||x||_2 over neurons: x max(1 - by / ||x||, 0), signs kept."""
    safe = torch.where(norm > 0, norm, torch.ones_like(norm))
    return codes * (1 - by / safe).clamp(min=0)


def scheduled(top: int, layer: int, layers: int) -> int:
    """Return how many codes are kept at a layer (counted from 1): from about twice `top` falling to `top`.

    k_r = floor(k ((R - r + 1) / R + 1)), published.
    """
    return int(top * ((layers - layer + 1) / layers + 1))


def largest(size: Tensor, count: int) -> Tensor:
    """Return the mask of the `count` largest values along the last axis, those equal to 0 left out."""
    if count >= size.shape[-1]:
        return size > 0
    chosen = size.topk(count, dim=-1).indices
    return torch.zeros_like(size, dtype=torch.bool).scatter_(-1, chosen, True) & (size > 0)
