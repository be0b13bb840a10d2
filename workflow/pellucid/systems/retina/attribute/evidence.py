"""Whether a model says more of held-out responses than a constant rate does; one that does not explains nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, PartName, row_indices
from pellucid.systems.retina.model import scores
from pellucid.systems.retina.model.restore import Fitted
from pellucid.systems.retina.model.training import evenly

MOST = 5000
"""Rows of a recording that are predicted, evenly spread."""


def bits_per_spike(features: Features, fitted: Fitted) -> np.ndarray:
    """Return the log-likelihood per spike of held-out responses over that of the mean training rate, (neuron,), bits.

    sum_t [r log2(p / m) - (p - m) / ln 2] / sum_t r, with responses r, predictions p and the training mean m; the unit
    of rates does not matter. Test rows of the model's recordings; validation rows where there are no test rows. NaN for
    a cell without a spike.
    """
    mean = np.asarray(fitted.fit.notes["response_mean"], float)
    gain, spikes = np.zeros(len(mean)), np.zeros(len(mean))
    for name in fitted.recordings:
        rows = evenly(held_out(features, fitted, name), MOST)
        response = features.group(name, "responses")["response"].values[rows].astype(float)
        gained, seen = scores.gained_bits(response[None], fitted.predict(name, rows), mean)
        gain += gained.sum(0)
        spikes += seen.sum(0)
    return np.asarray(np.divide(gain, spikes, out=np.full(len(mean), np.nan), where=spikes > 0))


def held_out(features: Features, fitted: Fitted, recording: str) -> np.ndarray:
    """Return test rows of a recording, or validation rows where it has none, (row,)."""
    fold = features.folds[fitted.fit.fold]
    parts: tuple[PartName, PartName] = ("test", "validation")
    found = [row_indices(fold.rows(part).get(recording, [])) for part in parts]
    return found[0] if len(found[0]) else found[1]


def group(found: Mapping[int, np.ndarray], cells: list[str]) -> xr.Dataset:
    """Return bits per spike of every seed, (seed, neuron); found: seed -> (neuron,)."""
    return xr.Dataset(
        {"bits_per_spike": (("seed", "neuron"), np.stack(list(found.values())), {"units": "bits"})},
        coords={"seed": list(found), "neuron": np.array(cells, object)},
    )


def convincing(found: Mapping[int, np.ndarray]) -> bool:
    """Return whether the model beats the constant rate: the mean over cells, and then over seeds, is positive."""
    return bool(_mean([_mean(bits) for bits in found.values()]) > 0)


def said(found: Mapping[int, np.ndarray], cells: list[str], model: str) -> str:
    """Return what a reader has to know, empty if every cell is predicted better than by a constant rate."""
    bits = np.array([_mean(own) for own in np.stack(list(found.values())).T])
    if not convincing(found):
        return (
            f"{model} does not predict held-out responses better than a constant rate "
            f"({_mean(bits):.3g} bits per spike): it is not attributed"
        )
    weak = [cell for cell, own in zip(cells, bits) if not own > 0]
    if not weak:
        return ""
    return f"{model} predicts {', '.join(weak)} no better than a constant rate: their circuits say nothing"


def _mean(values: Any) -> float:  # noqa: ANN401 - numbers
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
