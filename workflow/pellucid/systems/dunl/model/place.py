"""The two places the encoder's layers run on: all positions of whole trials, or the slots of known events."""

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood
from pellucid.systems.dunl.model.convolution import Convolution
from pellucid.systems.dunl.model.newton import Problems
from pellucid.systems.dunl.model.shrinkage import Coupling, largest
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.support import Support
from pellucid.systems.dunl.model.traces import ABSENT, Traces


class Everywhere:
    """Codes (trace, kernel, position) at every position of whole trials.

    signal, weight  (trace, bin) y and its weight, 0 where not valid
    offset          (trace,) baseline given
    trial           (trace,) number of the trial, for norms over neurons
    allowed         (trace, kernel, position) bool, or None
    """

    def __init__(
        self,
        name: likelihood.Name,
        convolution: Convolution,
        signal: Tensor,
        weight: Tensor,
        offset: Tensor,
        trial: Tensor,
        allowed: Tensor | None = None,
    ) -> None:
        self._name, self._convolution = name, convolution
        self._signal, self._weight, self._offset = signal, weight, offset
        self._rows = torch.unique(trial, return_inverse=True)[1]
        self.mass = weight.sum(1)
        self.coupling = Coupling(self._over_neurons, self._least, self._compete, self._keep, allowed)

    def zeros(self) -> tuple[Tensor, Tensor]:
        """Return codes (trace, kernel, position) and inferred baselines (trace,) of 0."""
        count = self._convolution.kernels.shape[1]
        codes = self._signal.new_zeros((len(self._signal), count, self._convolution.positions))
        return codes, torch.zeros_like(self._offset)

    def drive(self, codes: Tensor, baseline: Tensor) -> Tensor:
        """Return a + H x, (trace, bin)."""
        return self._convolution.synthesis(codes) + (self._offset + baseline)[:, None]

    def residual(self, drive: Tensor) -> Tensor:
        """Return w (y - mean), (trace, bin)."""
        return self._weight * (self._signal - likelihood.mean(self._name, drive))

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return H^T r, (trace, kernel, position)."""
        return self._convolution.adjoint(residual)

    def pull(self, residual: Tensor) -> Tensor:
        """Return the summed residual of each trace, (trace,): the slope of its baseline."""
        return residual.sum(1)

    def fit(self, drive: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of each trace, (trace,)."""
        return (self._weight * likelihood.nll(self._name, self._signal, drive)).sum(1)

    def bound(self) -> Tensor:
        """Return an upper bound of the largest eigenvalue of H^T W H of each trace, (trace, 1, 1)."""
        return (self._convolution.bound() * self._weight.amax(1))[:, None, None]

    def _over_neurons(self, codes: Tensor) -> Tensor:
        squares = codes.new_zeros((int(self._rows.max()) + 1, *codes.shape[1:])).index_add(0, self._rows, codes**2)
        return _root(squares)[self._rows]

    def _least(self, steps: Tensor) -> Tensor:
        return _smallest(steps[:, 0, 0], self._rows)[:, None, None]

    def _compete(self, codes: Tensor, competition: Tensor) -> Tensor:
        return (_root((codes**2).sum(-1)) @ competition.mT)[..., None]

    def _keep(self, codes: Tensor, count: int, grouped: bool) -> Tensor:
        return largest(self._over_neurons(codes) if grouped else codes.abs(), count)


class OnSlots:
    """Codes (group, member, slot) on the slots of known events; an inferred baseline is kept apart.

    problems  of `support` for the kernels in question
    """

    def __init__(self, support: Support, problems: Problems, traces: Traces) -> None:
        inferred = support.model.inferred
        self._problems = problems
        self._design = problems.design[..., :-1] if inferred else problems.design
        self._covered = problems.weight[..., :-1] if inferred else problems.weight  # without the bin of all the rest
        self.mass = problems.weight.sum(-1)
        found, slots = support.layout, support.slots
        device = problems.design.device
        self._kernels = len(support.model.sign)
        self._shape = found.slot.shape
        ids = _Ids(found.trace, found.slot, slots, traces.trial)
        self._together = torch.as_tensor(ids.together, device=device)
        self._line = torch.as_tensor(ids.line(self._kernels), device=device)
        self._slots = slots.kernel.shape[1]
        self._column = torch.as_tensor(np.where(found.slot == ABSENT, 0, found.slot), device=device)
        self._lines = len(traces) * self._kernels
        self._present = problems.present[..., :-1] if inferred else problems.present
        self.coupling = Coupling(self._over_neurons, self._least, self._compete, self._keep, self._present)

    def zeros(self) -> tuple[Tensor, Tensor]:
        """Return codes (group, member, slot) and inferred baselines (group, member) of 0."""
        return self._design.new_zeros(self._shape), self._design.new_zeros(self._shape[:2])

    def drive(self, codes: Tensor, baseline: Tensor) -> Tensor:
        """Return a + H x, (group, member, bin)."""
        return self._problems.offset + baseline[..., None] + codes @ self._design.mT

    def residual(self, drive: Tensor) -> Tensor:
        """Return w (y - mean), (group, member, bin)."""
        return self._problems.weight * (self._problems.signal - likelihood.mean(self._problems.likelihood, drive))

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return H^T r, (group, member, slot)."""
        return residual @ self._design

    def pull(self, residual: Tensor) -> Tensor:
        """Return the summed residual of each problem, (group, member): the slope of its baseline."""
        return residual.sum(-1)

    def fit(self, drive: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of each problem, (group, member)."""
        problems = self._problems
        return (problems.weight * likelihood.nll(problems.likelihood, problems.signal, drive)).sum(-1)

    def bound(self) -> Tensor:
        """Return an upper bound of the largest eigenvalue of H^T W H of each problem, (group, member, 1)."""
        if not self._design.shape[-1]:
            return self._design.new_zeros((*self._shape[:2], 1))
        design = self._design.detach()
        eigenvalues: Tensor = torch.linalg.eigvalsh(design.mT @ design)
        return eigenvalues[:, -1:, None] * self._covered.amax(-1, keepdim=True)

    def _over_neurons(self, codes: Tensor) -> Tensor:
        squares = codes.new_zeros(codes.numel()).index_add(0, self._together.flatten(), codes.flatten() ** 2)
        return _root(squares)[self._together]

    def _least(self, steps: Tensor) -> Tensor:
        return _smallest(steps.expand(self._shape).flatten(), self._together.flatten()).reshape(self._shape)

    def _compete(self, codes: Tensor, competition: Tensor) -> Tensor:
        squares = codes.new_zeros(self._lines).index_add(0, self._line.flatten(), codes.flatten() ** 2)
        raised: Tensor = _root(squares).reshape(-1, self._kernels) @ competition.mT
        return raised.flatten()[self._line]

    def _keep(self, codes: Tensor, count: int, grouped: bool) -> Tensor:
        size = self._over_neurons(codes) if grouped else codes.abs()
        size = torch.where(self._present, size, torch.zeros_like(size))
        table = size.new_zeros((self._lines, self._slots))
        place = self._line.flatten() * self._slots + self._column.flatten()
        table = table.flatten().index_add(0, place, size.flatten()).reshape(self._lines, self._slots)
        return largest(table, count).flatten()[place].reshape(codes.shape)


class _Ids:
    """Numbers that say which codes share a norm."""

    def __init__(self, trace: np.ndarray, slot: np.ndarray, slots: Slots, trial: np.ndarray) -> None:
        rows = np.where(trace == ABSENT, 0, trace)[:, :, None]
        columns = np.where(slot == ABSENT, 0, slot)
        absent = slot == ABSENT
        self._kernel = np.where(absent, 0, slots.kernel[rows, columns]) if slots.kernel.shape[1] else columns
        self._trace = np.broadcast_to(rows, slot.shape)
        position = slots.position[rows, columns] if slots.kernel.shape[1] else columns
        key = np.stack([np.where(absent, ABSENT, v) for v in (trial[self._trace], self._kernel, position)], axis=-1)
        self.together = np.unique(key.reshape(-1, 3), axis=0, return_inverse=True)[1].reshape(slot.shape)

    def line(self, kernels: int) -> np.ndarray:
        return np.asarray(self._trace * kernels + self._kernel)


def _root(squares: Tensor) -> Tensor:
    """Return the square root, with slope 0 where it is 0."""
    positive = squares > 0
    safe = torch.where(positive, squares, torch.ones_like(squares))
    return torch.where(positive, safe.sqrt(), torch.zeros_like(squares))


def _smallest(values: Tensor, group: Tensor) -> Tensor:
    """Return for each of the values, (value,), the smallest one of its group, both (value,)."""
    least = values.new_full((len(values),), torch.inf).scatter_reduce(0, group, values, "amin")
    return least[group]
