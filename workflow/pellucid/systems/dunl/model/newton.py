"""Codes of a few slots to tolerance: Newton steps on the slots that are free to move, many small problems at once.

Each problem is convex:  min_x  sum_u w_u nll(y_u, a_u + (A x)_u) + sum_e (l_e |x_e| + rho_e x_e^2 / 2),
with x_e >= 0 where `positive`. Slots at 0 whose slope does not exceed their penalty stay there; the others take a
Newton step inside their orthant, shortened until the objective falls (projected Newton, Bertsekas 1982, with the
orthants of OWL-QN, Andrew & Gao 2007).
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood

SUFFICIENT = 1e-4
"""Armijo's constant."""
HALVINGS = 30
ROUNDING = 8
"""Digits of the objective, in units of the last one, that its sums may get wrong."""
PATIENCE = 5
"""Steps that change the objective by no more than rounding, after which a problem is as exact as it will be."""
NEAR = 1e-2
"""Codes below this share of the largest can count as next to 0."""
DAMPING = 1e-10
"""Added to the diagonal, relative to its largest element, so that duplicate columns do not stop the solve."""


@dataclass(frozen=True)
class Problems:
    """Small convex problems of equal size; problems in a group share their design.

    design    (group, bin, slot) A
    signal    (group, member, bin) y
    offset    (group, member, bin) a
    weight    (group, member, bin) w, 0 for padding
    penalty   (group, 1 or member, slot) l >= 0
    ridge     (group, 1 or member, slot) rho >= 0
    positive  (group, 1 or member, slot) bool
    present   (group, member, slot) bool: other slots stay 0
    """

    likelihood: likelihood.Name
    design: Tensor
    signal: Tensor
    offset: Tensor
    weight: Tensor
    penalty: Tensor
    ridge: Tensor
    positive: Tensor
    present: Tensor

    def take(self, groups: Tensor) -> "Problems":
        """Return some of the groups, by mask (group,)."""
        return Problems(self.likelihood, **{f.name: getattr(self, f.name)[groups] for f in fields(self)[1:]})

    def drive(self, codes: Tensor) -> Tensor:
        """Return a + A x, shape (group, member, bin), of codes (group, member, slot)."""
        return self.offset + codes @ self.design.mT

    def objective(self, codes: Tensor) -> Tensor:
        """Return the objective of each problem, (group, member)."""
        fit = (self.weight * likelihood.nll(self.likelihood, self.signal, self.drive(codes))).sum(-1)
        return fit + (self.penalty * codes.abs() + self.ridge * codes**2 / 2).sum(-1)

    def slope(self, codes: Tensor) -> Tensor:
        """Return the gradient of everything but the penalty, (group, member, slot)."""
        residual = self.weight * (likelihood.mean(self.likelihood, self.drive(codes)) - self.signal)
        return residual @ self.design + self.ridge * codes

    def hessian(self, codes: Tensor) -> Tensor:
        """Return the second derivatives, (group, member, slot, slot)."""
        bends = self.weight * likelihood.curvature(self.likelihood, self.drive(codes))
        _, members, slots = codes.shape
        if members < slots:  # the cheaper of two orders of the same sums
            bent = bends[..., None] * self.design[:, None]
            found: Tensor = self.design.mT[:, None] @ bent
        else:
            products = (self.design[..., :, None] * self.design[..., None, :]).flatten(-2)
            found = (bends @ products).reshape(*codes.shape, slots)
        return found + torch.diag_embed(self.ridge.expand_as(codes))


def steepest(problems: Problems, codes: Tensor) -> Tensor:
    """Return the smallest subgradient of the objective, (group, member, slot): 0 exactly at the solution."""
    slope, penalty = problems.slope(codes), problems.penalty
    moving = slope + penalty * codes.sign()
    upwards = (slope + penalty).clamp(max=0)  # leaving 0 for positive codes
    downwards = (slope - penalty).clamp(min=0)
    resting = torch.where(problems.positive, upwards, upwards + downwards)
    found = torch.where(codes != 0, moving, resting)
    return torch.where(problems.present, found, torch.zeros_like(found))


def kkt(problems: Problems, codes: Tensor) -> Tensor:
    """Return the largest violation of the optimality conditions of each problem, (group, member)."""
    found = steepest(problems, codes).abs()
    return found.amax(-1) if found.numel() else found.sum(-1)


def solve(problems: Problems, start: Tensor | None = None, *, tolerance: float | Tensor, most: int = 100) -> Tensor:
    """Return the codes of every problem, (group, member, slot), with `kkt` at most `tolerance`.

    start      codes to begin with; none: 0
    tolerance  of the optimality conditions, in units of weighted counts per unit of code; one, or (group, member)
    most       Newton steps; problems not done by then, or at the limit of their precision, show it in `kkt`

    A problem stands still once it is done, so its codes do not depend on the problems it is solved with.
    """
    shape = problems.present.shape
    codes = torch.zeros(shape, dtype=problems.design.dtype, device=problems.design.device) if start is None else start
    codes = torch.where(problems.present, codes, torch.zeros_like(codes))
    goal = torch.as_tensor(tolerance, dtype=codes.dtype, device=codes.device).expand(shape[:2])
    left = torch.arange(shape[0], device=codes.device)  # groups that are not done
    part, moved, value = problems, codes, problems.objective(codes)
    idle = torch.zeros_like(value)  # steps without gain
    for _ in range(most if codes.numel() else 0):
        gradient = steepest(part, moved)
        going = (gradient.abs().amax(-1) > goal) & (idle < PATIENCE)
        groups = going.any(-1)
        if int(groups.sum()) <= len(left) // 2:
            codes = codes.index_copy(0, left, moved)
            if not bool(groups.any()):
                return codes
            left, part, moved, value = left[groups], part.take(groups), moved[groups], value[groups]
            gradient, going, goal, idle = gradient[groups], going[groups], goal[groups], idle[groups]
        gradient = torch.where(going[..., None], gradient, torch.zeros_like(gradient))
        orthant = torch.where(moved != 0, moved.sign(), -gradient.sign())
        direction = _direction(part, moved, gradient, orthant)
        before = value
        moved, value = _search(part, moved, value, gradient, direction, orthant)
        idle = torch.where(value < before - _rounding(before), torch.zeros_like(idle), idle + 1)
    return codes.index_copy(0, left, moved)


def _direction(problems: Problems, codes: Tensor, gradient: Tensor, orthant: Tensor) -> Tensor:
    """Return a descent direction: Newton's on the slots that are free to move, the gradient's on those next to 0.

    Slots so close to 0 that the slope drives them there would cut every Newton step short; they move on their own, by
    their slope over their curvature. Slots at 0 that the Newton step would push out of their orthant stay.
    """
    hessian = problems.hessian(codes)
    bend = hessian.diagonal(dim1=-2, dim2=-1)
    alone = -gradient / bend.clamp(min=torch.finfo(bend.dtype).tiny)
    reach = torch.minimum(alone.abs(), torch.where(alone * codes < 0, codes.abs(), alone.abs()))
    near = torch.minimum(reach.amax(-1, keepdim=True), NEAR * codes.abs().amax(-1, keepdim=True))
    leaving = (codes != 0) & (codes.abs() <= near) & (gradient * codes > 0)
    free = ((codes != 0) | (gradient != 0)) & ~leaving
    direction = -_solved(hessian, gradient, free)
    for _ in range(codes.shape[-1]):
        wrong = free & (codes == 0) & (direction * orthant <= 0)
        if not bool(wrong.any()):
            break
        free = free & ~wrong
        direction = -_solved(hessian, gradient, free)
    return torch.where(leaving, alone, direction)


def _solved(hessian: Tensor, vector: Tensor, free: Tensor) -> Tensor:
    """Solve H d = v on the free slots; d is 0 on the others."""
    both = free[..., :, None] & free[..., None, :]
    kept = torch.where(both, hessian, torch.zeros_like(hessian))
    scale = kept.diagonal(dim1=-2, dim2=-1)
    damping = DAMPING * scale.amax(-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny) * torch.ones_like(scale)
    diagonal = torch.where(free, damping, torch.ones_like(scale))
    right = torch.where(free, vector, torch.zeros_like(vector))
    if vector.shape[-1] == 1:
        return right / (kept[..., 0] + diagonal)
    found: Tensor = torch.linalg.solve_ex(kept + torch.diag_embed(diagonal), right[..., None])[0][..., 0]
    return torch.where(free, found, torch.zeros_like(found))


def _search(
    problems: Problems, codes: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, orthant: Tensor
) -> tuple[Tensor, Tensor]:
    """Shorten the step of each problem until its objective falls enough; a problem that never does keeps its codes."""
    length = torch.ones_like(value)
    best, lowest = codes, value
    undecided = torch.ones_like(value, dtype=torch.bool)
    for _ in range(HALVINGS):
        moved = codes + length[..., None] * direction
        moved = torch.where(moved * orthant < 0, torch.zeros_like(moved), moved)
        reached = problems.objective(moved)
        promised = SUFFICIENT * (gradient * (moved - codes)).sum(-1)
        good = undecided & (reached <= value + promised.clamp(max=0) + _rounding(value))
        best = torch.where(good[..., None], moved, best)
        lowest = torch.where(good, reached, lowest)
        undecided = undecided & ~good
        if not bool(undecided.any()):
            break
        length = torch.where(undecided, length / 2, length)
    return best, lowest


def _rounding(value: Tensor) -> Tensor:
    """Return how far sums of the size of the objective may be off."""
    return ROUNDING * torch.finfo(value.dtype).eps * value.abs()
