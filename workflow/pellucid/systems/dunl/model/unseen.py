"""Neurons that training has not seen: the mean over the neurons it has, brought to their own level."""

import numpy as np

from pellucid.systems.dunl.model.traces import Traces

PRIOR_COUNT = 1.0
"""Counts that speak for the pooled rate before any is observed."""


def seen_neurons(train: Traces) -> np.ndarray:
    """Return which neurons have valid bins in training, shape (neuron,) bool."""
    bins = np.bincount(train.neuron, weights=train.valid.sum(axis=1), minlength=len(train.neurons))
    return np.asarray(bins > 0)


def rows_of(seen: np.ndarray, traces: Traces) -> np.ndarray:
    """Return the row of each trace in an array (neuron + 1, ...) whose last row is the pooled one, shape (trace,)."""
    return np.where(seen[traces.neuron], traces.neuron, len(seen))


def levelled(mean: np.ndarray, seen: np.ndarray, looked: Traces) -> np.ndarray:
    """Return means, shape (trace, time), with those of unseen neurons brought to the level of their observed bins.

    counts  multiplied by (sum y + 1) / (sum m + 1), sums over the observed bins of all of the neuron's traces
    values  shifted by the mean of y - m over the same bins; a factor has no meaning where values lie about 0

    mean    (trace, time) pooled over neurons where a neuron is unseen
    seen    (neuron,) bool
    looked  traces whose observed bins alone are valid
    """
    if seen[looked.neuron].all():
        return mean

    def per_neuron(values: np.ndarray) -> np.ndarray:
        return np.bincount(looked.neuron, weights=(values * looked.valid).sum(axis=1), minlength=len(seen))

    signal, expected = per_neuron(looked.signal.astype(float)), per_neuron(mean)
    if looked.kind == "counts":
        factor = (signal + PRIOR_COUNT) / (np.maximum(expected, 0) + PRIOR_COUNT)
        return np.asarray(mean * np.where(seen, 1.0, factor)[looked.neuron, None])
    shift = (signal - expected) / np.maximum(per_neuron(np.ones(looked.valid.shape)), 1)
    return np.asarray(mean + np.where(seen, 0.0, shift)[looked.neuron, None])
