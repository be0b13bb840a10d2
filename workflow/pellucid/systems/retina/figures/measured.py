"""What a phenomenon is judged by: each measure against the condition, or one value per model, beside the responses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.plotting import style
from pellucid.systems.retina.figures import kinds, panels, responses, shown

LONGEST = 38
"""Letters that fit above a panel."""

MEAN = "mean"
"""Entry of `neuron` for what is measured on the rate averaged over cells."""


@dataclass(frozen=True)
class Look:
    """How a model is named and drawn."""

    name: str
    colour: str
    dashes: str
    marker: str


@dataclass(frozen=True)
class Measured:
    """One measure of all models, on the mean over cells.

    title   what stands above its panel
    at      values of the condition that it was measured in, rising; none: over all conditions
    values  model -> (seed, condition), NaN where undefined
    seeds   model -> (seed,) their numbers
    """

    name: str
    title: str
    unit: str
    at: np.ndarray
    values: dict[str, np.ndarray]
    seeds: dict[str, list[object]]


def measures(found: xr.Dataset, models: Sequence[str], most: int) -> list[Measured]:
    """Return the measures that are shown of a phenomenon: the first of its kind, before them those of the full model.

    models  the full model first
    """
    preferred = kinds.of(str(found.attrs.get("kind"))).measures
    rows = [row for row in responses.rows(found, "measures") if row["model"] in models and _mean(row)]
    made: list[Measured] = []
    for key in dict.fromkeys((str(row["name"]), _per_condition(row)) for row in rows):
        own = [row for row in rows if (str(row["name"]), _per_condition(row)) == key]
        one = _measured(own, models)
        if any(np.isfinite(values).any() for values in one.values.values()):
            made.append(one)
    known = [replace(one, title=preferred.get(one.name, shown.words(one.name))) for one in made]
    order = list(preferred)
    place = {one.name: order.index(one.name) if one.name in order else len(order) for one in known}
    return sorted(known, key=lambda one: (not _has(one, models[0]), place[one.name]))[:most]


def draw(axis: Axes, one: Measured, looks: dict[str, Look], condition: str) -> shown.Rows:
    """Draw a measure against the condition, or a row per model; return the numbers."""
    title = style.with_units(one.title, shown.unit(one.unit))
    title = title.replace(" (", "\n(") if len(title) > LONGEST else title
    if len(one.at) > 1:
        _against(axis, one, looks, condition)
    else:
        _rows(axis, one, looks)
        title += f"\n{condition}: {one.at[0]:g}" if len(one.at) else ""
    axis.set_title(title, loc="left", fontsize=7)
    return [
        {"measure": one.name, "unit": one.unit, "model": model, "seed": seed, "condition": at, "value": value}
        for model, values in one.values.items()
        for seed, line in zip(one.seeds[model], values)
        for at, value in zip(one.at if len(one.at) else [np.nan], line)
    ]


def _has(one: Measured, model: str) -> bool:
    return model in one.values and bool(np.isfinite(one.values[model]).any())


def _mean(row: dict[str, object]) -> bool:
    return str(row.get("neuron")) == MEAN


def _per_condition(row: dict[str, object]) -> bool:
    return bool(np.isfinite(shown.number(row.get("at"))))


def _measured(rows: list[dict[str, object]], models: Sequence[str]) -> Measured:
    per = _per_condition(rows[0])
    at = sorted({shown.number(row.get("at")) for row in rows}) if per else []
    values, seeds = {}, {}
    for model in models:
        own = [row for row in rows if row["model"] == model]
        if not own:
            continue
        seeds[model] = list(dict.fromkeys(row.get("seed") for row in own))
        values[model] = np.full((len(seeds[model]), max(1, len(at))), np.nan)
        for row in own:
            place = at.index(shown.number(row.get("at"))) if per else 0
            values[model][seeds[model].index(row.get("seed")), place] = shown.number(row.get("value"))
    return Measured(str(rows[0]["name"]), "", str(rows[0].get("unit", "1")), np.array(at), values, seeds)


def _against(axis: Axes, one: Measured, looks: dict[str, Look], condition: str) -> None:
    """Draw the mean over seeds of every model against the condition, with the range over seeds."""
    for number, (model, values) in enumerate(one.values.items()):
        look, middle = looks[model], shown.mean(values)
        if len(values) > 1 and number == 0:
            low, high = np.fmin.reduce(values), np.fmax.reduce(values)
            axis.fill_between(one.at, low, high, color=look.colour, alpha=0.15, linewidth=0)
        axis.plot(one.at, middle, color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=3,
                  markeredgewidth=0,
                  linewidth=1.3 if number == 0 else 0.9, zorder=5 if number == 0 else 3)  # fmt: skip
    every = np.concatenate([values.ravel() for values in one.values.values()])
    axis.set_ylim(*panels.span(every))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.tick_params(labelsize=6.5)
    axis.set_xlabel(condition, fontsize=7)


def _rows(axis: Axes, one: Measured, looks: dict[str, Look]) -> None:
    """Draw the seeds of every model as dots in a row, with their mean."""
    for place, (model, values) in enumerate(one.values.items()):
        look, own = looks[model], values[:, 0]
        axis.plot(own, np.full(len(own), place), "o", color=look.colour, markersize=3, alpha=0.5, markeredgewidth=0)
        axis.plot(shown.mean(own), place, "D", color=look.colour, markersize=4)
    panels.rows(axis, [looks[model].name for model in one.values], size=6.5)
    axis.set_xlim(*panels.span(*one.values.values(), np.zeros(1)))
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.tick_params(axis="x", labelsize=6.5)
