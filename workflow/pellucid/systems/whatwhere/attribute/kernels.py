"""First-layer kernels of every network, beside the true ones that each is paired with."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import signal

from pellucid.artifacts import Features, Fit
from pellucid.systems.whatwhere.model import recovery
from pellucid.systems.whatwhere.model.restore import restore

ONE = {"units": "1"}


def groups(features: Features, fits: Sequence[Fit], truth: np.ndarray | None) -> dict[str, xr.Dataset]:
    """Return /kernels/MODEL of every network with layers, and /kernels/truth if kernels are known.

    truth   (kernel, height, width)
    kernel  (fold, seed, kernel, feature, height, width) of unit L2 norm over the last three axes, in the order of the
            fit, with its sign; NaN where a fold has no such seed
    match   (fold, seed, kernel) true kernel that each is paired with, core by core, -1 for none
    r       (fold, seed, kernel) their correlation with its sign, displaced by up to the attribute shift_px, or NaN
    """
    made: dict[str, xr.Dataset] = {}
    for model in dict.fromkeys(fit.model for fit in fits if fit.settings["kind"] == "network"):
        own = [fit for fit in fits if fit.model == model]
        found = {(fit.fold, fit.seed): restore(fit, features).kernels() for fit in own}
        known = {key: _unit(kernels) for key, kernels in found.items() if kernels is not None}
        if known:
            layers = own[0].settings["core"]["layers"]
            made[f"/kernels/{model}"] = _group(known, int(layers[0]["maps"]), truth)
    if truth is not None:
        made["/kernels/truth"] = xr.Dataset({"kernel": (("kernel", "height", "width"), truth.astype(np.float32), ONE)})
    return made


def paired(kernels: np.ndarray, maps: int, truth: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the true kernel each learned one is paired with, -1 for none, and their signed r, both (kernel,).

    kernels  (kernel, feature, height, width); each `maps` of them are one core and are paired by themselves
    """
    match, r = np.full(len(kernels), -1, np.int16), np.full(len(kernels), np.nan, np.float32)
    if truth is None or kernels.shape[1] != 1:
        return match, r
    for start in range(0, len(kernels), maps):
        size, number = recovery.kernel_pairs(kernels[start : start + maps], truth)
        for true, found in enumerate(number):
            if found >= 0:
                place = start + int(found)
                match[place], r[place] = true, size[true] * _sign(kernels[place, 0], truth[true])
    return match, r


def _sign(found: np.ndarray, true: np.ndarray) -> float:
    """Return the sign of the largest correlation of two kernels (height, width) that are displaced a little."""
    cross = signal.correlate2d(found - found.mean(), true - true.mean())
    middle = [(side - 1) // 2 for side in cross.shape]
    near = tuple(slice(max(0, m - recovery.SHIFT_PX), m + recovery.SHIFT_PX + 1) for m in middle)
    values = cross[near].ravel()
    return -1.0 if values[np.abs(values).argmax()] < 0 else 1.0


def _group(known: dict[tuple[int, int], np.ndarray], maps: int, truth: np.ndarray | None) -> xr.Dataset:
    folds, seeds = (sorted({key[axis] for key in known}) for axis in (0, 1))
    shape = next(iter(known.values())).shape
    out = np.full((len(folds), len(seeds), *shape), np.nan, np.float32)
    match, r = np.full(out.shape[:3], -1, np.int16), np.full(out.shape[:3], np.nan, np.float32)
    for (fold, seed), kernels in known.items():
        place = folds.index(fold), seeds.index(seed)
        out[place] = kernels
        match[place], r[place] = paired(kernels, maps, truth)
    axes = ("fold", "seed", "kernel")
    variables = {
        "kernel": ((*axes, "feature", "height", "width"), out, ONE),
        "match": (axes, match, ONE),
        "r": (axes, r, ONE),
    }
    return xr.Dataset(variables, coords={"fold": folds, "seed": seeds}, attrs={"shift_px": recovery.SHIFT_PX})


def _unit(kernels: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1)[:, None, None, None]
    return np.asarray(kernels / np.where(norm > 0, norm, 1))
