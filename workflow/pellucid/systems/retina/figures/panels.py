"""Rows of models, images with a zero-centred scale, ranges of axes, and legends below a figure."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist as Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pellucid.plotting import panels as parts
from pellucid.plotting.legends import legend as legend
from pellucid.plotting.legends import line as line
from pellucid.plotting.legends import patch as patch
from pellucid.plotting.panels import limit as limit
from pellucid.plotting.panels import signed as signed

rows = partial(parts.rows, size=7.5, most=26)
below = partial(parts.below, entry=1.75, handle=2.4, spacing=1.4)


def span(*values: np.ndarray, margin: float = 0.06) -> tuple[float, float]:
    """Return the range of the finite values with a margin on both sides, for an axis."""
    known = np.concatenate([np.ravel(value) for value in values] or [np.empty(0)])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    extra = margin * (high - low) or 0.1 * abs(high) or 0.1
    return low - extra, high + extra


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
