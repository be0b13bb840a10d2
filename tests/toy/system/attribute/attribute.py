from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit

from .settings import Settings


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    weights = np.stack([fit.weights()["weights"] for fit in fits]).mean(0)
    influence = np.abs(weights) if settings.absolute else weights
    return xr.DataTree.from_dict({"/attribution": xr.Dataset({"influence": ("feature", influence, {"units": "1"})})})
