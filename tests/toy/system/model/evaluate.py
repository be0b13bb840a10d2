from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import HEADLINE, Features, Fit

from .fit import rows
from .settings import Evaluate


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    table = []
    for fit in fits:
        x, y = rows(features, fit.fold, "test")
        right = float(np.mean((x @ fit.weights()["weights"] > settings.threshold) == (y > 0)))
        table.append({"model": fit.model, "fold": fit.fold, "seed": fit.seed, "accuracy": right})
    accuracy = np.array([row["accuracy"] for row in table])
    spread = {"value": accuracy.mean(), "low": accuracy.min(), "high": accuracy.max(), "chance": 0.5}
    words = {"model": "all", "name": "accuracy", "unit": "share", "note": f"{len(truth)} simulated"}
    headline = {**dict.fromkeys(HEADLINE), **spread, **words}
    scores = xr.Dataset({"accuracy": ("output", accuracy, {"units": "1"})})
    return {"headline": [headline], "table": table}, xr.DataTree.from_dict({"/predictions": scores})
