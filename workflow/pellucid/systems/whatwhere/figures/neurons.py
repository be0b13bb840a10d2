"""Each neuron's test correlation by model, with its interval: for populations small enough to be read one by one."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

COLUMNS = 4


def neurons(results: Results, settings: Settings, folder: Path) -> None:
    """Draw a panel for each neuron: models below each other, best on average first."""
    table = results.metrics["neurons"]
    names = list(dict.fromkeys(row["neuron"] for row in table))
    models = _ranked(results)[: settings.models]
    lines, columns = -(-len(names) // COLUMNS), min(COLUMNS, len(names))
    height = 0.7 + lines * (0.45 + 0.17 * len(models))
    made, axes = style.figure(lines, columns, width=1.4 + 1.6 * columns, height=height, sharex=True)
    for axis, name in zip(axes.flat, names):
        own = {row["model"]: row for row in table if row["neuron"] == name}
        for place, model in enumerate(models):
            if model in own:
                row = own[model]
                colour = shown.colour(1 if model == settings.model else 0)
                axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
                axis.plot(row["correlation"], place, "o", color=colour, markersize=3.5)
        axis.axvline(0, color="0.8", linewidth=0.7, zorder=0)
        panels.rows(axis, models, named=axis in axes[:, 0])
        style.label(axis, "test correlation", "", f"neuron {name}")
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    left = len(set(row["model"] for row in table)) - len(models)
    caption = (
        f"Correlation of predicted and observed responses to test images, per neuron (n = {len(names)}) and model, "
        f"mean over {table[0]['fits']} fits (folds and seeds); bars: 95 % interval, test images drawn with replacement "
        f"within each fit. {settings.model} is the model that is explained"
        + (f"; {left} models of lower correlation are left out" if left > 0 else "")
        + ". No unit. Null: 0, and models fitted to permuted responses where there are any."
    )
    style.save(made, folder, "neurons", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether neurons have rows of their own."""
    return bool(results.metrics.get("neurons"))


def _ranked(results: Results) -> list[str]:
    """Return the models by their mean correlation, the best first."""
    table = results.metrics["neurons"]
    models = dict.fromkeys(row["model"] for row in table)
    score = {m: np.mean([row["correlation"] for row in table if row["model"] == m]) for m in models}
    return sorted(models, key=lambda model: -score[model])
