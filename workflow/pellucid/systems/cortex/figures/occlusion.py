"""Where a decoder of movies looks: AUC lost under square and round masks and at the borders, beside the t-map."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

MASKS = {"square": "square masks", "circle": "round masks"}
OPACITY = 0.75
FRAME = 0.07
"""Thickness of the frame of border controls, share of the image."""

LEAST = 0.005
"""Smallest range of colours, in AUC: less is not told from rounding by eye."""


def occlusion(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the maps of occlusion over the mean image, the border control around them, and the t-map."""
    found = shown.group(results, "occlusion")
    ground = background(results, settings)
    maps = {name: shown.mean(tested.by_test(results, found[name])[1]) for name in MASKS if name in found}
    border = _border(results, found, next(iter(maps.values())).shape)
    most = max(LEAST, panels.limit(*maps.values(), *([] if border is None else [border])))
    test = _tmap(results)
    count = len(maps) + (test is not None)
    tall = 0.6 + 1.75 * min(2.0, (ground.shape[0] / ground.shape[1]))
    made, axes = style.figure(1, count, width=2.45 * count + 0.2, height=tall)
    for axis, (name, values) in zip(axes[0], maps.items()):
        drawn = _overlay(axis, values, found, ground, most)
        if border is not None:
            _frame(axis, border, drawn, ground.shape, values.shape)
        _true(axis, found)
        panels.bare(axis, MASKS[name])
        panels.bar(made, drawn, axis, "AUC lost")
    if test is not None:
        panels.bar(made, panels.signed(axes[0, -1], test, panels.limit(test)), axes[0, -1], "t")
        panels.bare(axes[0, -1], "t of state 1 against 0")
    table = _table(maps, border, found)
    style.save(made, folder, "occlusion", table, _caption(results, settings, found, border, test), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether movies were occluded."""
    return any(shown.has(results, "occlusion", name) for name in MASKS)


def background(results: Results, settings: Settings) -> np.ndarray:
    """Return the mean image, (height, width), of a test session of the occluded model."""
    if shown.has(results, "tmap", "background"):
        return np.asarray(shown.group(results, "tmap")["background"].values, float)
    model = _model(results, settings)
    name = str(shown.about(results).get(model, {}).get("input", ""))
    folds = results.features.folds
    recordings = sorted(folds[0].test) if folds else sorted(results.features.stores)
    return np.asarray(results.features.group(recordings[0], name)["mean"].values, float)


def upsampled(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate a map bilinearly to every pixel, (height, width); constant beyond the outermost masks.

    values   (row, column) of the grid of masks
    rows     (row,) centres, px from the upper left corner of the image; columns likewise
    shape    height and width of the image, px
    """
    high = np.stack([np.interp(np.arange(shape[0]) + 0.5, rows, line) for line in values.T], axis=1)
    return np.stack([np.interp(np.arange(shape[1]) + 0.5, columns, line) for line in high])


def _model(results: Results, settings: Settings) -> str:
    own = shown.group(results, "occlusion").attrs.get("model")
    return str(own or results.attribution.attrs.get("model", settings.model))


def _tmap(results: Results) -> np.ndarray | None:
    if not shown.has(results, "tmap", "t"):
        return None
    return shown.mean(tested.by_test(results, shown.group(results, "tmap")["t"])[1])


def _border(results: Results, found: xr.Dataset, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the AUC lost at the borders, (output,): corners, then along top and bottom, then along left and right."""
    if "border" not in found or found.sizes["output"] != 1 + shape[0] + shape[1]:
        return None
    return shown.mean(tested.by_test(results, found["border"])[1])


def _overlay(axis: Axes, values: np.ndarray, found: xr.Dataset, ground: np.ndarray, most: float) -> AxesImage:
    """Draw a map over the pale mean image."""
    low, high = np.nanmin(ground), np.nanmax(ground)
    axis.imshow(ground, cmap="gray", vmin=low - 1.2 * (high - low), vmax=high, interpolation="nearest")
    rows, columns = (found[side].values.astype(float) for side in ("row", "column"))
    whole = upsampled(values, rows, columns, ground.shape)
    return panels.signed(axis, whole, most, alpha=OPACITY)


def _true(axis: Axes, found: xr.Dataset) -> None:
    """Mark the masks that hold a ROI which truly drives the state, in simulations."""
    if "true" not in found:
        return
    rows, columns = np.nonzero(found["true"].values)
    at = found["column"].values[columns] - 0.5, found["row"].values[rows] - 0.5
    axis.plot(*at, "+", color="black", markersize=4, markeredgewidth=0.8)


def _frame(axis: Axes, border: np.ndarray, drawn: AxesImage, image: tuple[int, ...], grid: tuple[int, ...]) -> None:
    """Draw the border controls around the image: every mask hid two opposite strips, drawn with the same colour."""
    (height, width), (rows, columns) = image, grid
    thick = FRAME * max(image)
    top, bottom, left, right = (
        -0.5 - 1.3 * thick,
        height - 0.5 + 0.3 * thick,
        -0.5 - 1.3 * thick,
        width - 0.5 + 0.3 * thick,
    )
    tall, wide = height / rows, width / columns
    corners, across, down = border[0], border[1 : 1 + columns], border[1 + columns :]
    boxes = [(x, y, thick, thick, corners) for x in (left, right) for y in (top, bottom)]
    boxes += [(-0.5 + j * wide, y, wide, thick, value) for j, value in enumerate(across) for y in (top, bottom)]
    boxes += [(x, -0.5 + i * tall, thick, tall, value) for i, value in enumerate(down) for x in (left, right)]
    for x, y, w, h, value in boxes:
        colour = drawn.to_rgba(value)
        axis.add_patch(Rectangle((x, y), w, h, facecolor=colour, edgecolor="0.6", linewidth=0.3))
    axis.set_xlim(left - 0.2 * thick, right + 1.2 * thick)
    axis.set_ylim(bottom + 1.2 * thick, top - 0.2 * thick)


def _table(maps: dict[str, np.ndarray], border: np.ndarray | None, found: xr.Dataset) -> shown.Rows:
    rows, columns = found["row"].values, found["column"].values
    table = [
        {"masks": name, "number": i * len(columns) + j, "row_px": rows[i], "column_px": columns[j], "auc_lost": value}
        for name, values in maps.items()
        for (i, j), value in np.ndenumerate(values)
    ]
    nowhere = {"row_px": np.nan, "column_px": np.nan}
    return table + [
        {"masks": "border", "number": i, **nowhere, "auc_lost": value}
        for i, value in enumerate([] if border is None else border)
    ]


def _caption(
    results: Results, settings: Settings, found: xr.Dataset, border: np.ndarray | None, test: np.ndarray | None
) -> str:
    model = _model(results, settings)
    side = found.attrs.get("side_px")
    text = (
        f"AUC with the whole movie minus AUC with a mask (no unit) of model {model}: masked pixels of every frame are "
        "set to 0, the mean after normalisation. Masks"
        + (f" of {float(side):g} px" if side is not None else "")
        + f" on a grid, bilinearly interpolated, over the mean image; mean over {tested.counted(results)} and "
        f"{len(shown.fits(results, model))} fits; no interval. Red: AUC falls; blue: AUC rises; white: no change. "
    )
    if border is not None:
        text += (
            "Frame (control of the image's edges): AUC lost when two opposite strips, or the four corners, are hidden; "
            f"its largest value is {shown.digits(float(np.nanmax(border)))}. "
        )
    if "true" in found:
        level = float(shown.mean(found["recovered"].values.ravel())) if "recovered" in found else float("nan")
        text += f"Crosses: masks that hold a truly driving ROI; AUC of the square map for them {shown.digits(level)}. "
    if test is not None:
        text += "Right: t of state 1 against state 0 in every pixel of the test frames (univariate). "
    return text + "Null: a mask that hides nothing scores exactly 0. " + shown.transductive(results, [model])
