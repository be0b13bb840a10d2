"""How well each decoder tells the states apart: every fit, the mean over test mice, chance and the null."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import listing, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings


def decoders(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the AUC of every decoder."""
    every = possible(results)
    models = shown.kept(results, settings, every)
    made, axes = style.figure(1, 1, width=6.6, height=listing.height(len(models)))
    axis = axes[0, 0]
    table = listing.draw(axis, results, models, "auc")
    nulls = [row["value"] for row in table if row["entry"] == "mean" and row["model"] in shown.nulls(results)]
    null = float(shown.mean(np.array(nulls, float))) if nulls else float("nan")
    panels.chance(axis, null)
    axis.set_xlim(*panels.auc_range(*listing.values(table)))
    for place, model in enumerate(models):
        panels.beside(axis, place, shown.digits(listing.means(results, model, "auc")[0]))
    style.label(axis, "AUC on test frames", "", "")
    entries = {"mean": panels.line("black", marker="D", linestyle="-")} | panels.of_tests(results)
    entries |= {"chance": panels.line("0.45", linewidth=0.9)}
    entries |= {"null": panels.line(style.GREY, linestyle=":")} if np.isfinite(null) else {}
    panels.legend(made, entries)
    remarks = listing.remarks(table, axis.get_xlim())
    style.save(made, folder, "decoders", table, _caption(results, models, len(every), remarks), dpi=settings.dpi)


def possible(results: Results) -> list[str]:
    """Return the models with a defined AUC."""
    return shown.with_score(results, "auc")


def _caption(results: Results, models: list[str], total: int, remarks: str) -> str:
    fits = sum(len(shown.fits(results, model)) for model in models)
    return (
        f"Area under the ROC curve (AUC, no unit) of {shown.of(len(models), total, 'decoders')} on test frames. "
        f"Dots: {fits} fits (folds x seeds), {panels.coloured(results)}; diamond, bar and number: mean over "
        f"{tested.counted(results)} of the mean over the fits of each; bar: {tested.said(results, 'models')}. "
        f"Fits that share a test {tested.noun(results, 1)} are not independent. "
        + remarks
        + "Line at 0.5: chance. "
        + shown.null_sentence(results, models)
        + shown.transductive(results, models)
    )
