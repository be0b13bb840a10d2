"""Locking to the phase of a behaviour: tuning of events, codes and spikes over two cycles, and resultant lengths."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

BAND = "0.85"
TICKS = {-1: "-π", 0: "0", 1: "π", 2: "2π", 3: "3π"}
"""Multiples of pi on the axis of two cycles."""


def tuning(results: Results, settings: Settings, folder: Path) -> None:
    """Draw events and mean codes of every kernel and raw spikes against phase, and how strongly each is locked."""
    group, names = schema.group(results.attribution, "phase"), shown.kernels(results)
    counted = results.features.first().attrs["kind"] == "counts"
    raw = "raw spikes" if counted else "raw signal"
    made, axes = style.figure(2, len(names) + 1, width=2.1 * (len(names) + 1) + 1.2, height=4.4)
    table: list[dict[str, object]] = []
    for index, name in enumerate(names):
        own = group.isel(kernel=index)
        table += _curve(axes[0, index], own, "rate", name, shown.colour(index), float(own["preferred"]))
        table += _curve(axes[1, index], own, "code", name, shown.colour(index), float(own["preferred"]))
        style.label(axes[0, index], "", "events per s and trace" if index == 0 else "", name)
        units = shown.drive_units(results, settings)
        style.label(axes[1, index], "phase (rad)", style.with_units("mean code", units) if index == 0 else "")
    table += _curve(axes[0, -1], group, "raw_rate", raw, style.GREY, float(group["raw_preferred"]))
    per = "spikes per s and trace" if counted else style.with_units("mean", shown.signal_units(results))
    style.label(axes[0, -1], "phase (rad)", per, raw)
    table += _lengths(axes[1, -1], group, names, raw)
    panels.legend(
        made,
        {
            "chance, 95 %": panels.patch(BAND),
            "preferred phase": panels.line(panels.DARK, linestyle=":"),
            "95 % interval": panels.line(panels.DARK, marker="o", markersize=4),
            "plain R": panels.line(panels.DARK, marker="o", markersize=5, markerfacecolor="none", linestyle="none"),
            "neuron": panels.line(panels.DARK, marker="|", markersize=6, linestyle="none"),
        },
    )
    caption = _caption(settings, group, names, raw, counted=counted)
    style.save(made, folder, "phase", table, caption, dpi=settings.dpi)


def known(results: Results) -> bool:
    """Tell whether test trials have a phase, and anything in them that could be locked to it."""
    if "phase" not in results.attribution.children:
        return False
    group = schema.group(results.attribution, "phase")
    return bool((group["events"].values > 0).any() or np.isfinite(group["raw_rate"].values).any())


def _curve(
    axis: Axes, group: xr.Dataset, variable: str, name: str, colour: str, preferred: float
) -> list[dict[str, object]]:
    """Draw one tuning curve over two cycles, with its band of chance and the preferred phase of the events."""
    keys = {"value": variable, "chance_low": f"{variable}_chance_low", "chance_high": f"{variable}_chance_high"}
    found = {key: group[source].values for key, source in keys.items()}
    bins = len(found["value"])
    edges = np.linspace(-np.pi, 3 * np.pi, 2 * bins + 1)
    twice = {key: np.append(np.tile(values, 2), values[-1]) for key, values in found.items()}
    axis.fill_between(edges, twice["chance_low"], twice["chance_high"], step="post", color=BAND, linewidth=0)
    axis.stairs(twice["value"][:-1], edges, baseline=None, color=colour, linewidth=1.4)
    if np.isfinite(preferred):
        for turn in (0, 2 * np.pi):
            axis.axvline(preferred + turn, color=panels.DARK, linestyle=":", linewidth=0.8)
    axis.set_xticks([np.pi * place for place in TICKS], list(TICKS.values()))
    axis.set_xlim(-np.pi, 3 * np.pi)
    if (np.concatenate([found["value"], found["chance_low"]]) >= 0).all():
        axis.set_ylim(0, None)
    nothing = {"low": np.nan, "high": np.nan}
    return [
        {"panel": variable, "name": name, "phase_rad": x, **{key: values[i] for key, values in found.items()}} | nothing
        for i, x in enumerate(group["feature"].values)
    ]


def _lengths(axis: Axes, group: xr.Dataset, names: list[str], raw: str) -> list[dict[str, object]]:
    """Draw resultant lengths with intervals, plain ones and those of single neurons, above their level of chance."""
    table: list[dict[str, object]] = []
    rows = [*names, raw] if np.isfinite(group["raw_resultant"].values) else names
    for place, name in enumerate(rows):
        own, prefix = (group.isel(kernel=place), "") if place < len(names) else (group, "raw_")
        colour = shown.colour(place) if place < len(names) else style.GREY
        value, low, high, chance, phase = (
            float(own[prefix + key]) for key in ("resultant", "low", "high", "chance_high", "preferred")
        )
        if np.isfinite(chance):
            axis.barh(place, chance, height=0.7, color=BAND, linewidth=0)
        alone = own[f"{prefix}neuron_resultant"].values
        axis.plot(alone, np.full(len(alone), place + 0.25), "|", color=colour, markersize=6, alpha=0.6)
        axis.plot([low, high], [place, place], color=colour, linewidth=1.4)
        axis.plot(value, place, "o", color=colour, markersize=5)
        axis.plot(float(own[f"plain_{prefix}resultant"]), place, "o", color=colour, markersize=5, fillstyle="none")
        row = {"panel": "resultant", "name": name, "phase_rad": phase, "value": value, "chance_low": np.nan}
        table.append(row | {"chance_high": chance, "low": low, "high": high})
        single = zip(own[f"{prefix}neuron_preferred"].values, alone)
        table += [row | {"panel": "neuron", "phase_rad": x, "value": y} | _NOTHING for x, y in single]
    axis.axvline(0, color=style.GREY, linewidth=0.6)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    style.label(axis, "resultant length R", "")
    return table


_NOTHING = {"chance_high": np.nan, "low": np.nan, "high": np.nan}


def _caption(settings: Settings, group: xr.Dataset, names: list[str], raw: str, *, counted: bool) -> str:
    peaks = ", ".join(f"{name} {1e3 * value:g} ms" for name, value in zip(names, group["peak_s"].values))
    said = ", ".join(
        f"{name} {float(own['resultant']):.2f} at {float(own['preferred']):.2f} rad, p = {float(own['p']):.2g}"
        for name, own in ((name, group.isel(kernel=index)) for index, name in enumerate(names))
    )
    per_time = (
        "R (filled, 95 % interval over trials) is that of the tuning curve, each phase counted as if visited equally "
        "long; plain R (open) that of the phases of events as they are, which is above 0 wherever some phases last "
        "longer than others"
        if group.attrs["per_time"]
        else "R (95 % interval over trials) is that of the phases of events as they are: some phases are never visited"
    )
    return (
        f"Locking of model {settings.model} to the phase of the behaviour, on bins of test trials that have a phase "
        f"({float(group['occupancy'].values.sum()):.0f} s summed over traces), two cycles. Above: events per trace and "
        f"second spent at each phase, and {raw} likewise{'' if counted else ', as mean'}. Below: mean code of an event "
        f"at each phase. Dotted: preferred phase of the events, or {raw}. A code stands at the ONSET of its kernel; "
        f"kernels peak later ({peaks}), so what they explain prefers a later phase. Grey: the null, phases of each "
        "recording shifted circularly against its events: central 95 %, of R the lower 95 %. "
        f"Last panel: {per_time}. Ticks: single neurons; fewer events give longer R by chance. R: {said}."
    )
