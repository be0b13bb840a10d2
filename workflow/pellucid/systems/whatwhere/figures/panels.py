"""Panels in rows, legends beside them, small images, dots with intervals, and lines of equality."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pellucid.plotting import style
from pellucid.plotting.legends import legend as legend
from pellucid.plotting.legends import line as line
from pellucid.plotting.legends import patch as patch
from pellucid.plotting.panels import rows as rows
from pellucid.systems.whatwhere.figures import shown

DARK = "#333333"


def grid(
    count: int, *, columns: int = 4, width: float = 2.3, height: float = 2.1, extra: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels in equally long rows of at most `columns`; sizes of a panel in inches.

    extra  inches added on the right for a legend
    """
    rows = -(-count // columns)
    columns = -(-count // rows)
    made, axes = style.figure(rows, columns, width=max(3.4, width * columns) + extra, height=height * rows + 0.35)
    for unused in axes.ravel()[count:]:
        unused.remove()
    return made, list(axes.ravel()[:count])


def picture(axis: Axes, values: np.ndarray, *, offset: Sequence[float] = (0, 0)) -> AxesImage:
    """Draw a small image: blue is negative, red positive, white zero; three colour planes as red, green and blue.

    values  (height, width) or (feature, height, width); scaled by the largest absolute value of the image; of two or
            more than three planes the one with the largest norm is drawn
    offset  row and column, px, of the first pixel
    """
    limit = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    limit = limit or 1.0
    height, width = values.shape[-2:]
    extent = (offset[1] - 0.5, offset[1] + width - 0.5, offset[0] + height - 0.5, offset[0] - 0.5)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("0.75")
    if values.ndim == 3 and len(values) == 3:
        colours = np.clip(0.5 + 0.5 * np.moveaxis(values, 0, -1) / limit, 0, 1)
        return axis.imshow(np.nan_to_num(colours, nan=0.5), extent=extent, interpolation="nearest")
    plane = plane_of(values)
    return axis.imshow(plane, extent=extent, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")


def plane_of(values: np.ndarray) -> np.ndarray:
    """Return the plane of (feature, height, width) with the largest norm, or the image (height, width) itself."""
    if values.ndim == 2:
        return values
    return np.asarray(values[int(np.argmax((np.nan_to_num(values) ** 2).sum((1, 2))))])


def planes(count: int) -> str:
    """Return the sentence of a caption that says how colour planes are drawn."""
    if count == 1:
        return "Red is positive, blue negative. "
    if count == 3:
        return "The three colour planes are drawn as red, green and blue around grey (0). "
    return f"Of {count} planes the one with the largest norm is drawn; red is positive, blue negative. "


def strip(axis: Axes, place: float, values: np.ndarray, colour: str, most: int) -> None:
    """Draw at most so many neurons as grey dots in the row at a place, quantiles evenly spaced."""
    known = shown.thinned(np.sort(values[np.isfinite(values)]), most)
    spread = (np.arange(len(known)) * 0.618 % 1 - 0.5) * 0.55
    size = 4.5 if len(known) < 60 else 2.8
    axis.plot(known, place + spread, ".", color=colour, alpha=0.75, markersize=size, markeredgewidth=0, zorder=1)


def unity(axis: Axes, low: float, high: float) -> None:
    """Make both axes span the same range, and draw the line of equality."""
    axis.plot([low, high], [low, high], color=style.GREY, linewidth=0.8, zorder=0)
    axis.set(xlim=(low, high), ylim=(low, high), box_aspect=1)


def span(*values: np.ndarray) -> tuple[float, float]:
    """Return the range of the finite values with a margin of 6 %, for an axis."""
    known = np.concatenate([np.ravel(value) for value in values])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.1
    return low - margin, high + margin


def powers(axis: Axes, values: Sequence[float], *, most: int = 9, vertical: bool = False) -> None:
    """Give an axis the logarithm to base 2, with ticks at the given numbers."""
    known = sorted(set(values))
    known = known[:: -(-len(known) // most)]
    (axis.set_yscale if vertical else axis.set_xscale)("log", base=2)
    axis.minorticks_off()
    labels = [f"{value:g}" if value < 1e5 else f"{value:.0f}" for value in known]
    if vertical:
        axis.set_yticks(known, labels)
    else:
        axis.set_xticks(known, labels, rotation=40 if len(known) > 4 else 0, ha="right" if len(known) > 4 else "center",
                        rotation_mode="anchor")  # fmt: skip
