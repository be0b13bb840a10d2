"""AUC of each model on each test mouse (or block)."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import decoders, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

MOST_WRITTEN = 26
"""With more columns the cells hold no number."""


def mice(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the matrix of models and test mice."""
    every = decoders.possible(results)
    models = shown.kept(results, settings, every)
    values = matrix(results, models)
    names = tested.names(results)
    wide, tall = len(names), len(models)
    made, axes = style.figure(1, 1, width=min(7.4, 2.6 + 0.42 * wide), height=max(1.9, 1.15 + 0.2 * tall))
    axis = axes[0, 0]
    low = min(shown.CHANCE, float(np.nanmin(values)))
    drawn = axis.imshow(values, aspect="auto", cmap="cividis", vmin=low, vmax=1)
    axis.set_facecolor("0.85")
    panels.rows(axis, models)
    axis.set_ylim(tall - 0.5, -0.5)
    long = max(len(name) for name in names) > 4 or wide > 12
    axis.set_xticks(
        range(wide), [shown.short(name, 14) for name in names], rotation=45 if long else 0,
        ha="right" if long else "center", rotation_mode="anchor", fontsize=7,
    )  # fmt: skip
    if wide <= MOST_WRITTEN:
        _write(axis, values, low)
    style.label(axis, f"test {tested.noun(results, 1)}", "")
    panels.bar(made, drawn, axis, "AUC")
    table = [
        {"model": model, "test": name, "auc": values[i, j], "fits": len(_values(results, model).get(name, []))}
        for i, model in enumerate(models)
        for j, name in enumerate(names)
    ]
    style.save(made, folder, "mice", table, _caption(results, models, len(every)), dpi=settings.dpi)


def matrix(results: Results, models: list[str]) -> np.ndarray:
    """Return the AUC, mean over fits, of each model on each test mouse or block, (model, unit)."""
    own = [_values(results, model) for model in models]
    return np.array(
        [[found[name].mean() if name in found else np.nan for name in tested.names(results)] for found in own]
    )


def _values(results: Results, model: str) -> dict[str, np.ndarray]:
    return tested.grouped([row for row in shown.table(results) if row["model"] == model], "auc")


def _write(axis: Axes, values: np.ndarray, low: float) -> None:
    """Write every AUC into its cell; 1.00 as 1."""
    size = 6.5 if values.shape[1] <= 14 else 5.2
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.2f}".removeprefix("0").replace("1.00", "1") if np.isfinite(value) else "-"
        dark = not np.isfinite(value) or value > low + 0.55 * (1 - low)
        axis.text(j, i, text, ha="center", va="center", fontsize=size, color="black" if dark else "white")


def _caption(results: Results, models: list[str], total: int) -> str:
    return (
        f"AUC (no unit; 0.5 is chance) of {shown.of(len(models), total, 'decoders')} on each of "
        f"{tested.counted(results)}: mean over the fits tested on it (validation "
        f"{tested.noun(results)} x seeds; their number is in the table). Grey, '-': undefined, as one state is absent. "
        "No interval: the spread over fits is in figure decoders. "
        + shown.null_sentence(results, models)
        + shown.transductive(results, models)
    )
