"""Whether the important ROIs are needed: AUC when the most important ones are taken away, against random ones."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import listing, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

CURVES = {"auc": ("most important first", "black", "-"), "random": ("random ROIs", style.GREY, "--")}


def deletion(results: Results, settings: Settings, folder: Path) -> None:
    """Draw AUC against the share of ROIs replaced by their training mean."""
    found = shown.group(results, "deletion")
    shares = found["output"].values.astype(float)
    counts = found["count"].values.astype(int).tolist() if "count" in found else []
    x = np.arange(len(counts)) if counts else shares
    made, axes = style.figure(1, 1, width=4.8, height=2.9)
    axis = axes[0, 0]
    table: shown.Rows = []
    for name, (text, colour, dashes) in CURVES.items():
        if name not in found:
            continue
        _, values = tested.by_test(results, found[name])
        middle, low, high = tested.interval(values)
        axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(x, middle, dashes, color=colour, marker="o", markersize=3, label=text)
        table += [
            {"curve": name, "share": a, "rois": n, "value": b, "low": c, "high": d}
            for a, n, b, c, d in zip(shares, counts or [""] * len(shares), middle, low, high)
        ]
    panels.chance(axis, vertical=False)
    points, bounds = listing.values(table)
    axis.set_ylim(*panels.auc_range(points, bounds))
    axis.legend(fontsize=7)
    if counts:
        axis.set_xticks(x, [str(count) for count in counts])
    style.label(axis, "ROIs replaced" if counts else "share of ROIs replaced", "AUC on test frames")
    model = str(results.attribution.attrs.get("model", settings.model))
    null = " Null (dashed): random ROIs, mean over random sets." if "random" in found else " Null: chance, 0.5."
    caption = (
        f"AUC (no unit) of model {model} when so many of its ROIs are replaced by the mean of training frames, the "
        f"most important ones first{', on an axis not to scale' if counts else ''}: mean over "
        f"{tested.counted(results)}; shaded: {tested.said(results)}. Line at 0.5: chance.{null} "
        + panels.cut(panels.auc_range(points, bounds), bounds)
        + shown.transductive(results, [model])
    )
    style.save(made, folder, "deletion", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether ROIs were deleted."""
    return shown.has(results, "deletion", "auc") and "output" in shown.group(results, "deletion").coords
