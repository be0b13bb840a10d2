"""Rows of models, images with a zero-centred scale, ranges of axes, and legends below a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist as Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pellucid.plotting.legends import legend as legend
from pellucid.plotting.legends import line as line
from pellucid.plotting.legends import patch as patch
from pellucid.systems.retina.figures import shown

ENTRY = 1.75
"""Width of an entry of a legend, inches."""


def rows(axis: Axes, labels: Sequence[str], *, named: bool = True, size: float = 7.5) -> None:
    """Name the rows of a panel, from top to bottom."""
    axis.set_yticks(range(len(labels)), [shown.short(label, 26) if named else "" for label in labels], fontsize=size)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)


def below(made: Figure, entries: Mapping[str, Artist]) -> None:
    """Write the legend of a figure below all panels, in as few rows as fit its width."""
    if entries:
        columns = min(len(entries), max(1, int(made.get_figwidth() / ENTRY)))
        made.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=columns, fontsize=7,
            handlelength=2.4, columnspacing=1.4,
        )  # fmt: skip


def limit(*values: np.ndarray) -> float:
    """Return the largest finite absolute value, 1 if there is none but 0."""
    known = np.abs(np.concatenate([np.ravel(value) for value in values] or [np.empty(0)]))
    known = known[np.isfinite(known)]
    return float(known.max()) or 1.0 if len(known) else 1.0


def span(*values: np.ndarray, margin: float = 0.06) -> tuple[float, float]:
    """Return the range of the finite values with a margin on both sides, for an axis."""
    known = np.concatenate([np.ravel(value) for value in values] or [np.empty(0)])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    extra = margin * (high - low) or 0.1 * abs(high) or 0.1
    return low - extra, high + extra


def signed(axis: Axes, values: np.ndarray, most: float, **how: Any) -> AxesImage:  # noqa: ANN401 - options of imshow
    """Draw an image (height, width): blue is negative, red positive, white zero."""
    options: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -most, "vmax": most, "interpolation": "nearest"} | how
    return axis.imshow(values, **options)


def frame(axis: Axes) -> None:
    """Leave ticks away and draw a thin grey frame, as a small image needs."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("0.75")


def bar(made: Figure, drawn: ScalarMappable, axes: Axes | Sequence[Axes], text: str, **how: Any) -> None:  # noqa: ANN401
    """Draw the scale of colours beside panels."""
    scale = made.colorbar(drawn, ax=axes, **({"shrink": 0.75, "pad": 0.03} | how))
    scale.set_label(text, fontsize=7)
    scale.ax.tick_params(labelsize=6.5)
    scale.outline.set_linewidth(0.4)


def beside(axis: Axes, place: float, text: str, colour: str = "black") -> None:
    """Write a short text to the right of a row."""
    axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), fontsize=6.5, va="center", color=colour)
