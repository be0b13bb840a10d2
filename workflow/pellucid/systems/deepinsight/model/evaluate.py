"""Score every decoder on the same test rows, against chance and each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.model import scores
from pellucid.systems.deepinsight.model.predict import Predicted, predict
from pellucid.systems.deepinsight.model.settings import Evaluate, Settings
from pellucid.systems.deepinsight.model.windows import decoded


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics and the predictions, one group per recording (model, fold, seed, time, output).

    truth  simulated truth; behaviour is measured, so decoding needs none (influence is held against it)
    """
    history = max(Settings.model_validate(fit.settings).window_rows for fit in fits)
    predicted = {(fit.model, fit.fold, fit.seed): predict(fit, features, history) for fit in fits}
    found = decoded(features, Settings.model_validate(fits[0].settings))
    labels = [label for target in found for label in target.labels]
    listed = scores.errors(features, found)
    table = []
    for (model, fold, seed), stretches in predicted.items():
        table += scores.rows_of({"model": model, "fold": fold, "seed": seed}, stretches, labels, listed)
    headline = []
    for model in dict.fromkeys(fit.model for fit in fits):
        own = {(fold, seed): stretches for (name, fold, seed), stretches in predicted.items() if name == model}
        rows = [scores.correlation(own, settings)]
        rows += [scores.median_error(own, error, settings) for error in listed]
        headline += [{"model": model, **row} for row in rows]
    folds = sorted({fit.fold for fit in fits})
    count = {fold: sum(len(s.rows) for s in predicted[(fits[0].model, fold, fits[0].seed)]) for fold in folds}
    metrics = {"headline": headline, "table": table, "test_rows": count, "history_rows": history}
    return metrics, _tree(features, predicted, labels)


def _tree(
    features: Features, predicted: Mapping[tuple[str, int, int], Sequence[Predicted]], labels: Sequence[str]
) -> xr.DataTree:
    models, folds, seeds = (list(dict.fromkeys(key[i] for key in predicted)) for i in range(3))
    groups = {}
    for name in features.stores:
        time = features.group(name).coords["time"].values
        values = np.full((len(models), len(folds), len(seeds), len(time), len(labels)), np.nan, np.float32)
        for (model, fold, seed), stretches in predicted.items():
            for stretch in stretches:
                if stretch.recording == name:
                    values[models.index(model), folds.index(fold), seeds.index(seed), stretch.rows] = stretch.prediction
        groups[f"/{name}"] = xr.Dataset(
            {"prediction": (("model", "fold", "seed", "time", "output"), values, {"units": "see target"})},
            coords={
                "model": np.array(models, object),
                "fold": folds,
                "seed": seeds,
                "time": ("time", time, {"units": "s"}),
                "output": np.array(labels, object),
            },
        )
    return xr.DataTree.from_dict(groups)
