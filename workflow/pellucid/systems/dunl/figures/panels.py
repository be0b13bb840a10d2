"""Panels, legends beside them, marks of events and of values in cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pellucid.plotting import style

MARKERS = "vsD^o*"
"""Symbols of events, by kind."""

DARK = "#333333"


def grid(
    count: int, *, columns: int = 4, width: float = 2.3, height: float = 2.1, extra: float = 0.0, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels in equally long rows of at most `columns`; sizes of a panel in inches.

    extra  inches added on the right for a legend
    """
    rows = -(-count // columns)
    columns = -(-count // rows)
    made, axes = style.figure(
        rows, columns, width=max(3.4, width * columns) + extra, height=height * rows + 0.35, sharey=sharey
    )
    for unused in axes.ravel()[count:]:
        unused.remove()
    return made, list(axes.ravel()[:count])


def legend(made: Figure, entries: Mapping[str, Artist], title: str = "") -> None:
    """Write the legend of a figure on its right, outside all panels."""
    if entries:
        made.legend(
            list(entries.values()),
            list(entries),
            loc="outside right upper",
            title=title or None,
            fontsize=7,
            title_fontsize=7,
            alignment="left",
        )


def line(colour: str, **how: Any) -> Line2D:  # noqa: ANN401 - options of matplotlib
    """Return an entry of a legend."""
    return Line2D([], [], color=colour, **how)


def patch(colour: str, **how: Any) -> Patch:  # noqa: ANN401 - options of matplotlib
    """Return a filled entry of a legend."""
    return Patch(facecolor=colour, linewidth=0, **how)


def mark_events(axes: Sequence[Axes], onsets: np.ndarray, kinds: np.ndarray) -> None:
    """Mark events of a trial: a dotted line through all panels of a column, a symbol by kind above the first.

    onsets  (event,) seconds, NaN where absent; kinds (event,) index of the kind
    """
    for onset, kind in zip(onsets, kinds):
        if np.isfinite(onset) and kind >= 0:
            for axis in axes:
                axis.axvline(onset, color=DARK, linestyle=":", linewidth=0.7, zorder=0)
            axes[0].plot(
                onset,
                1.03,
                MARKERS[kind % len(MARKERS)],
                color=DARK,
                markersize=4,
                transform=axes[0].get_xaxis_transform(),
                clip_on=False,
            )


def event_entries(names: Sequence[str], kinds: np.ndarray) -> dict[str, Artist]:
    """Return entries of a legend for the kinds of events that occur."""
    return {
        f"{name} (event)": line(DARK, marker=MARKERS[kind % len(MARKERS)], linestyle="none", markersize=4)
        for kind, name in enumerate(names)
        if (kinds == kind).any()
    }


def cells(axis: Axes, values: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draw a square matrix of shares between 0 and 1 with its numbers, (row, column)."""
    axis.imshow(np.nan_to_num(values), cmap="Blues", vmin=0, vmax=1.25)
    for i, j in np.ndindex(values.shape):
        text = f"{values[i, j]:.2f}" if np.isfinite(values[i, j]) else "-"
        axis.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if values[i, j] > 0.8 else "black")
    axis.set_xticks(range(len(names)), list(names), rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), list(names))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(title)


def first(axis: Axes) -> bool:
    """Tell whether a panel is the first of its row."""
    place = axis.get_subplotspec()
    return place is None or place.is_first_col()


def unity(axis: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Make both axes span the same range with a margin, and draw the line of equality."""
    both = np.concatenate([np.ravel(x), np.ravel(y)])
    known = both[np.isfinite(both)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.1
    axis.plot([low - margin, high + margin], [low - margin, high + margin], color=style.GREY, linewidth=0.8, zorder=0)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), box_aspect=1)
