"""How the shown model learned: loss, correlation and calibration of validation rows against epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

PANELS = {
    "validation": "Poisson loss (nats)",
    "r": "validation r",
    "slope": "validation slope",
}
"""Columns of the history that have a panel, with their names on axes."""

MOST_FITS = 20

History = Sequence[Mapping[str, float]]


def training(results: Results, settings: Settings, folder: Path) -> None:
    """Draw loss, r and calibration slope against epoch, a line for each fold and seed."""
    histories = _histories(results, settings)
    drawn = [histories[i] for i in shown.thinned(len(histories), MOST_FITS)]
    wanted = [name for name in PANELS if any(np.isfinite(_values(rows, name)).any() for _, rows in histories)]
    made, axes = style.figure(1, len(wanted), width=1.7 + 2.3 * len(wanted), height=2.5)
    for axis, name in zip(axes[0], wanted):
        for number, (_, rows) in enumerate(drawn):
            _line(axis, rows, name, style.COLOURS[number % 6])
        style.label(axis, "epoch", PANELS[name])
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if name == "slope":
            axis.axhline(1, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    entries = {
        "validation": panels.line("0.3"),
        "training": panels.line("0.3", linestyle=":"),
        "weights kept": panels.line("0.3", linestyle="", marker="o"),
    }
    if len(drawn) <= 6:
        entries |= {f"seed {fit.seed}" + f", fold {fit.fold}" * _folds(histories): panels.line(style.COLOURS[i])
                    for i, (fit, _) in enumerate(drawn)}  # fmt: skip
    panels.legend(made, entries, f"model {shown.short(settings.model, 20)}")
    style.save(made, folder, "training", _table(histories), _caption(settings, len(histories), drawn), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model learned in epochs."""
    return bool(_histories(results, settings))


def best(rows: History) -> int | None:
    """Return the row of the lowest validation loss, None if there is none."""
    values = _values(rows, "validation")
    return int(np.nanargmin(values)) if np.isfinite(values).any() else None


def _histories(results: Results, settings: Settings) -> list[tuple[Fit, History]]:
    found = [(fit, fit.history()) for fit in shown.fits(results, settings.model)]
    return [(fit, rows) for fit, rows in found if rows and {"epoch", "validation"} <= set(rows[0])]


def _folds(histories: Sequence[tuple[Fit, History]]) -> bool:
    return len({fit.fold for fit, _ in histories}) > 1


def _values(rows: History, name: str) -> np.ndarray:
    return np.array([row.get(name, np.nan) for row in rows], float)


def _line(axis: Axes, rows: History, name: str, colour: str) -> None:
    epochs, values = _values(rows, "epoch") + 1, _values(rows, name)
    axis.plot(epochs, values, color=colour, linewidth=1.1, marker="." if len(rows) < 6 else "", markersize=3)
    if name == "validation":
        axis.plot(epochs, _values(rows, "training"), ":", color=colour, linewidth=1.0)
    kept = best(rows)
    if kept is not None:
        axis.plot(epochs[kept], values[kept], "o", color=colour, markersize=4.5, markeredgecolor="white",
                  markeredgewidth=0.5, zorder=4)  # fmt: skip


def _table(histories: Sequence[tuple[Fit, History]]) -> shown.Rows:
    return [
        {"fold": fit.fold, "seed": fit.seed, "best": i == best(rows)}
        | {name: row.get(name, np.nan) for name in ("epoch", "rate", "training", "validation", "r", "slope")}
        for fit, rows in histories
        for i, row in enumerate(rows)
    ]  # fmt: skip


def _caption(settings: Settings, total: int, drawn: Sequence[tuple[Fit, History]]) -> str:
    return (
        f"Training of model {settings.model}, {shown.part(len(drawn), total, 'fit')} (folds x seeds), each a "
        "line. Solid: validation rows, which lie apart from training rows by more than the model's history; dotted: "
        "loss on training rows, with penalties and latent noise. Loss: mean of rate - response log rate; r: mean over "
        "cells of Pearson's correlation with single responses; slope: observed on predicted rates, 1 if calibrated "
        "(dashed). Dot: the epoch with the lowest validation loss, whose weights are kept. No interval. Null: r = 0."
    )
