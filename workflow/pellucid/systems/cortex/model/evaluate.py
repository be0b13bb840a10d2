"""Score every fit on the test windows of its fold, against chance, each other and controls."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.errors import ConfigError
from pellucid.systems.cortex.model import controls, headline, statistics, table, tested
from pellucid.systems.cortex.model.predictions import Predictions
from pellucid.systems.cortex.model.restore import restore
from pellucid.systems.cortex.model.settings import Evaluate


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics and the predictions, one group per recording (model, fold, seed, time).

    truth  simulated truth; states are recorded, so decoding needs none (importance is held against it)
    metrics has `headline`, `table` (one row per fit), `sessions`, `models`, `comparisons` and `controls`.
    Raises ConfigError if the settings name a model that was not fitted.
    """
    _check(fits, settings)
    kept = [name for name in _names(fits) if settings.keep is None or name in settings.keep]
    predictions = Predictions(features, fits, kept)
    rows, sessions = [], []
    for fit in fits:
        decoder, unit = restore(fit, features), tested.unit(features, fit.fold)
        found = tested.of(decoder, features)
        each = table.sessions(decoder, found)
        rows.append(table.row(decoder, found, each, unit, settings))
        sessions += each
        predictions.add(fit, found, true=decoder.settings.target == "state" and not decoder.settings.swap)
    models = statistics.models(rows, settings)
    compared, flagged = statistics.comparisons(rows, settings), controls.rows(rows, settings)
    metrics = {
        "headline": headline.rows(rows, models, compared, flagged, animals=tested.mice(features)),
        "table": rows,
        "sessions": sessions,
        "models": models,
        "comparisons": compared,
        "controls": flagged,
    }
    return metrics, predictions.tree()


def _names(fits: Sequence[Fit]) -> list[str]:
    return list(dict.fromkeys(fit.model for fit in fits))


def _check(fits: Sequence[Fit], settings: Evaluate) -> None:
    known = _names(fits)
    others = [name for name in known if name != settings.reference]
    asked = {
        "reference": ([settings.reference], known),
        "controls": (settings.controls, others),
        "keep": (settings.keep or [], known),
    }
    for key, (names, possible) in asked.items():
        wrong = [name for name in names if name not in possible]
        if wrong:
            raise ConfigError(
                f"evaluate.{key}",
                expected=f"models among {', '.join(possible)}",
                found=wrong[0],
                remedy="Correct the name, or add the model to `fit.models`.",
            )
