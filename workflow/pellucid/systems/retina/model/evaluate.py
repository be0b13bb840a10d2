"""Score every fit on the test rows of every recording of its cells, against ceiling, truth and each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.model import headline, scores, tested
from pellucid.systems.retina.model.comparisons import comparisons
from pellucid.systems.retina.model.predictions import Predictions
from pellucid.systems.retina.model.restore import Fitted, restore
from pellucid.systems.retina.model.settings import Evaluate
from pellucid.systems.retina.model.tested import Tested

Row = dict[str, Any]


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics and the predictions on test rows, one group per recording (model, fold, seed, time, neuron).

    truth  simulated truth by the name of its raw folder: predictions are scored against its noiseless rates, too
    metrics has `headline`, `table` (a row per fit and recording), `cells` (a row per cell of these) and `comparisons`.
    A model is tested on all recordings of its cells; `trained` says whether it was fitted to the one at hand.
    Raises ConfigError if the reference was not fitted, DataError if no recording has test rows.
    """
    names = list(dict.fromkeys(fit.model for fit in fits))
    if settings.reference not in names:
        raise ConfigError(
            "evaluate.reference",
            expected=f"a model among {', '.join(names)}",
            found=settings.reference,
            remedy="Correct the name, or add the model to `fit.models`.",
        )
    parts = {fold: tested.of(features, fold, settings, truth) for fold in sorted({fit.fold for fit in fits})}
    predictions = Predictions(parts, fits)
    table, cells = [], []
    for fit in fits:
        fitted = restore(fit, features)
        for part in parts[fit.fold]:
            if part.experiment == fitted.experiment and list(part.neurons) == list(fitted.neurons):
                rate = fitted.predict(part.name, part.rows)
                predictions.add(fit, part, rate)
                each = _cells(fitted, part, rate)
                table.append(_row(fitted, part, rate, each, settings))
                cells += each
    if not table:
        raise DataError(
            "evaluation",
            expected="test rows",
            found="none in any recording that a model was fitted to",
            remedy="Set `preprocess.test_s` or `preprocess.frozen`, or use recordings with a test movie.",
        )
    compared = comparisons(cells, settings)
    metrics = {
        "headline": headline.rows(table, cells, compared, settings),
        "table": table,
        "cells": cells,
        "comparisons": compared,
    }
    return metrics, predictions.tree()


def _cells(fitted: Fitted, part: Tested, rate: np.ndarray) -> list[Row]:
    """Return the rows of single cells."""
    gain, spikes = scores.gained_bits(part.single, rate, part.constant)
    unknown = np.full(len(part.neurons), np.nan)
    columns = {
        "r": scores.correlation(part.response, rate),
        "ceiling": part.ceiling,
        "fev": scores.fraction_explained(part.response, rate),
        "rmse": scores.rmse(part.response, rate),
        "slope": scores.slope(part.response, rate),
        "bits_per_spike": scores.per_spike(gain, spikes),
        "r_noiseless": unknown if part.rate is None else scores.correlation(part.rate, rate),
        "slope_noiseless": unknown if part.rate is None else scores.slope(part.rate, rate),
        "mean": np.nanmean(part.response, axis=0),
        "peak": np.nanmax(part.response, axis=0),
        "predicted_peak": rate.max(0),
    }
    said = _about(fitted, part)
    return [
        {**said, "neuron": str(cell), **{name: float(column[index]) for name, column in columns.items()}}
        for index, cell in enumerate(part.neurons)
    ]


def _row(fitted: Fitted, part: Tested, rate: np.ndarray, cells: Sequence[Row], settings: Evaluate) -> Row:
    """Return the row of one fit and recording: means over cells, with intervals."""
    generator = np.random.default_rng(settings.seed)
    column = {name: np.array([cell[name] for cell in cells]) for name in cells[0] if name not in _ABOUT}
    low, high = scores.cells_interval(column["r"], resamples=settings.bootstrap, generator=generator)
    gain, spikes = scores.gained_bits(part.single, rate, part.constant)
    length = max(1, round(settings.block_s * part.rate_hz))
    bits = scores.blocks_interval(gain, spikes, length, resamples=settings.bootstrap, generator=generator)
    notes = fitted.fit.notes
    return {
        **_about(fitted, part),
        "neurons": len(cells),
        "rows": len(part.rows),
        "repeats": len(part.single) if part.repeated else 1,
        "r": _mean(column["r"]),
        "r_low": low,
        "r_high": high,
        "ceiling": _mean(column["ceiling"]),
        "r_over_ceiling": _mean(
            np.divide(column["r"], column["ceiling"], out=np.full(len(cells), np.nan), where=column["ceiling"] > 0)
        ),
        **{name: _mean(column[name]) for name in ("fev", "rmse", "slope", "bits_per_spike")},
        "bits_low": bits[0],
        "bits_high": bits[1],
        "r_noiseless": _mean(column["r_noiseless"]),
        "slope_noiseless": _mean(column["slope_noiseless"]),
        "silent": int(np.isnan(column["r"]).sum()),
        **{name: notes.get(name) for name in ("parameters", "epochs", "best_epoch", "validation", "validation_r")},
    }


_ABOUT = ("model", "fold", "seed", "kind", "recording", "stimulus", "trained", "null", "units", "neuron")


def _about(fitted: Fitted, part: Tested) -> Row:
    fit = fitted.fit
    return {
        "model": fit.model,
        "fold": fit.fold,
        "seed": fit.seed,
        "kind": fitted.kind,
        "recording": part.name,
        "stimulus": part.stimulus,
        "trained": part.name in fitted.recordings,
        "null": fitted.settings.swap or False,
        "units": part.units,
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
