"""What: feature weights as bar codes, with the features of all seeds in one order."""

from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from pellucid.systems.whatwhere.attribute.grid import Grid
from pellucid.systems.whatwhere.model import recovery
from pellucid.systems.whatwhere.model.network import Network
from pellucid.systems.whatwhere.model.readouts import Masked
from pellucid.systems.whatwhere.model.restore import Fitted

ONE = {"units": "1"}


def group(grid: Grid) -> xr.Dataset:
    """Return bar codes of all seeds, their purity, how far seeds agree on them, and the weights as used.

    weight       (fold, seed, neuron, feature), see `codes`, matched to the best seed's features, see `match`
    raw          (fold, neuron, feature) of the best seed, neither scaled nor flipped
    purity       (fold, seed, neuron) max |w| / sum |w|
    consistency  (fold, neuron) mean cosine of the best seed's code with those of the others; matching features over N
                 neurons makes it positive by chance
    """
    weight = aligned(grid)
    feature = weight.shape[3]
    raw = np.full((len(grid.folds), grid.neurons, feature), np.nan, np.float32)
    consistency = np.full((len(grid.folds), grid.neurons), np.nan)
    for row, fold in enumerate(grid.folds):
        fit, best = grid.best_of(fold), grid.best_place(fold)
        raw[row, fit.neurons] = fit.weights()
        cosine = np.delete((weight[row] * weight[row, best]).sum(-1), best, axis=0)
        count = np.isfinite(cosine).sum(0)
        np.divide(np.nansum(cosine, axis=0), count, out=consistency[row], where=count > 0)
    purity = recovery.purity(np.nan_to_num(weight).reshape(-1, feature)).reshape(weight.shape[:3])
    variables: dict[str, Any] = {
        "weight": (("fold", "seed", "neuron", "feature"), weight.astype(np.float32), ONE),
        "raw": (("fold", "neuron", "feature"), raw, ONE),
        "purity": (("fold", "seed", "neuron"), purity, ONE),
        "consistency": (("fold", "neuron"), consistency, ONE),
    }
    return xr.Dataset(variables)


def aligned(grid: Grid) -> np.ndarray:
    """Return the codes of all fits, (fold, seed, neuron, feature), features in the order of each fold's best seed."""
    found = grid.all(codes)
    for row, fold in enumerate(grid.folds):
        reference = found[row, grid.best_place(fold)]
        signed = grid.best_of(fold).settings.readout.weights == "signed"
        for place in range(len(grid.seeds)):
            order, sign = match(reference, found[row, place], signed=signed)
            found[row, place] = found[row, place][:, order] * sign
    return found


def codes(fit: Fitted) -> np.ndarray:
    """Return w_n / |w_n|, (neuron, feature); NaN for a neuron without weights.

    The sign is that with which the largest pixel of the mask is positive, as (m, w) and (-m, -w) are the same neuron.
    Where neurons chose different penalties, features of each network are matched to those of the most chosen one.
    """
    chosen = {index: int((fit.choice == index).sum()) for index in fit.parts}
    main = max(chosen, key=lambda index: chosen[index])
    weights = {index: _signed(part) for index, part in fit.parts.items()}
    out = np.zeros_like(weights[main])
    for index, own in weights.items():
        order, sign = match(weights[main], own, signed=fit.settings.readout.weights == "signed")
        mine = fit.choice == index
        out[mine] = (own[:, order] * sign)[mine]
    return unit(out)


def unit(weights: np.ndarray) -> np.ndarray:
    """Return vectors of unit L2 norm along the last axis, NaN for those of zeros."""
    norm = np.linalg.norm(weights, axis=-1, keepdims=True)
    return np.asarray(np.divide(weights, norm, out=np.full(weights.shape, np.nan), where=norm > 0))


def match(reference: np.ndarray, other: np.ndarray, *, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the order and the signs in which the features of `other` stand for those of `reference`, (feature,) each.

    reference, other  (neuron, feature); neurons with NaN do not count
    signed            a feature may be the reference's with opposite sign
    One-to-one, with the largest sum (of absolute values, if signed) of the correlations over neurons (Hungarian);
    means are not subtracted, as a weight of 0 means that the feature is not used.
    """
    both = np.isfinite(reference).all(1) & np.isfinite(other).all(1)
    first, second = (_columns(np.asarray(one[both], float)) for one in (reference, other))
    similar = first.T @ second
    order = linear_sum_assignment(np.abs(similar) if signed else similar, maximize=True)[1]
    flipped = signed & (similar[np.arange(len(order)), order] < 0)
    return np.asarray(order), np.where(flipped, -1.0, 1.0)


def _columns(weights: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(weights, axis=0)
    return weights / np.where(norm > 0, norm, 1)


def _signed(part: Network) -> np.ndarray:
    readout = part.readout
    weights = readout.weights().detach().numpy().astype(float)  # type: ignore[operator]
    if isinstance(readout, Masked):
        flat = readout.masks().detach().numpy().reshape(len(weights), -1)
        peak = np.take_along_axis(flat, np.abs(flat).argmax(1)[:, None], axis=1)
        weights = weights * np.where(peak < 0, -1, np.where(peak > 0, 1, 0))
    return np.asarray(weights)
