"""How many kernels, how long and how sparse: validation loss and stability of every candidate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

Rows = Sequence[Mapping[str, Any]]
KEYS = {"kernels": "number of kernels", "lag_bins": "kernel length (bins)", "penalty": "penalty on codes"}
LOSS, STABLE = "validation loss per bin", "stability of kernels"
CHOSEN = style.COLOURS[1]


def selection(results: Results, settings: Settings, folder: Path) -> None:
    """Draw validation loss and stability of all candidates against what they vary; the chosen one is marked."""
    rows: Rows = results.metrics["selection"]
    keys = [key for key in KEYS if len({row[key] for row in rows} - {None}) > 1] or ["model"]
    rows = [row for row in rows if all(row[key] is not None for key in keys)]
    made, axes = style.figure(2, len(keys), width=max(3.4, 2.6 * len(keys)) + 1.3, height=4.2)
    for column, key in enumerate(keys):
        for part in _groups(rows, key, keys):
            _line(axes[0, column], part, key, "validation")
            _line(axes[1, column], part, key, "stability")
        axes[1, column].set_ylim(-0.03, 1.03)
        axes[0, column].sharex(axes[1, column])
        _place(axes[1, column], rows, key)
        axes[0, column].tick_params(labelbottom=False)
        style.label(axes[0, column], "", LOSS if column == 0 else "")
        style.label(axes[1, column], KEYS.get(key, "model"), STABLE if column == 0 else "")
    entries = {
        "chosen": panels.line(CHOSEN, marker="o", markersize=6, linestyle="none"),
        "all else\nas chosen": panels.line(CHOSEN),
        "other\ncandidates": panels.line("0.6", marker=".", markersize=4),
    }
    panels.legend(made, entries if key != "model" else {"chosen": entries["chosen"]})
    caption = (
        "Candidates of model selection. Top: loss on validation trials (lower is better), bar: range over folds. "
        "Bottom: agreement of kernels between restarts after matching (no unit, 1: identical). Lines join candidates "
        "that differ in nothing but what the axis shows; coloured: those through the chosen candidate. Test trials "
        "are not used. No null."
    )
    names = ("model", "kernels", "lag_bins", "penalty", "validation", "low", "high", "stability", "chosen")
    style.save(
        made, folder, "selection", [{name: row[name] for name in names} for row in rows], caption, dpi=settings.dpi
    )


def _groups(rows: Rows, key: str, keys: Sequence[str]) -> list[list[Mapping[str, Any]]]:
    """Return the candidates that differ only in one key, sorted by it; the group with the chosen one comes last."""
    others = [other for other in keys if other != key]
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[other] for other in others), []).append(row)
    groups = (
        list(found.values()) if key == "model" else [sorted(own, key=lambda row: row[key]) for own in found.values()]
    )
    return sorted(groups, key=lambda own: any(row["chosen"] for row in own))


def _line(axis: Axes, rows: Rows, key: str, name: str) -> None:
    x = np.arange(len(rows)) if key == "model" else np.array([row[key] for row in rows], float)
    y = np.array([shown.number(row[name]) for row in rows])
    low, high = (np.array([shown.number(row[end]) for row in rows]) for end in ("low", "high"))
    chosen = np.array([bool(row["chosen"]) for row in rows])
    colour = CHOSEN if chosen.any() and key != "model" else "0.6"
    if name == "validation":
        axis.vlines(x, low, high, color=colour, linewidth=0.8)
    axis.plot(x, y, linestyle="none" if key == "model" else "-", color=colour, marker=".", markersize=4)
    axis.plot(x[chosen], y[chosen], "o", color=CHOSEN, markersize=6, zorder=5)


def _place(axis: Axes, rows: Rows, key: str) -> None:
    """Choose the ticks of the shared x axis."""
    if key == "model":
        axis.set_xticks(
            range(len(rows)), [row["model"] for row in rows], rotation=40, ha="right", rotation_mode="anchor"
        )
        return
    values = np.unique([float(row[key]) for row in rows])
    positive = values[values > 0]
    if key == "penalty" and len(positive) > 1 and positive[-1] > 20 * positive[0]:
        axis.set_xscale("symlog", linthresh=float(positive[0])) if values[0] <= 0 else axis.set_xscale("log")
    else:
        axis.set_xticks(values if len(values) <= 8 else values[:: -(-len(values) // 8)])
