"""Codes at unknown times to tolerance: solve on the few slots in use, look everywhere, add where the slope says so.

The problem is the sparse one of `newton` with a slot at every position. Its solution is 0 almost everywhere, so a few
rounds of small solves and one convolution of the residual each replace hundreds of layers over whole trials. Slots of
the last call (kernels barely move between training steps) start the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood, newton
from pellucid.systems.dunl.model.convolution import Convolution
from pellucid.systems.dunl.model.slots import Slots, crowded, ordered, packed
from pellucid.systems.dunl.model.support import Model, Support
from pellucid.systems.dunl.model.traces import ABSENT, Traces

MOST_ROUNDS = 60
ADDED = 6
"""New slots per trace and round, the steepest local maxima first; more in trials longer than so many kernels."""
LOOSE = 0.1
"""A round is solved to this share of the largest violation it began with."""
MARGIN = 0.9
"""Slots are solved to this share of the tolerance, so that rounding elsewhere does not put them above it."""


@dataclass(frozen=True)
class Found:
    """Codes of traces on the slots in use.

    slots     kernel and position of each slot, (trace, slot)
    codes     (trace, slot)
    baseline  (trace,) what was inferred on top of the baseline given
    kkt       (trace,) largest violation of the optimality conditions over all positions
    """

    slots: Slots
    codes: np.ndarray
    baseline: np.ndarray
    kkt: np.ndarray


@dataclass(frozen=True)
class _Task:
    """What is searched: traces with their model; offset, dictionary and allowed as `search` is given them."""

    traces: Traces
    model: Model
    offset: np.ndarray
    dictionary: np.ndarray
    allowed: np.ndarray

    def take(self, chosen: np.ndarray) -> "_Task":
        """Return some of the traces, by mask (trace,)."""
        rest = (self.offset[chosen], self.dictionary[chosen], self.allowed[chosen])
        return _Task(self.traces.take(chosen), self.model, *rest)


def search(
    traces: Traces,
    kernels: Tensor,
    model: Model,
    offset: np.ndarray,
    dictionary: np.ndarray,
    allowed: np.ndarray,
    start: Found | None,
    *,
    tolerance: float,
) -> Found:
    """Return codes whose conditions of optimality hold within `tolerance` at every allowed position.

    kernels     (dictionary, kernel, lag)
    offset      (trace,) baseline given; dictionary (trace,) index of each trace's dictionary
    allowed     (trace, kernel, position) bool, where a code may be other than 0
    start       slots and codes to begin with, or None
    Traces that are not done after MOST_ROUNDS show it in `kkt`.
    """
    task, kernels = _Task(traces, model, offset, dictionary, allowed), kernels.detach()
    held = _nothing(len(traces)) if start is None else start
    finished: list[tuple[np.ndarray, Found]] = []
    active, goal = np.arange(len(traces)), np.full(len(traces), MARGIN * tolerance)
    for number in range(MOST_ROUNDS):
        found, drive = _solved(task, held, kernels, goal)
        violation = _violation(task, found.slots, drive, kernels)
        worst = np.maximum(found.kkt, violation.reshape(len(active), -1).max(1, initial=0.0))
        stuck = (violation.reshape(len(active), -1).max(1, initial=0.0) <= tolerance) & (goal <= tolerance)
        left = (worst > tolerance) & ~stuck & (number < MOST_ROUNDS - 1)
        finished.append((active[~left], _rows(found, ~left, worst)))
        if not left.any():
            break
        held = _extended(_rows(found, left, worst), violation[left], model.lags, tolerance)
        task, active, goal = task.take(left), active[left], np.maximum(LOOSE * worst[left], MARGIN * tolerance)
    return _joined(finished, len(traces))


def _solved(task: _Task, held: Found, kernels: Tensor, goal: np.ndarray) -> tuple[Found, Tensor]:
    """Solve on the slots in use; return the result without those that ended at 0, and the drive (trace, bin).

    goal  (trace,) tolerance of each trace
    """
    traces, model = task.traces, task.model
    codes = np.zeros(held.codes.shape)
    baseline, kkt = np.zeros(len(traces)), np.zeros(len(traces))
    for slots in _alike(held.slots, model):
        support = Support(
            traces, slots, model, task.offset, task.dictionary, dtype=kernels.dtype, device=kernels.device
        )
        problems = support.problems(kernels)
        begun = support.placed(held.codes, held.baseline)
        solution = newton.solve(problems, begun, tolerance=support.spread(goal))
        codes, baseline = codes + support.codes(solution), baseline + support.baseline(solution)
        kkt = np.maximum(kkt, support.worst(newton.kkt(problems, solution)))
    used = packed_with(held.slots, codes)
    return Found(*used, baseline, kkt), drive_of(traces, *used, kernels, task.offset + baseline, task.dictionary)


def _alike(slots: Slots, model: Model) -> Iterator[Slots]:
    """Yield the slots in portions whose clusters are of similar size, since problems are padded to the largest one."""
    if model.inferred:
        yield slots
        return
    portion = np.ceil(np.log2(np.maximum(crowded(slots, model.lags), 1)))
    for size in np.unique(portion[slots.present]):
        yield Slots(np.where(portion == size, slots.kernel, ABSENT), slots.position)


def packed_with(slots: Slots, codes: np.ndarray) -> tuple[Slots, np.ndarray]:
    """Return the slots whose codes are not 0, with their codes, as few columns as needed."""
    kernel = np.where(codes != 0, slots.kernel, ABSENT)
    order = np.argsort(kernel == ABSENT, axis=1, kind="stable")
    width = int((kernel != ABSENT).sum(axis=1).max(initial=0))
    kept = [np.take_along_axis(v, order, axis=1)[:, :width] for v in (kernel, slots.position, codes)]
    return Slots(kept[0], kept[1]), kept[2]


def scattered(slots: Slots, codes: np.ndarray, kernels: int, positions: int) -> np.ndarray:
    """Return codes at every position, (trace, kernel, position); those that start later are left out."""
    out = np.zeros((len(codes), kernels, positions))
    trace, slot = np.nonzero(slots.present & (slots.position < positions))
    np.add.at(out, (trace, slots.kernel[trace, slot], slots.position[trace, slot]), codes[trace, slot])
    return out


def drive_of(
    traces: Traces, slots: Slots, codes: np.ndarray, kernels: Tensor, baseline: np.ndarray, dictionary: np.ndarray
) -> Tensor:
    """Return a + H x of whole traces, (trace, bin), differentiable; kernels that reach beyond the end are cut."""
    _, count, lags = kernels.shape
    padded = traces.bins + lags - 1
    dense = torch.as_tensor(scattered(slots, codes, count, traces.bins), dtype=kernels.dtype, device=kernels.device)
    choice = torch.as_tensor(dictionary, device=kernels.device)
    drive = Convolution(kernels, padded, choice).synthesis(dense)[:, : traces.bins]
    return drive + torch.as_tensor(baseline, dtype=kernels.dtype, device=kernels.device)[:, None]


def _violation(task: _Task, used: Slots, drive: Tensor, kernels: Tensor) -> np.ndarray:
    """Return by how much the slope exceeds the penalty at allowed positions not in use, (trace, kernel, position)."""
    traces, model = task.traces, task.model
    y = likelihood.scaled(model.likelihood, traces.signal, traces.most_counts)
    signal, weight = (torch.as_tensor(v, dtype=drive.dtype, device=drive.device) for v in (y, traces.valid))
    residual = model.weight * weight * (signal - likelihood.mean(model.likelihood, drive))
    choice = torch.as_tensor(task.dictionary, device=drive.device)
    pull = Convolution(kernels, traces.bins, choice).adjoint(residual).cpu().numpy()
    sign, penalty = model.sign[:, None], model.penalty[:, None]
    violation = np.maximum(np.where(sign == 0, np.abs(pull), sign * pull) - penalty, 0) * task.allowed
    trace, slot = np.nonzero(used.present & (used.position < violation.shape[2]))
    violation[trace, used.kernel[trace, slot], used.position[trace, slot]] = 0
    return np.asarray(violation)


def _extended(found: Found, violation: np.ndarray, lags: int, tolerance: float) -> Found:
    """Return the slots in use with their codes, and the steepest local maxima of the violation with codes of 0."""
    count, _, positions = violation.shape
    padded = np.pad(violation, ((0, 0), (0, 0), (1, 1)))
    peak = (violation >= padded[..., :-2]) & (violation >= padded[..., 2:]) & (violation > tolerance)
    height = np.where(peak, violation, 0).reshape(count, -1)
    chosen = np.argsort(-height, axis=1, kind="stable")[:, : max(ADDED, positions // lags)]
    taken = np.take_along_axis(height, chosen, axis=1) > 0
    kernel = np.concatenate([found.slots.kernel, np.where(taken, chosen // positions, ABSENT)], axis=1)
    position = np.concatenate([found.slots.position, chosen % positions], axis=1)
    codes = np.concatenate([found.codes, np.zeros(chosen.shape)], axis=1)
    codes = np.take_along_axis(codes, ordered(kernel, position), axis=1)
    return Found(packed(kernel, position), codes, found.baseline, found.kkt)


def _nothing(count: int) -> Found:
    empty = np.empty((count, 0), int)
    return Found(Slots(empty, empty), np.empty((count, 0)), np.zeros(count), np.zeros(count))


def _rows(found: Found, chosen: np.ndarray, worst: np.ndarray) -> Found:
    slots = Slots(found.slots.kernel[chosen], found.slots.position[chosen])
    return Found(slots, found.codes[chosen], found.baseline[chosen], worst[chosen])


def _joined(parts: list[tuple[np.ndarray, Found]], count: int) -> Found:
    width = max(found.codes.shape[1] for _, found in parts)
    slots = Slots(np.full((count, width), ABSENT), np.zeros((count, width), int))
    codes, baseline, kkt = np.zeros((count, width)), np.zeros(count), np.zeros(count)
    for rows, found in parts:
        used = found.codes.shape[1]
        slots.kernel[rows, :used], slots.position[rows, :used] = found.slots.kernel, found.slots.position
        codes[rows, :used] = found.codes
        baseline[rows], kkt[rows] = found.baseline, found.kkt
    return Found(slots, codes, baseline, kkt)
