"""What detection found: the times and codes of events, trial by trial, over time and as a distribution."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

TRIALS = 60
"""Largest number of trials of the raster."""


def found(results: Results, settings: Settings, folder: Path) -> None:
    """Draw detected events as a raster of one neuron, their rate over time and the distribution of their codes."""
    groups = {name: group for name, group in shown.recordings(results, "detections").items() if group.sizes["event"]}
    recording, first = next(iter(groups.items()))
    names = shown.kernels(results)
    made, axes = style.figure(1, 3, width=8.4, height=2.6)
    neuron = int(np.bincount(first["neuron"].values.astype(int)).argmax())
    table = _raster(axes[0, 0], first, names, neuron)
    table += _rate(axes[0, 1], results, groups, names)
    table += _codes(axes[0, 2], groups, names)
    unit = results.features.group(recording)["neuron"].values[neuron]
    style.label(axes[0, 0], "time (s)", "test trial", f"{recording}, neuron {unit}")
    style.label(axes[0, 1], "time (s)", "events per s and trace", "all neurons")
    style.label(
        axes[0, 2], style.with_units("code", shown.drive_units(results, settings)), "share of events", "all neurons"
    )
    used = sorted({int(kernel) for group in groups.values() for kernel in np.unique(group["kernel"].values)})
    panels.legend(made, {names[index]: panels.line(shown.colour(index), linewidth=2) for index in used})
    caption = (
        f"Events found by model {settings.model} on test trials without knowing when events occur. Left: one neuron, "
        f"at most {TRIALS} trials; the area of a point is proportional to the size of the code. Middle: events per "
        "second and trace (one neuron in one trial). Right: distribution of codes. No interval; chance is in the "
        "figure of detection, where events are known."
    )
    style.save(made, folder, "events", table, caption, dpi=settings.dpi)


def any_found(results: Results) -> bool:
    """Tell whether any event was detected."""
    return any(group.sizes["event"] for group in shown.recordings(results, "detections").values())


def _raster(axis: Axes, group: xr.Dataset, names: list[str], neuron: int) -> list[dict[str, object]]:
    own = group["neuron"].values == neuron
    trial, kernel, time, code = (group[name].values[own] for name in ("trial", "kernel", "time_s", "code"))
    rows = np.unique(trial)[:TRIALS]
    kept = np.isin(trial, rows)
    largest = np.abs(code[kept]).max() or 1.0
    axis.scatter(
        time[kept],
        np.searchsorted(rows, trial[kept]) + 1,
        s=14 * np.abs(code[kept]) / largest,
        color=[shown.colour(int(index)) for index in kernel[kept]],
        linewidths=0,
    )
    axis.set_ylim(len(rows) + 0.5, 0.5)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    return [
        {"panel": "raster", "kernel": names[int(k)], "x": t, "value": c, "trial": int(n)}
        for k, t, c, n in zip(kernel[kept], time[kept], code[kept], trial[kept])
    ]


def _rate(axis: Axes, results: Results, groups: dict[str, xr.Dataset], names: list[str]) -> list[dict[str, object]]:
    codes = shown.recordings(results, "codes")
    time = max((results.features.group(name)["time"].values for name in groups), key=len)
    width = float(results.features.first().attrs["bin_s"]) * max(1, len(time) // 60)
    edges = np.arange(time[0], time[-1] + width, width)
    traces = sum(np.isfinite(codes[name]["baseline"].values).sum() for name in groups)
    table: list[dict[str, object]] = []
    for index, name in enumerate(names):
        times = np.concatenate([g["time_s"].values[g["kernel"].values == index] for g in groups.values()])
        if not len(times):
            continue
        rate = np.histogram(times, edges)[0] / (max(1, traces) * width)
        axis.stairs(rate, edges, color=shown.colour(index))
        table += [{"panel": "rate", "kernel": name, "x": x, "value": y, "trial": ""} for x, y in zip(edges[:-1], rate)]
    axis.set_ylim(0, None)
    return table


def _codes(axis: Axes, groups: dict[str, xr.Dataset], names: list[str]) -> list[dict[str, object]]:
    every = np.concatenate([group["code"].values for group in groups.values()])
    edges = np.linspace(every.min(), np.quantile(every, 0.995) + 1e-9, 31)
    table: list[dict[str, object]] = []
    for index, name in enumerate(names):
        own = np.concatenate([g["code"].values[g["kernel"].values == index] for g in groups.values()])
        if not len(own):
            continue
        share = np.histogram(own, edges)[0] / len(own)
        axis.stairs(share, edges, color=shown.colour(index))
        table += [
            {"panel": "codes", "kernel": name, "x": x, "value": y, "trial": ""} for x, y in zip(edges[:-1], share)
        ]
    axis.set_ylim(0, None)
    return table
