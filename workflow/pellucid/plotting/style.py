"""One look for all figures, and one way to save them: vector, bitmap, the numbers behind and a caption."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.store import atomic_file

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe & Ito's palette, distinguishable with every common form of colour blindness."""

GREY = "#767676"

RC: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "pellucid",
}


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 7.0,
    height: float = 2.6,
    sharex: bool = False,
    sharey: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, shape (rows, columns); width and height of the whole figure in inches."""
    mpl.rcParams.update(RC)  # type: ignore[arg-type]
    made, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, height),
        squeeze=False,
        sharex=sharex,
        sharey=sharey,
        height_ratios=height_ratios,
    )
    return made, axes


def save(made: Figure, folder: Path, name: str, table: Sequence[Mapping[str, Any]], caption: str, *, dpi: int) -> None:
    """Write NAME.svg, NAME.png, NAME.csv (the numbers shown) and NAME.txt (the caption), byte-reproducibly.

    table  one mapping per row, all with the same keys; not empty
    """
    for suffix, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        with atomic_file(folder / f"{name}.{suffix}") as partial:
            made.savefig(partial, format=suffix, dpi=dpi, metadata=metadata)
    plt.close(made)
    with atomic_file(folder / f"{name}.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _short(value) for key, value in row.items()} for row in table)
    with atomic_file(folder / f"{name}.txt") as partial:
        partial.write_text(caption.strip() + "\n")


def label(axis: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with units, and the panel."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_title(title)


def with_units(name: str, units: str) -> str:
    """Return "name (units)", or the name alone where the unit is 1."""
    return name if units in ("1", "") else f"{name} ({units})"


def _short(value: object) -> object:
    return f"{float(value):.6g}" if isinstance(value, float | np.floating) else value
