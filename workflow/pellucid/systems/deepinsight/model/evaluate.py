"""Score every decoder on the same test rows, against chance and each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.model import retrained, scores, trials
from pellucid.systems.deepinsight.model.predict import Predicted, predict
from pellucid.systems.deepinsight.model.scores import Model
from pellucid.systems.deepinsight.model.settings import Evaluate, Settings
from pellucid.systems.deepinsight.model.windows import columns_of, decoded


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics and the predictions, one group per recording (model, fold, seed, time, output).

    Models with `shift_s` are chance: they enter the table and `retrained`, and the headline with one row for all.

    truth  simulated truth; behaviour is measured, so decoding needs none (influence is held against it)
    """
    history = max(Settings.model_validate(fit.settings).span_rows for fit in fits)
    models = [_model(name, features, fits, history) for name in dict.fromkeys(fit.model for fit in fits)]
    table = [row for model in models for row in _table(model)]
    plain = [model for model in models if model.settings.shift_s is None]
    headline = [{"model": model.name, **row} for model in plain for row in scores.headline(model, settings)]
    compared, chance = retrained.compare(models, settings)
    counted = {fold: sum(len(s.rows) for s in stretches) for (fold, _), stretches in plain[0].fits.items()}
    metrics = {
        "headline": headline + chance,
        "table": table,
        "test_rows": dict(sorted(counted.items())),
        "history_rows": history,
    }
    metrics |= {"retrained": compared} if compared else {}
    metrics |= {"chance": settings.chance} if settings.chance != "shifts" else {}
    return metrics, _tree(features, models)


def _model(name: str, features: Features, fits: Sequence[Fit], history: int) -> Model:
    own = [fit for fit in fits if fit.model == name]
    settings = Settings.model_validate(own[0].settings)
    found = decoded(features, settings)
    predicted = {(fit.fold, fit.seed): predict(fit, features, history) for fit in own}
    listed = scores.errors(features, found)
    return Model(name, settings, found, columns_of(features, settings), listed, predicted)


def _table(model: Model) -> list[dict[str, object]]:
    table = []
    labels = [label for target in model.found for label in target.labels]
    choices = [target for target in model.found if target.kind == "choice"]
    for (fold, seed), stretches in model.fits.items():
        key = {"model": model.name, "fold": fold, "seed": seed}
        table += scores.rows_of(key, stretches, labels, model.errors)
        table += [row for choice in choices for row in trials.rows_of(key, stretches, choice)]
    return table


def _tree(features: Features, found: Sequence[Model]) -> xr.DataTree:
    labels = [str(label) for label in features.first()["label"].values]
    folds, seeds = (list(dict.fromkeys(key[i] for model in found for key in model.fits)) for i in range(2))
    groups = {}
    for name in features.stores:
        time = features.group(name).coords["time"].values
        values = np.full((len(found), len(folds), len(seeds), len(time), len(labels)), np.nan, np.float32)
        for number, model in enumerate(found):
            for (fold, seed), stretches in model.fits.items():
                _fill(values[number, folds.index(fold), seeds.index(seed)], stretches, name, model.columns)
        groups[f"/{name}"] = xr.Dataset(
            {"prediction": (("model", "fold", "seed", "time", "output"), values, {"units": "see target"})},
            coords={
                "model": np.array([model.name for model in found], object),
                "fold": folds,
                "seed": seeds,
                "time": ("time", time, {"units": "s"}),
                "output": np.array(labels, object),
            },
        )
    return xr.DataTree.from_dict(groups)


def _fill(values: np.ndarray, stretches: Sequence[Predicted], recording: str, columns: np.ndarray) -> None:
    for stretch in stretches:
        if stretch.recording == recording:
            values[np.ix_(stretch.rows, columns)] = stretch.prediction
