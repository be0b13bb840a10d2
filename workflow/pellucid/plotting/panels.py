"""Parts of panels: rows with names, images with a zero-centred scale, and legends below all panels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pellucid.plotting.words import short


def rows(
    axis: Axes, labels: Sequence[str], *, named: bool = True, size: float | None = None, most: int | None = None
) -> None:
    """Name the rows of a panel, from top to bottom.

    named  False: the rows are those of the panel on the left
    size   of the letters, points; none: as ticks are
    most   letters of a name; none: all of them
    """
    texts = [(label if most is None else short(label, most)) if named else "" for label in labels]
    options: dict[str, Any] = {} if size is None else {"fontsize": size}
    axis.set_yticks(range(len(labels)), texts, **options)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)


def below(made: Figure, entries: Mapping[str, Artist], *, entry: float, handle: float, spacing: float) -> None:
    """Write the legend of a figure below all panels, in as few rows as fit its width.

    entry            width of an entry, inches
    handle, spacing  length of its line and distance to the next one, in letters
    """
    if entries:
        columns = min(len(entries), max(1, int(made.get_figwidth() / entry)))
        made.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=columns, fontsize=7,
            handlelength=handle, columnspacing=spacing,
        )  # fmt: skip


def limit(*values: np.ndarray) -> float:
    """Return the largest finite absolute value, 1 if there is none but 0."""
    known = np.abs(np.concatenate([np.ravel(value) for value in values] or [np.empty(0)]))
    known = known[np.isfinite(known)]
    return float(known.max()) or 1.0 if len(known) else 1.0


def signed(axis: Axes, values: np.ndarray, most: float, **how: Any) -> AxesImage:  # noqa: ANN401 - options of imshow
    """Draw an image (height, width): blue is negative, red positive, white zero."""
    options: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -most, "vmax": most, "interpolation": "nearest"} | how
    return axis.imshow(values, **options)
