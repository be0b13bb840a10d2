from collections.abc import Mapping

import numpy as np
import xarray as xr

from pellucid.artifacts import Collected
from pellucid.preprocess import splits

from .settings import Settings


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    counts = {name: tree["features/y"].size for name, tree in stores.items()}
    subjects = {name: tree.attrs["subject"] for name, tree in stores.items()}
    folds = splits.make(counts, settings.split, subjects=subjects)
    train = [[stores[name]["features/x"][a:b] for name, r in fold.train.items() for a, b in r] for fold in folds]
    means = np.stack([np.concatenate(parts).mean(0) for parts in train])
    return Collected(folds, {"mean": xr.DataArray(means, dims=("fold", "feature"))})
