"""Whether importance follows the correlation of single ROIs with the state."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, rois, shown, tested
from pellucid.systems.cortex.figures.settings import Settings


def agreement(results: Results, settings: Settings, folder: Path) -> None:
    """Draw importance against univariate correlation, with the importance for null labels."""
    found, others = rois.load(results), rois.beside(results)
    values, r = shown.mean(found.by_roi()), shown.mean(rois.univariate(results, found.names))
    made, axes = style.figure(1, 1, width=5.0, height=3.3)
    axis = axes[0, 0]
    axis.plot(r, values, "o", color=shown.PALETTE[0], markersize=4.5, alpha=0.85, markeredgewidth=0)
    null = rois.matched(found.names, others["null"]) if "null" in others else np.full(len(r), np.nan)
    if np.isfinite(null).any():
        axis.plot(r, null, "x", color=style.GREY, markersize=4)
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axis.set_xlim(*panels.span(r, np.empty(0), 0.12))
    axis.set_ylim(0, panels.span(np.concatenate([values, null, [0.0]]), np.empty(0), 0.1)[1])
    _name(axis, r, values, found, settings.named)
    style.label(
        axis,
        "univariate correlation with the state",
        style.with_units("mean |attribution|, sum over lags", found.units),
    )
    entries = {"model": panels.line(shown.PALETTE[0], linestyle="", marker="o")}
    if np.isfinite(null).any():
        entries["null labels"] = panels.line(style.GREY, linestyle="", marker="x")
    panels.legend(made, entries)
    auc = shown.mean(rois.univariate(results, found.names, "auc")) if _has_auc(results) else r * np.nan
    table = [
        {"roi": name, "area": area, "importance": a, "correlation": b, "auc": c, "null": d}
        for name, area, a, b, c, d in zip(found.names, found.areas, values, r, auc, null)
    ]
    style.save(made, folder, "agreement", table, _caption(results, settings, values, r, null), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether importance and univariate correlation are known."""
    return shown.has(results, "importance", "magnitude") and shown.has(results, "univariate", "correlation")


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation of the ROIs that have both, NaN of fewer than three or constant ones."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3 or not np.ptp(a[known]) or not np.ptp(b[known]):
        return float("nan")
    return float(stats.spearmanr(a[known], b[known]).statistic)


def _has_auc(results: Results) -> bool:
    return shown.has(results, "univariate", "auc")


def _name(axis: Axes, x: np.ndarray, y: np.ndarray, found: rois.Importance, count: int) -> None:
    """Name the most important ROIs beside their dots, where no other name is."""
    labels = found.labels()
    inverse = axis.transAxes.inverted()
    boxes: list[tuple[float, float, float, float]] = []
    for number in found.order()[:count]:
        if not np.isfinite(x[number] + y[number]):
            continue
        text = shown.short(labels[number], 18)
        at = inverse.transform(axis.transData.transform((x[number], y[number])))
        box = _free(at, 0.015 * len(text) + 0.01, boxes)
        boxes.append(box)
        axis.text(box[0], box[1], text, transform=axis.transAxes, fontsize=6, va="center")


def _free(
    at: np.ndarray, width: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, float, float]:
    """Return left, middle, width and height of a name beside a dot, shares of the panel, off the names that are there.

    at  (2,) place of the dot in the panel
    """
    tall = 0.045
    moves = [(side, shift * tall) for shift in (0, 1, -1, 2, -2, 3) for side in (0.015, -0.015 - width)]
    boxes = [(float(at[0]) + dx, float(at[1]) + dy, width, tall) for dx, dy in moves]
    boxes = [box for box in boxes if box[0] >= 0 and box[0] + width <= 1.05] or boxes
    return next((box for box in boxes if not any(_meet(box, other) for other in taken)), boxes[0])


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return (
        one[0] < other[0] + other[2] and other[0] < one[0] + one[2] and abs(one[1] - other[1]) < (one[3] + other[3]) / 2
    )


def _caption(results: Results, settings: Settings, values: np.ndarray, r: np.ndarray, null: np.ndarray) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    known = np.isfinite(null).any()
    text = (
        f"Importance (sum over lags of mean |attribution|) of {len(values)} ROIs for model {model} against the "
        f"Pearson correlation of each ROI with the state on test frames (no unit), both means over "
        f"{tested.counted(results)}; no interval is drawn. Spearman's rank correlation of importance with |r|: "
        f"{shown.digits(rank_correlation(values, np.abs(r)), 2)}; with r: "
        f"{shown.digits(rank_correlation(values, r), 2)}. "
    )
    text += "Null (crosses): importance for the model of null labels" if known else "Null: none was attributed"
    if known:
        text += f"; its rank correlation with the model's: {shown.digits(rank_correlation(values, null), 2)}"
    return text + ". " + shown.transductive(results, [model])
