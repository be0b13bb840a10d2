"""Kernels of the first layer: where and when each channel looks, ON or OFF, fast or slow, the strongest first."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import channels, panels, shown
from pellucid.systems.retina.figures.settings import Settings

PER_LINE = 8


def filters(results: Results, settings: Settings, folder: Path) -> None:
    """Draw space and time course of each kernel of the first seed, in the order of strength."""
    found, known = shown.group(results, "channels").isel(fold=0, seed=0), channels.load(results)
    if known is None:
        return
    chosen = known.order()[: settings.filters]
    space = "spatial" in found and found.sizes["height"] * found.sizes["width"] > 1
    made, pairs = _grid(len(chosen), space)
    lag, temporal = (
        found["lag"].values.astype(float),
        found["temporal"].transpose("feature", "lag").values.astype(float),
    )
    most = panels.limit(temporal[chosen])
    for number, ((picture, course), channel) in enumerate(zip(pairs, chosen)):
        if picture is not None:
            _space(picture, found["spatial"].values[channel].astype(float))
        _time(course, lag, temporal[channel], known, channel, most, number % PER_LINE == 0)
        (picture or course).set_title(_title(found, known, channel), fontsize=6.5, pad=3)
    for _, course in pairs[max(0, len(pairs) - PER_LINE) :]:
        course.set_xlabel("ms before\nthe response", fontsize=7)
    panels.below(made, channels.legend([known.labels[0][c] for c in chosen]) | _peak())
    table = _table(found, known, chosen)
    style.save(made, folder, "filters", table, _caption(results, settings, known, len(chosen), found, space),
               dpi=settings.dpi)  # fmt: skip


def possible(results: Results) -> bool:
    """Tell whether kernels and their labels are known."""
    return channels.load(results) is not None and shown.has(results, "channels", "temporal")


def _grid(count: int, space: bool) -> tuple[Figure, list[tuple[Axes | None, Axes]]]:
    """Return a figure and two axes for each kernel (the upper None without space), PER_LINE kernels in a line."""
    columns = min(count, PER_LINE)
    lines, per = -(-count // PER_LINE), 1 + space
    ratios = [1.0, 0.75][-per:] * lines
    made, axes = style.figure(
        per * lines, columns, width=max(4.2, 0.6 + 1.05 * columns), height=0.6 + lines * (1.15 + 1.15 * space),
        height_ratios=ratios,
    )  # fmt: skip
    for unused in axes.reshape(lines, per, columns)[-1][:, count - (lines - 1) * columns :].ravel():
        unused.remove()
    pairs = [(axes[per * i, j] if space else None, axes[per * i + space, j])
             for i in range(lines) for j in range(columns)]  # fmt: skip
    return made, pairs[:count]


def _space(axis: Axes, values: np.ndarray) -> None:
    panels.signed(axis, values, panels.limit(values))
    panels.frame(axis)


def _time(
    axis: Axes, lag: np.ndarray, values: np.ndarray, known: channels.Channels, channel: int, most: float, first: bool
) -> None:
    """Draw the spatial sum of a kernel against the time before the response, its peak marked."""
    colour, dashes = channels.look(known.labels[0][channel])
    axis.axhline(0, color="0.8", linewidth=0.7, zorder=0)
    axis.plot(lag, values, color=colour, linestyle=dashes)
    at = int(np.abs(lag + known.peak_ms[0, channel]).argmin()) if np.isfinite(known.peak_ms[0, channel]) else None
    if at is not None:
        axis.plot(lag[at], values[at], "o", color=colour, markersize=4, markeredgecolor="white", markeredgewidth=0.5)
    axis.set_ylim(-1.1 * most, 1.1 * most)
    axis.set_xlim(lag[0], 0)
    axis.xaxis.set_major_locator(MaxNLocator(2))
    axis.yaxis.set_major_locator(MaxNLocator(3))
    axis.tick_params(labelsize=6.5, labelleft=first)
    if first:
        axis.set_ylabel("spatial sum", fontsize=7)


def _title(found: xr.Dataset, known: channels.Channels, channel: int) -> str:
    text = f"{channel}: {known.labels[0][channel]}"
    peak = known.peak_ms[0, channel]
    text += f"\n{peak:.0f} ms" if np.isfinite(peak) else ""
    part = float(found["separability"].values[channel]) if "separability" in found else float("nan")
    return text + (f", {100 * part:.0f} %" if np.isfinite(part) else "")


def _peak() -> dict[str, Artist]:
    return {"peak": panels.line("0.3", linestyle="", marker="o")}


def _table(found: xr.Dataset, known: channels.Channels, chosen: list[int]) -> shown.Rows:
    parts = found["separability"].values if "separability" in found else np.full(found.sizes["feature"], np.nan)
    return [
        {"channel": c, "label": known.labels[0][c], "strength": known.strength[0, c], "peak_ms": known.peak_ms[0, c],
         "separability": float(parts[c]), "lag_ms": lag, "spatial_sum": value}
        for c in chosen
        for lag, value in zip(found["lag"].values.astype(float), found["temporal"].isel(feature=c).values.astype(float))
    ]  # fmt: skip


def _caption(
    results: Results, settings: Settings, known: channels.Channels, count: int, found: xr.Dataset, space: bool
) -> str:
    total, model = found.sizes["feature"], str(results.attribution.attrs.get("model", settings.model))
    several = len(known.labels)
    text = (
        f"First-layer kernels of model {model}, first fold and seed"
        + (f" of {several}" if several > 1 else "")
        + f": {shown.part(count, total, 'channel')}, the strongest first; number: label, time from the response "
        "back to the peak"
        + (", share of the squared norm that is separable in space and time" if "separability" in found else "")
        + ". "
    )
    if space:
        text += (
            f"Above: first spatial component ({found.sizes['height']} x {found.sizes['width']} px), each scaled by its "
            "own largest value; red is positive, blue negative. "
        )
    else:
        text += "The movie is full field: the kernels have no space, and nothing is claimed about it. "
    text += "Spatial sum of the kernel against time, on one scale (no unit: standardised contrast to drive). "
    text += "ON: positive at its peak, OFF: negative. Fast or slow by the time of the peak. "
    limit = shown.number(found["threshold_ms"].values) if "threshold_ms" in found else float("nan")
    text += f"Fast: up to {limit:.0f} ms. " if np.isfinite(limit) else ""
    text += "Other seeds are compared in figure agreement. " if shown.has(results, "agreement") else ""
    return text + shown.warning(results) + "No interval, no null."
