"""Models against the reference, paired over cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.systems.retina.model.scores import cells_interval
from pellucid.systems.retina.model.settings import Evaluate

Row = dict[str, Any]


def comparisons(cells: Sequence[Row], settings: Evaluate) -> list[Row]:
    """Return a row per recording and model: how much less of each score it has than the reference on the same cells.

    cells  rows of single cells of all fits
    Scores of a cell are means over folds and seeds; the interval is from cells drawn with replacement. r and bits per
    spike are compared; those of models of other cells are not.
    """
    names = list(dict.fromkeys(row["model"] for row in cells))
    out = []
    for recording in dict.fromkeys(row["recording"] for row in cells):
        of = {model: _by_cell(cells, recording, model) for model in names}
        reference = of.get(settings.reference, {})
        for model in names:
            shared = sorted(set(of[model]) & set(reference))
            if model == settings.reference or not shared:
                continue
            for score, index in (("r", 0), ("bits_per_spike", 1)):
                differences = np.array([reference[cell][index] - of[model][cell][index] for cell in shared])
                generator = np.random.default_rng(settings.seed)
                low, high = cells_interval(differences, resamples=settings.bootstrap, generator=generator)
                known = differences[np.isfinite(differences)]
                out.append(
                    {
                        "recording": recording,
                        "model": model,
                        "reference": settings.reference,
                        "score": score,
                        "difference": float(known.mean()) if len(known) else float("nan"),
                        "low": low,
                        "high": high,
                        "cells": len(known),
                        "better": int((known > 0).sum()),
                    }
                )
    return out


def _by_cell(cells: Sequence[Row], recording: str, model: str) -> dict[str, tuple[float, float]]:
    """Return cell -> its r and bits per spike, means over folds and seeds."""
    rows = [row for row in cells if row["recording"] == recording and row["model"] == model]
    found: dict[str, tuple[float, float]] = {}
    for cell in dict.fromkeys(row["neuron"] for row in rows):
        own = [row for row in rows if row["neuron"] == cell]
        found[cell] = float(np.mean([row["r"] for row in own])), float(np.mean([row["bits_per_spike"] for row in own]))
    return found
