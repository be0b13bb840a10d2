"""AUC against the length of the window and against its lag behind the label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import families, listing, mice, panels, shown, tested
from pellucid.systems.cortex.figures.families import Family
from pellucid.systems.cortex.figures.settings import Settings

MOST_LINES = len(shown.PALETTE)


@dataclass(frozen=True)
class Sweep:
    """A setting that models differ in: name of the figure, setting, axis, and how a caption explains it."""

    name: str
    key: str
    axis: str
    said: str


WINDOW = Sweep(
    "window", "window_s", "reach of the window to either side (s)",
    "the reach of the window, s, to either side of the labelled frame",
)  # fmt: skip
LAG = Sweep(
    "lag", "lag_s", "lag of the window's centre from the labelled frame (s)",
    "the lag, s, of the centre of the window from the labelled frame (positive: the window lies later)",
)  # fmt: skip


def window(results: Results, settings: Settings, folder: Path) -> None:
    """Draw AUC against the reach of the window."""
    _draw(results, settings, folder, WINDOW)


def lag(results: Results, settings: Settings, folder: Path) -> None:
    """Draw AUC against the lag of the window behind the label."""
    _draw(results, settings, folder, LAG)


def possible(results: Results, settings: Settings, sweep: Sweep) -> bool:
    """Tell whether any models differ in the setting only."""
    return bool(families.of(results, settings, sweep.key))


def _draw(results: Results, settings: Settings, folder: Path, sweep: Sweep) -> None:
    every = families.of(results, settings, sweep.key)
    found = sorted(every, key=lambda one: (one.label != settings.model, -len(one.models)))[:MOST_LINES]
    made, axes = style.figure(1, 1, width=5.6, height=3.0)
    axis = axes[0, 0]
    colours = shown.colours([family.label for family in found if not family.null])
    entries: dict[str, Artist] = {}
    table: shown.Rows = []
    for family in found:
        colour = "black" if len(found) == 1 else colours.get(family.label, style.GREY)
        table += _line(axis, results, family, colour, sweep, tests=len(found) == 1)
        dots = "--" if family.null else "-"
        entries[shown.short(family.label, 22)] = panels.line(colour, marker="D", linestyle=dots)
    panels.chance(axis, vertical=False)
    axis.set_ylim(*panels.auc_range(*listing.values(table)))
    if sweep is LAG:
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    ticks = sorted({value for family in found for value in family.models})
    if len(ticks) <= 12:
        axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks], rotation=45 if len(ticks) > 7 else 0)
    style.label(axis, sweep.axis, "AUC on test frames")
    panels.legend(made, entries | (panels.of_tests(results) if len(found) == 1 else {}))
    caption = _caption(results, found, len(every), sweep) + panels.cut(axis.get_ylim(), listing.values(table)[1])
    style.save(made, folder, sweep.name, table, caption, dpi=settings.dpi)


def _line(
    axis: Axes, results: Results, family: Family, colour: str, sweep: Sweep, *, tests: bool
) -> list[dict[str, Any]]:
    """Draw a family: mean and interval at each value, and each test mouse if it is the only family."""
    x = np.array(list(family.models))
    own = mice.matrix(results, list(family.models.values()))
    middle, low, high = np.array([listing.means(results, m, "auc") for m in family.models.values()]).T
    names = tested.names(results)
    if tests:
        for test_colour, line in zip(shown.colours(names).values(), own.T):
            axis.plot(x, line, color=test_colour, linewidth=0.8, marker="o", markersize=2.5, alpha=0.8)
    axis.vlines(x, low, high, color=colour, linewidth=1.4, zorder=3)
    dashes = "--" if family.null else "-"
    axis.plot(x, middle, dashes, color=colour, marker="D", markersize=4, linewidth=1.6, zorder=4)
    means = [
        {"family": family.label, "model": model, sweep.key: value, "test": "mean", "value": m, "low": a, "high": b}
        for (value, model), m, a, b in zip(family.models.items(), middle, low, high)
    ]
    each = [
        {"family": family.label, "model": model, sweep.key: value, "test": name, "value": score, "low": np.nan,
         "high": np.nan}
        for (value, model), line in zip(family.models.items(), own)
        for name, score in zip(names, line)
    ]  # fmt: skip
    return means + each


def _caption(results: Results, found: list[Family], total: int, sweep: Sweep) -> str:
    models = [model for family in found for model in family.models.values()]
    thin = f"thin lines: {tested.counted(results)}; " if len(found) == 1 else ""
    return (
        f"AUC (no unit) of models that differ only in {sweep.said}; {len(found)} of {total} such families, "
        f"{len(models)} models. Diamonds: mean over {tested.counted(results)}; {thin}bars: "
        f"{tested.said(results, 'models')}. Line at 0.5: chance. "
        + shown.null_sentence(results)
        + shown.transductive(results, models)
    )
