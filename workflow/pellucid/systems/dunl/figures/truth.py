"""Simulated truth: estimated against true codes, trial by trial and on average."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings


def known(results: Results) -> bool:
    """Tell whether any recording has true codes."""
    if "codes" not in results.attribution.children:
        return False
    truth = shown.codes(results).truth
    return truth is not None and bool(np.isfinite(truth).any())


def codes(results: Results, settings: Settings, folder: Path) -> None:
    """Draw estimated against true codes of every kernel, and the means of all models where they are scored."""
    found, names = shown.codes(results), shown.kernels(results)
    truth = np.full(found.code.shape, np.nan) if found.truth is None else found.truth
    present = [index for index in range(len(names)) if (np.isfinite(truth) & np.isfinite(found.code))[:, index].any()]
    rows = [row for row in results.metrics.get("codes") or [] if row["mean_code"] is not None]
    made, axes = panels.grid(len(present) + bool(rows), width=2.4, height=2.5, extra=1.4 if rows else 0)
    units, table = shown.drive_units(results, settings), []
    for axis, index in zip(axes, present):
        x, y = truth[:, index], found.code[:, index]
        both = shown.thinned(np.flatnonzero(np.isfinite(x) & np.isfinite(y)), settings.points)
        panels.unity(axis, np.quantile(x[both], [0.002, 0.998]), np.quantile(y[both], [0.002, 0.998]))
        axis.plot(x[both], y[both], ".", color=shown.colour(index), markersize=2.5, alpha=0.6, rasterized=True)
        rho = _correlation(x[both], y[both])
        title = names[index] + (f", r = {rho:.2f}" if np.isfinite(rho) else "")
        style.label(
            axis,
            style.with_units("true code", units),
            style.with_units("code", units) if panels.first(axis) else "",
            title,
        )
        table += [
            {"panel": "trials", "kernel": names[index], "model": settings.model, "true": a, "estimated": b}
            for a, b in zip(x[both], y[both])
        ]
    if rows:
        colours = {row["kernel"]: shown.true_colour(results, settings, row["kernel"]) for row in rows}
        table += _means(made, axes[-1], rows, colours, units, settings.model)
    caption = (
        f"Codes of model {settings.model} against the simulated ones, at the same bin width, a point per test trial "
        f"and neuron (at most {settings.points}; the axes span 99.6 % of them); grey line: equality; r: Pearson's "
        "correlation of the points drawn. "
        + ("Last: mean codes of every fit of every model, in the colour of the kernel. " if rows else "")
        + "No interval, no null."
    )
    style.save(made, folder, "codes_truth", table, caption, dpi=settings.dpi)


def _means(
    made: Figure, axis: Axes, rows: list[dict[str, Any]], colours: dict[str, str], units: str, shown_model: str
) -> list[dict[str, Any]]:
    """Draw the mean codes of every fit, coloured by kernel; those of models that are not shown elsewhere are open."""
    x, y = (np.array([float(row[key]) for row in rows]) for key in ("mean_true", "mean_code"))
    panels.unity(axis, x, y)
    for row, a, b in sorted(zip(rows, x, y), key=lambda one: one[0]["model"] == shown_model):
        colour = colours[row["kernel"]]
        axis.plot(a, b, "o", color=colour, markersize=4, fillstyle="full" if row["model"] == shown_model else "none")
    style.label(axis, style.with_units("mean true code", units), style.with_units("mean code", units), "means")
    entries: dict[str, Artist] = {
        shown_model: panels.line(style.GREY, marker="o", markersize=4, linestyle="none"),
        "other models": panels.line(style.GREY, marker="o", markersize=4, linestyle="none", fillstyle="none"),
    }
    panels.legend(made, entries if {row["model"] for row in rows} != {shown_model} else {})
    return [
        {"panel": "means", "kernel": row["kernel"], "model": row["model"], "true": a, "estimated": b}
        for row, a, b in zip(rows, x, y)
    ]


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and x.std() > 0 and y.std() > 0 else float("nan")
