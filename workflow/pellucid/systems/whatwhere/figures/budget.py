"""Scores over neurons and images: does a lab gain more from more neurons or from longer recordings?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.tri import LinearTriInterpolator, Triangulation
from scipy.optimize import least_squares

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import families, panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

ENOUGH = 9
STEPS = 81


@dataclass(frozen=True)
class Surface:
    """The score as a function of d = log2 images and n = log2 neurons.

    y = top / (1 + exp(-(a + b d + c n + e n^2))), fitted by least squares to scores of at least 0
    """

    top: float
    terms: np.ndarray

    def __call__(self, images: np.ndarray, neurons: np.ndarray) -> np.ndarray:
        """Return the score; images and neurons are numbers of equal shapes."""
        a, b, c, e = self.terms
        d, n = np.log2(images), np.log2(neurons)
        return np.asarray(self.top / (1 + np.exp(-np.clip(a + b * d + c * n + e * n**2, -60, 60))))

    def worth(self, neurons: float) -> float:
        """Return the factor of images that is worth as much as twice the neurons, from so many neurons on."""
        _, b, c, e = self.terms
        n = np.log2(neurons)
        return float(2 ** np.clip((c + e * (2 * n + 1)) / b, -20, 20)) if b > 0 else float("nan")


def budget(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the score over neurons and images: measured points, a surface and lines of equal score."""
    label, images, neurons, values, fits = grid(results, settings)
    score = shown.main_score(results)
    made, axes = style.figure(1, 1, width=5.4, height=3.8)
    axis = axes[0, 0]
    surface = _fitted(images, neurons, values)
    x, y = np.meshgrid(
        np.geomspace(images.min(), images.max(), STEPS), np.geomspace(neurons.min(), neurons.max(), STEPS)
    )
    shape = surface(x, y) if surface else _interpolated(images, neurons, values, x, y)
    low, high = max(0.0, float(values.min())), max(float(values.max()), 0.05)
    top = high + 0.2 * (high - low)  # white lines would not be seen on the palest colours
    filled = axis.pcolormesh(x, y, shape, cmap="viridis", vmin=low, vmax=top, shading="gouraud", rasterized=True)
    _isolines(axis, x, y, shape, low, high)
    axis.scatter(images, neurons, c=values, cmap="viridis", vmin=low, vmax=top, s=34, edgecolor="white", zorder=3)
    panels.powers(axis, images.tolist())
    panels.powers(axis, neurons.tolist(), vertical=True)
    axis.set_xlim(images.min() / 1.25, images.max() * 1.25)
    axis.set_ylim(neurons.min() / 1.35, neurons.max() * 1.35)
    style.label(axis, "images used to fit", "neurons fitted together", label)
    made.colorbar(filled, ax=axis, label=shown.NAMES[score]).ax.set_ylim(low, high)
    drawn = surface(images, neurons) if surface else values
    rows = [
        {"images": a, "neurons": b, "score": score, "mean": c, "surface": d, "fits": e}
        for a, b, c, d, e in zip(images, neurons, values, drawn, fits)
    ]
    style.save(made, folder, "budget", rows, _caption(surface, neurons, values, drawn, fits, score), dpi=settings.dpi)


def enough(results: Results, settings: Settings) -> bool:
    """Tell whether numbers of neurons and images of one kind of model vary over at least 2 x 3 points."""
    _, images, neurons, _, _ = grid(results, settings)
    return sorted((min(3, len(set(images.tolist()))), min(3, len(set(neurons.tolist()))))) >= [2, 3]


def grid(results: Results, settings: Settings) -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return label, images (point,), neurons (point,), mean scores (point,) and numbers of fits (point,).

    They are of the family of the shown model: fits that differ in images and neurons, and in what is tuned.
    """
    found = families.of(results, ("images", "neurons"))
    family = next((one for one in found if settings.model in {row["model"] for row in one.rows}), None)
    if family is None:
        return "", np.empty(0), np.empty(0), np.empty(0), np.empty(0, int)
    points = [
        (images, float(neurons), float(scores.mean()), len(scores))
        for neurons in sorted({row["neurons"] for row in family.rows})
        for images, scores in families.selected(
            [row for row in family.rows if row["neurons"] == neurons], "images", shown.main_score(results)
        ).items()
    ]
    images, several, values, fits = np.array(points).reshape(-1, 4).T
    return family.label, images, several, values, fits.astype(int)


def _fitted(images: np.ndarray, neurons: np.ndarray, values: np.ndarray) -> Surface | None:
    """Return the fitted surface, or None for fewer than 9 points or than 3 numbers of either."""
    if len(values) < ENOUGH or min(len(set(images.tolist())), len(set(neurons.tolist()))) < 3:
        return None
    target = np.maximum(values, 0)
    top = max(float(target.max()), 0.05)

    def residual(terms: np.ndarray) -> np.ndarray:
        return np.asarray(Surface(float(terms[0]), terms[1:])(images, neurons) - target)

    start = np.array([1.02 * top, -float(np.log2(images).mean()), 1.0, 0.3, 0.0])
    limits = ([top, -np.inf, 0, -np.inf, -np.inf], [max(1.0, 1.05 * top), np.inf, np.inf, np.inf, np.inf])
    found = least_squares(residual, start, bounds=limits).x
    return Surface(float(found[0]), found[1:])


def _interpolated(
    images: np.ndarray, neurons: np.ndarray, values: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    triangles = Triangulation(np.log2(images), np.log2(neurons))
    return np.asarray(np.ma.filled(LinearTriInterpolator(triangles, values)(np.log2(x), np.log2(y)), np.nan))


def _isolines(axis: Axes, x: np.ndarray, y: np.ndarray, shape: np.ndarray, low: float, high: float) -> None:
    step = 0.1 if high - low > 0.25 else 0.02
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    inside = [level for level in levels if np.nanmin(shape) < level < np.nanmax(shape)]
    if inside:
        axis.clabel(axis.contour(x, y, shape, inside, colors="white", linewidths=0.9), fmt="%.2g", fontsize=7)


def _caption(
    surface: Surface | None, neurons: np.ndarray, values: np.ndarray, drawn: np.ndarray, fits: np.ndarray, score: str
) -> str:
    several = f"{fits.min()}" if fits.min() == fits.max() else f"{fits.min()} to {fits.max()}"
    text = (
        f"{shown.NAMES[score]} (colour, no unit) over the number of images and of neurons fitted together, "
        f"{len(values)} dots, each the mean over {several} fits (folds and seeds) of the mean over "
        "neurons; logarithmic axes. White lines: equal score. Where a line falls steeply, more neurons spare "
        "few images; where it falls gently, they spare many. "
    )
    if surface is None:
        return text + "Between dots the score is interpolated linearly over triangles. Null: 0."
    middle = float(np.sqrt(neurons.min() * neurons.max()))
    rms = float(np.sqrt(np.mean((np.maximum(values, 0) - drawn) ** 2)))
    return text + (
        "Background: fitted surface, top / (1 + exp(-(a + b d + c n + e n^2))) with d and n the logarithms of images "
        f"and neurons, scores below 0 taken as 0; root mean squared residual {rms:.3f}. By it, from {middle:.3g} "
        f"neurons on, twice the neurons are worth {surface.worth(middle):.2g} times the images. Null: 0."
    )
