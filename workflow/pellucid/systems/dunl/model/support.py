"""The encoder's problem on its slots alone: every trace's possible codes, and the bins that they can change.

The baseline, where it is to be inferred, is one more slot whose kernel is 1 in every bin; the bins that no kernel
covers are summed into a single bin of the same likelihood, which is exact because their drive is the baseline alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood
from pellucid.systems.dunl.model.newton import Problems
from pellucid.systems.dunl.model.slots import Layout, Slots, layout
from pellucid.systems.dunl.model.traces import ABSENT, Traces


@dataclass(frozen=True)
class Model:
    """What the encoder must know of the model besides its kernels.

    weight    of a valid bin in the likelihood
    lags      length of a kernel, bins
    penalty   (kernel,) lambda of each kernel, >= 0
    ridge     (kernel,) inverse prior variance of each kernel's codes, >= 0
    sign      (kernel,) 1: codes are positive, -1: negative, 0: free
    inferred  the baseline is inferred with the codes, on top of the one given
    """

    likelihood: likelihood.Name
    weight: float
    lags: int
    penalty: np.ndarray
    ridge: np.ndarray
    sign: np.ndarray
    inferred: bool


class Support:
    """The problems of some traces on known slots, ready for any kernels of the same number and length.

    offset      (trace,) baseline given
    dictionary  (trace,) index of the dictionary each trace uses
    """

    def __init__(
        self,
        traces: Traces,
        slots: Slots,
        model: Model,
        offset: np.ndarray,
        dictionary: np.ndarray,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model, self.slots, self.traces = model, slots, len(traces)
        self.layout = layout(slots, traces.bins, model.lags, dictionary, whole=model.inferred)
        index, flip = self._design(dictionary)
        data = self._data(traces, offset)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=device)

        masks = {"positive": self._rule(model.sign != 0), "present": self._present()}
        rules = {"penalty": self._rule(model.penalty), "ridge": self._rule(model.ridge)}
        self._fixed = {name: tensor(values) for name, values in {**data, **rules}.items()}
        self._fixed |= {name: torch.as_tensor(values, device=device) for name, values in masks.items()}
        self._index, self._flip = torch.as_tensor(index, device=device), tensor(flip)

    def problems(self, kernels: Tensor) -> Problems:
        """Return the problems for kernels (dictionary, kernel, lag), differentiable in them."""
        flat = torch.cat([kernels.reshape(-1), kernels.new_tensor([0.0, 1.0])])
        design = flat[self._index] * self._flip[:, None, :]
        return Problems(self.model.likelihood, design, **self._fixed)

    def placed(self, codes: np.ndarray, baseline: np.ndarray | None = None) -> Tensor:
        """Return codes (trace, slot) and inferred baselines (trace,) as the problems hold them, (group, member, slot).

        baseline  what is inferred on top of the one given; none: 0
        """
        found = np.zeros(self.layout.slot.shape)
        group, member, slot = np.nonzero(self.layout.slot != ABSENT)
        found[group, member, slot] = codes[self.layout.trace[group, member], self.layout.slot[group, member, slot]]
        if self.model.inferred:
            level = np.zeros(self.traces) if baseline is None else baseline
            held = np.where(self.layout.trace == ABSENT, 0, level[self.layout.trace])
            found = np.concatenate([found, held[:, :, None]], axis=2)
        return torch.as_tensor(found, dtype=self._flip.dtype, device=self._flip.device) * self._flip[:, None, :]

    def codes(self, found: Tensor) -> np.ndarray:
        """Return codes as (trace, slot) from those of the problems, 0 where a trace has no slot."""
        values = (found.detach() * self._flip[:, None, :]).cpu().numpy()
        out = np.zeros(self.slots.kernel.shape)
        group, member, slot = np.nonzero(self.layout.slot != ABSENT)
        out[self.layout.trace[group, member], self.layout.slot[group, member, slot]] = values[group, member, slot]
        return out

    def baseline(self, found: Tensor) -> np.ndarray:
        """Return what was inferred on top of the baseline given, (trace,); 0 if none is."""
        out = np.zeros(self.traces)
        if self.model.inferred:
            kept = self.layout.trace != ABSENT
            out[self.layout.trace[kept]] = found.detach().cpu().numpy()[..., -1][kept]
        return out

    def spread(self, values: np.ndarray) -> Tensor:
        """Return values of traces, (trace,), by problem, (group, member); infinity for padding."""
        found = np.where(self.layout.trace == ABSENT, np.inf, values[self.layout.trace])
        return torch.as_tensor(found, dtype=self._flip.dtype, device=self._flip.device)

    def worst(self, violation: Tensor) -> np.ndarray:
        """Return the largest violation over the problems of each trace, (trace,), from one per problem."""
        out = np.zeros(self.traces)
        kept = self.layout.trace != ABSENT
        np.maximum.at(out, self.layout.trace[kept], violation.detach().cpu().numpy()[kept])
        return out

    def _design(self, dictionary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where in (flattened kernels, 0, 1) each element of the design is, and the sign of each slot."""
        found, count, lags = self.layout, len(self.model.sign), self.model.lags
        first = found.trace[:, 0] if found.trace.size else np.empty(0, int)
        kernel = np.where(found.kernel == ABSENT, 0, found.kernel)
        start = (dictionary[first][:, None] * count + kernel) * lags
        index = np.where(found.lag == ABSENT, -2, start[:, None, :] + found.lag)
        flip = np.where(self.model.sign[kernel] < 0, -1.0, 1.0)
        if not self.model.inferred:
            return index, flip
        index = np.pad(index, ((0, 0), (0, 1), (0, 1)), constant_values=-2)
        index[:, :, -1] = -1  # the baseline's slot is 1 in every bin
        return index, np.pad(flip, ((0, 0), (0, 1)), constant_values=1.0)

    def _data(self, traces: Traces, offset: np.ndarray) -> dict[str, np.ndarray]:
        """Return y, given baseline and weight of the bins of every problem, (group, member, bin) each."""
        found = self.layout
        y = likelihood.scaled(self.model.likelihood, traces.signal, traces.most_counts)
        weights = traces.valid * self.model.weight
        signal, weight = _bins(found, y, weights)
        if self.model.inferred:
            signal, weight = _with_rest(found, signal, weight, y, weights)
        given = np.where(found.trace == ABSENT, 0, offset[found.trace])[:, :, None]
        return {"signal": signal, "offset": given + np.zeros(signal.shape), "weight": weight}

    def _rule(self, values: np.ndarray) -> np.ndarray:
        """Return what holds for each kernel, (kernel,), by slot, (group, 1, slot); 0 for the baseline."""
        rule = values[np.where(self.layout.kernel == ABSENT, 0, self.layout.kernel)]
        return np.asarray(np.pad(rule, ((0, 0), (0, int(self.model.inferred))))[:, None, :])

    def _present(self) -> np.ndarray:
        present = np.asarray(self.layout.slot != ABSENT)
        if not self.model.inferred:
            return present
        return np.concatenate([present, (self.layout.trace != ABSENT)[:, :, None]], axis=2)


def _bins(found: Layout, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y and weight of the bins of every problem, (group, member, bin)."""
    rows = np.where(found.trace == ABSENT, 0, found.trace)[:, :, None]
    columns = np.where(found.time == ABSENT, 0, found.time)
    kept = (found.time != ABSENT) & (found.trace != ABSENT)[:, :, None]
    return np.where(kept, y[rows, columns], 0), np.where(kept, weights[rows, columns], 0)


def _with_rest(
    found: Layout, signal: np.ndarray, weight: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Append one bin that stands for all bins no kernel covers: their summed weight and weighted mean."""
    rows = np.where(found.trace == ABSENT, 0, found.trace)
    kept = found.trace != ABSENT
    total = np.where(kept, weights.sum(1)[rows], 0)
    summed = np.where(kept, (weights * y).sum(1)[rows], 0)
    rest = np.maximum(total - weight.sum(-1), 0)
    level = np.divide(summed - (weight * signal).sum(-1), rest, out=np.zeros_like(rest), where=rest > 1e-9)
    rest = np.where(rest > 1e-9, rest, 0)
    return np.concatenate([signal, level[..., None]], -1), np.concatenate([weight, rest[..., None]], -1)
