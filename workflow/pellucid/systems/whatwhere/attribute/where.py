"""Where: masks and positions, how concentrated masks are, and whether seeds agree on positions."""

import json
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.whatwhere.attribute.grid import Grid
from pellucid.systems.whatwhere.model.fit import CONSTANT
from pellucid.systems.whatwhere.model.restore import Fitted

NEAR_PX = 2
"""Half the width of the square around a mask's peak whose share of the mask is its concentration."""
SAME_PX = 1
"""Largest distance, in rows and in columns, at which two positions are the same (Klindt et al. 2017: 1 px)."""

PX, ONE = {"units": "px"}, {"units": "1"}


def group(grid: Grid, known: np.ndarray | None) -> xr.Dataset:
    """Return masks of the best seeds, positions of all, concentration and agreement.

    known  (neuron, 2) true positions, px of the image, or None
    Pixel (i, j) of a mask is at (i + offset_row, j + offset_column) of the image. Point readouts have no masks, and no
    concentration.
    """
    place = grid.all(positions)
    best = [grid.best_of(fold) for fold in grid.folds]
    confidence = np.full((len(best), grid.neurons), np.nan)
    masks = [fit.masks() for fit in best]
    stored: list[np.ndarray] = []
    for row, (fit, mask) in enumerate(zip(best, masks)):
        if mask is not None:
            confidence[row, fit.neurons] = concentration(mask)
            stored.append(np.full((grid.neurons, *mask.shape[1:]), np.nan, np.float32))
            stored[-1][fit.neurons] = mask
    agreed = [agreement(place[row], grid.best_place(fold)) for row, fold in enumerate(grid.folds)]
    variables: dict[str, Any] = {
        "row": (("fold", "seed", "neuron"), place[..., 0], PX),
        "column": (("fold", "seed", "neuron"), place[..., 1], PX),
        "confidence": (("fold", "neuron"), confidence, ONE),
        "agreement": (("fold", "neuron"), np.stack(agreed), ONE),
    }
    if stored:
        variables["mask"] = (("fold", "neuron", "height", "width"), np.stack(stored), ONE)
    if known is not None:
        variables |= {"true_row": ("neuron", known[:, 0], PX), "true_column": ("neuron", known[:, 1], PX)}
    offset = best[0].offset()
    seeds = json.dumps([grid.best[fold] for fold in grid.folds])
    return xr.Dataset(variables, attrs={"offset_row": offset[0], "offset_column": offset[1], "best": seeds})


def positions(fit: Fitted) -> np.ndarray:
    """Return where each neuron of a fit reads the image, (neuron, 2) row and column in px; NaN where it reads none."""
    found = np.array(fit.positions(), float)
    found[fit.choice == CONSTANT] = np.nan
    return found


def concentration(masks: np.ndarray) -> np.ndarray:
    """Return the share of sum |m| within 2 px of the largest |m|, in rows and in columns, (neuron,).

    masks  (neuron, height, width); NaN for a mask of zeros
    """
    size = np.abs(masks.astype(float))
    row, column = np.divmod(size.reshape(len(size), -1).argmax(1), size.shape[2])
    near_row = np.abs(np.arange(size.shape[1]) - row[:, None]) <= NEAR_PX
    near_column = np.abs(np.arange(size.shape[2]) - column[:, None]) <= NEAR_PX
    inside, total = np.einsum("nij,ni,nj->n", size, near_row, near_column), size.sum((1, 2))
    return np.asarray(np.divide(inside, total, out=np.full(len(size), np.nan), where=total > 0))


def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the larger of the distances in rows and in columns, px, (..., neuron); positions are (..., neuron, 2)."""
    return np.asarray(np.abs(first - second).max(axis=-1))


def agreement(place: np.ndarray, best: int) -> np.ndarray:
    """Return the share of the other seeds that place a neuron within 1 px of the best seed, (neuron,).

    place  (seed, neuron, 2) px; NaN without another seed that knows the neuron
    """
    apart = np.delete(distance(place, place[best]), best, axis=0)
    count = np.isfinite(apart).sum(0)
    same = (apart <= SAME_PX).sum(0)
    return np.asarray(np.divide(same, count, out=np.full(len(count), np.nan), where=count > 0))
