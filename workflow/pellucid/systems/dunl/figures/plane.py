"""Two codes of the same event in a plane, with the axes that PCA and NMF find in the same data."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import conditions, panels, shown
from pellucid.systems.dunl.figures.settings import Settings

AXES = {"pca": (style.COLOURS[1], "-", "PCA"), "nmf": (style.COLOURS[0], "--", "NMF")}
OUTLINE = [withStroke(linewidth=3, foreground="white")]


def codes(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the codes of two kernels against each other, the axes of PCA and NMF, and both sets of scores."""
    group = schema.group(results.attribution, "plane")
    rows = shown.thinned(np.flatnonzero(np.isfinite(group["points"].values).all(axis=1)), settings.points)
    name, units = str(group.attrs["covariate"]), conditions.units(results, str(group.attrs["covariate"]))
    first, second = map(str, group["feature"].values)
    drive = shown.drive_units(results, settings)
    clouds = {
        "codes": ("points", style.with_units(f"code of {first}", drive), style.with_units(f"code of {second}", drive)),
        "PCA": ("pca_score", "PCA score 1", "PCA score 2"),
        "NMF": ("nmf_score", "NMF score 1", "NMF score 2"),
    }
    covariate = group["covariate"].values[rows]
    values, levels = _colours(covariate, settings)
    made, axes = style.figure(1, 3, width=9.0, height=2.8)
    table: list[dict[str, Any]] = []
    for axis, (title, (key, x, y)) in zip(axes[0], clouds.items()):
        points = group[key].values[rows]
        image = axis.scatter(*points.T, c=values, cmap="viridis", s=5, linewidths=0, alpha=0.7, rasterized=True)
        axis.axhline(0, color=style.GREY, linewidth=0.5, zorder=0)
        axis.axvline(0, color=style.GREY, linewidth=0.5, zorder=0)
        _frame(axis, points)
        style.label(axis, x, y, title)
        table += [{"panel": title, "x": a, "y": b, name: c} for (a, b), c in zip(points, covariate)]
    for kind, (colour, line, _) in AXES.items():
        ends = _lines(axes[0, 0], group[f"{kind}_axes"].values, group["points"].values[rows], kind, colour, line)
        table += [{"panel": f"{kind} axis {number}", "x": x, "y": y, name: np.nan} for number, x, y in ends]
    bar = made.colorbar(image, ax=axes[0, 2], label=style.with_units(name, units))
    if levels is not None:
        bar.set_ticks(range(len(levels)), labels=[f"{level:g}" for level in levels])
    panels.legend(made, {text: panels.line(colour, linestyle=line) for colour, line, text in AXES.values()}, "axes of")
    caption = (
        f"Codes of two kernels that start with the same event, {first} and {second} (model {settings.model}), a point "
        f"per trial and neuron (at most {settings.points}), coloured by {name}. Lines: axes of PCA (of standardised "
        "codes, through their mean) and of NMF (from the smallest values, as NMF sees the data) in the same plane, 1 "
        "and 2 by order; their length is arbitrary. Middle and right: the scores on these axes. Panels span 98 % of "
        "the points. No interval, no null."
    )
    style.save(made, folder, "plane", table, caption, dpi=settings.dpi)


def _colours(covariate: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what is shown as colour: the index of the value where there are few values (then also those), or "
    "values."""
    if not conditions.discrete(covariate, settings):
        return covariate, None
    level, levels = conditions.binned(covariate, settings)
    return np.where(level >= 0, level, np.nan), levels


def _frame(axis: Axes, points: np.ndarray) -> None:
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    margin = 0.1 * np.maximum(high - low, 1e-9)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def _lines(
    axis: Axes, directions: np.ndarray, points: np.ndarray, kind: str, colour: str, line: str
) -> list[tuple[int, float, float]]:
    """Draw the two axes (feature, output) found by one method inside the frame; return number and ends of each."""
    start = points.mean(axis=0) if kind == "pca" else points.min(axis=0)
    directions = directions * points.std(axis=0)[:, None] if kind == "pca" else directions  # of standardised codes
    corner = np.array([axis.get_xlim(), axis.get_ylim()])  # (feature, end)
    ends = []
    for number, direction in enumerate(directions.T, 1):
        unit = direction / (np.linalg.norm(direction) or 1.0)
        room = [(corner[i, int(unit[i] > 0)] - start[i]) / unit[i] for i in range(2) if abs(unit[i]) > 1e-9]
        along = (points - start) @ unit
        length = 1.6 * along.std() if kind == "pca" else np.quantile(along, 0.9)
        end = start + unit * min([float(length), *(0.85 * one for one in room)])
        axis.plot(*np.stack([start, end]).T, line, color=colour, linewidth=1.6, zorder=4, path_effects=OUTLINE)
        axis.annotate(
            str(number),
            end,
            color=colour,
            fontsize=8,
            fontweight="bold",
            textcoords="offset points",
            xytext=(3, 3),
            path_effects=OUTLINE,
        )
        ends += [(number, float(x), float(y)) for x, y in (start, end)]
    return ends
