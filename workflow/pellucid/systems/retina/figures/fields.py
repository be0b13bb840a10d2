"""Receptive fields of the cells of the shown model: mean gradient over the test movie, in space and in time."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings


def fields(results: Results, settings: Settings, folder: Path) -> None:
    """Draw space and time of the mean gradient of several cells, first fold and seed."""
    found = shown.group(results, "fields")
    names = shown.names(found, found.sizes["neuron"])
    chosen = shown.thinned(len(names), settings.fields).tolist()
    own = found.isel(fold=0, seed=0, neuron=chosen)
    space = own["spatial"].transpose("neuron", "height", "width").values
    time, part = own["temporal"].transpose("neuron", "lag").values, own["separability"].values
    lag = found["lag"].values.astype(float)
    places = centres(results, names)
    wide = space.shape[1] * space.shape[2] > 1
    size = 1.15 * np.clip(space.shape[1] / space.shape[2], 0.5, 1.6) if wide else 0.0
    made, axes = style.figure(
        1 + wide, len(chosen), width=max(3.6, 0.7 + 1.1 * len(chosen)), height=1.75 + size, sharey=False,
        height_ratios=[size, 0.9] if wide else None,
    )  # fmt: skip
    table: shown.Rows = []
    most = panels.limit(time)
    for column, number in enumerate(chosen):
        if wide:
            _space(axes[0, column], space[column], places[number])
        _time(axes[-1, column], lag, time[column], most, first=column == 0)
        title = shown.short(names[number], 14)
        axes[0, column].set_title(f"{title}\n{100 * part[column]:.0f} %", fontsize=6.5, pad=3)
        table += _numbers(names[number], lag, space[column], time[column], part[column])
    axes[-1, 0].set_ylabel("gradient", fontsize=7)
    caption = _caption(results, settings, found, len(chosen), wide, np.isfinite(places).all(1).any())
    style.save(made, folder, "fields", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether receptive fields of the model are known."""
    return shown.has(results, "fields", "sta")


def centres(results: Results, names: list[str]) -> np.ndarray:
    """Return the recorded centre of each cell's receptive field, (neuron, 2) row and column px; NaN if unknown."""
    known: dict[str, tuple[float, float]] = {}
    for tree in results.features.stores.values():
        if "responses" not in tree.children:
            continue
        found = tree["responses"].to_dataset()
        if {"neuron", "row", "column"} <= set(found.coords):
            rows, columns = (found[side].values.astype(float) for side in ("row", "column"))
            known = {str(n): (r, c) for n, r, c in zip(found["neuron"].values, rows, columns)} | known
    return np.array([known.get(name, (np.nan, np.nan)) for name in names], float).reshape(-1, 2)


def _space(axis: Axes, values: np.ndarray, place: np.ndarray) -> None:
    panels.signed(axis, values, panels.limit(values))
    axis.plot(place[1], place[0], "+", color="black", markersize=6, markeredgewidth=0.8)
    panels.frame(axis)


def _time(axis: Axes, lag: np.ndarray, values: np.ndarray, most: float, *, first: bool) -> None:
    axis.axhline(0, color="0.8", linewidth=0.7, zorder=0)
    axis.plot(lag, values, color="black")
    axis.set_xlim(lag[0], 0)
    axis.set_ylim(-1.1 * most, 1.1 * most)
    axis.xaxis.set_major_locator(MaxNLocator(2))
    axis.yaxis.set_major_locator(MaxNLocator(3))
    axis.tick_params(labelsize=6.5, labelleft=first)
    axis.set_xlabel("ms before\nthe response", fontsize=7)


def _numbers(name: str, lag: np.ndarray, space: np.ndarray, time: np.ndarray, part: float) -> shown.Rows:
    row, column = np.unravel_index(int(np.abs(space).argmax()), space.shape)
    return [
        {"neuron": name, "separable": part, "row_px": int(row), "column_px": int(column), "lag_ms": at, "time": value}
        for at, value in zip(lag, time)
    ]


def _caption(results: Results, settings: Settings, found: xr.Dataset, count: int, wide: bool, placed: bool) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    total, units = found.sizes["neuron"], str(found["sta"].attrs.get("units", "1"))
    text = (
        f"Receptive fields of {shown.part(count, total, 'cell')} of model {model}, first fold and seed: gradient "
        "of the rate with respect to the stimulus, averaged over test rows (the model's spike-triggered average), "
        "split by SVD; above each: share of the squared norm in the first pair. "
    )
    if wide:
        height, width = found.sizes["height"], found.sizes["width"]
        text += f"Space: {height} x {width} px, each scaled by its own largest value; red is positive, blue negative. "
        text += "Cross: recorded centre. " if placed else ""
    else:
        text += "The movie is full field: there is no space. "
    return text + (
        f"Time: on one scale ({shown.unit(units)} per unit of standardised contrast, times the norm of space). "
        "No interval, no null."
    )
