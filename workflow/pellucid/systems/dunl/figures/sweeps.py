"""Recovery against the amount and kind of data: kernel error over training trials, bin width and baseline rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Axis:
    """Something that a sweep varies: its column in the rows, its name on the axis, and what converts its values."""

    key: str
    name: str
    factor: float
    logarithmic: bool


AXES = (
    Axis("train_trials", "training trials", 1, True),
    Axis("bin_s", "bin width (ms)", 1000, False),
    Axis("baseline_hz", "baseline (Hz)", 1, False),
)
DATA = ("train_trials", "coarsen", "recordings", "lag_bins")
"""Settings that say what a fit sees; one that agrees with the shown model in all others is part of its sweep."""


def varies(results: Results, settings: Settings) -> bool:
    """Tell whether the models that differ from the shown one in their data only make a sweep."""
    return bool(_varying(_rows(results, settings)))


def errors(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the error of each kernel against everything that the models vary in their data, a row of panels each."""
    rows = _rows(results, settings)
    varying, reference = _varying(rows), _reference(rows, settings)
    kernels = {row["kernel"]: shown.true_colour(results, settings, row["kernel"]) for row in rows}
    made, axes = style.figure(
        len(varying),
        len(kernels),
        width=max(3.2, 2.3 * len(kernels)) + (1.3 if len(varying) > 1 else 0),
        height=0.3 + 2.2 * len(varying),
        sharey=True,
    )
    table = []
    for place, along in enumerate(varying):
        by = varying[(place + 1) % len(varying)] if len(varying) > 1 else None
        held = [axis for axis in varying if axis not in (along, by)]
        kept = [row for row in rows if all(row[axis.key] == reference[axis.key] for axis in held)]
        table += _row(axes[place], kept, kernels, along, by)
        if by:
            titles = [by.name, *(f"{axis.name}: {reference[axis.key] * axis.factor:g}" for axis in held)]
            axes[place, -1].legend(
                fontsize=6, title="\n".join(titles), title_fontsize=6, loc="upper left", bbox_to_anchor=(1, 1)
            )
    for axis, kernel in zip(axes[0], kernels):
        axis.set_title(kernel)
    axes[0, 0].set_ylim(0, min(1.03, 1.15 * max(row["high"] for row in table)))
    style.save(made, folder, "recovery", table, _caption(settings, varying), dpi=settings.dpi)


def _row(
    axes: Sequence[Axes], rows: Rows, kernels: Mapping[str, str], along: Axis, by: Axis | None
) -> list[dict[str, Any]]:
    """Draw a panel per kernel (and its colour), with a line for every value of `by`; return what is drawn."""
    levels = sorted({row[by.key] for row in rows} - {None}) if by else [None]
    table = []
    for axis, (kernel, colour) in zip(axes, kernels.items()):
        for index, level in enumerate(levels):
            own = [row for row in rows if row["kernel"] == kernel and (by is None or row[by.key] == level)]
            drawn = shown.shade(index, len(levels)) if by else colour
            table += _line(axis, own, along, drawn, by, level)
        values = sorted({row[along.key] * along.factor for row in rows if row[along.key] is not None})
        if along.logarithmic:
            axis.set_xscale("log")
        ticks = values[:: -(-len(values) // 8)]
        axis.minorticks_off()
        axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
        style.label(axis, along.name, "kernel error" if panels.first(axis) else "")
    return table


def _rows(results: Results, settings: Settings) -> list[dict[str, Any]]:
    """Return the rows of models that differ from the shown one in their data only, with what each model saw."""
    described = {
        fit.model: {key: value for key, value in fit.settings.items() if key not in DATA} for fit in results.fits
    }
    alike = {model for model, about in described.items() if about == described[settings.model]}
    rows = [row for row in results.metrics["kernels"] if row["model"] in alike and row["error"] is not None]
    typical = {model: _typical([row for row in rows if row["model"] == model]) for model in alike}
    return [{**row, **typical[row["model"]]} for row in rows]


def _typical(rows: Rows) -> dict[str, float | None]:
    """Return what one model saw: medians over its folds, which differ a little; rates to two digits."""
    found: dict[str, float | None] = {}
    for axis in AXES:
        values = [row[axis.key] for row in rows if row.get(axis.key) is not None]
        middle = float(np.median(values)) if values else None
        found[axis.key] = float(f"{middle:.2g}") if middle is not None and axis.key == "baseline_hz" else middle
    return found


def _varying(rows: Rows) -> list[Axis]:
    return [axis for axis in AXES if len({row.get(axis.key) for row in rows} - {None}) > 1]


def _reference(rows: Rows, settings: Settings) -> dict[str, Any]:
    """Return the values at which axes are held: those of the shown model, the largest of several."""
    own = [row for row in rows if row["model"] == settings.model] or list(rows)
    return {
        axis.key: max((row[axis.key] for row in own if row.get(axis.key) is not None), default=None) for axis in AXES
    }


def _line(
    axis: Axes, rows: Rows, along: Axis, colour: str, by: Axis | None, level: float | None
) -> list[dict[str, Any]]:
    """Draw median and range of the error over folds and seeds; return them."""
    found = {
        x: np.array([row["error"] for row in rows if row[along.key] == x])
        for x in sorted({row[along.key] for row in rows} - {None})
    }
    x = [value * along.factor for value in found]
    middle = [float(np.median(values)) for values in found.values()]
    low, high = ([float(end(values)) for values in found.values()] for end in (np.min, np.max))
    label = None if by is None or level is None else f"{level * by.factor:g}"
    axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(x, middle, "o-", color=colour, markersize=3, label=label)
    about = {"along": along.name, "by": by.name if by else "", "level": label or ""}
    return [
        {"kernel": rows[0]["kernel"], **about, "x": a, "median": b, "low": c, "high": d}
        for a, b, c, d in zip(x, middle, low, high)
    ]


def _caption(settings: Settings, varying: Sequence[Axis]) -> str:
    several = len(varying) > 1
    return (
        "Error of estimated kernels, sqrt(1 - c^2) with c the inner product of unit-norm truth and estimate (no unit; "
        f"0 is perfect, 1 orthogonal), for models that differ from {settings.model} only in the data they see. Median "
        "(points) and range (shading) over folds, restarts and recordings"
        + (", a line per value in the legend; its title names what else varies and is held. " if several else ". ")
        + "No null."
    )
