"""How the shown model learned: losses per epoch of every restart, and how well codes converged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

SERIES = {
    "training": "training objective",
    "validation": "validation loss",
    "change": "relative change of kernels",
    "kkt": "largest KKT residual",
    "rate": "learning rate",
}
"""What a history may hold, in the order of the panels."""

LOGARITHMIC = ("change", "kkt", "rate")


def curves(results: Results, settings: Settings, folder: Path) -> None:
    """Draw what the history of every restart holds against epochs, and how well the codes of every fit converged."""
    fits = [fit for fit in results.fits if fit.model == settings.model]
    histories = [(fit, fit.history()) for fit in fits]
    names = [name for name in SERIES if all(name in history[0] for _, history in histories)]
    folds = sorted({fit.fold for fit in fits})
    summary = results.metrics.get("convergence") or []
    count = len(names) + bool(summary)
    made, axes = panels.grid(count, width=2.4, height=2.3, extra=1.0)
    for axis, name in zip(axes, names):
        for fit, history in histories:
            _draw(axis, history, name, shown.colour(folds.index(fit.fold)))
        style.label(axis, "epoch", SERIES[name])
        if name in LOGARITHMIC and _wide(np.array([row[name] for _, history in histories for row in history])):
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if summary:
        _final(axes[-1], summary)
    panels.legend(made, {f"fold {fold}": panels.line(shown.colour(i)) for i, fold in enumerate(folds)})
    caption = (
        f"Training of model {settings.model}, a line per restart, coloured by fold; the dot marks the epoch whose "
        "kernels are kept. The objective of training trials includes penalties; validation trials are neither trained "
        "nor tested on."
        + (
            " Last: largest violation of the optimality conditions of the codes of test trials, for every fit of "
            "every model (0: exact)."
            if summary
            else ""
        )
        + " No interval, no null."
    )
    style.save(made, folder, "training", _table(histories), caption, dpi=settings.dpi)


def _draw(axis: Axes, history: Sequence[Mapping[str, float]], name: str, colour: str) -> None:
    epochs, values = (np.array([row[key] for row in history]) for key in ("epoch", name))
    if name in LOGARITHMIC:
        values = np.where(values > 0, values, np.nan)
    if np.isfinite(values).any():
        axis.plot(epochs + 1, values, color=colour, linewidth=1)
    best = int(np.argmin([row["validation"] for row in history]))
    axis.plot(epochs[best] + 1, values[best], "o", color=colour, markersize=3)


def _final(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the residual of every fit, a row per model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    x = np.array([shown.number(row["kkt"]) for row in rows])
    x = np.where(x > 0, x, np.nan)
    axis.plot(x, [models.index(row["model"]) for row in rows], "o", color=panels.DARK, markersize=3, alpha=0.6)
    if np.isfinite(x).any():
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlim(np.nanmin(x) / 10, np.nanmax(x) * 10)
    axis.set_yticks(range(len(models)), models)
    axis.set_ylim(len(models) - 0.5, -0.5)
    style.label(axis, SERIES["kkt"], "", "test trials")


def _wide(values: np.ndarray) -> bool:
    """Tell whether positive values span more than a factor of 20, so that a logarithmic axis has several ticks."""
    known = values[np.isfinite(values) & (values > 0)]
    return len(known) > 0 and bool(known.max() > 20 * known.min())


def _table(histories: Sequence[tuple[Fit, Sequence[Mapping[str, float]]]]) -> list[dict[str, Any]]:
    return [
        {"model": fit.model, "fold": fit.fold, "seed": fit.seed, **row} for fit, history in histories for row in history
    ]
