"""Codes against covariates: single trials, each neuron's means and the mean over neurons, with the raw count beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import conditions, panels, shown
from pellucid.systems.dunl.figures.settings import Settings

_NEUTRAL: dict[str, Any] = {"color": panels.DARK, "marker": "|", "markersize": 7, "markeredgewidth": 0.7}


@dataclass(frozen=True)
class Levels:
    """A covariate of all traces, and the levels on which trials are averaged.

    values  (trace,) NaN where missing or outside the condition; level (trace,) index of the level, -1 where missing
    centres (level,) value of each level; few: drawn value by value, evenly spaced
    """

    values: np.ndarray
    level: np.ndarray
    centres: np.ndarray
    few: bool

    @property
    def at(self) -> np.ndarray:
        """The position of each level on the axis."""
        return np.arange(len(self.centres), dtype=float) if self.few else self.centres

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return the position of values on the axis."""
        return np.interp(values, self.centres, self.at, left=np.nan, right=np.nan) if self.few else values


def codes(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the codes of every kernel and the raw count against each covariate, a figure per covariate."""
    found = shown.codes(results)
    for name in results.attribution.children["covariates"].children:
        group = schema.group(results.attribution, f"covariates/{name}")
        kept = shown.within(found, str(group.attrs["within"]))
        values = np.where(kept, found.covariates[name], np.nan)
        if np.isfinite(values).any():
            level, centres = conditions.binned(values, settings)
            levels = Levels(values, level, centres, conditions.discrete(values, settings))
            _draw(results, settings, folder, found, name, levels, str(group.attrs["within"]))


def _draw(
    results: Results, settings: Settings, folder: Path, found: shown.Codes, name: str, levels: Levels, within: str
) -> None:
    kernels, (count, units) = shown.kernels(results), shown.count_name(results)
    drive = shown.drive_units(results, settings)
    neutral = _neutral(results, name)
    made, axes = panels.grid(len(kernels) + 1, height=2.3, extra=1.5)
    table: list[dict[str, Any]] = []
    for index, (axis, quantity) in enumerate(zip(axes, [*kernels, count])):
        last = index == len(kernels)
        values, colour = (found.count, style.GREY) if last else (found.code[:, index], shown.colour(index))
        table += [{"quantity": quantity, **row} for row in _panel(axis, values, colour, levels, found, settings.points)]
        if levels.few:
            step = -(-len(levels.at) // 8)
            axis.set_xticks(levels.at[::step], [f"{centre:g}" for centre in levels.centres[::step]])
        if not last and neutral is not None:
            _mark(axis, levels.place(neutral["neutral"].values[:, index]))
        y = style.with_units(count, units) if last else style.with_units("code", drive) if panels.first(axis) else ""
        style.label(axis, style.with_units(name, conditions.units(results, name)), y, "" if last else quantity)
    panels.legend(made, _entries(len(found.neurons), neutral is not None))
    caption = _caption(settings, name, within, levels, len(found.neurons))
    if neutral is not None:
        caption += _neutral_text(neutral, kernels)
    style.save(made, folder, f"codes_{name}", table, caption, dpi=settings.dpi)


def _panel(
    axis: Axes, values: np.ndarray, colour: str, levels: Levels, found: shown.Codes, most: int
) -> list[dict[str, Any]]:
    """Draw one quantity (trace,) against the levels; return the numbers drawn."""
    known = np.flatnonzero((levels.level >= 0) & np.isfinite(values))
    single = shown.thinned(known, most)
    spread = (np.arange(len(single)) * 0.618 % 1 - 0.5) * 0.5 if levels.few else 0.0
    axis.plot(
        levels.place(levels.values[single]) + spread, values[single], ".", color="0.75", markersize=1.5, rasterized=True
    )
    means = _means(values, known, levels, found)
    if len(means) > 1:
        axis.plot(levels.at, means.T, color=colour, alpha=max(0.15, min(0.6, 6 / len(means))), linewidth=0.8)
    average, error = _average(values, known, levels, means)
    axis.errorbar(
        levels.at, average, yerr=np.nan_to_num(error), color="black", marker="o", markersize=3, linewidth=1.4, zorder=5
    )
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    if len(known):
        _limit(axis, values[known], means)
    rows: list[tuple[Any, ...]] = [("mean", "all", *row) for row in zip(levels.centres, average, error)]
    if len(means) > 1:
        rows += [
            ("neuron", name, x, y, np.nan)
            for name, own in zip(found.neurons, means)
            for x, y in zip(levels.centres, own)
        ]
    rows += [("trial", found.neurons[found.neuron[i]], levels.values[i], values[i], np.nan) for i in single]
    return [dict(zip(("kind", "neuron", "covariate", "value", "sem"), row)) for row in rows]


def _means(values: np.ndarray, known: np.ndarray, levels: Levels, found: shown.Codes) -> np.ndarray:
    """Return the mean of each neuron on each level (neuron, level), NaN where it has no trial."""
    shape = (len(found.neurons), len(levels.centres))
    cell = found.neuron[known] * shape[1] + levels.level[known]
    sums = np.bincount(cell, weights=values[known], minlength=shape[0] * shape[1])
    trials = np.bincount(cell, minlength=shape[0] * shape[1])
    return np.asarray(np.where(trials > 0, sums / np.maximum(trials, 1), np.nan).reshape(shape))


def _average(values: np.ndarray, known: np.ndarray, levels: Levels, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error per level: over neurons, or over the trials of a single neuron."""
    if len(means) > 1:
        parts = list(means.T)
    else:
        parts = [values[known[levels.level[known] == one]] for one in range(len(levels.centres))]
    return shown.mean(means), np.array([shown.standard_error(part) for part in parts])


def _limit(axis: Axes, values: np.ndarray, means: np.ndarray) -> None:
    """Let the y axis span 98 % of the trials, and all means of neurons."""
    low, high = np.quantile(values, [0.01, 0.99])
    low, high = min(low, np.nanmin(means)), max(high, np.nanmax(means))
    margin = 0.05 * (high - low) or 0.5
    axis.set_ylim(low - margin, high + margin)


def _neutral(results: Results, name: str) -> xr.Dataset | None:
    """Return the neutral points of a covariate, None where no code changes its sign."""
    if "neutral" not in results.attribution.children or name not in results.attribution.children["neutral"].children:
        return None
    group = schema.group(results.attribution, f"neutral/{name}")
    return group if np.isfinite(group["neutral"].values).any() else None


def _mark(axis: Axes, places: np.ndarray) -> None:
    """Mark the neutral point of each neuron on the x axis, and their median by a line."""
    known = places[np.isfinite(places)]
    if len(known):
        axis.axvline(float(np.median(known)), color=panels.DARK, linestyle="--", linewidth=1, zorder=4)
        axis.plot(known, np.full(len(known), 0.03), linestyle="none", transform=axis.get_xaxis_transform(), **_NEUTRAL)


def _entries(neurons: int, neutral: bool) -> dict[str, Artist]:
    entries: dict[str, Artist] = {"single trials": panels.line("0.75", marker=".", linestyle="none")}
    if neurons > 1:
        entries["each neuron"] = panels.line(style.GREY, linewidth=0.8)
    entries["mean ± s.e.m."] = panels.line("black", marker="o", markersize=3)
    if neutral:
        entries["neutral point,\nmedian of neurons"] = panels.line(panels.DARK, linestyle="--", linewidth=1)
    return entries


def _caption(settings: Settings, covariate: str, within: str, levels: Levels, neurons: int) -> str:
    trials = "all test trials" if within == "all" else f"test trials of condition {within}"
    drawn = (
        "at the values of the covariate, evenly spaced"
        if levels.few
        else f"in bins with equal numbers of trials ({len(levels.centres)})"
    )
    over = f"{neurons} neurons" if neurons > 1 else "trials of the only neuron"
    return (
        f"Codes of model {settings.model} against {covariate} in {trials}, and the raw count or mean signal of the "
        f"same window (grey, right). Grey points: single trials (at most {settings.points}; the axis spans 98 % of "
        "them). "
        + ("Coloured lines: means of each neuron. " if neurons > 1 else "")
        + f"Black: mean and standard error over {over}, {drawn}. The null is in the figure of correlations. "
    )


def _neutral_text(neutral: xr.Dataset, kernels: list[str]) -> str:
    parts = []
    for index, name in enumerate(kernels):
        points, share = neutral["neutral"].values[:, index], neutral["share_correct"].values[:, index]
        known = np.isfinite(points)
        if known.any():
            parts.append(
                f"{name}: median {np.median(points[known]):.3g} in {known.sum()} of {len(points)} neurons, sign of "
                f"{np.mean(share[known]):.0%} of trials explained"
            )
    return (
        "Dashed and ticks on the axis: neutral point, where codes change sign, median and each neuron ("
        + "; ".join(parts)
        + ")."
        if parts
        else ""
    )
