"""Rank correlations with a covariate: codes against the raw count, neuron by neuron, and counts of sliding windows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy import stats

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

FEW = 60
"""Up to so many neurons each one's interval is drawn."""


def correlations(results: Results, settings: Settings, folder: Path) -> None:
    """Draw Spearman's rho of codes and of counts with each covariate, a figure per covariate."""
    for name in results.attribution.children["covariates"].children:
        group = schema.group(results.attribution, f"covariates/{name}")
        if np.isfinite(group["code_rho"].values).any():
            _draw(results, settings, folder, group, name)


def _draw(results: Results, settings: Settings, folder: Path, group: xr.Dataset, name: str) -> None:
    kernels, count = shown.kernels(results), shown.count_name(results)[0]
    paired = json.loads(group.attrs["paired"])
    made, axes = panels.grid(len(kernels) + 2, width=2.4, height=2.5)
    table: list[dict[str, Any]] = []
    for index, (axis, kernel) in enumerate(zip(axes, kernels)):
        table += _scatter(axis, group, index, kernel)
        test = {key: shown.number(value) for key, value in paired[kernel].items()}
        tested = np.isfinite(test["p"])
        title = f"{kernel}\n{test['mean_difference']:+.2f}, p = {test['p']:.1g}" if tested else kernel
        style.label(axis, f"rho, {count}", "rho, code" if panels.first(axis) else "", title)
    table += _averages(axes[-2], group, kernels, count)
    step_s = float(results.features.first().attrs["bin_s"]) * shown.fit(results, settings).settings.get("coarsen", 1)
    table += _sliding(axes[-1], group, kernels, count, step_s)
    caption = _caption(settings, group, name, count) + _tests(paired)
    style.save(made, folder, f"correlation_{name}", table, caption, dpi=settings.dpi)


def _scatter(axis: Axes, group: xr.Dataset, index: int, kernel: str) -> list[dict[str, Any]]:
    """Draw the rho of one kernel's codes against that of the count, a point per neuron."""
    raw, code = group["count_rho"].values, group["code_rho"].values[:, index]
    colour, drawn = shown.colour(index), [raw, code]
    if len(raw) <= FEW:
        (up, down), (left, right) = _bounds(group, "code", index), _bounds(group, "count", None)
        axis.vlines(raw, up, down, color=colour, alpha=0.35, linewidth=0.8)
        axis.hlines(code, left, right, color=colour, alpha=0.35, linewidth=0.8)
        drawn += [up, down, left, right]
    panels.unity(axis, np.concatenate(drawn[::2]), np.concatenate(drawn[1::2]))
    axis.axhline(0, color=style.GREY, linewidth=0.5, zorder=0)
    axis.axvline(0, color=style.GREY, linewidth=0.5, zorder=0)
    axis.plot(raw, code, "o", color=colour, markersize=4 if len(raw) <= FEW else 2.5, markeredgewidth=0)
    return [
        {"panel": "scatter", "name": kernel, "x": x, "value": y, "low": np.nan, "high": np.nan}
        for x, y in zip(raw, code)
    ]


def _averages(axis: Axes, group: xr.Dataset, kernels: list[str], count: str) -> list[dict[str, Any]]:
    """Draw the mean over neurons of each rho with its interval, and the band of permuted trials."""
    null = json.loads(group.attrs["null_high"])
    table = []
    for place, name in enumerate([count, *kernels]):
        value, low, high = _mean(group, None if place == 0 else place - 1)
        band = shown.number(null.get(name))
        if np.isfinite(band):
            axis.fill_betweenx([place - 0.35, place + 0.35], -band, band, color="0.85", linewidth=0)
        colour = style.GREY if place == 0 else shown.colour(place - 1)
        axis.plot([low, high], [place, place], color=colour)
        axis.plot(value, place, "o", color=colour)
        table.append({"panel": "mean", "name": name, "x": band, "value": value, "low": low, "high": high})
    axis.axvline(0, color=style.GREY, linewidth=0.6, zorder=0)
    axis.set_yticks(range(len(table)), [count, *kernels])
    axis.set_ylim(len(table) - 0.5, -0.5)
    style.label(axis, "rho, mean of neurons" if group.sizes["neuron"] > 1 else "rho", "")
    return table


def _sliding(axis: Axes, group: xr.Dataset, kernels: list[str], count: str, step_s: float) -> list[dict[str, Any]]:
    """Draw the rho of counts against the start of their window, with the codes' mean rho as lines."""
    rho = group["sliding_rho"].values
    lag = np.arange(len(rho)) * step_s
    mean = shown.mean(rho, axis=1)
    bounds = np.array([interval(row) for row in rho]).T
    axis.fill_between(lag, *bounds, color=style.GREY, alpha=0.25, linewidth=0)
    axis.plot(lag, mean, "o-", color=style.GREY, markersize=3)
    for index in range(len(kernels)):
        axis.axhline(_mean(group, index)[0], color=shown.colour(index), linewidth=1)
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    style.label(axis, "start of window (s)", f"rho, {count}")
    return [
        {"panel": "sliding window", "name": count, "x": x, "value": y, "low": low, "high": high}
        for x, y, low, high in zip(lag, mean, *bounds)
    ]


def _bounds(group: xr.Dataset, name: str, index: int | None) -> tuple[np.ndarray, np.ndarray]:
    if f"{name}_low" not in group:
        return (np.full(group.sizes["neuron"], np.nan),) * 2
    low, high = group[f"{name}_low"].values, group[f"{name}_high"].values
    return (low, high) if index is None else (low[:, index], high[:, index])


def _mean(group: xr.Dataset, index: int | None) -> tuple[float, float, float]:
    """Return mean and interval over neurons of rho of a kernel (None: the count); of one neuron, its bootstrap."""
    name = "count" if index is None else "code"
    values = group[f"{name}_rho"].values if index is None else group["code_rho"].values[:, index]
    if len(values) == 1:
        low, high = _bounds(group, name, index)
        return float(values[0]), float(low[0]), float(high[0])
    return float(shown.mean(values)), *interval(values)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean over neurons, by Student's t; NaN for fewer than two neurons."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(known) - 1)) * shown.standard_error(known)
    return float(known.mean()) - half, float(known.mean()) + half


def _caption(settings: Settings, group: xr.Dataset, name: str, count: str) -> str:
    within = str(group.attrs["within"])
    several = group.sizes["neuron"] > 1
    return (
        f"Spearman's rho (no unit) with {name} over "
        + ("all test trials" if within == "all" else f"test trials of condition {within}")
        + f", of codes of model {settings.model} and of the {count}. Scatter: a point per neuron, grey line: equality"
        + ("; bars: 95 % bootstrap intervals over trials. " if group.sizes["neuron"] <= FEW else ". ")
        + ("Next: mean over neurons with 95 % interval (t)" if several else "Next: the neuron, 95 % bootstrap interval")
        + f"; {_null_text(group)}. Last: "
        + f"{count} in windows whose start slides and whose end is fixed (grey, 95 % interval); lines: codes. "
    )


def _null_text(group: xr.Dataset) -> str:
    if any(value is not None for value in json.loads(group.attrs["null_high"]).values()):
        return "grey band: the null, 95 % of the mean rho when the covariate is permuted over trials of one condition"
    return "no null: the covariate is the same on all trials of a condition, within which it would be permuted"


def _tests(paired: Mapping[str, Mapping[str, float | None]]) -> str:
    parts = [
        f"{kernel} {shown.number(test.get('mean_difference')):+.3f}, t = {shown.number(test.get('t')):.2f}, p = "
        f"{shown.number(test.get('p')):.2g}, Wilcoxon p = {shown.number(test.get('wilcoxon_p')):.2g}"
        for kernel, test in paired.items()
        if test.get("p") is not None
    ]
    return (
        f"Titles: mean of code minus count and p of a paired t-test over neurons: {'; '.join(parts)}." if parts else ""
    )
