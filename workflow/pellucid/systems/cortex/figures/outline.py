"""The dorsal cortex seen from above: a schematic outline with circles at ROI centres, or a filled parcel map."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path
from scipy.interpolate import CubicSpline

from pellucid.systems.cortex.figures import panels

CORNERS = (
    *((0.470, 0.090), (0.400, 0.035), (0.300, 0.045), (0.200, 0.105), (0.120, 0.210), (0.065, 0.340)),
    *((0.025, 0.500), (0.000, 0.680), (0.010, 0.830), (0.060, 0.940), (0.160, 0.985), (0.280, 0.990)),
    *((0.390, 0.965), (0.465, 0.900), (0.492, 0.760), (0.494, 0.560), (0.490, 0.360), (0.485, 0.200)),
)
"""Points (column, row) of the left hemisphere's edge, as fractions of image width and height; drawn by eye."""

RADIUS = 0.0385
"""Radius of a ROI, fraction of the image width (Ajioka et al. 2024, ROI map)."""

SAID = "The outline is schematic and not registered to an atlas. "


def hemisphere(right: bool, points: int = 400) -> np.ndarray:
    """Return the smooth closed edge of a hemisphere, (point, 2): column and row as fractions of the image."""
    corners = np.array([*CORNERS, CORNERS[0]])
    edge = CubicSpline(np.arange(len(corners)), corners, bc_type="periodic")(np.linspace(0, len(CORNERS), points))
    return np.stack([1 - edge[:, 0] if right else edge[:, 0], edge[:, 1]], axis=1)


def draw(axis: Axes, *, linewidth: float = 0.9) -> None:
    """Draw both hemispheres; anterior is up."""
    for right in (False, True):
        axis.add_patch(
            PathPatch(Path(hemisphere(right)), facecolor="0.96", edgecolor="0.5", linewidth=linewidth, zorder=0)
        )
    axis.set(xlim=(-0.03, 1.03), ylim=(1.02, 0.0), aspect="equal")
    panels.bare(axis)


def circles(axis: Axes, place: np.ndarray, values: np.ndarray, most: float) -> ScalarMappable:
    """Draw ROIs as circles coloured from 0 to `most`; those without a place are left out.

    place   (roi, 2) row and column as fractions of image height and width
    values  (roi,); a NaN is drawn empty
    """
    draw(axis)
    scale = ScalarMappable(Normalize(0, most), colormaps["viridis"])
    known = np.isfinite(place).all(1)
    size = radius(place[known])
    colours = [tuple(scale.to_rgba(value)) if np.isfinite(value) else (1, 1, 1, 0) for value in values[known]]
    patches = [Circle((column, row), size) for row, column in place[known]]
    axis.add_collection(PatchCollection(patches, facecolors=colours, edgecolors="0.35", linewidths=0.4, zorder=2))
    return scale


def radius(place: np.ndarray) -> float:
    """Return a radius with which circles at the places (roi, 2) hardly overlap, fraction of the image."""
    if len(place) < 2:
        return RADIUS
    distance = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    nearest = np.where(distance > 0, distance, np.inf).min(1)
    return float(np.clip(0.5 * np.median(nearest), 0.008, RADIUS))


def filled(axis: Axes, labels: np.ndarray, numbers: Sequence[int], values: np.ndarray, most: float) -> ScalarMappable:
    """Draw a parcel map coloured from 0 to `most`; parcels without a value are grey.

    labels   (height, width), 0 outside
    numbers  label of each value
    values   (roi,)
    """
    scale = ScalarMappable(Normalize(0, most), colormaps["viridis"])
    image = np.ones((*labels.shape, 4))
    image[labels != 0] = (0.88, 0.88, 0.88, 1)
    for number, value in zip(numbers, values):
        if np.isfinite(value):
            image[labels == number] = scale.to_rgba(value)
    axis.imshow(image, interpolation="nearest")
    for number in np.unique(labels[labels != 0]):
        axis.contour(labels == number, [0.5], colors="white", linewidths=0.5)
    panels.bare(axis)
    return scale


def centres(labels: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Return the centre of each numbered parcel, (roi, 2) row and column in px, NaN where it is absent."""
    found = [np.argwhere(labels == number) for number in numbers]
    return np.array([one.mean(0) if len(one) else (np.nan, np.nan) for one in found])


def name(axis: Axes, place: np.ndarray, names: Sequence[str], numbers: Sequence[int], dark: np.ndarray) -> None:
    """Write the names of some ROIs at their places.

    place    (roi, 2) row and column in the units of the axis
    numbers  which ROIs
    dark     (roi,) whether the ground is dark
    """
    for number in numbers:
        row, column = place[number]
        if np.isfinite(row):
            colour = "white" if dark[number] else "black"
            axis.text(column, row, names[number], ha="center", va="center", fontsize=5.5, color=colour, zorder=3)
