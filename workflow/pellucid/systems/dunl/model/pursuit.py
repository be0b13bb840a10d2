"""Codes at unknown times, event by event: add the one that gains most, solve for all codes, keep it if it pays.

Each event costs as many nats as its time and size are worth (an l0 penalty, with orthogonal matching pursuit for any of
the likelihoods), so codes are not shrunk and neighbouring slots do not share one event, as they do under lambda |x|.
Greedy: no convexity, and no promise of the best set of events.
"""

from dataclasses import replace

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
SHORTLIST = 16
"""Places of a trace, of largest quadratic gain, whose gains are compared in full."""
STEPS = 20
"""Newton steps of the code of one more event, each no longer than LONGEST."""
LONGEST = 2.0
"""On the scale of the drive."""


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
    certain   slots of kernels whose events are known, always there and free of cost
    cost      of an event, in units of the weighted negative log-likelihood
    top       most events per kernel and trace; none: no limit
    The violation reported is that of the solution on the events found.
    """
    active = np.arange(len(traces))
    slots, value = certain, np.full(len(traces), np.inf)
    sure = np.unique(certain.kernel[certain.present])
    best: dict[int, tuple[np.ndarray, ...]] = {}
    for _ in range(MOST_EVENTS):
        part = traces.take(active)
        found, objective, drive = _solved(part, slots, kernels, model, offset[active], dictionary[active], tolerance)
        found, paid = _in_use(found, sure)
        total = objective + cost * paid
        better = total < value
        for row in np.flatnonzero(better):
            used = found.slots.present[row]
            best[int(active[row])] = (
                found.slots.kernel[row, used],
                found.slots.position[row, used],
                found.codes[row, used],
                found.baseline[row],
                found.kkt[row],
            )
        kernel, position = _asked(part, found, drive, kernels, model, dictionary[active], allowed[active], top)
        going = better & (kernel != ABSENT)
        if not going.any():
            break
        value, active = total[going], active[going]
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
    """Return kernel and position of the event that gains most beside those found, ABSENT where none gains."""
    data = _data(traces, model, drive)
    choice = torch.as_tensor(dictionary, device=drive.device)
    score = _scores(*data, drive, kernels, model, choice) * allowed
    trace, slot = np.nonzero(found.slots.present & (found.slots.position < score.shape[2]))
    which = found.slots.kernel[trace, slot]
    score[trace, which, found.slots.position[trace, slot]] = 0
    if top is not None:
        used = np.zeros(score.shape[:2])
        np.add.at(used, (trace, which), 1)
        score[used >= top] = 0
    flat = score.reshape(len(score), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :SHORTLIST]
    kernel, position = np.divmod(best, score.shape[2])
    gain = np.take_along_axis(flat, best, axis=1)
    if model.likelihood != "gaussian":
        gain = np.where(gain > 0, _gains(*data, drive, kernels[choice], model, kernel, position), 0)
    rows, chosen = np.arange(len(gain)), gain.argmax(axis=1)
    return np.where(gain[rows, chosen] > 0, kernel[rows, chosen], ABSENT), position[rows, chosen]


def _scores(signal: Tensor, weight: Tensor, drive: Tensor, kernels: Tensor, model: Model, choice: Tensor) -> np.ndarray:
    """Return what an event would gain if the likelihood were quadratic, g^2 / 2h, (trace, kernel, position)."""
    residual = weight * (signal - likelihood.mean(model.likelihood, drive))
    bends = weight * likelihood.curvature(model.likelihood, drive)
    slope = Convolution(kernels, drive.shape[1], choice).adjoint(residual).cpu().numpy()
    curve = Convolution(kernels**2, drive.shape[1], choice).adjoint(bends).cpu().numpy()
    sign = model.sign[:, None]
    pull = np.maximum(np.where(sign == 0, np.abs(slope), sign * slope) - model.penalty[:, None], 0)
    return np.asarray(pull**2 / (2 * np.maximum(curve + model.ridge[:, None], 1e-12)))


def _gains(
    signal: Tensor,
    weight: Tensor,
    drive: Tensor,
    kernels: Tensor,
    model: Model,
    kernel: np.ndarray,
    position: np.ndarray,
) -> np.ndarray:
    """Return what one more event gains with its best code, all other codes as they are, (trace, candidate).

    signal, weight, drive  (trace, bin); kernels (trace, kernel, lag); kernel, position (trace, candidate)
    A free code takes the sign of the slope at 0. The quadratic gain would do for Gaussian signals only: where rates
    multiply, it favours one bin of many counts over the place whose kernel has the shape of the response.
    """
    rows = np.arange(len(kernel))[:, None]
    bins = position[:, :, None] + np.arange(model.lags)
    y, w, z = (values[rows[:, :, None], bins] for values in (signal, weight, drive))
    shape = kernels[rows, kernel]
    penalty, ridge = (torch.as_tensor(v[kernel], dtype=z.dtype, device=z.device) for v in (model.penalty, model.ridge))
    slope = (w * (y - likelihood.mean(model.likelihood, z)) * shape).sum(-1)
    given = torch.as_tensor(model.sign[kernel], dtype=z.dtype, device=z.device)
    shape = shape * torch.where(given == 0, torch.where(slope < 0, -1.0, 1.0), given)[..., None]
    longest = LONGEST / shape.abs().amax(-1).clamp(min=1e-12)
    code = torch.zeros_like(penalty)
    for _ in range(STEPS):
        moved = z + code[..., None] * shape
        fall = (w * (y - likelihood.mean(model.likelihood, moved)) * shape).sum(-1) - ridge * code - penalty
        bend = (w * likelihood.curvature(model.likelihood, moved) * shape**2).sum(-1) + ridge
        code = (code + (fall / bend.clamp(min=1e-12)).clamp(-longest, longest)).clamp(min=0)
    moved = z + code[..., None] * shape
    before, after = ((w * likelihood.nll(model.likelihood, y, d)).sum(-1) for d in (z, moved))
    return np.asarray((before - after - penalty * code - ridge * code**2 / 2).cpu().numpy())


def _data(traces: Traces, model: Model, like: Tensor) -> tuple[Tensor, Tensor]:
    y = likelihood.scaled(model.likelihood, traces.signal, traces.most_counts)
    signal, weight = (
        torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in (y, traces.valid * model.weight)
    )
    return signal, weight


def _in_use(found: Found, sure: np.ndarray) -> tuple[Found, np.ndarray]:
    """Return the result without events whose code ended at 0, and how many events each trace pays for, (trace,).

    sure  kernels of known events, which stay and cost nothing
    """
    known = np.isin(found.slots.kernel, sure)
    kernel = np.where((found.codes == 0) & ~known, ABSENT, found.slots.kernel)
    slots = Slots(kernel, found.slots.position)
    return replace(found, slots=slots), (slots.present & ~known).sum(axis=1)


def _gathered(best: dict[int, tuple[np.ndarray, ...]], count: int) -> Found:
    """Return the codes of all traces."""
    width = max(len(row[0]) for row in best.values())
    slots = Slots(np.full((count, width), ABSENT), np.zeros((count, width), int))
    codes, baseline, kkt = np.zeros((count, width)), np.zeros(count), np.zeros(count)
    for trace, (kernel, position, code, level, violation) in best.items():
        slots.kernel[trace, : len(kernel)], slots.position[trace, : len(kernel)] = kernel, position
        codes[trace, : len(kernel)] = code
        baseline[trace], kkt[trace] = level, violation
    return Found(slots, codes, baseline, kkt)
