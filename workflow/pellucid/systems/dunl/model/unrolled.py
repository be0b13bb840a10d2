"""The encoder as a network: R layers of (F)ISTA with tied weights, or as many as it takes.

Sheet §4. From x = 0, each layer moves along the gradient and shrinks:

    r = w (y - link^-1(a + H x));   u = x + alpha H^T r;   x <- prox(u)
    FISTA does the same at x + ((t - 1) / t+) (x+ - x),  t+ = (1 + sqrt(1 + 4 t^2)) / 2.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood
from pellucid.systems.dunl.model.shrinkage import Coupling, Shrinkage, scheduled, shrink

MOST_BACKTRACKS = 40


class Place(Protocol):
    """Where codes live: all positions of whole trials, or a few slots. A row is one trace, or one of its problems.

    mass  summed weight of the bins of each row, of the shape of the baselines
    """

    coupling: Coupling
    mass: Tensor

    def zeros(self) -> tuple[Tensor, Tensor]:
        """Return codes and inferred baselines of 0."""

    def drive(self, codes: Tensor, baseline: Tensor) -> Tensor:
        """Return a + H x of every bin."""

    def residual(self, drive: Tensor) -> Tensor:
        """Return w (y - mean) of every bin."""

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return H^T r, of the shape of the codes."""

    def pull(self, residual: Tensor) -> Tensor:
        """Return the summed residual of each row, of the shape of the baselines."""

    def fit(self, drive: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of each row, of the shape of the baselines."""

    def bound(self) -> Tensor:
        """Return an upper bound of the largest eigenvalue of H^T W H of each row, broadcast over codes."""


@dataclass(frozen=True)
class Layers:
    """How the layers run.

    count      R; with a tolerance, the most there may be
    step       alpha, or None: 1 / Lipschitz bound of each row, and for Poisson, which has none, backtracking
    momentum   FISTA rather than ISTA
    infer      update a baseline in every layer: by the mean residual (published), or with step None by 1 / 2c of it,
               c the largest curvature, which makes codes and baseline together a safe proximal gradient step
    truncate   only the last so many layers carry gradients; None: all
    tolerance  stop when the largest fixed-point residual of codes and baselines falls below; None: run all layers
    """

    count: int
    step: float | None = None
    momentum: bool = True
    infer: bool = False
    truncate: int | None = None
    tolerance: float | None = None


def run(
    place: Place, name: likelihood.Name, rules: Shrinkage, layers: Layers, start: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, int]:
    """Return codes, inferred baselines and the number of layers run, differentiable through the layers that carry it.

    start  codes and baselines to begin with; none: 0
    """
    codes, baseline = place.zeros() if start is None else start
    layer = _Layer(place, name, rules, layers)
    ahead, ahead_baseline, t = codes, baseline, 1.0
    silent = 0 if layers.truncate is None else max(0, layers.count - layers.truncate)
    for number in range(layers.count):
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= silent):
            found, found_baseline = layer(ahead, ahead_baseline, number)
            following = (1 + math.sqrt(1 + 4 * t * t)) / 2 if layers.momentum else 1.0
            carried = (t - 1) / following if layers.momentum else 0.0
            if layers.tolerance is not None and float(((ahead - found) * (found - codes)).sum()) > 0:
                following, carried = 1.0, 0.0  # restart (O'Donoghue & Candes 2015)
            moved = found - ahead
            ahead = found + carried * (found - codes)
            ahead_baseline = found_baseline + carried * (found_baseline - baseline)
            codes, baseline, t = found, found_baseline, following
        if layers.tolerance is not None and layer.settled(moved, codes, baseline, layers.tolerance):
            return codes, baseline, number + 1
    return codes, baseline, layers.count


def residual_of(
    place: Place, name: likelihood.Name, rules: Shrinkage, codes: Tensor, baseline: Tensor, *, infer: bool
) -> Tensor:
    """Return the largest fixed-point residual of each row: 0 exactly where codes and baseline are optimal.

    It is |x - prox(x - alpha grad)| / alpha of a code with a safe alpha, and the slope of an inferred baseline.
    """
    return _Layer(place, name, rules, Layers(1, infer=infer)).violation(codes, baseline)


class _Layer:
    """One layer, the same for all numbers but for decay and selection; backtracking keeps the step it has reached."""

    def __init__(self, place: Place, name: likelihood.Name, rules: Shrinkage, layers: Layers) -> None:
        self._place, self._name, self._rules, self._layers = place, name, rules, layers
        self._safe, self._rate = _safe(place, name, infer=layers.infer)
        self._step = self._safe if layers.step is None else torch.full_like(self._safe, layers.step)

    def __call__(self, codes: Tensor, baseline: Tensor, number: int) -> tuple[Tensor, Tensor]:
        place, rules, count = self._place, self._rules, self._layers.count
        drive = place.drive(codes, baseline)
        residual = place.residual(drive)
        slope = place.adjoint(residual)
        pull = place.pull(residual) / place.mass.clamp(min=1e-12)
        if self._name == "poisson" and self._layers.step is None:
            self._backtrack(codes, baseline, drive, slope, pull, number)
        found, found_baseline = self._moved(codes, baseline, slope, pull, number)
        if rules.top is not None and ((number + 1) % rules.top_every == 0 or number + 1 == count):
            kept = scheduled(rules.top, number + 1, count)
            found = found * place.coupling.keep(found, kept, bool(rules.group))
        return found, found_baseline

    def settled(self, moved: Tensor, codes: Tensor, baseline: Tensor, tolerance: float) -> bool:
        """Return whether codes are within tolerance; the full check is made once what they moved last is short."""
        if moved.numel() and float((moved.abs() / self._common(self._step)).amax()) > 2 * tolerance:
            return False
        violation = self.violation(codes, baseline)
        return not violation.numel() or float(violation.amax()) <= tolerance

    def violation(self, codes: Tensor, baseline: Tensor) -> Tensor:
        """Return the largest fixed-point residual of each row, of the shape of the baselines."""
        place, step = self._place, self._common(self._safe)
        residual = place.residual(place.drive(codes, baseline))
        moved = shrink(codes + step * place.adjoint(residual), step, 0, self._rules, place.coupling)
        found = ((moved - codes).abs() / step).flatten(baseline.dim())
        worst = found.amax(-1) if found.shape[-1] else torch.zeros_like(baseline)
        return torch.maximum(worst, place.pull(residual).abs()) if self._layers.infer else worst

    def _moved(
        self, codes: Tensor, baseline: Tensor, slope: Tensor, pull: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """Return codes and baseline after a gradient and a proximal step with the step as it is."""
        step = self._common(self._step)
        found = shrink(codes + step * slope, step, number, self._rules, self._place.coupling)
        return found, baseline + self._level() * pull if self._layers.infer else baseline

    def _level(self) -> Tensor | float:
        """Return what the mean residual is multiplied by when it moves the baseline."""
        if self._layers.step is not None:
            return 1.0
        return self._rate * (self._step / self._safe).reshape(self._rate.shape)

    def _common(self, step: Tensor) -> Tensor:
        """Return steps that are the same for the neurons whose codes share a norm, as its proximal step asks for."""
        return self._place.coupling.least(step) if self._rules.group else step

    @torch.no_grad()
    def _backtrack(
        self, codes: Tensor, baseline: Tensor, drive: Tensor, slope: Tensor, pull: Tensor, number: int
    ) -> None:
        """Halve the step of each row until the quadratic bound of proximal gradient descent holds."""
        value = self._place.fit(drive)
        slack = max(1e-9, 8 * torch.finfo(value.dtype).eps) * value.abs() + 1e-12
        for _ in range(MOST_BACKTRACKS):
            found, found_baseline = self._moved(codes, baseline, slope, pull, number)
            change, level = found - codes, found_baseline - baseline
            size = (change**2 / (2 * self._common(self._step))).flatten(baseline.dim()).sum(-1)
            gained = (slope * change).flatten(baseline.dim()).sum(-1) - size
            if self._layers.infer:
                gained = gained + self._place.mass * level * (pull - level / (2 * self._level()))
            reached = self._place.fit(self._place.drive(found, found_baseline))
            wrong = ~(reached <= value - gained + slack)
            if not bool(wrong.any()):
                return
            self._step = torch.where(wrong.reshape(self._step.shape), self._step / 2, self._step)


def _safe(place: Place, name: likelihood.Name, *, infer: bool) -> tuple[Tensor, Tensor]:
    """Return alpha of each row below 1 / Lipschitz bound, and the share of the mean residual that moves a baseline."""
    with torch.no_grad():
        bends = likelihood.CURVATURE.get(name, 1.0) * (2.0 if infer else 1.0)  # codes and baseline move together
        step = 1 / (bends * place.bound()).clamp(min=1e-12)
        return step, torch.full_like(place.mass, 1 / bends)
