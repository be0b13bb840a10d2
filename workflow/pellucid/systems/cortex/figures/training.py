"""How the shown model learned: loss and AUC of validation against epoch, for every fit and stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

STAGES = ("stage 1: frames (CNN)", "stage 2: windows (CNN-RNN)")
COLUMNS = ("stage", "epoch", "rate", "training", "validation", "auc")

History = Sequence[Mapping[str, float]]


def training(results: Results, settings: Settings, folder: Path) -> None:
    """Draw loss and validation AUC against epoch, a line for each fold and seed."""
    histories = _histories(results, settings)
    stages = sorted({row.get("stage", 0.0) for _, history in histories for row in history})
    scored = any(np.isfinite(row.get("auc", np.nan)) for _, history in histories for row in history)
    made, axes = style.figure(1 + scored, len(stages), width=3.1 * len(stages) + 1.7, height=2.3 + 2.0 * scored)
    for column, stage in enumerate(stages):
        for fit, history in histories:
            own = [row for row in history if row.get("stage", 0.0) == stage]
            _fit(list(axes[:, column]), own, _colour(results, fit), scored)
        title = STAGES[column] if len(stages) == 2 else (f"stage {column + 1}" if len(stages) > 1 else "")
        style.label(axes[0, column], "", "loss", title)
        if scored:
            style.label(axes[1, column], "", "validation AUC")
        axes[-1, column].set_xlabel("epoch")
        for axis in axes[:, column]:
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    entries = {
        "validation": panels.line("0.3", marker=""),
        "training": panels.line("0.3", linestyle=":"),
        "weights kept": panels.line("0.3", linestyle="", marker="o"),
    }
    panels.legend(made, entries | panels.of_tests(results), f"model {shown.short(settings.model)}")
    style.save(made, folder, "training", _table(results, histories), _caption(results, settings), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model learned in epochs: not a regression, nor released weights."""
    return bool(_histories(results, settings))


def best(history: History) -> int | None:
    """Return the row of the lowest validation loss, None if there is none."""
    values = np.array([row.get("validation", np.nan) for row in history], float)
    return int(np.nanargmin(values)) if np.isfinite(values).any() else None


def _histories(results: Results, settings: Settings) -> list[tuple[Fit, History]]:
    found = [(fit, fit.history()) for fit in shown.fits(results, settings.model)]
    return [(fit, rows) for fit, rows in found if rows and {"epoch", "training", "validation"} <= set(rows[0])]


def _colour(results: Results, fit: Fit) -> str:
    known = tested.of_folds(results)
    return shown.colours(tested.names(results)).get(known.get(fit.fold, ""), style.GREY)


def _fit(axes: Sequence[Axes], rows: History, colour: str, scored: bool) -> None:
    """Draw one stage of one fit."""
    if not rows:
        return
    epochs = np.array([row["epoch"] for row in rows]) + 1
    kept = best(rows)
    marker = "." if len(rows) < 6 else ""
    for axis, name in zip(axes, ("validation", "auc") if scored else ("validation",)):
        values = np.array([row.get(name, np.nan) for row in rows])
        axis.plot(epochs, values, color=colour, linewidth=0.9, alpha=0.8, marker=marker, markersize=3)
        if kept is not None:
            axis.plot(
                epochs[kept], values[kept], "o", color=colour, markersize=4.5, markeredgecolor="white",
                markeredgewidth=0.5, zorder=4,
            )  # fmt: skip
    training = np.array([row.get("training", np.nan) for row in rows])
    axes[0].plot(epochs, training, ":", color=colour, linewidth=0.9, alpha=0.8)


def _table(results: Results, histories: Sequence[tuple[Fit, History]]) -> list[dict[str, Any]]:
    known = tested.of_folds(results)
    table = []
    for fit, history in histories:
        for stage in sorted({row.get("stage", 0.0) for row in history}):
            rows = [row for row in history if row.get("stage", 0.0) == stage]
            kept = best(rows)
            table += [
                {"fold": fit.fold, "seed": fit.seed, "test": known.get(fit.fold, ""), "best": i == kept}
                | {name: row.get(name, np.nan) for name in COLUMNS}
                for i, row in enumerate(rows)
            ]
    return table


def _caption(results: Results, settings: Settings) -> str:
    fits = len(shown.fits(results, settings.model))
    return (
        f"Training of model {settings.model}, {shown.plural(fits, 'fit')} (folds x seeds), {panels.coloured(results)}. "
        "Solid: validation loss, dotted: training loss (binary cross-entropy in nats for a state, squared error in "
        "units of the variance for speed; labels smoothed or weighted as in the settings); AUC on validation frames "
        "(no unit). Dot: the epoch with the lowest validation loss, whose weights are kept. Every line is one fit: "
        "there is no interval. Null: a constant probability of one half has loss 0.693 and AUC 0.5. "
        + shown.transductive(results, [settings.model])
    )
