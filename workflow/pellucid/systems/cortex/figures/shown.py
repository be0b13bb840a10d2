"""What the figures share: rows of scores, fits, groups of the results, models that fit a page, and small statistics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex

from pellucid import schema
from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.plotting.words import plural as plural
from pellucid.plotting.words import short as short
from pellucid.systems.cortex.figures.settings import Settings

Rows = list[dict[str, Any]]

PALETTE = tuple(colour for colour in style.COLOURS if colour not in ("#000000", "#F0E442"))
"""Colours of mice and models; black is the mean or the truth, and yellow is too pale for lines."""

MOST_LISTED = 10
"""More names are not written out in a caption."""

CHANCE = 0.5
"""AUC of a decoder that knows nothing."""


def table(results: Results) -> Rows:
    """Return the rows of scores, one per fit."""
    return list(results.metrics.get("table") or [])


def listed(results: Results, name: str) -> Rows:
    """Return the rows of another list of metrics.json, none if it is absent."""
    return list(results.metrics.get(name) or [])


def average(results: Results, model: str) -> Mapping[str, Any]:
    """Return the row of `models` of one model, {} without one."""
    return next((row for row in listed(results, "models") if row["model"] == model), {})


def fits(results: Results, model: str) -> list[Fit]:
    """Return the fits of a model."""
    return [fit for fit in results.fits if fit.model == model]


def about(results: Results) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every model, in the order of the fits."""
    return {fit.model: fit.settings for fit in results.fits}


def has(results: Results, name: str, variable: str | None = None) -> bool:
    """Tell whether the attribution has a group, and a variable in it."""
    children = results.attribution.children
    return name in children and (variable is None or variable in children[name].dataset)


def group(results: Results, name: str) -> xr.Dataset:
    """Return a group of the attribution."""
    return schema.group(results.attribution, name, "attribution")


def speed(row: Mapping[str, Any]) -> bool:
    """Tell whether a row of scores, or the settings of a fit, belong to a decoder of speed."""
    return row.get("target") == "speed"


def nulls(results: Results) -> list[str]:
    """Return the models fitted to labels that do not belong to the frames, in the order of the fits."""
    found = {row["model"] for row in table(results) if row.get("null")}
    return [model for model in about(results) if model in found]


def with_score(results: Results, score: str, *, of_speed: bool = False) -> list[str]:
    """Return the models that have a score in any fit, in the order of the fits."""
    rows = [row for row in table(results) if speed(row) == of_speed and np.isfinite(number(row.get(score)))]
    return list(dict.fromkeys(str(row["model"]) for row in rows))


def kept(results: Results, settings: Settings, models: Sequence[str], score: str = "auc") -> list[str]:
    """Return at most settings.models of the given models, in their order.

    Kept first are the shown one, nulls and controls, then those with the highest score.
    """
    first = {settings.model, *nulls(results), *(str(row["model"]) for row in listed(results, "controls"))}
    level = {
        model: float(mean(np.array([number(row.get(score)) for row in table(results) if row["model"] == model])))
        for model in models
    }
    order = sorted(models, key=lambda m: (m != settings.model, m not in first, -np.nan_to_num(level[m], nan=-np.inf)))
    chosen = set(order[: settings.models])
    return [model for model in models if model in chosen]


def of(count: int, total: int, what: str) -> str:
    """Return "3 decoders", or "3 of 7 decoders (...)" where some are left out."""
    return f"{count} {what}" if count == total else f"{count} of {total} {what} (the shown one, nulls, controls, best)"


def transductive(results: Results, models: Iterable[str]) -> str:
    """Return the sentence of a caption that says which models saw statistics of held-out sessions."""
    models = list(dict.fromkeys(models))
    using = {str(row["model"]) for row in table(results) if row.get("transductive")}
    found, rest = [model for model in models if model in using], [model for model in models if model not in using]
    if not found:
        return "No statistic of a held-out session was used. "
    if len(found) == 1:
        who = f"Model {found[0]} was"
    elif not rest:
        who = "All of these models were"
    elif len(rest) < min(len(found), MOST_LISTED):
        who = f"All of these models but {', '.join(rest)} were"
    else:
        who = f"{', '.join(found) if len(found) <= MOST_LISTED else f'{len(found)} of these models'} were"
    return f"{who} normalised with label-free statistics of the whole held-out sessions (transductive). "


def null_sentence(results: Results, models: Sequence[str] | None = None) -> str:
    """Return the sentence of a caption about the AUC of nulls among the given models (all if None)."""
    found = [model for model in nulls(results) if models is None or model in models]
    levels = [(model, number(average(results, model).get("auc"))) for model in found]
    said = [f"{model} {digits(level)}" for model, level in levels if np.isfinite(level)]
    if not said:
        return "Null: chance, AUC 0.5; no model was fitted to labels that do not belong to the frames. "
    return f"Null: fitted to labels that do not belong to the frames, and scored on those: AUC {', '.join(said)}. "


def number(value: object) -> float:
    """Return a number of metrics.json, NaN where it is missing."""
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]


def mean(values: np.ndarray, axis: int | tuple[int, ...] = 0) -> np.ndarray:
    """Return the mean of the finite values along axes, NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.asarray(np.where(count > 0, np.where(known, values, 0).sum(axis) / np.maximum(count, 1), np.nan))


def shade(index: int, count: int) -> str:
    """Return the colour of one of several ordered levels, from dark to light."""
    return to_hex(colormaps["viridis"](0.92 * index / max(1, count - 1)))


def colours(items: Sequence[str]) -> dict[str, str]:
    """Return a colour for each item, of the palette as long as it has enough."""
    unique = list(dict.fromkeys(items))
    few = len(unique) <= len(PALETTE)
    return {item: PALETTE[i] if few else shade(i, len(unique)) for i, item in enumerate(unique)}


def digits(value: float, places: int = 3) -> str:
    """Return a number with so many digits after the point, never minus zero; "undefined" for NaN."""
    return f"{round(value, places) + 0.0:.{places}f}" if np.isfinite(value) else "undefined"


def thinned(count: int, most: int) -> np.ndarray:
    """Return at most so many numbers from 0 to count - 1, evenly spaced, first and last included."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)
