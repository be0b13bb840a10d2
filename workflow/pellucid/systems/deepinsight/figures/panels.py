"""Panels in rows that fit a page, rows with names, axes of bands, and points with their intervals."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.plotting import panels as parts
from pellucid.plotting import style
from pellucid.plotting.legends import legend as legend
from pellucid.plotting.legends import line as line
from pellucid.plotting.legends import patch as patch
from pellucid.plotting.panels import limit as limit

NARROW = 30
"""Bands that span less than this ratio are named one by one: powers of ten would leave one tick or none."""

rows = partial(parts.rows, size=7.5, most=24)
below = partial(parts.below, entry=1.9, handle=2.0, spacing=1.2)


def grid(
    count: int, *, columns: int = 3, width: float = 3.0, height: float = 2.6, least: float = 3.6, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels in equally long rows of at most `columns`; sizes of a panel in inches."""
    rows = -(-count // columns)
    columns = -(-count // rows)
    made, axes = style.figure(rows, columns, width=max(least, width * columns), height=height * rows, sharey=sharey)
    for unused in axes.ravel()[count:]:
        unused.remove()
    return made, list(axes.ravel()[:count])


def first(axis: Axes) -> bool:
    """Tell whether a panel is the first of its row."""
    place = axis.get_subplotspec()
    return place is None or place.is_first_col()


def bands(axis: Axes, frequencies: np.ndarray) -> None:
    """Make the axis of x one of bands: logarithmic, in Hz."""
    axis.set_xscale("log")
    axis.set_xlim(frequencies.min() / 1.25, frequencies.max() * 1.25)
    if frequencies.max() < NARROW * frequencies.min():
        ticks = frequencies[:: -(-len(frequencies) // 5)]
        axis.minorticks_off()
        axis.set_xticks(ticks, hertz(ticks))


def hertz(values: np.ndarray) -> list[str]:
    """Return frequencies as short text for ticks."""
    return [f"{hz / 1000:.3g}k" if hz >= 1000 else f"{hz:.3g}" for hz in values]


def row_point(axis: Axes, place: float, value: float, low: float, high: float, colour: str, marker: str = "o") -> None:
    """Draw a value with its interval in a row."""
    axis.plot([low, high], [place, place], color=colour, linewidth=1.4)
    axis.plot(value, place, marker, color=colour, markersize=4)


def zero(axis: Axes, *, vertical: bool = False) -> None:
    """Draw a thin line at 0."""
    (axis.axvline if vertical else axis.axhline)(0, color="0.7", linewidth=0.7, zorder=0)
