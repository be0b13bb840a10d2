"""Held-out scores of every model: pooled, with intervals and chance, and neuron by neuron against the constant."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import correlations, panels, shown
from pellucid.systems.dunl.figures.settings import Settings

Rows = Sequence[Mapping[str, Any]]


def headline(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the headline scores of every model that have an interval, and their band of chance, a panel per score."""
    rows = [row for row in results.metrics["headline"] if row["low"] is not None]
    names = list(dict.fromkeys(row["name"] for row in rows))
    most = max(len([row for row in rows if row["name"] == name]) for name in names)
    made, axes = panels.grid(len(names), columns=3, width=3.2, height=0.7 + 0.22 * most)
    colours = shown.model_colours(results, [row["model"] for row in rows])
    for axis, name in zip(axes, names):
        own = [row for row in rows if row["name"] == name]
        for place, row in enumerate(own):
            value, low, high, chance_low, chance_high = (
                shown.number(row[key]) for key in ("value", "low", "high", "chance_low", "chance_high")
            )
            axis.fill_betweenx([place - 0.35, place + 0.35], chance_low, chance_high, color="0.85", linewidth=0)
            colour = colours[row["model"]]
            axis.plot([low, high], [place, place], color=colour)
            axis.plot(value, place, "o", color=colour, markersize=4)
        _models(axis, [row["model"] for row in own])
        style.label(axis, "" if own[0]["unit"] == "1" else str(own[0]["unit"]), "", _wrapped(name))
    caption = (
        "Scores on held-out data. Point and bar: value and 95 % interval; grey: 95 % band of chance, where a score "
        "has one. Unit below each axis, none where the score has no unit."
    )
    style.save(made, folder, "scores", rows, caption, dpi=settings.dpi)


def with_intervals(results: Results) -> bool:
    """Tell whether any headline score has an interval."""
    return any(row["low"] is not None for row in results.metrics.get("headline") or [])


def by_neuron(results: Results, settings: Settings, folder: Path) -> None:
    """Draw each metric neuron by neuron for every model, and its difference from the constant model."""
    rows = [row for row in results.metrics["table"] if row["value"] is not None]
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    colours = shown.model_colours(results, [row["model"] for row in rows])
    constant = next((fit.model for fit in results.fits if fit.settings["kind"] == "constant"), None)
    made, axes = style.figure(
        len(metrics),
        2 if constant else 1,
        width=7.2 if constant else 4.0,
        height=len(metrics) * (0.8 + 0.25 * len(models)),
    )
    table: list[dict[str, Any]] = []
    for line, metric in zip(axes, metrics):
        values = _neurons(rows, metric, models)
        table += _strip(line[0], values, colours, metric, "value")
        style.label(line[0], metric, "")
        if constant:
            paired = {model: own - values[constant] for model, own in values.items() if model != constant}
            table += _strip(line[1], paired, colours, metric, f"difference from {constant}")
            line[1].axvline(0, color=style.GREY, linewidth=0.8, zorder=0)
            style.label(line[1], f"difference from {constant}", "")
    caption = (
        "Held-out scores of every neuron (grey points; mean over folds and seeds), their mean over neurons and its 95 "
        "% interval (t; none with one neuron). "
        + (f"Right: paired difference from the model {constant}, neuron by neuron; " if constant else "")
        + "the axis spans 98 % of the neurons. The null is a difference of 0."
    )
    style.save(made, folder, "scores_by_neuron", table, caption, dpi=settings.dpi)


def _neurons(rows: Rows, metric: str, models: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the mean over folds and seeds of every neuron (neuron,), NaN where a model has none."""
    own = [row for row in rows if row["metric"] == metric]
    neurons = sorted({(str(row["recording"]), str(row["neuron"])) for row in own})
    number = {key: index for index, key in enumerate(neurons)}
    sums = {model: np.zeros((2, len(neurons))) for model in models}
    for row in own:
        sums[row["model"]][:, number[str(row["recording"]), str(row["neuron"])]] += (row["value"], 1)
    return {model: np.where(count > 0, total / np.maximum(count, 1), np.nan) for model, (total, count) in sums.items()}


def _strip(
    axis: Axes, values: Mapping[str, np.ndarray], colours: Mapping[str, str], metric: str, what: str
) -> list[dict[str, Any]]:
    """Draw the neurons of every model as points on a line, with mean and interval; return them."""
    table = []
    for place, (model, own) in enumerate(values.items()):
        known = own[np.isfinite(own)]
        spread = (np.arange(len(known)) * 0.618 % 1 - 0.5) * 0.5
        axis.plot(known, place + spread, ".", color="0.7", markersize=3, zorder=1)
        low, high = correlations.interval(own)
        mean, colour = float(shown.mean(own)), colours[model]
        axis.plot([low, high], [place, place], color=colour, linewidth=2)
        axis.plot(mean, place, "o", color=colour, markersize=5)
        about = {"metric": metric, "what": what, "model": model}
        table.append(about | {"neuron": "mean", "value": mean, "low": low, "high": high})
        table += [about | {"neuron": i, "value": v, "low": np.nan, "high": np.nan} for i, v in enumerate(own)]
    every = np.concatenate(list(values.values()))
    every = every[np.isfinite(every)]
    if len(every) > 20:
        low, high = np.quantile(every, [0.01, 0.99])
        margin = 0.08 * (high - low) or 0.1
        axis.set_xlim(min(low, 0) - margin, max(high, 0) + margin)
    _models(axis, list(values))
    return table


def _models(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), list(names))
    axis.set_ylim(len(names) - 0.5, -0.5)


def _wrapped(name: str) -> str:
    """Return a long name in two lines."""
    words = name.split()
    return name if len(name) <= 34 else f"{' '.join(words[: len(words) // 2])}\n{' '.join(words[len(words) // 2 :])}"
