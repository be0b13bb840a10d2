"""Slots: the few places of a trace where a code may be other than 0, and the small problems they fall into.

With known events a trace has a handful of slots, so the encoder never convolves whole trials. Slots whose kernels do
not overlap fall into separate problems (exactly), and problems of the same layout share one design matrix.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.systems.dunl.model.traces import ABSENT, Traces

LEAST_SEEN = 0.5
"""Share of a kernel's bins that must be recorded for its slot to exist; the published code needs all of them."""


@dataclass(frozen=True)
class Slots:
    """Where codes may be other than 0.

    kernel    (trace, slot) index of the kernel, ABSENT where a trace has fewer slots
    position  (trace, slot) bin in which the kernel starts
    """

    kernel: np.ndarray
    position: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Whether there is a slot, (trace, slot)."""
        return np.asarray(self.kernel != ABSENT)


def known(traces: Traces, kernels: list[int | None], lags: int, recorded: np.ndarray | None = None) -> Slots:
    """Return a slot for every event of the kind that each kernel follows; events of a kind in one bin share a slot.

    kernels  index into `traces.events` of the kind of event, None for a kernel whose events are not known
    lags     length of a kernel, bins
    recorded (trace, time) bins that count as seen, where some are hidden; none: the valid ones
    """
    found, places = [], []
    bins = traces.valid if recorded is None else recorded
    for index, kind in enumerate(kernels):
        if kind is not None:
            here = (traces.event_kind == kind) & (traces.onset != ABSENT)
            here &= seen(bins, np.where(here, traces.onset, 0), lags) >= LEAST_SEEN * lags
            found.append(np.where(here, index, ABSENT))
            places.append(np.where(here, traces.onset, 0))
    if not found:
        empty = np.empty((len(traces), 0), int)
        return Slots(empty, empty)
    slots = packed(np.concatenate(found, axis=1), np.concatenate(places, axis=1))
    repeated = np.zeros(slots.kernel.shape, bool)
    repeated[:, 1:] = (np.diff(slots.kernel, axis=1) == 0) & (np.diff(slots.position, axis=1) == 0)
    return packed(np.where(repeated, ABSENT, slots.kernel), slots.position)


def packed(kernel: np.ndarray, position: np.ndarray) -> Slots:
    """Return slots in order of position, then kernel, the absent ones last and no more of them than needed."""
    order = ordered(kernel, position)
    return Slots(np.take_along_axis(kernel, order, axis=1), np.take_along_axis(position, order, axis=1))


def ordered(kernel: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the order that `packed` puts slots in, (trace, slot): index of each slot among those given."""
    present = kernel != ABSENT
    late = np.iinfo(np.int64).max
    order = np.argsort(np.where(present, position * 1024 + kernel, late), axis=1, kind="stable")
    return np.asarray(order[:, : int(present.sum(axis=1).max(initial=0))])


def crowded(slots: Slots, lags: int) -> np.ndarray:
    """Return how many slots are in the cluster of overlapping kernels that each slot is in, (trace, slot); 0: absent.

    slots  in order of position, as from `packed`
    """
    number = np.where(slots.present, _numbered(slots, lags), -1)
    sizes = np.bincount(number[slots.present], minlength=1)
    return np.where(slots.present, sizes[number], 0)


def inside(recorded: np.ndarray, lags: int) -> np.ndarray:
    """Return whether a kernel lies between the first and the last recorded bin of its trace, (trace, position).

    A code at any time may start at T - L + 1 positions of the trial's own T bins, however far a batch is padded.
    """
    bins = recorded.shape[1]
    start = np.arange(bins - lags + 1)
    first = np.argmax(recorded, axis=1)[:, None]
    stop = bins - np.argmax(recorded[:, ::-1], axis=1)[:, None]
    some = np.asarray(recorded.any(axis=1))[:, None]
    return np.asarray((start >= first) & (start + lags <= stop) & some)


def seen(valid: np.ndarray, start: np.ndarray, lags: int) -> np.ndarray:
    """Return how many bins from `start` (trace, slot) to `start + lags` are valid."""
    total = np.concatenate([np.zeros((len(valid), 1), int), np.cumsum(valid, axis=1)], axis=1)
    stop = np.minimum(start + lags, valid.shape[1])
    return np.asarray(np.take_along_axis(total, stop, 1) - np.take_along_axis(total, np.minimum(start, stop), 1))


@dataclass(frozen=True)
class Layout:
    """Slots cut into problems, arranged as (group, member) with one design per group.

    trace   (group, member) index of the trace, ABSENT for padding
    time    (group, member, bin) bin of the trace, ABSENT for padding
    slot    (group, member, slot) index into the trace's slots, ABSENT for padding
    kernel  (group, slot) index of the kernel, ABSENT for padding
    lag     (group, bin, slot) lag of the kernel at each bin, ABSENT where it is not there
    """

    trace: np.ndarray
    time: np.ndarray
    slot: np.ndarray
    kernel: np.ndarray
    lag: np.ndarray


def layout(slots: Slots, bins: int, lags: int, dictionary: np.ndarray, *, whole: bool) -> Layout:
    """Return the problems that the slots of all traces fall into.

    bins        length of a trace
    dictionary  (trace,) which dictionary a trace uses: problems that share a design must share it
    whole       all slots of a trace in one problem (a baseline to infer couples them); otherwise one per cluster of
                overlapping kernels
    """
    trace, slot = _clusters(slots, lags, whole=whole)
    present = slot != ABSENT
    rows, taken = trace[:, None], np.where(present, slot, 0)
    kernel = np.where(present, slots.kernel[rows, taken], ABSENT)
    position = np.where(present, slots.position[rows, taken], 0)
    time = _covered(position, present, lags)
    first = time[:, :1]
    key = np.concatenate(
        [dictionary[trace][:, None], kernel, np.where(present, position - first, ABSENT), _relative(time, first)],
        axis=1,
    )
    group, member = _arranged(key)
    shape = (int(group.max(initial=-1)) + 1, int(member.max(initial=-1)) + 1)

    def placed(values: np.ndarray) -> np.ndarray:
        out = np.full((*shape, *values.shape[1:]), ABSENT)
        out[group, member] = values
        return out

    lag = time[:, :, None] - position[:, None, :]
    covers = (lag >= 0) & (lag < lags) & present[:, None, :] & (time != ABSENT)[:, :, None]
    per_kernel = np.full((shape[0], kernel.shape[1]), ABSENT)
    per_kernel[group] = kernel
    per_lag = np.full((shape[0], *lag.shape[1:]), ABSENT)
    per_lag[group] = np.where(covers, lag, ABSENT)
    return Layout(placed(trace), placed(np.where(time < bins, time, ABSENT)), placed(slot), per_kernel, per_lag)


def _clusters(slots: Slots, lags: int, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the trace of each problem, (problem,), and its slots, (problem, slot) with ABSENT for padding."""
    present = slots.present
    count, width = present.shape
    if whole:
        return np.arange(count), np.where(present, np.arange(width), ABSENT)
    trace, slot = np.nonzero(present)
    problem = _numbered(slots, lags)[trace, slot]
    starts = np.flatnonzero(np.diff(problem, prepend=-1))
    within = np.arange(len(problem)) - starts[problem]
    found = np.full((len(starts), int(within.max(initial=-1)) + 1), ABSENT)
    found[problem, within] = slot
    return trace[starts], found


def _numbered(slots: Slots, lags: int) -> np.ndarray:
    """Return the cluster of overlapping kernels each slot is in, (trace, slot), numbered over all traces."""
    ends = np.maximum.accumulate(np.where(slots.present, slots.position + lags, 0), axis=1)
    opens = slots.present.copy()
    opens[:, 1:] &= slots.position[:, 1:] >= ends[:, :-1]
    return np.asarray(np.cumsum(opens.ravel()).reshape(opens.shape) - 1)


def _covered(position: np.ndarray, present: np.ndarray, lags: int) -> np.ndarray:
    """Return the bins that the kernels of each problem cover, (problem, bin), increasing, ABSENT for padding."""
    late = np.iinfo(np.int32).max
    every = np.where(present[:, :, None], position[:, :, None] + np.arange(lags), late)
    every = every.reshape(len(position), position.shape[1] * lags)
    every = np.sort(every, axis=1)
    every[:, 1:][every[:, 1:] == every[:, :-1]] = late
    every = np.sort(every, axis=1)
    width = max(1, int((every != late).sum(axis=1).max(initial=0)))
    if not every.size:
        return np.full((len(position), width), ABSENT)
    return np.where(every[:, :width] == late, ABSENT, every[:, :width])


def _relative(time: np.ndarray, first: np.ndarray) -> np.ndarray:
    return np.where(time == ABSENT, ABSENT, time - first)


def _arranged(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return group and member of each problem: equal keys share groups of about the mean size, for little padding."""
    if not len(key):
        return np.empty(0, int), np.empty(0, int)
    _, kind, counts = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    size = -(-len(key) // len(counts))
    chunks = -(-counts // size)
    order = np.argsort(kind.ravel(), kind="stable")
    rank = np.empty(len(key), int)
    rank[order] = np.arange(len(key)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.cumsum(chunks) - chunks
    return first[kind.ravel()] + rank // size, rank % size
