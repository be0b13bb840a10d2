"""Codes at unknown times, event by event: add the one the slope asks for, solve for all codes, keep it if it pays.

Each event costs as many nats as its time and size are worth (an l0 penalty, with orthogonal matching pursuit for any of
the likelihoods), so codes are not shrunk and neighbouring slots do not share one event, as they do under lambda |x|.
Greedy: no convexity, and no promise of the best set of events.
"""

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.dunl.model import likelihood, newton
from pellucid.systems.dunl.model.convolution import Convolution
from pellucid.systems.dunl.model.slots import Slots, packed
from pellucid.systems.dunl.model.support import Model, Support
from pellucid.systems.dunl.model.traces import ABSENT, Traces
from pellucid.systems.dunl.model.working_set import Found, drive_of

MOST_EVENTS = 100


def search(
    traces: Traces,
    kernels: Tensor,
    model: Model,
    offset: np.ndarray,
    dictionary: np.ndarray,
    allowed: np.ndarray,
    certain: Slots,
    *,
    cost: float,
    top: int | None,
    tolerance: float,
) -> Found:
    """Return codes of the events found, and of the slots of known events.

    kernels   (dictionary, kernel, lag)
    offset    (trace,) baseline given; dictionary (trace,) index of each trace's dictionary
    allowed   (trace, kernel, position) bool, where an event may be added
    certain   slots of known events, always there and free of cost
    cost      of an event, in units of the weighted negative log-likelihood
    top       most events per kernel and trace; none: no limit
    The violation reported is that of the solution on the events found.
    """
    active = np.arange(len(traces))
    slots, value = certain, np.full(len(traces), np.inf)
    best: dict[int, tuple[np.ndarray, ...]] = {}
    for step in range(MOST_EVENTS):
        part = traces.take(active)
        found, objective, drive = _solved(part, slots, kernels, model, offset[active], dictionary[active], tolerance)
        better = objective < value - (cost if step else 0.0)
        for row in np.flatnonzero(better):
            best[int(active[row])] = (
                found.slots.kernel[row],
                found.slots.position[row],
                found.codes[row],
                found.baseline[row],
                found.kkt[row],
            )
        kernel, position = _asked(part, found, drive, kernels, model, dictionary[active], allowed[active], top)
        going = better & (kernel != ABSENT)
        if not going.any():
            break
        value, active = objective[going], active[going]
        slots = packed(
            np.concatenate([found.slots.kernel[going], kernel[going, None]], axis=1),
            np.concatenate([found.slots.position[going], position[going, None]], axis=1),
        )
    return _gathered(best, len(traces))


def _solved(
    traces: Traces,
    slots: Slots,
    kernels: Tensor,
    model: Model,
    offset: np.ndarray,
    dictionary: np.ndarray,
    tolerance: float,
) -> tuple[Found, np.ndarray, Tensor]:
    """Return codes on some slots, the objective of whole traces (trace,), and the drive (trace, bin)."""
    count = len(traces)
    found = Found(slots, np.zeros(slots.kernel.shape), np.zeros(count), np.zeros(count))
    if slots.present.any() or model.inferred:
        support = Support(traces, slots, model, offset, dictionary, dtype=kernels.dtype, device=kernels.device)
        problems = support.problems(kernels)
        solution = newton.solve(problems, tolerance=tolerance)
        kkt = support.worst(newton.kkt(problems, solution))
        found = Found(slots, support.codes(solution), support.baseline(solution), kkt)
    drive = drive_of(traces, slots, found.codes, kernels, offset + found.baseline, dictionary)
    signal, weight = _data(traces, model, drive)
    objective = (weight * likelihood.nll(model.likelihood, signal, drive)).sum(1).cpu().numpy()
    held = np.where(slots.present, slots.kernel, 0)
    costs = model.penalty[held] * np.abs(found.codes) + model.ridge[held] * found.codes**2 / 2
    return found, objective + (costs * slots.present).sum(1), drive


def _asked(
    traces: Traces,
    found: Found,
    drive: Tensor,
    kernels: Tensor,
    model: Model,
    dictionary: np.ndarray,
    allowed: np.ndarray,
    top: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and position of the event with the largest score g^2 / 2h per trace, ABSENT where none is left."""
    signal, weight = _data(traces, model, drive)
    residual = weight * (signal - likelihood.mean(model.likelihood, drive))
    bends = weight * likelihood.curvature(model.likelihood, drive)
    choice = torch.as_tensor(dictionary, device=drive.device)
    slope = Convolution(kernels, traces.bins, choice).adjoint(residual).cpu().numpy()
    curve = Convolution(kernels**2, traces.bins, choice).adjoint(bends).cpu().numpy()
    sign = model.sign[:, None]
    pull = np.maximum(np.where(sign == 0, np.abs(slope), sign * slope) - model.penalty[:, None], 0)
    score = pull**2 / (2 * np.maximum(curve + model.ridge[:, None], 1e-12)) * allowed
    trace, slot = np.nonzero(found.slots.present & (found.slots.position < score.shape[2]))
    which = found.slots.kernel[trace, slot]
    score[trace, which, found.slots.position[trace, slot]] = 0
    if top is not None:
        used = np.zeros(score.shape[:2])
        np.add.at(used, (trace, which), 1)
        score[used >= top] = 0
    flat = score.reshape(len(score), -1)
    chosen = flat.argmax(1)
    some = np.take_along_axis(flat, chosen[:, None], 1)[:, 0] > 0
    return np.where(some, chosen // score.shape[2], ABSENT), chosen % score.shape[2]


def _data(traces: Traces, model: Model, like: Tensor) -> tuple[Tensor, Tensor]:
    y = likelihood.scaled(model.likelihood, traces.signal, traces.most_counts)
    signal, weight = (
        torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in (y, traces.valid * model.weight)
    )
    return signal, weight


def _gathered(best: dict[int, tuple[np.ndarray, ...]], count: int) -> Found:
    """Return the codes of all traces, those that are 0 left out."""
    width = max(len(row[0]) for row in best.values())
    slots = Slots(np.full((count, width), ABSENT), np.zeros((count, width), int))
    codes, baseline, kkt = np.zeros((count, width)), np.zeros(count), np.zeros(count)
    for trace, (kernel, position, code, level, violation) in best.items():
        slots.kernel[trace, : len(kernel)], slots.position[trace, : len(kernel)] = kernel, position
        codes[trace, : len(kernel)] = code
        baseline[trace], kkt[trace] = level, violation
    return Found(slots, codes, baseline, kkt)
