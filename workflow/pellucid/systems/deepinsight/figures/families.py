"""Models that differ in one setting only: amount of data, length of the window, averaging, bands."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.artifacts import Fit, Results
from pellucid.systems.deepinsight.figures import shown
from pellucid.systems.deepinsight.figures.settings import Settings

NO_MATTER = ("device",)
"""Settings that do not change what a model is."""

Value = Callable[[Results, Fit], float | None]


@dataclass(frozen=True)
class Family:
    """Models that differ in one setting only: the name of the family, and the model at each value, rising."""

    label: str
    models: Mapping[float, str]


def of(results: Results, settings: Settings, keys: tuple[str, ...], value: Value) -> list[Family]:
    """Return the families of decoders that differ in nothing but `keys`, two values each at least, the shown one first.

    keys   settings that may differ, "bayes.rows" for one of a block
    value  what a fit has on the axis, None if it has no place there
    """
    fits = shown.first_fits(results)
    together: dict[str, list[str]] = {}
    for model in shown.decoders(results):
        if value(results, fits[model]) is not None:
            together.setdefault(rest(fits[model], keys), []).append(model)
    found = []
    for models in together.values():
        label = settings.model if settings.model in models else models[0]
        known: dict[float, str] = {}
        for model in [label, *models]:
            known.setdefault(float(value(results, fits[model]) or 0), model)
        if len(known) > 1:
            found.append(Family(label, {x: known[x] for x in sorted(known)}))
    return sorted(found, key=lambda family: family.label != settings.model)


def compared(results: Results, settings: Settings) -> list[str]:
    """Return at most settings.models decoders, in their order; of more, variants are left out."""
    every = shown.decoders(results)
    if len(every) <= settings.models:
        return every
    known = variants(results, settings)
    chosen = sorted((name for name in every if name not in known), key=lambda name: name != settings.model)
    return [name for name in every if name in chosen[: settings.models]]


def variants(results: Results, settings: Settings) -> set[str]:
    """Return the decoders that differ from another one in nothing but a setting that a figure is about."""
    swept = [
        model
        for keys, value in SWEPT
        for family in of(results, settings, keys, value)
        for model in family.models.values()
        if model != family.label
    ]
    fits = shown.first_fits(results)
    parts = [name for name, fit in fits.items() if shown.is_limited(fit) or fit.settings.get("train_s") is not None]
    return {*swept, *parts} - {settings.model}


def rest(fit: Fit, keys: tuple[str, ...]) -> str:
    """Return all settings of a fit but some as text."""
    return json.dumps(_without(fit.settings, (*keys, *NO_MATTER)), sort_keys=True)


def training_s(results: Results, fit: Fit) -> float | None:
    """Return the length of the rows a model was trained on in s, mean over folds where it saw all of them."""
    whole = _all_training_s(results)
    limit = fit.settings.get("train_s")
    return whole if limit is None else min(float(limit), whole)


def window_s(results: Results, fit: Fit) -> float | None:
    """Return the length in s of what a model sees; None for a Bayesian decoder that chose it on validation rows."""
    if fit.settings["kind"] == "bayes":
        rows = (fit.settings.get("bayes") or {}).get("rows")
        return None if rows is None else rows * shown.row_s(results)
    rows = int(fit.settings["window_rows"]) * int(fit.settings.get("average_rows", 1))
    return rows * shown.row_s(results)


def average_s(results: Results, fit: Fit) -> float | None:
    """Return the time over which a network's input is averaged in s; None for decoders of spikes."""
    if fit.settings.get("input") == "spikes":
        return None
    return int(fit.settings.get("average_rows", 1)) * shown.row_s(results)


def bands_hz(results: Results, fit: Fit) -> np.ndarray:
    """Return the bands a model sees in Hz, none for a decoder of spikes."""
    if fit.settings.get("input") == "spikes":
        return np.empty(0)
    known = fit.notes.get("bands_hz")
    return np.asarray(results.features.first()["frequency"].values if known is None else known, float)


def _all_training_s(results: Results) -> float:
    rows = [
        sum(stop - start for ranges in fold.train.values() for start, stop in ranges) for fold in results.features.folds
    ]
    return float(np.mean(rows)) * shown.row_s(results)


def _without(settings: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return settings without some keys; "a.b" names one of a block."""
    kept = {key: value for key, value in settings.items() if key not in keys}
    for key in keys:
        block, _, name = key.partition(".")
        if name and isinstance(kept.get(block), Mapping):
            kept[block] = {k: v for k, v in kept[block].items() if k != name}
    return kept


SWEPT: tuple[tuple[tuple[str, ...], Value], ...] = (
    (("train_s",), training_s),
    (("window_rows", "bayes.rows"), window_s),
    (("average_rows",), average_s),
    (("average_rows", "window_rows"), average_s),
)
"""Settings that models may differ in, with what they amount to on an axis."""
