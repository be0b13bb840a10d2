"""The numbers to read first: each model's scores, averaged over neurons, folds and seeds, with their intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.artifacts import headline_row
from pellucid.systems.whatwhere.model.settings import Evaluate

_NAMES = {
    "correlation": "test correlation, mean over neurons",
    "fev": "FEV against noise-free responses, mean over neurons",
    "truth_correlation": "correlation with noise-free responses, mean over neurons",
    "feve": "FEVE, mean over neurons",
}
_RECOVERED = {
    "located": "share of neurons located within 1 px",
    "kernel_correlation": "correlation of learned with true kernels, |r|",
    "type_accuracy": "types told apart by the largest feature weight",
    "purity": "purity of feature weights",
}

Scored = Sequence[tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


def rows(scored: Scored, settings: Evaluate, *, repeated: bool) -> list[dict[str, Any]]:
    """Return the headline rows of all models.

    scored    row of the table and scores of each neuron, of every fit
    repeated  whether test images were shown more than once; if not, the notes say what is missing
    The interval of a score is from resampled folds, seeds and neurons, all at once (see `interval`); what is recovered
    of a simulation has the range over fits as a note.
    """
    found = []
    for model in dict.fromkeys(row["model"] for row, _ in scored):
        own = [(row, each) for row, each in scored if row["model"] == model]
        note = _note(own) + ("" if repeated else "; images shown once: no ceiling, no explainable variance")
        for name, said in _NAMES.items():
            parts = [each[name] for _, each in own if np.isfinite(each[name]).any()]
            if parts:
                low, high = interval(parts, settings)
                value = float(np.mean([np.nanmean(part) for part in parts]))
                found.append(headline_row(said, value, model=model, note=note) | {"low": low, "high": high})
        for name, said in _RECOVERED.items():
            values = [float(row[name]) for row, _ in own if row[name] is not None]
            if values:
                spread = f"{len(values)} fits: {min(values):.3g} to {max(values):.3g}" if len(values) > 1 else ""
                found.append(headline_row(said, float(np.mean(values)), model=model, note=spread))
    return found


def interval(parts: Sequence[np.ndarray], settings: Evaluate, level: float = 0.95) -> tuple[float, float]:
    """Return the bootstrap interval of the mean over fits of the mean over neurons, (low, high).

    parts  scores of each neuron of one fit (neuron,), NaN where undefined
    Fits are drawn with replacement, and within each its neurons: fits on other images and other neurons are what a new
    recording of the same kind would give.
    """
    generator = np.random.default_rng(settings.seed)
    means = []
    for part in parts:
        finite = part[np.isfinite(part)]
        means.append(finite[generator.integers(0, len(finite), (settings.bootstrap, len(finite)))].mean(1))
    drawn = generator.integers(0, len(means), (settings.bootstrap, len(means)))
    totals = np.stack(means)[drawn, np.arange(settings.bootstrap)[:, None]].mean(1)
    low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _note(own: Scored) -> str:
    row = own[0][0]
    said = f"{row['images']} images, {row['neurons']} neurons"
    said += f", {len(own)} fits" if len(own) > 1 else ""
    return said + ("; responses permuted: chance" if row["permuted"] else "")
