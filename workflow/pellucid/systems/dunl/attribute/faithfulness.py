"""Is a component needed where the decomposition puts it? Take it away, or put that of another trial in its place.

The drive is z = a + sum_k h_k * x_k, so a component can be removed exactly: z - h_k * x_k. A component whose removal
does not raise the negative log-likelihood explains nothing. One that the component of another trial of the same neuron
replaces without loss says nothing about its own trial.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pellucid.learning import intervals
from pellucid.systems.dunl.model import likelihood
from pellucid.systems.dunl.model.likelihood import Name


@dataclass(frozen=True)
class Decomposed:
    """Traces with the components of their drive.

    component    (trace, time, kernel) share h_k * x_k of the drive; what is not finite counts as 0
    drive        (trace, time) whole drive z
    signal       (trace, time) counts per bin, or values
    valid        (trace, time) bool
    trial        (trace,) number of the trial; neuron (trace,) number of the neuron
    likelihood   of a bin; most_counts: N of a binomial bin, not used otherwise
    """

    component: np.ndarray
    drive: np.ndarray
    signal: np.ndarray
    valid: np.ndarray
    trial: np.ndarray
    neuron: np.ndarray
    likelihood: Name
    most_counts: int = 0


@dataclass(frozen=True)
class Faithfulness:
    """Increase of the negative log-likelihood, nats per valid bin, with percentile intervals over trials.

    removed, removed_low, removed_high     (kernel,) without the component
    replaced, replaced_low, replaced_high  (kernel,) with the component of another trial of the same neuron
    alone  number of traces whose neuron has no other trial; they do not enter `replaced`
    """

    removed: np.ndarray
    removed_low: np.ndarray
    removed_high: np.ndarray
    replaced: np.ndarray
    replaced_low: np.ndarray
    replaced_high: np.ndarray
    alone: int


def nll(name: Name, signal: np.ndarray, drive: np.ndarray, most_counts: int = 0) -> np.ndarray:
    """Return the negative log-likelihood of each bin, nats, up to what does not depend on the drive, any shape.

    signal  counts per bin, or values; most_counts: N of a binomial bin, each counted
    """
    y = torch.as_tensor(likelihood.scaled(name, np.asarray(signal, float), most_counts))
    found = likelihood.nll(name, y, torch.as_tensor(np.asarray(drive, float)))
    return np.asarray(likelihood.weight(name, most_counts, counted=True) * found.numpy())


def other_trials(neuron: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return for every trace another trace of the same neuron, (trace,), itself where there is none.

    Traces of a neuron, neuron (trace,), are passed on around a random cycle, so none keeps its own.
    """
    other = np.arange(len(neuron))
    for label in np.unique(neuron):
        cycle = generator.permutation(np.flatnonzero(neuron == label))
        other[cycle] = np.roll(cycle, 1)
    return other


def faithfulness(parts: Decomposed, *, repeats: int, resamples: int, generator: np.random.Generator) -> Faithfulness:
    """Return how much worse the model fits without each component, and with that of another trial.

    repeats    random other trials that stand in for each trial, their increases averaged
    resamples  draws of the intervals: whole trials, all their neurons together
    """
    shares = np.where(np.isfinite(parts.component), parts.component, 0)
    removed = _increase(parts, -shares)
    replaced = np.zeros(removed.shape)
    for _ in range(repeats):
        replaced += _increase(parts, shares[other_trials(parts.neuron, generator)] - shares) / repeats
    _, neuron, traces = np.unique(parts.neuron, return_inverse=True, return_counts=True)
    several = traces[neuron] > 1
    _, trial = np.unique(parts.trial, return_inverse=True)
    weights = intervals.resampled_weights(1, 1, int(trial.max()) + 1, resamples=resamples, generator=generator)
    bins = parts.valid.sum(1)
    own = _per_bin(removed, bins, trial, weights)
    moved = _per_bin(np.where(several[:, None], replaced, 0), np.where(several, bins, 0), trial, weights)
    return Faithfulness(*own, *moved, alone=int((~several).sum()))


def _increase(parts: Decomposed, change: np.ndarray) -> np.ndarray:
    """Return the increase summed over the valid bins of each trace, (trace, kernel).

    change  (trace, time, kernel) of the drive, one kernel at a time
    """
    signal, drive = np.where(parts.valid, parts.signal, 0), np.where(parts.valid, parts.drive, 0)
    base = nll(parts.likelihood, signal, drive, parts.most_counts)
    increases = []
    for kernel in range(change.shape[2]):
        changed = drive + np.where(parts.valid, change[..., kernel], 0)
        worse = nll(parts.likelihood, signal, changed, parts.most_counts) - base
        increases.append(worse.sum(1))
    return np.stack(increases, axis=1)


def _per_bin(
    increase: np.ndarray, bins: np.ndarray, trial: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pooled increase per bin and its interval, each (kernel,), NaN if there are no bins.

    increase  (trace, kernel) summed over bins; bins (trace,); trial (trace,) 0, 1, 2, ...
    weights   (resample, 1, 1, trial)
    """
    sums = np.zeros((weights.shape[-1], increase.shape[1] + 1))
    np.add.at(sums, trial, np.column_stack([increase, bins]))
    if not bins.sum():
        none = np.full(increase.shape[1], np.nan)
        return none, none, none
    value, draws = intervals.pooled(sums[None, None], weights, _ratio)
    low, high = intervals.pointwise(draws[np.isfinite(draws).all(1)])
    return value, low, high


def _ratio(sums: np.ndarray) -> np.ndarray:
    bins = sums[..., -1:]
    return np.asarray(np.divide(sums[..., :-1], bins, out=np.full(sums[..., :-1].shape, np.nan), where=bins > 0))
