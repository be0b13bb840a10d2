"""Which units a band's influence comes from: power taken away at the spikes of a class, and the power it has there."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, shown
from pellucid.systems.deepinsight.figures.settings import Settings

CONTROL = "#767676"
MARKERS = "osD^vP"
"""Symbols of classes, which keep them apart without colour."""

SIDE = 0.17
"""Half the distance of a class from its control."""


def elimination(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the influence of the rows with spikes of each class of units on every output, beside their controls."""
    group = shown.group(results, "elimination")
    classes, terms = [str(name) for name in group["feature"].values], list(group["output"].values)
    found = shown.noted(group, ("influence", "low", "high", "control", "control_low", "control_high"))
    changed = group["rows"].values
    control = group["control_rows"].values
    made, axes = panels.grid(len(terms), columns=4, width=max(2.2, 0.9 + 0.55 * len(classes)), height=3.0, least=4.2)
    table: shown.Rows = []
    for column, (axis, term) in enumerate(zip(axes, terms)):
        panels.zero(axis)
        for place, name in enumerate(classes):
            row = {key: float(values[place, column]) for key, values in found.items()}
            _bar(axis, place - SIDE, row["influence"], row["low"], row["high"], style.COLOURS[place % 6])
            _bar(axis, place + SIDE, row["control"], row["control_low"], row["control_high"], CONTROL, hatch="////")
            table.append(
                {
                    "output": term,
                    "class": name,
                    **row,
                    "share_of_rows": float(changed[place]),
                    "control_share": float(control[place]),
                }
            )
        axis.set_xticks(range(len(classes)), [shown.short(name, 16) for name in classes], rotation=20, ha="right")
        axis.set_xlim(-0.6, len(classes) - 0.4)
        style.label(axis, "", "influence, (loss' - loss) / loss" if panels.first(axis) else "", term)
    panels.below(made, _entries(classes))
    rows = "; ".join(
        f"{name} {100 * share:.3g} %, control {100 * other:.3g} %"
        for name, share, other in zip(classes, changed, control)
    )
    caption = (
        f"Influence on model {shown.explained(results, settings)} of the power at the spikes of each class of units: "
        f"rows with a spike of the class are replaced or scrambled on its units' channels (share of test rows changed: "
        f"{rows}). Hatched: as many rows without such spikes, same channels and bands. Bars: 95 % intervals over "
        f"folds, seeds and blocks of test time ({shown.fits_said(results, shown.explained(results, settings))}), "
        "holding together over all classes and controls of an output."
    )
    style.save(made, folder, "elimination", table, caption, dpi=settings.dpi)


def _bar(axis: Axes, x: float, value: float, low: float, high: float, colour: str, hatch: str = "") -> None:
    axis.bar(x, value, 2 * SIDE, color="white" if hatch else colour, edgecolor=colour, hatch=hatch, linewidth=0.8)
    axis.plot([x, x], [low, high], color="black", linewidth=1.2)


def _entries(classes: list[str]) -> dict[str, Artist]:
    own: dict[str, Artist] = {
        f"at spikes: {name}": panels.patch(style.COLOURS[i % 6]) for i, name in enumerate(classes)
    }
    control = panels.patch("white")
    control.set(edgecolor=CONTROL, hatch="////", linewidth=0.8)
    return own | {"control": control}


def classes(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the power of every band at the spikes of each class beside the influence of the bands on every output."""
    group, bands = shown.group(results, "classes"), shown.group(results, "band")
    names, terms = [str(name) for name in group["feature"].values], list(group["output"].values)
    units = {f"{name} (n = {int(count)})": name for name, count in zip(names, group["units"].values)}
    frequencies, power = group["frequency"].values, group["power"].transpose("feature", "frequency").values
    made, axes = panels.grid(1 + len(terms), columns=2 if len(terms) < 4 else 3, width=3.6, height=2.5)
    for place, profile in enumerate(power):
        axes[0].plot(frequencies, profile, f"{MARKERS[place % 6]}-", color=style.COLOURS[place % 6], markersize=3)
    panels.zero(axes[0])
    panels.bands(axes[0], frequencies)
    style.label(
        axes[0], "frequency (Hz)", "power at spikes - elsewhere\n((x - median) / MAD)", "band profile of classes"
    )
    table: shown.Rows = []
    influences = bands["influence"].reindex(frequency=frequencies, method="nearest", tolerance=1e-3)
    for column, (axis, term) in enumerate(zip(axes[1:], terms)):
        own = influences.sel(output=term).values
        _influence(axis, bands.sel(output=term), column)
        table += [
            {"output": term, "class": name, "frequency_hz": hz, "power": a, "influence": b}
            | {key: float(group[key].sel(output=term).values[place]) for key in ("spearman", "p")}
            for place, name in enumerate(names)
            for hz, a, b in zip(frequencies, power[place], own)
        ]
        said = [_correlated(group, place, name, term) for place, name in enumerate(names)]
        style.label(axis, "frequency (Hz)", "influence", term)
        axis.set_title(f"{term}\n" + "\n".join(said), fontsize=8)
        panels.bands(axis, frequencies)
    entries = {text: panels.line(style.COLOURS[i % 6], marker=MARKERS[i % 6]) for i, text in enumerate(units)} | {
        "influence, 95 %": panels.patch("0.75")
    }
    panels.below(made, entries)
    caption = (
        "Band profile of the spikes of each class of units: scaled power on a unit's channels in rows with its spikes "
        f"minus rows without, mean over units ({', '.join(units)}); beside it the influence of each band of model "
        f"{shown.explained(results, settings)} on every output (shading: 95 % intervals over folds, seeds and blocks "
        f"of test time, holding together over bands). rho: Spearman's rank correlation of both over n = "
        f"{len(frequencies)} bands, which neighbours in frequency share; its p takes them for independent."
    )
    style.save(made, folder, "classes", table, caption, dpi=settings.dpi)


def _influence(axis: Axes, group: xr.Dataset, column: int) -> None:
    colour = "0.25"
    panels.zero(axis)
    axis.fill_between(
        group["frequency"].values, group["low"].values, group["high"].values, color=colour, alpha=0.25, linewidth=0
    )
    axis.plot(group["frequency"].values, group["influence"].values, "-", color=colour)


def _correlated(group: xr.Dataset, place: int, name: str, term: str) -> str:
    rho, p = (float(group[key].sel(output=term).values[place]) for key in ("spearman", "p"))
    return f"{name}: rho = {rho:.2f}, {shown.p_value(p)}" if np.isfinite(rho) else f"{name}: rho undefined"
