"""Chance by retraining: models trained on shifted behaviour, against the circular shifts of the model they copy.

Frey et al. 2021, Methods, "chance level": the features are shifted against behaviour and the model is trained again
with the same settings. Neither the size of the shift nor the number of repeats is given there.

Retraining spreads more widely than the circular shifts of finished predictions, since the folds are not independent:
of two folds, each is tested on what the other learned its chance correlation from. Two slow behaviours (2 s) in 300 s
and two folds give a standard deviation of 0.067 against 0.047 (150 linear decoders), so that about three in four
retrained scores lie inside the 95 % band of the shifts. A shift by half a recording is no chance at all: both halves
then hold the same pairs of rows, and the mean score is 0.06.
"""

from collections.abc import Sequence
from typing import Any

from pellucid.errors import DataError
from pellucid.systems.deepinsight.model import scores
from pellucid.systems.deepinsight.model.scores import Model
from pellucid.systems.deepinsight.model.settings import Evaluate

Row = dict[str, Any]


def compare(models: Sequence[Model], settings: Evaluate) -> tuple[list[Row], list[Row]]:
    """Return one row per shifted model and metric, and one headline row per model that has been copied.

    A row holds model, of, name, value, low, high (the retrained model's score and interval), chance_low, chance_high
    (the 95 % band of circular shifts of the model `of`), inside and unit. The headline row pools the shifted models as
    if they were seeds. Raises DataError if a shifted model has no copy without the shift.
    """
    copies: dict[str, list[Model]] = {}
    rows, headline = [], []
    for model in models:
        if model.settings.shift_s is not None:
            copies.setdefault(_of(model, models).name, []).append(model)
    for of, shifted in copies.items():
        plain = next(model for model in models if model.name == of)
        bands = scores.headline(plain, settings)
        for model in shifted:
            rows += [_row(model.name, of, own, band) for own, band in zip(scores.headline(model, settings), bands)]
        pooled = scores.correlation(_pooled(shifted), settings)
        headline.append(_headline(pooled, bands[0], plain, shifted))
    return rows, headline


def _row(name: str, of: str, own: Row, band: Row) -> Row:
    kept = {key: own[key] for key in ("value", "low", "high")}
    limits = {key: band[key] for key in ("chance_low", "chance_high")}
    inside = {"inside": _inside(own, band), "unit": own["unit"]}
    return {"model": name, "of": of, "name": own["name"], **kept, **limits, **inside}


def _inside(own: Row, band: Row) -> bool:
    return bool(band["chance_low"] <= own["value"] <= band["chance_high"])


def _overlap(own: Row, band: Row) -> str:
    return "overlaps" if own["low"] <= band["chance_high"] and own["high"] >= band["chance_low"] else "beside"


def _headline(pooled: Row, band: Row, plain: Model, shifted: Sequence[Model]) -> Row:
    limits = {key: band[key] for key in ("chance", "chance_low", "chance_high")}
    shifts = ", ".join(f"{model.settings.shift_s:g}" for model in shifted)
    where = f"{'inside' if _inside(pooled, band) else 'outside'} the band, interval {_overlap(pooled, band)} it"
    note = f"{pooled['name']}, retrained with behaviour shifted by {shifts} s: {where}"
    return {"model": plain.name, **pooled, **limits, "name": "chance by retraining", "note": note}


def _pooled(models: Sequence[Model]) -> scores.Fits:
    keys = sorted({(number, seed) for number, model in enumerate(models) for _, seed in model.fits})
    return {
        (fold, keys.index((number, seed))): stretches
        for number, model in enumerate(models)
        for (fold, seed), stretches in model.fits.items()
    }


def _of(shifted: Model, models: Sequence[Model]) -> Model:
    wanted = shifted.settings.model_copy(update={"shift_s": None})
    for model in models:
        if model.settings == wanted:
            return model
    raise DataError(
        f"evaluate, model {shifted.name}",
        expected="a model with the same settings but for `shift_s`, whose circular shifts give the band",
        found=f"{', '.join(model.name for model in models if model.settings.shift_s is None) or 'none'}, all different",
        remedy="Add the model without `shift_s` to `fit.models`.",
    )
