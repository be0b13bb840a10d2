"""Average responses: what was recorded on test trials of each condition, and what the shown model expected."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import conditions, panels, shown
from pellucid.systems.dunl.figures.settings import Settings

EXPECTED: dict[str, Any] = {"linewidth": 1.6, "linestyle": (0, (2, 1))}


def averages(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the mean signal of test trials against time, by covariate or condition, with the held-out expected value."""
    observed, expected, first = _held_out(results, settings)
    tested = np.isfinite(observed).any(axis=1)
    groups = conditions.of_trials(results, settings) or {"trials": np.full(len(observed), "all")}
    made, axes = panels.grid(len(groups), columns=1, width=4.2, height=2.2, extra=1.6)
    units = shown.signal_units(results)
    table: list[dict[str, Any]] = []
    for axis, (name, labels) in zip(axes, groups.items()):
        levels = [level for level in conditions.ordered(labels) if (tested & (labels == level)).any()]
        for index, level in enumerate(levels):
            chosen = tested & (labels == level)
            lines = [
                shown.mean(values[chosen]) * shown.scale(results, float(first.attrs["bin_s"]))
                for values in (observed, expected)
            ]
            rows = _draw(axis, first["time"].values, lines, shown.shade(index, len(levels)))
            table += [{"by": name, "level": level, "trials": int(chosen.sum()), **row} for row in rows]
        entries = {level: panels.line(shown.shade(index, len(levels))) for index, level in enumerate(levels)}
        entries |= {"recorded": panels.line(style.GREY, linewidth=0.8), "expected": panels.line(style.GREY, **EXPECTED)}
        axis.legend(
            entries.values(), entries, fontsize=6, title=name, title_fontsize=7, loc="upper left", bbox_to_anchor=(1, 1)
        )
        style.label(axis, "time (s)", style.with_units("rate" if units == "Hz" else "signal", units))
    caption = (
        f"Mean over held-out bins of {tested.sum()} test trials and over neurons. Thin: recorded. Thick, dashed: "
        f"expected by model {settings.model}, from the other bins of the same trials; mean over folds and seeds. "
        "Levels of continuous covariates are bins with equal numbers of trials, named by their range. No interval, no "
        "null."
    )
    style.save(made, folder, "responses", table, caption, dpi=settings.dpi)


def predicted(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model predicts the bins of the features: one with coarser bins does not."""
    return bool(results.predictions.children) and shown.fit(results, settings).settings.get("coarsen", 1) == 1


def _draw(axis: Axes, time: np.ndarray, lines: Sequence[np.ndarray], colour: str) -> list[dict[str, Any]]:
    """Draw recorded and expected means (time,) of one level where they are known; return them."""
    observed, expected = lines
    known = np.isfinite(observed) & np.isfinite(expected)
    axis.plot(time[known], observed[known], color=colour, linewidth=0.8)
    axis.plot(time[known], expected[known], color=colour, **EXPECTED)
    return [
        {"time_s": t, "observed": o, "expected": e} for t, o, e in zip(time[known], observed[known], expected[known])
    ]


def _held_out(results: Results, settings: Settings) -> tuple[np.ndarray, np.ndarray, xr.Dataset]:
    """Return recorded and expected values (trial, time) of all recordings, means over neurons on the same bins."""
    observed: list[np.ndarray] = []
    expected: list[np.ndarray] = []
    names = [name for name in results.features.stores if name in results.predictions.children]
    groups = {name: results.features.group(name) for name in names}
    longest = max(groups.values(), key=lambda group: int(group.sizes["time"]))
    for name, group in groups.items():
        rate = schema.group(results.predictions, name)["rate"].sel(model=settings.model).values
        rate = shown.mean(rate.reshape(-1, *rate.shape[2:]))  # (trial, time, neuron)
        signal = np.where(np.isfinite(rate), group["signal"].values, np.nan)
        pad = ((0, 0), (0, longest.sizes["time"] - rate.shape[1]))
        for values, parts in ((signal, observed), (rate, expected)):
            parts.append(np.pad(shown.mean(values, axis=2), pad, constant_values=np.nan))
    return np.concatenate(observed), np.concatenate(expected), longest
