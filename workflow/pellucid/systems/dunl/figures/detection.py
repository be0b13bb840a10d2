"""Events found without being told when: hits and false alarms, codes against smoothing, and what was found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

Rows = Sequence[Mapping[str, Any]]
RATES = ("hit", "false", "hit_chance", "false_chance")
PANELS = 4
"""Largest number of tolerances drawn beside each other."""


def tolerances(results: Results, settings: Settings, folder: Path) -> None:
    """Draw hit and false rates of the codes of every model against the tolerance, with chance."""
    rows = _of(results, "codes")
    names, models = _unique(rows, "kernel"), _colours(results, rows)
    made, axes = style.figure(2, len(names), width=max(3.4, 2.4 * len(names)) + 1.4, height=4.2, sharex=True)
    table = []
    for column, name in enumerate(names):
        for model, colour in models.items():
            own = [row for row in rows if row["kernel"] == name and row["model"] == model]
            means = _by_tolerance(own)
            table += [{"kernel": name, "model": model, **row} for row in means]
            if means:
                _rate(axes[0, column], means, "hit", colour)
                _rate(axes[1, column], means, "false", colour)
        style.label(axes[0, column], "", "hit rate" if column == 0 else "", name)
        style.label(axes[1, column], "tolerance (ms)", "false rate" if column == 0 else "")
        _ticks(axes[1, column], sorted({1000 * row["tolerance_s"] for row in rows}))
    entries: dict[str, Artist] = {
        model: panels.line(colour, marker="o", markersize=3) for model, colour in models.items()
    }
    panels.legend(made, entries | {"chance": panels.line(style.GREY, linestyle=":")})
    caption = (
        "Events detected by codes without knowing when events occur. Hit rate: share of true events with a code "
        "within the tolerance. False rate: share of codes without an event within it. Mean over folds and trials; "
        "shading: range over folds. Dotted, in the colour of the model: chance, the same rates when the detected "
        "times are placed at random."
    )
    style.save(made, folder, "detection", table, caption, dpi=settings.dpi)


def curves(results: Results, settings: Settings, folder: Path) -> None:
    """Draw misses against false alarms of smoothing detectors and of codes, a panel per kernel and tolerance."""
    smooth, codes = _of(results, "smoothing"), _of(results, "codes")
    same = [row for row in smooth if row["model"] == settings.model]  # one raster: every model has the same curves
    smooth = same or [row for row in smooth if row["model"] == smooth[0]["model"]]
    names = _unique(smooth, "kernel")
    found = sorted({row["tolerance_s"] for row in smooth} & {row["tolerance_s"] for row in codes})
    shown_at = [found[i] for i in sorted({int(i) for i in np.linspace(0, len(found) - 1, min(PANELS, len(found)))})]
    models = _colours(results, codes)
    filters = list(dict.fromkeys(_filter(row) for row in smooth))
    made, axes = style.figure(
        len(names), len(shown_at), width=max(3.4, 2.1 * len(shown_at)) + 1.7, height=0.4 + 2.1 * len(names)
    )
    table = []
    for (row, name), (column, at) in ((a, b) for a in enumerate(names) for b in enumerate(shown_at)):
        axis = axes[row, column]
        here = [one for one in (*smooth, *codes) if one["kernel"] == name and one["tolerance_s"] == at]
        table += _curves(axis, here, filters, models)
        axis.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), box_aspect=1)
        title = f"{name}, ± {1000 * at:g} ms"
        style.label(axis, "false rate" if name == names[-1] else "", "miss rate" if column == 0 else "", title)
    panels.legend(made, _entries(filters, models))
    caption = (
        "Misses (1 - hit rate) against false alarms. Lines: the raster smoothed by an exponential, peaks above a "
        "threshold that varies along the line. Circles: codes of each model; bars: range over folds. Crosses: the "
        "same detections at random times (chance). Bottom left is best. Mean over folds."
    )
    style.save(made, folder, "miss_false", table, caption, dpi=settings.dpi)


def _curves(axis: Axes, rows: Rows, filters: Sequence[str], models: Mapping[str, str]) -> list[dict[str, Any]]:
    """Draw the curves of the smoothing filters and the points of the models at one tolerance; return the means."""
    table = []
    for one, shade in zip(filters, _greys(len(filters))):
        points = _by_setting([row for row in rows if row["detector"] == "smoothing" and _filter(row) == one])
        curve = np.array([(point["false"], 1 - point["hit"]) for point in points])
        axis.plot(*curve.T, ".-", color=shade, linewidth=0.9, markersize=3)
        table += points
    for model, colour in models.items():
        own = [row for row in rows if row["detector"] == "codes" and row["model"] == model]
        for point in _by_setting(own):
            hit, false = (_values(own, point["setting"], name) for name in ("hit", "false"))
            axis.plot([point["false"]] * 2, [1 - hit.min(), 1 - hit.max()], color=colour, linewidth=0.8)
            axis.plot([false.min(), false.max()], [1 - point["hit"]] * 2, color=colour, linewidth=0.8)
            axis.plot(point["false"], 1 - point["hit"], "o", color=colour, markersize=5, zorder=4)
            axis.plot(point["false_chance"], 1 - point["hit_chance"], "x", color=colour, markersize=5, zorder=3)
            table.append(point)
    return table


def _by_setting(rows: Rows) -> list[dict[str, Any]]:
    """Return means over folds of all rates per setting, in the order of the rows."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    parts = [[row for row in rows if row["setting"] == setting] for setting in settings]
    keys = ("model", "detector", "kernel", "setting", "tolerance_s")
    return [{key: own[0][key] for key in keys} | _average(own) for own in parts]


def _by_tolerance(rows: Rows) -> list[dict[str, Any]]:
    """Return means over folds and settings of all rates per tolerance, with the range over folds."""
    means = []
    for at in sorted({row["tolerance_s"] for row in rows}):
        own = [row for row in rows if row["tolerance_s"] == at]
        folds = [_average([row for row in own if row["fold"] == fold]) for fold in _unique(own, "fold")]
        ends = {
            f"{name}_{end}": extreme([fold[name] for fold in folds])
            for name in ("hit", "false")
            for end, extreme in (("low", min), ("high", max))
        }
        means.append({"tolerance_s": at} | _average(own) | ends)
    return means


def _rate(axis: Axes, means: Rows, name: str, colour: str) -> None:
    x = [1000 * row["tolerance_s"] for row in means]
    low, high = ([row[f"{name}_{end}"] for row in means] for end in ("low", "high"))
    axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(x, [row[name] for row in means], "o-", color=colour, markersize=3)
    axis.plot(x, [row[f"{name}_chance"] for row in means], ":", color=colour)
    axis.set_ylim(-0.03, 1.03)


def _ticks(axis: Axes, values: Sequence[float]) -> None:
    """Use a logarithmic axis for tolerances that span a wide range, with the values as ticks."""
    if values[-1] > 8 * values[0] > 0:
        axis.set_xscale("log")
        axis.minorticks_off()
    step = -(-len(values) // 6)
    axis.set_xticks(values[::step], [f"{value:g}" for value in values[::step]])


def _entries(filters: Sequence[str], models: Mapping[str, str]) -> dict[str, Artist]:
    entries: dict[str, Artist] = {
        one: panels.line(shade, marker=".") for one, shade in zip(filters, _greys(len(filters)))
    }
    for model, colour in models.items():
        entries[f"codes, {model}"] = panels.line(colour, marker="o", linestyle="none")
    return entries | {"chance": panels.line(panels.DARK, marker="x", linestyle="none", markersize=5)}


def _greys(count: int) -> list[str]:
    """Return so many greys, from light to dark."""
    return [str(value) for value in (np.linspace(0.75, 0.15, count) if count > 1 else [0.5])]


def _of(results: Results, detector: str) -> list[Mapping[str, Any]]:
    return [row for row in results.metrics["detection"] if row["detector"] == detector]


def _colours(results: Results, rows: Rows) -> dict[str, str]:
    """Return the models of some rows with their colours."""
    models = _unique(rows, "model")
    every = shown.model_colours(results, models)
    return {model: every[model] for model in models}


def _filter(row: Mapping[str, Any]) -> str:
    """Return the smoothing filter of a detector, the part of its setting before the threshold."""
    return str(row["setting"]).partition(", ")[0]


def _average(rows: Rows) -> dict[str, float]:
    return {name: float(shown.mean(np.array([shown.number(row[name]) for row in rows]))) for name in RATES}


def _values(rows: Rows, setting: str, name: str) -> np.ndarray:
    return np.array([shown.number(row[name]) for row in rows if row["setting"] == setting])


def _unique(rows: Rows, key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))
