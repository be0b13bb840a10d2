"""First-layer kernels of every network, beside the true ones."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.whatwhere.model.restore import restore

ONE = {"units": "1"}


def groups(features: Features, fits: Sequence[Fit], truth: np.ndarray | None) -> dict[str, xr.Dataset]:
    """Return /kernels/MODEL of every network with layers, and /kernels/truth if kernels are known.

    truth   (kernel, height, width)
    kernel  (fold, seed, kernel, feature, height, width) of unit L2 norm over the last three axes, in the order of the
            fit, with its sign; NaN where a fold has no such seed
    """
    made: dict[str, xr.Dataset] = {}
    for model in dict.fromkeys(fit.model for fit in fits if fit.settings["kind"] == "network"):
        own = [fit for fit in fits if fit.model == model]
        found = {(fit.fold, fit.seed): restore(fit, features).kernels() for fit in own}
        known = {key: _unit(kernels) for key, kernels in found.items() if kernels is not None}
        if known:
            made[f"/kernels/{model}"] = _group(known)
    if truth is not None:
        made["/kernels/truth"] = xr.Dataset({"kernel": (("kernel", "height", "width"), truth.astype(np.float32), ONE)})
    return made


def _group(known: dict[tuple[int, int], np.ndarray]) -> xr.Dataset:
    folds, seeds = (sorted({key[axis] for key in known}) for axis in (0, 1))
    shape = next(iter(known.values())).shape
    out = np.full((len(folds), len(seeds), *shape), np.nan, np.float32)
    for (fold, seed), kernels in known.items():
        out[folds.index(fold), seeds.index(seed)] = kernels
    dims = ("fold", "seed", "kernel", "feature", "height", "width")
    return xr.Dataset({"kernel": (dims, out, ONE)}, coords={"fold": folds, "seed": seeds})


def _unit(kernels: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1)[:, None, None, None]
    return np.asarray(kernels / np.where(norm > 0, norm, 1))
