"""Which ROIs the decoder uses, and when: map, profile over the window, and every ROI at every lag."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import outline, panels, rois, shown, tested
from pellucid.systems.cortex.figures.rois import Importance
from pellucid.systems.cortex.figures.settings import Settings

KNOW_NOTHING = {"null": ("null labels", "--"), "untrained": ("random weights", ":")}


WIDEST = 1.6
"""Intervals are drawn up to so many times the largest mean: those of two or three mice are very wide."""


def importance(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the importance of ROIs and lags of the explained model, with that of models that know nothing."""
    found, others = rois.load(results), rois.beside(results)
    order = found.order()[: settings.rois]
    labels = rois.parcels(results)
    mapped = _mapped(found, labels)
    tall = max(4.6 if mapped else 3.0, 1.0 + 0.115 * len(order))
    made, left, heat, bars = _layout(bool(mapped), tall)
    if mapped:
        _map(made, left[0], found, labels, settings)
    table = _profile(left[-1], found, others)
    table += _heat(made, heat, found, order)
    table += _bars(bars, found, others, order)
    entries: dict[str, Artist] = {"explained model": panels.line("black", marker="o")}
    for name in others:
        text, dashes = KNOW_NOTHING[name]
        entries[text] = panels.line(style.GREY, linestyle=dashes, marker="|" if name == "null" else "")
    made.legend(list(entries.values()), list(entries), fontsize=7, loc="outside lower right", ncols=len(entries))
    caption = _caption(results, settings, found, others, len(order), mapped)
    style.save(made, folder, "importance", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether ROIs were attributed."""
    return shown.has(results, "importance", "magnitude")


def _mapped(found: Importance, labels: np.ndarray | None) -> str:
    """Return how ROIs can be drawn on the cortex: as "parcels", as "circles", or not at all ("")."""
    if labels is not None and rois.numbers(found.names, labels):
        return "parcels"
    return "circles" if np.isfinite(found.place).all(1).any() else ""


def _layout(mapped: bool, tall: float) -> tuple[Figure, list[Axes], Axes, Axes]:
    """Return a figure with map and profile on the left, the heat map in the middle and bars on the right."""
    made, grid = style.figure(1, 3, width=7.8, height=tall)
    spec = grid[0, 0].get_gridspec()
    spec.set_width_ratios([1.35, 1.2, 0.8])
    if not mapped:
        return made, [grid[0, 0]], grid[0, 1], grid[0, 2]
    grid[0, 0].remove()
    inner = spec[0, 0].subgridspec(2, 1, height_ratios=[1.3, 1])
    return made, [made.add_subplot(inner[0, 0]), made.add_subplot(inner[1, 0])], grid[0, 1], grid[0, 2]


def _map(made: Figure, axis: Axes, found: Importance, labels: np.ndarray | None, settings: Settings) -> None:
    """Draw the importance of each ROI where it lies, and name the most important ones."""
    values = shown.mean(found.by_roi())
    most = float(np.nanmax(values)) or 1.0
    known = {} if labels is None else rois.numbers(found.names, labels)
    if labels is not None and known:
        numbers = [known.get(name, -1) for name in found.names]
        scale = outline.filled(axis, labels, numbers, values, most)
        place = outline.centres(labels, numbers)
    else:
        scale, place = outline.circles(axis, found.place, values, most), found.place
    top = found.order()[: settings.named].tolist()
    outline.name(axis, place, found.names, top, values < 0.6 * most)
    panels.bar(made, scale, axis, _unit("sum over lags", found), below=True)


def _profile(axis: Axes, found: Importance, others: Mapping[str, Importance]) -> shown.Rows:
    """Draw the importance at each lag, the sum over ROIs, with the interval over mice."""
    table: shown.Rows = []
    top = 0.0
    for name, own in {"model": found, **others}.items():
        middle, low, high = tested.interval(own.magnitude.sum(2))
        colour = "black" if name == "model" else style.GREY
        dashes = "-" if name == "model" else KNOW_NOTHING[name][1]
        axis.fill_between(own.lag, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(own.lag, middle, dashes, color=colour, linewidth=1.4)
        top = max(top, *np.nan_to_num(np.fmin(np.fmax(middle, high), WIDEST * np.nanmax(middle))))
        table += [_row("lag", name, lag_s=a, value=b, low=c, high=d) for a, b, c, d in zip(own.lag, middle, low, high)]
    axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_ylim(0, 1.05 * top or 1.0)
    style.label(axis, "lag from the labelled frame (s)", _unit("sum over ROIs", found))
    return table


def _heat(made: Figure, axis: Axes, found: Importance, order: np.ndarray) -> shown.Rows:
    """Draw the importance of each ROI at each lag, the most important ROI on top."""
    values = shown.mean(found.magnitude)[:, order].T
    step = float(found.lag[1] - found.lag[0]) if len(found.lag) > 1 else 1.0
    extent = (found.lag[0] - step / 2, found.lag[-1] + step / 2, len(order) - 0.5, -0.5)
    drawn = axis.imshow(values, aspect="auto", extent=extent, cmap="viridis", vmin=0, interpolation="nearest")
    labels = found.labels()
    panels.rows(axis, [shown.short(labels[number], 16) for number in order], size=5.5 if len(order) > 25 else 6.5)
    for place, number in enumerate(order):
        if found.driving[number]:
            axis.get_yticklabels()[place].set_color(panels.FLAG)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.axvline(0, color="white", linewidth=0.7)
    style.label(axis, "lag from the labelled frame (s)", "", "ROI x lag")
    panels.bar(made, drawn, axis, style.with_units("mean |attribution|", found.units), shrink=0.5)
    return [
        _row("roi x lag", "model", found, number, lag_s=lag, value=value)
        for number, line in zip(order, values)
        for lag, value in zip(found.lag, line)
    ]


def _bars(axis: Axes, found: Importance, others: Mapping[str, Importance], order: np.ndarray) -> shown.Rows:
    """Draw the importance of each ROI with its interval, filled where it speaks for state 1, and the nulls'."""
    middle, low, high = (values[order] for values in tested.interval(found.by_roi()))
    signed = shown.mean(found.signed.sum(1))[order]
    at = np.arange(len(order))
    axis.hlines(at, low, high, color="black", linewidth=1)
    against = signed < 0
    axis.plot(middle[~against], at[~against], "o", color="black", markersize=3)
    axis.plot(middle[against], at[against], "o", color="black", markersize=3, markerfacecolor="white")
    columns = {name: rois.matched([found.names[i] for i in order], own) for name, own in others.items()}
    for name, values in columns.items():
        dashes = KNOW_NOTHING[name][1]
        marker = "|" if name == "null" else ""
        axis.plot(values, at, linestyle=dashes, marker=marker, color=style.GREY, markersize=4, linewidth=0.7)
    panels.rows(axis, [""] * len(order))
    axis.set_ylim(len(order) - 0.5, -0.5)
    highest = float(np.nanmax([middle, *columns.values()]))
    axis.set_xlim(0, min(axis.get_xlim()[1], WIDEST * highest) or 1.0)
    axis.grid(axis="y", color="0.95", linewidth=0.5)
    style.label(axis, _unit("sum over lags", found), "", "ROI")
    return [
        _row("roi", "model", found, number, value=middle[i], low=low[i], high=high[i], signed=signed[i],
             **{name: values[i] for name, values in columns.items()})
        for i, number in enumerate(order)
    ]  # fmt: skip


def _row(panel: str, model: str, found: Importance | None = None, number: int = 0, **values: float) -> dict[str, Any]:
    """Return a row of the table; what does not apply is NaN or empty."""
    about: dict[str, Any] = {"roi": "", "area": "", "row": np.nan, "column": np.nan, "driving": ""}
    if found is not None:
        row, column = found.place[number]
        about = {"roi": found.names[number], "area": found.areas[number], "row": row, "column": column}
        about["driving"] = bool(found.driving[number])
    columns = ("lag_s", "value", "low", "high", "signed", "null", "untrained")
    return {"panel": panel, "model": model} | about | {key: values.get(key, np.nan) for key in columns}


def _unit(what: str, found: Importance) -> str:
    return style.with_units(what, found.units)


def _caption(
    results: Results, settings: Settings, found: Importance, others: Mapping[str, Importance], count: int,
    mapped: str,
) -> str:  # fmt: skip
    model = str(results.attribution.attrs.get("model", settings.model))
    fits = len(shown.fits(results, model))
    text = (
        f"Importance of {_of(count, len(found.names))} for model {model}: mean "
        f"|attribution| (expected gradients) over test windows, {fits} fits, mean over {tested.counted(results)}; "
        f"{tested.said(results)}. "
    )
    if mapped:
        text += f"Map: sum over lags, on {mapped}; names: the most important ROIs. "
        text += outline.SAID if mapped == "circles" else ""
    text += _completeness(results)
    if shown.group(results, "importance").attrs.get("background") == "test":
        text += "Baselines are windows of the test sessions (transductive). "
    text += "Profile: sum over ROIs. Heat map: ROI x lag. Right: sum over lags of each ROI, intervals cut "
    text += f"off at {WIDEST:g} times the largest mean"
    text += "; open: higher attribution in state 0 than in state 1. " if np.isfinite(found.signed).any() else ". "
    text += "Vermilion: ROIs that truly drive the state (simulated). " if found.driving.any() else ""
    named = " and ".join(KNOW_NOTHING[name][0] for name in others)
    text += f"Null: {named}. " if others else "Null: none was attributed. "
    text += "Positive lags lie after the labelled frame. " + shown.transductive(results, [model])
    return text + "Importance is a statement about the joint model, not about the tuning of a ROI."


def _of(count: int, total: int) -> str:
    return f"{total} ROIs" if count == total else f"the {count} most important of {total} ROIs"


def _completeness(results: Results) -> str:
    found = shown.group(results, "importance")
    if "completeness" not in found:
        return ""
    error = found["completeness"].values
    if not np.isfinite(error).any():
        return ""
    return f"Largest completeness error of a fit: {float(np.nanmax(error)):.2g} of the mean |f(x) - f(baseline)|. "
