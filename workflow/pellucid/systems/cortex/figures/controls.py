"""Whether blood, motion, vessels or borders would do as well: AUC of the controls, with a margin and flags."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import listing, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

NAMES = {"auc": "AUC on test frames", "r": "correlation with speed on test frames"}


def controls(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the AUC of the reference and its controls, the margin, and the controls that come within it."""
    rows = shown.listed(results, "controls")
    reference, level, margin = _reference(rows, settings)
    models = [reference, *(str(row["model"]) for row in rows)]
    made, axes = style.figure(1, 1, width=6.9, height=listing.height(len(models)))
    axis = axes[0, 0]
    score = str(rows[0].get("score", "auc"))
    drawn = listing.draw(axis, results, models, score)
    scores = listing.values(drawn)
    _band(axis, level, margin)
    if score == "auc":
        panels.chance(axis)
        axis.set_xlim(*panels.auc_range(*scores))
    else:
        axis.set_xlim(*panels.span(*scores))
    panels.beside(axis, 0, f"{shown.digits(level)}  reference")
    for place, row in enumerate(rows, start=1):
        flagged = bool(row["flagged"])
        text = f"{shown.digits(shown.number(row['auc']))}  {'FLAGGED' if flagged else 'below'}"
        panels.beside(axis, place, text if np.isfinite(shown.number(row["auc"])) else "undefined",
                      panels.FLAG if flagged else "black")  # fmt: skip
        if flagged:
            axis.get_yticklabels()[place].set_color(panels.FLAG)
    style.label(axis, NAMES[score], "", "")
    entries = {"mean": panels.line("black", marker="D")} | panels.of_tests(results)
    if np.isfinite(margin):
        entries["margin"] = panels.patch(panels.FLAG, 0.2)
    panels.legend(made, entries | {"chance": panels.line("0.45", linewidth=0.9)})
    table = [_row(results, row, reference) for row in rows]
    caption = _caption(results, rows, reference, margin) + listing.remarks(drawn, axis.get_xlim())
    style.save(made, folder, "controls", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether any control was fitted."""
    return bool(shown.listed(results, "controls"))


def _reference(rows: shown.Rows, settings: Settings) -> tuple[str, float, float]:
    """Return the model that controls are held against, its AUC and the margin (NaN where it is not said)."""
    first = rows[0]
    own = str(first.get("reference", settings.model))
    return own, shown.number(first.get("reference_auc")), shown.number(first.get("margin"))


def _band(axis: Axes, level: float, margin: float) -> None:
    if not np.isfinite(level):
        return
    axis.axvline(level, color=panels.FLAG, linewidth=0.9, zorder=0)
    if np.isfinite(margin):
        axis.axvspan(level - margin, level, color=panels.FLAG, alpha=0.2, linewidth=0, zorder=0)


def _row(results: Results, row: dict[str, Any], reference: str) -> dict[str, Any]:
    own = shown.average(results, str(row["model"]))
    return {
        "model": row["model"],
        "reference": reference,
        "score": row.get("score", "auc"),
        "auc": shown.number(row["auc"]),
        "low": shown.number(own.get("low")),
        "high": shown.number(own.get("high")),
        "reference_auc": shown.number(row.get("reference_auc")),
        "difference": shown.number(row.get("difference")),
        "margin": shown.number(row.get("margin")),
        "flagged": bool(row["flagged"]),
        "said": row.get("said", ""),
    }


def _caption(results: Results, rows: shown.Rows, reference: str, margin: float) -> str:
    flagged = [str(row["model"]) for row in rows if row["flagged"]]
    models = [reference, *(str(row["model"]) for row in rows)]
    band = f" of {margin:g} below it" if np.isfinite(margin) else ""
    score = str(rows[0].get("score", "auc"))
    text = (
        f"{NAMES[score]} (no unit) of {shown.plural(len(rows), 'control')}, the decoder of "
        f"model {reference} on what should not tell the state, beside {reference} itself (line). A control within "
        f"the band{band}, or above, is flagged: what it sees would explain the result. Dots: fits, "
        f"{panels.coloured(results)}; diamond: mean over {tested.counted(results)}; bar: "
        f"{tested.said(results, 'models' if score == 'auc' else 't')}. "
    )
    text += f"Flagged: {', '.join(flagged)}. " if flagged else "None is flagged. "
    text += "A control that is not flagged does not prove that there is no confound. Line at 0.5: chance. "
    return text + shown.null_sentence(results) + shown.transductive(results, models)
