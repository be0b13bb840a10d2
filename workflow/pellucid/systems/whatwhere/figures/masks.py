"""Where: masks of example neurons with true centre and found peak, and found positions against the truth."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

FOUND, TRUE = "#E69F00", "#009E73"


def masks(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the masks of example neurons of fold 0, with the peak and the true centre."""
    where = shown.group(results, "where")
    chosen = shown.examples(results, settings, settings.examples)
    score, names = shown.by_neuron(results, settings.model, shown.main_score(results)), shown.names(results)
    offset = (float(where.attrs["offset_row"]), float(where.attrs["offset_column"]))
    found, truth = positions(results, settings), true_positions(where)
    confidence = where["confidence"].values[0]
    height, width = where["mask"].shape[-2:]
    size = 1.25
    wide, tall = size * max(1.0, width / height), size * max(1.0, height / width)
    made, axes = panels.grid(len(chosen), columns=max(1, int(7.4 // wide)), width=wide, height=tall + 0.25, extra=1.1)
    table = []
    for axis, neuron in zip(axes, chosen):
        panels.picture(axis, where["mask"].values[0, neuron], offset=offset)
        axis.plot(found[neuron, 1], found[neuron, 0], "o", color=FOUND, markersize=9, fillstyle="none", clip_on=False)
        axis.plot(truth[neuron, 1], truth[neuron, 0], "+", color=TRUE, markersize=8, markeredgewidth=1.4, clip_on=False)
        title = (
            f"{shown.short(names[neuron], 16)}\n{shown.digits(score[neuron])}, conf. {shown.digits(confidence[neuron])}"
        )
        axis.set_title(title, fontsize=6.5, pad=2)
        table.append(
            {"neuron": names[neuron], "score": score[neuron], "confidence": confidence[neuron],
             "row_px": found[neuron, 0], "column_px": found[neuron, 1], "true_row_px": truth[neuron, 0],
             "true_column_px": truth[neuron, 1]}
        )  # fmt: skip
    known = bool(np.isfinite(truth).any())
    entries = {"peak": panels.line(FOUND, linestyle="", marker="o", fillstyle="none")} | (
        {"true centre": panels.line(TRUE, linestyle="", marker="+")} if known else {}
    )
    panels.legend(made, entries)
    caption = (
        f"Masks of model {settings.model}, fold 0, the fit with the lowest validation loss. Red is positive, blue "
        f"negative, each mask scaled by its own largest value (no unit); a mask spans {height} x {width} px of the "
        f"image (height x width), from row {offset[0]:g} and column {offset[1]:g} on. "
        + shown.evenly(results, settings, len(chosen))
        + f"Above each: name, {shown.NAMES[shown.main_score(results)]} (mean over folds and seeds), and conf., the "
        "share of the sum of |mask| within 2 px of the peak. No interval; the null of conf. is in figure faithfulness, "
        "where there is one."
    )
    style.save(made, folder, "masks", table, caption, dpi=settings.dpi)


def positions(results: Results, settings: Settings, fold: int = 0) -> np.ndarray:
    """Return the position of each neuron by the best fit of a fold, (neuron, 2) row and column in px of the image."""
    where, best = shown.group(results, "where"), shown.best(results, settings)
    return np.stack([where[name].values[fold, best[fold]] for name in ("row", "column")], axis=1).astype(float)


def true_positions(where: xr.Dataset) -> np.ndarray:
    """Return the true position of each neuron, (neuron, 2) px, NaN where it is not known."""
    if "true_row" not in where:
        return np.full((where.sizes["neuron"], 2), np.nan)
    return np.stack([where[name].values for name in ("true_row", "true_column")], axis=1).astype(float)


def locations(results: Results, settings: Settings, folder: Path) -> None:
    """Draw found against true positions, the error of each model, and how well seeds agree."""
    where = shown.group(results, "where")
    truth, found = true_positions(where), positions(results, settings)
    known = bool(np.isfinite(truth).any())
    errors = _errors(results, settings)
    several = where.sizes["seed"] > 1
    count = 1 + bool(errors) + 1
    made, grid = style.figure(1, count, width=2.6 * count + 0.4, height=max(2.6, 0.9 + 0.17 * len(errors)))
    axes = list(grid[0])
    table = _plane(axes[0], made, results, found, truth, settings)
    if errors:
        table += _error_rows(axes[1], errors, _located(results))
    table += _agreement(axes[-1], where, several)
    style.save(made, folder, "locations", table, _caption(results, settings, known, errors), dpi=settings.dpi)


def _plane(
    axis: Axes, made: Figure, results: Results, found: np.ndarray, truth: np.ndarray, settings: Settings
) -> list[dict[str, Any]]:
    """Draw found against true rows and columns, or the found positions in the image."""
    names = shown.names(results)
    rows = [
        {"panel": "positions", "name": names[n], "row_px": found[n, 0], "column_px": found[n, 1],
         "true_row_px": truth[n, 0], "true_column_px": truth[n, 1], "low": np.nan, "middle": np.nan, "high": np.nan,
         "within_1_px": np.nan}
        for n in range(len(names))
    ]  # fmt: skip
    if np.isfinite(truth).any():
        for side, name in enumerate(("row", "column")):
            axis.plot(truth[:, side], found[:, side], "os"[side], color=shown.colour(side), markersize=3, alpha=0.6,
                      markeredgewidth=0, label=name)  # fmt: skip
        panels.unity(axis, *panels.span(found, truth))
        axis.legend(fontsize=7, loc="upper left", handletextpad=0.1, borderpad=0.1)
        style.label(axis, "true centre (px)", "found centre (px)", f"model {shown.short(settings.model, 16)}, fold 0")
        return rows
    height, width = results.features.first()["images"].shape[-2:]
    values = shown.group(results, "where")["confidence"].values[0]
    if np.isfinite(values).any():
        points = axis.scatter(found[:, 1], found[:, 0], c=values, s=10, cmap="viridis", vmin=0, vmax=1)
        made.colorbar(points, ax=axis, label="confidence", shrink=0.7)
    else:
        axis.plot(found[:, 1], found[:, 0], "o", color=shown.colour(0), markersize=3, markeredgewidth=0)
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    style.label(axis, "column (px)", "row (px)", "found centres, fold 0")
    return rows


def _errors(results: Results, settings: Settings) -> dict[str, np.ndarray]:
    """Return the location errors of all fits and neurons of each model that has any, at most so many models."""
    group = shown.scores(results)
    if "location_error" not in group:
        return {}
    found = {
        str(model): values[np.isfinite(values)]
        for model, values in zip(group["model"].values, group["location_error"].values)
    }
    found = {model: values for model, values in found.items() if len(values)}
    order = sorted(found, key=lambda model: (model != settings.model, float(np.mean(found[model] > 1))))
    kept = set(order[: settings.models])
    return {model: values for model, values in found.items() if model in kept}


def _located(results: Results) -> dict[str, float]:
    """Return the share of neurons within 1 px of each model, mean over fits; neurons without a position are misses."""
    found: dict[str, list[float]] = {}
    for row in shown.table(results):
        if row.get("located") is not None:
            found.setdefault(str(row["model"]), []).append(float(row["located"]))
    return {model: float(np.mean(values)) for model, values in found.items()}


def _error_rows(axis: Axes, errors: dict[str, np.ndarray], located: dict[str, float]) -> list[dict[str, Any]]:
    table = []
    for place, (model, values) in enumerate(errors.items()):
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        axis.plot([low, high], [place, place], color=shown.colour(0), linewidth=1.6)
        axis.plot(middle, place, "o", color=shown.colour(0), markersize=4)
        share = located.get(model, float(np.mean(values <= 1)))
        axis.text(1.02, place, f"{100 * share:.0f} %", transform=axis.get_yaxis_transform(), fontsize=6.5, va="center")
        table.append(
            {"panel": "error", "name": model, "row_px": np.nan, "column_px": np.nan, "true_row_px": np.nan,
             "true_column_px": np.nan, "low": low, "middle": middle, "high": high, "within_1_px": share}
        )  # fmt: skip
    panels.rows(axis, [shown.short(model, 18) for model in errors])
    axis.axvline(1, color=style.GREY, linestyle=":", linewidth=0.9, zorder=0)
    most = max(2.0, max(row["high"] for row in table))
    axis.set_xscale("symlog", linthresh=1, linscale=0.7)
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100) if tick <= most * 1.2]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(-0.1, most * 1.2)
    style.label(axis, shown.NAMES["location_error"], "", "right: within 1 px")
    return table


def _agreement(axis: Axes, where: xr.Dataset, several: bool) -> list[dict[str, Any]]:
    """Draw how many neurons have which agreement over seeds and which confidence, mean over folds."""
    shares = {"confidence": where["confidence"].values, **({"agreement": where["agreement"].values} if several else {})}
    table = []
    for index, (name, values) in enumerate(shares.items()):
        own = shown.mean(values.astype(float))
        own = own[np.isfinite(own)]
        if not len(own):
            continue
        axis.hist(own, bins=np.linspace(0, 1, 21).tolist(), histtype="step" if index else "stepfilled",
                  color=shown.colour(1) if index else "0.75", linewidth=1.4, label=name)  # fmt: skip
        low, middle, high = np.quantile(own, [0.05, 0.5, 0.95])
        table.append(
            {"panel": "share", "name": name, "row_px": np.nan, "column_px": np.nan, "true_row_px": np.nan,
             "true_column_px": np.nan, "low": low, "middle": middle, "high": high,
             "within_1_px": np.nan}
        )  # fmt: skip
    if table:
        axis.legend(fontsize=7, loc="upper left", borderpad=0.1)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, axis.get_ylim()[1] * 1.3)
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label(axis, "share", "neurons", "reliability of positions")
    return table


def _caption(results: Results, settings: Settings, known: bool, errors: dict[str, np.ndarray]) -> str:
    where = shown.group(results, "where")
    text = f"Positions of receptive fields of model {settings.model}, best fit of fold 0, {where.sizes['neuron']} "
    text += "neurons. "
    text += "Left: found against true row and column; line: equality. " if known else (
        "Left: found centres in the image, coloured by confidence; true centres are not known. "
    )  # fmt: skip
    if errors:
        text += (
            f"Middle: distance from the true centre (the larger of rows and columns) of {len(errors)} models: "
            "median (dot) and 5 to 95 % (bar) over neurons, folds and seeds; on the right the share within 1 px "
            "(dotted line); linear below 1 px, logarithmic above. "
        )
    masked = bool(np.isfinite(where["confidence"]).any())
    right = ["confidence, the share of the sum of |mask| within 2 px of the peak"] if masked else []
    if where.sizes["seed"] > 1:
        right.append("agreement, the share of the other seeds whose position is within 1 px of the best fit's")
    return text + f"Right: {'; '.join(right) or 'nothing to compare'}. Mean over folds. {_null(results)}"


def _null(results: Results) -> str:
    """Return the sentence of a caption about the null of positions."""
    null = shown.group(results, "null") if shown.has(results, "null") else None
    if null is None or "error" not in null or not np.isfinite(null["error"]).any():
        return "No null is known: a random position lies within 1 px in few of many pixels."
    median = float(np.nanmedian(null["error"].values))
    return (
        f"Null ({null.attrs.get('source', 'without learning')}): median distance {median:.3g} px from the true centre."
    )
