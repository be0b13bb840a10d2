"""The constant drive of a trace: given by its own quiet bins, by those of all training trials, or inferred."""

import numpy as np

from pellucid.systems.dunl.model import likelihood
from pellucid.systems.dunl.model.traces import Traces


def offsets(
    kind: str, name: likelihood.Name, traces: Traces, floor: float, pooled: np.ndarray | None = None
) -> np.ndarray:
    """Return the baseline given to the encoder, (trace,), on the scale of the drive.

    kind    trial: link of the mean over the trace's own baseline bins, as published; pooled and inferred: over the
            neuron's training trials (inferred starts there); zero: 0
    floor   least mean of a baseline from counts (published: .001)
    pooled  (neuron,) from `pool`, NaN for neurons that were not seen in training: theirs is pooled over these traces
    """
    if kind == "zero":
        return np.zeros(len(traces))
    if kind == "trial":
        return _linked(name, traces, floor, np.arange(len(traces)))
    unseen = _linked(name, traces, floor, traces.neuron)
    known = np.full(len(traces), np.nan) if pooled is None else pooled[traces.neuron]
    return np.where(np.isfinite(known), known, unseen)


def pool(name: likelihood.Name, traces: Traces, floor: float) -> np.ndarray:
    """Return the baseline of each neuron over all its traces, (neuron,), NaN for neurons that have none."""
    out = np.full(len(traces.neurons), np.nan)
    out[traces.neuron] = _linked(name, traces, floor, traces.neuron)
    return out


def _linked(name: likelihood.Name, traces: Traces, floor: float, unit: np.ndarray) -> np.ndarray:
    """Return the link of the mean over the baseline bins of each unit, (trace,); units without any use all their bins.

    unit  (trace,) what is pooled
    """
    y = likelihood.scaled(name, traces.signal, traces.most_counts)
    count, total = (np.bincount(unit, weights=v) for v in (traces.before.sum(1), (y * traces.before).sum(1)))
    every, whole = (np.bincount(unit, weights=v) for v in (traces.valid.sum(1), (y * traces.valid).sum(1)))
    none = count == 0
    count, total = np.where(none, np.maximum(every, 1), count), np.where(none, whole, total)
    least = floor if name == "binomial" else floor * max(1, traces.most_counts)
    return likelihood.link(name, (total / np.maximum(count, 1))[unit], least)
