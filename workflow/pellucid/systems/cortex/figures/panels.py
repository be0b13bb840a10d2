"""Rows of models, dots of fits, legends, shaded states, and images with a zero-centred scale."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pellucid.artifacts import Results
from pellucid.plotting import panels as parts
from pellucid.plotting import style
from pellucid.plotting.legends import legend as legend
from pellucid.plotting.legends import line as line
from pellucid.plotting.legends import patch as patch
from pellucid.plotting.panels import limit as limit
from pellucid.plotting.panels import signed as signed
from pellucid.systems.cortex.figures import shown, tested

STATE = "#E69F00"
"""Shading of state 1."""

rows = partial(parts.rows, size=7.0, most=24)

FLAG = "#D55E00"
"""What a reader must not overlook."""


def of_tests(results: Results) -> dict[str, Artist]:
    """Return the entries of a legend that names the test mice or blocks, none if they are too many."""
    units = tested.names(results)
    if not 1 < len(units) <= tested.MOST_NAMED:
        return {}
    own = shown.colours(units)
    return {f"test {unit}": line(own[unit], linestyle="", marker="o") for unit in units}


def coloured(results: Results) -> str:
    """Return the words of a caption for the colours of mice or blocks."""
    said = f"coloured by test {tested.noun(results, 1)}"
    if len(tested.names(results)) <= tested.MOST_NAMED:
        return said
    return f"{said}, dark to light in {'time' if tested.blocks(results) else 'order'}"


def fits(axis: Axes, place: float, values: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> None:
    """Draw the fits of each test mouse or block as dots in the row at a place, each mouse at a height of its own."""
    for test, own in values.items():
        names = list(colours)
        offset = 0.5 * (names.index(test) / max(1, len(names) - 1) - 0.5)
        spread = 0.06 * (np.arange(len(own)) % 3 - 1)
        axis.plot(own, place + offset + spread, "o", color=colours[test], markersize=3.2, alpha=0.75, markeredgewidth=0)


def average(axis: Axes, place: float, middle: float, low: float, high: float, colour: str = "black") -> None:
    """Draw a mean and its interval in the row at a place."""
    axis.plot([low, high], [place, place], color=colour, linewidth=1.6, zorder=4)
    axis.plot(middle, place, "D", color=colour, markersize=4.2, markeredgecolor="white", markeredgewidth=0.5, zorder=5)


def beside(axis: Axes, place: float, text: str, colour: str = "black") -> None:
    """Write a short text to the right of a row."""
    axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), fontsize=6.5, va="center", color=colour)


def chance(axis: Axes, null: float = float("nan"), *, vertical: bool = True) -> None:
    """Draw the line of chance, and that of the null where there is one."""
    draw = axis.axvline if vertical else axis.axhline
    draw(shown.CHANCE, color="0.45", linewidth=0.9, zorder=0.5)
    if np.isfinite(null):
        draw(null, color=style.GREY, linestyle=":", linewidth=1.1, zorder=0)


def auc_range(points: np.ndarray, bounds: np.ndarray) -> tuple[float, float]:
    """Return the range of an axis that shows AUC: all points, chance and 1 are on it, and most of the intervals.

    points  scores and means; bounds: ends of intervals, which of two or three mice are very wide
    """
    known = points[np.isfinite(points)]
    low = min(float(known.min()), shown.CHANCE) if len(known) else shown.CHANCE
    ends = bounds[np.isfinite(bounds)]
    low = max(min([low, *ends]), low - 0.1)
    return max(-0.02, low - 0.04), 1.02


def span(points: np.ndarray, bounds: np.ndarray, margin: float = 0.06) -> tuple[float, float]:
    """Return the range of an axis with all points and most of the intervals, with a margin on both sides.

    points  scores and means; bounds: ends of intervals, drawn up to half the range of the points beyond them
    """
    known = points[np.isfinite(points)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    beyond = 0.5 * (high - low) or 0.1
    ends = bounds[np.isfinite(bounds)]
    low, high = max(min([low, *ends]), low - beyond), min(max([high, *ends]), high + beyond)
    extra = margin * (high - low) or 0.1
    return low - extra, high + extra


def cut(axis_range: tuple[float, float], bounds: np.ndarray) -> str:
    """Return the sentence of a caption that says that some intervals end outside the axis."""
    ends = bounds[np.isfinite(bounds)]
    outside = (ends < axis_range[0]) | (ends > axis_range[1])
    return "Intervals that leave the axis are cut off there. " if outside.any() else ""


def states(axis: Axes, time: np.ndarray, state: np.ndarray) -> None:
    """Shade the stretches of state 1.

    time   (time,) s, evenly spaced
    state  (time,) 0, 1 or NaN
    """
    step = float(time[1] - time[0]) if len(time) > 1 else 1.0
    on = np.concatenate([[False], state == 1, [False]])
    starts, stops = np.flatnonzero(~on[:-1] & on[1:]), np.flatnonzero(on[:-1] & ~on[1:])
    for start, stop in zip(starts, stops):
        axis.axvspan(time[start] - step / 2, time[stop - 1] + step / 2, color=STATE, alpha=0.22, linewidth=0, zorder=0)


def bare(axis: Axes, title: str = "") -> None:
    """Leave ticks and spines away, as an image needs none."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_title(title)


def bar(
    made: Figure, drawn: ScalarMappable, axis: Axes, text: str, *, shrink: float = 0.75, below: bool = False
) -> None:
    """Draw the scale of colours beside a panel, or below it."""
    scale = made.colorbar(drawn, ax=axis, shrink=shrink, pad=0.03, location="bottom" if below else "right")
    scale.set_label(text, fontsize=7)
    scale.ax.tick_params(labelsize=6.5)
    scale.outline.set_linewidth(0.4)
