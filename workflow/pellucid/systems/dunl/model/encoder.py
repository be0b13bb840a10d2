"""The encoder: from traces and kernels to codes, and the loss that kernels are learnt by.

At convergence the loss is the encoder's own objective, so its gradient with respect to the kernels is the partial one
at the codes found (the codes' own response vanishes to first order): no gradient passes through the solver. The
unrolled encoder is differentiated through its layers.
"""

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood, newton, pursuit, unrolled, working_set
from pellucid.systems.dunl.model.convolution import Convolution
from pellucid.systems.dunl.model.place import Everywhere, OnSlots
from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.shrinkage import Shrinkage
from pellucid.systems.dunl.model.slots import Slots, inside, known
from pellucid.systems.dunl.model.support import Model, Support
from pellucid.systems.dunl.model.traces import Traces
from pellucid.systems.dunl.model.working_set import Found

MOST_LAYERS = 20_000
"""Of a converged encoder whose codes are coupled over neurons, which Newton steps do not cover."""

SIGNS = {"positive": 1, "negative": -1, "free": 0}


def model_of(settings: Settings, traces: Traces) -> Model:
    """Return what the encoder must know of the model."""
    kernels = list(settings.kernels.values())
    penalty = [settings.penalty if k.penalty is None else k.penalty for k in kernels]
    return Model(
        settings.likelihood,
        likelihood.weight(settings.likelihood, traces.most_counts, counted=settings.bin_weight == "counts"),
        settings.lag_bins,
        np.array(penalty),
        np.full(len(kernels), settings.ridge),
        np.array([SIGNS[k.code] for k in kernels]),
        settings.baseline == "inferred",
    )


class Encoder:
    """The inference of codes of some traces, for any kernels (dictionary, kernel, lag).

    offset      (trace,) baseline given
    dictionary  (trace,) index of the dictionary each trace uses
    recorded    (trace, time) bins that were recorded, hidden from the encoder or not; none: the valid ones
    """

    def __init__(
        self,
        traces: Traces,
        settings: Settings,
        offset: np.ndarray,
        dictionary: np.ndarray,
        device: torch.device | str,
        recorded: np.ndarray | None = None,
    ) -> None:
        self.traces, self.settings, self.offset, self.dictionary = traces, settings, offset, dictionary
        self._recorded = traces.valid if recorded is None else recorded
        self.dtype, self.device = getattr(torch, settings.precision), device
        self.model = model_of(settings, traces)
        events = [k.event for k in settings.kernels.values()]
        self._kinds = [None if e is None else traces.events.index(e) for e in events]
        self.slots = known(traces, self._kinds, settings.lag_bins, self._recorded)
        self._support = None if None in self._kinds else self._on(self.slots)
        y = likelihood.scaled(settings.likelihood, traces.signal, traces.most_counts)
        self._signal, self._weight = self._tensor(y), self._tensor(traces.valid * self.model.weight)
        self._bins = max(1, int(traces.valid.sum()))
        self._scale = 2.0 if settings.likelihood == "gaussian" else 1.0

    def encode(self, kernels: Tensor, start: Found | None = None) -> Found:
        """Return the codes, without gradients; `start` is the result for nearby kernels."""
        with torch.no_grad():
            kernels = kernels.detach()
            solver = self.settings.encoder.solver
            if solver == "pursuit" and self._support is None:
                return self._pursuit(kernels)
            if solver != "unrolled" and not self.settings.encoder.group:
                return self._newton(kernels, start)
            codes, baseline, place = self._layers(kernels, start)
            violation = unrolled.residual_of(
                place, self.model.likelihood, self._rules(), codes, baseline, infer=self.model.inferred
            )
            return self._found(codes, baseline, violation)

    def loss(self, kernels: Tensor, start: Found | None = None) -> tuple[Tensor, Found | None]:
        """Return the training loss, differentiable in the kernels, and the codes if they can start the next call.

        The loss is the mean over valid bins of the negative log-likelihood (of the squared error for Gaussian signals)
        plus the penalties on codes; smoothness is added where kernels are learnt.
        """
        if self.settings.encoder.solver == "unrolled":
            return self._unrolled_loss(kernels), None
        found = self.encode(kernels, start)
        penalty, count = self.model.penalty, len(self.model.penalty)
        held = np.where(found.slots.present, found.slots.kernel, 0)
        cost = (penalty[held] * np.abs(found.codes) + self.model.ridge[held] * found.codes**2 / 2) * found.slots.present
        total = cost.sum()
        if self.settings.encoder.group:
            total += self.settings.encoder.group * _group_norms(found, self.traces, count)
        if self.settings.encoder.solver == "pursuit" and self._support is None:
            paid = np.array([kind is None for kind in self._kinds])
            total += self._event_cost() * (paid[held] & found.slots.present).sum()
        fit = self._fit(kernels, found)
        return self._scale * (fit + float(total)) / self._bins, found

    def _event_cost(self) -> float:
        """Return the cost of an event: so many nats, less where the fit leaves the N of a bin out."""
        asked = self.settings.encoder.event_cost
        nats = 1.5 * math.log(self.traces.bins) if asked is None else asked
        counted = likelihood.weight(self.model.likelihood, self.traces.most_counts, counted=True)
        return nats * self.model.weight / counted

    def _pursuit(self, kernels: Tensor) -> Found:
        encoder = self.settings.encoder
        return pursuit.search(
            self.traces,
            kernels,
            self.model,
            self.offset,
            self.dictionary,
            self._allowed(self.traces.bins - self.model.lags + 1),
            self.slots,
            cost=self._event_cost(),
            top=encoder.top,
            tolerance=encoder.tolerance,
        )

    def _newton(self, kernels: Tensor, start: Found | None) -> Found:
        tolerance = self.settings.encoder.tolerance
        if self._support is None:
            positions = self.traces.bins - self.model.lags + 1
            allowed = self._allowed(positions)
            return working_set.search(
                self.traces, kernels, self.model, self.offset, self.dictionary, allowed, start, tolerance=tolerance
            )
        problems = self._support.problems(kernels)
        begun = None if start is None else self._support.placed(start.codes, start.baseline)
        solution = newton.solve(problems, begun, tolerance=tolerance)
        kkt = self._support.worst(newton.kkt(problems, solution))
        return Found(self.slots, self._support.codes(solution), self._support.baseline(solution), kkt)

    def _layers(self, kernels: Tensor, start: Found | None = None) -> tuple[Tensor, Tensor, Everywhere | OnSlots]:
        place, encoder = self._place(kernels), self.settings.encoder
        begun = None
        if encoder.solver == "converged":
            layers = unrolled.Layers(MOST_LAYERS, infer=self.model.inferred, tolerance=encoder.tolerance)
            begun = None if start is None else self._begun(start)
        else:
            layers = unrolled.Layers(
                encoder.layers, encoder.step, encoder.momentum, self.model.inferred, encoder.truncate
            )
        codes, baseline, _ = unrolled.run(place, self.model.likelihood, self._rules(), layers, begun)
        return codes, baseline, place

    def _begun(self, start: Found) -> tuple[Tensor, Tensor]:
        """Return codes and inferred baselines of an earlier result as the layers hold them."""
        if self._support is None:
            positions = self.traces.bins - self.model.lags + 1
            dense = working_set.scattered(start.slots, start.codes, len(self.model.sign), positions)
            return self._tensor(dense) * self._flip(), self._tensor(start.baseline)
        placed = self._support.placed(start.codes, start.baseline)
        return (
            (placed[..., :-1], placed[..., -1]) if self.model.inferred else (placed, torch.zeros_like(placed[..., 0]))
        )

    def _place(self, kernels: Tensor) -> Everywhere | OnSlots:
        if self._support is not None:
            return OnSlots(self._support, self._support.problems(kernels), self.traces)
        choice = torch.as_tensor(self.dictionary, device=self.device)
        convolution = Convolution(kernels * self._flip(), self.traces.bins, choice)
        allowed = self._allowed(convolution.positions)
        return Everywhere(
            self.model.likelihood,
            convolution,
            self._signal,
            self._weight,
            self._tensor(self.offset),
            torch.as_tensor(self.traces.trial, device=self.device),
            None if allowed.all() else torch.as_tensor(allowed, device=self.device),
        )

    def _flip(self) -> Tensor:
        """Return -1 for kernels of negative codes, whose layers work with codes turned round, (1, kernel, 1)."""
        return self._tensor(np.where(self.model.sign < 0, -1.0, 1.0))[None, :, None]

    def _rules(self) -> Shrinkage:
        encoder, device = self.settings.encoder, self.device
        kernel = np.arange(len(self.model.sign))[None, :, None]
        if self._support is not None:
            kernel = np.maximum(self._support.layout.kernel, 0)[:, None, :]
        return Shrinkage(
            penalty=self._tensor(self.model.penalty[kernel]),
            ridge=self._tensor(self.model.ridge[kernel]),
            positive=torch.as_tensor(self.model.sign[kernel] != 0, device=device),
            decay=encoder.decay,
            hard=encoder.hard,
            group=encoder.group,
            competition=None if encoder.competition is None else self._tensor(np.array(encoder.competition)),
            top=encoder.top,
            top_every=encoder.top_every,
        )

    def _unrolled_loss(self, kernels: Tensor) -> Tensor:
        codes, baseline, place = self._layers(kernels)
        fit = place.fit(place.drive(codes, baseline)).sum() + self._elsewhere
        weight = self.settings.penalty if self.settings.code_penalty is None else self.settings.code_penalty
        size = len(self.model.sign) * max(1, int(inside(self._recorded, self.model.lags).sum()))
        return self._scale * fit / self._bins + weight * codes.abs().sum() / size

    def _fit(self, kernels: Tensor, found: Found) -> Tensor:
        """Return the summed negative log-likelihood of all bins, differentiable in the kernels, codes being fixed."""
        if self._support is not None:
            problems = self._support.problems(kernels)
            drive = problems.drive(self._support.placed(found.codes, found.baseline))
            loss = problems.weight * likelihood.nll(self.model.likelihood, problems.signal, drive)
            return loss.sum() + self._elsewhere
        drive = working_set.drive_of(
            self.traces, found.slots, found.codes, kernels, self.offset + found.baseline, self.dictionary
        )
        return (self._weight * likelihood.nll(self.model.likelihood, self._signal, drive)).sum()

    @cached_property
    def _elsewhere(self) -> float:
        """What the slots leave out of the likelihood, the same for all kernels: bins they do not cover."""
        if self._support is None:
            return 0.0
        with torch.no_grad():
            drive = self._tensor(self.offset)[:, None]
            total = (self._weight * likelihood.nll(self.model.likelihood, self._signal, drive)).sum()
            kernels = self._signal.new_zeros((int(self.dictionary.max()) + 1, len(self.model.sign), self.model.lags))
            problems = self._support.problems(kernels)
            loss = problems.weight * likelihood.nll(self.model.likelihood, problems.signal, problems.offset)
            return float(total - loss.sum())

    def _allowed(self, positions: int) -> np.ndarray:
        """Return where a code may be other than 0, (trace, kernel, position): inside the trial, and at known events."""
        out = np.zeros((len(self.traces), len(self._kinds), positions), bool)
        for index, kind in enumerate(self._kinds):
            out[:, index] = kind is None
        trace, slot = np.nonzero(self.slots.present & (self.slots.position < positions))
        out[trace, self.slots.kernel[trace, slot], self.slots.position[trace, slot]] = True
        return np.asarray(out & inside(self._recorded, self.model.lags)[:, None])

    def _found(self, codes: Tensor, baseline: Tensor, violation: Tensor) -> Found:
        """Return dense codes, or codes on slots, as slots; the violation is (trace,), or one per problem."""
        if self._support is not None:
            joined = torch.cat([codes, baseline[..., None]], -1) if self.model.inferred else codes
            values, level = self._support.codes(joined), self._support.baseline(joined)
            return Found(self.slots, values, level, self._support.worst(violation))
        dense = (codes * self._flip()).cpu().numpy()
        count, _, positions = dense.shape
        flat = dense.reshape(count, -1).astype(float)
        kernel, position = (np.broadcast_to(v, flat.shape) for v in np.divmod(np.arange(flat.shape[1]), positions))
        slots, values = working_set.packed_with(Slots(kernel, position), flat)
        level, worst = (v.cpu().numpy().astype(float) for v in (baseline, violation))
        return Found(slots, values, level, worst)

    def _on(self, slots: Slots) -> Support:
        return Support(
            self.traces, slots, self.model, self.offset, self.dictionary, dtype=self.dtype, device=self.device
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=self.dtype, device=self.device)


def _group_norms(found: Found, traces: Traces, kernels: int) -> float:
    """Return the sum over trials, kernels and positions of the norm of the codes over neurons."""
    dense = working_set.scattered(found.slots, found.codes, kernels, traces.bins)
    rows = np.unique(traces.trial, return_inverse=True)[1]
    squares = np.zeros((rows.max() + 1, *dense.shape[1:]))
    np.add.at(squares, rows, dense**2)
    return float(np.sqrt(squares).sum())


def drive(encoder: Encoder, kernels: Tensor, found: Found) -> np.ndarray:
    """Return the drive of every bin of the encoder's traces, (trace, bin), valid or not."""
    with torch.no_grad():
        offset = encoder.offset + found.baseline
        whole = working_set.drive_of(encoder.traces, found.slots, found.codes, kernels, offset, encoder.dictionary)
        return np.asarray(whole.cpu().numpy())
