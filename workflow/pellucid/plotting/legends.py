"""Legends beside all panels of a figure, and their entries."""

from collections.abc import Mapping
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch


def legend(made: Figure, entries: Mapping[str, Artist], title: str = "") -> None:
    """Write the legend of a figure on its right, outside all panels."""
    if entries:
        made.legend(
            list(entries.values()), list(entries), loc="outside right upper", title=title or None, fontsize=7,
            title_fontsize=7, alignment="left",
        )  # fmt: skip


def line(colour: str, **how: Any) -> Line2D:  # noqa: ANN401 - options of matplotlib
    """Return an entry of a legend: a line, dots or both."""
    options: dict[str, Any] = {"color": colour, "markersize": 4} | how
    return Line2D([], [], **options)


def patch(colour: str, alpha: float = 1.0) -> Patch:
    """Return a filled entry of a legend."""
    return Patch(facecolor=colour, alpha=alpha, linewidth=0)
