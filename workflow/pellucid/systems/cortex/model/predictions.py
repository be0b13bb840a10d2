"""The store of decoded probabilities beside the true states, one group per recording on its own clock."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.cortex.model.tested import Tested

_MEANING = "probability of state 1; for a model with target speed the decoded speed, in its units"


class Predictions:
    """Arrays that fits are put into one by one; each recording has the folds that test it."""

    def __init__(self, features: Features, fits: Sequence[Fit], kept: Sequence[str]) -> None:
        """fits: all of the analysis; kept: models whose predictions are stored."""
        self._features = features
        self._models, self._seeds = list(kept), sorted({fit.seed for fit in fits})
        tested = {fold: features.folds[fold].test for fold in sorted({fit.fold for fit in fits})}
        self._folds = {name: [fold for fold, rows in tested.items() if rows.get(name)] for name in features.stores}
        self._folds = {name: folds for name, folds in self._folds.items() if folds}
        rows = {name: features.group(name, "behaviour").sizes["time"] for name in self._folds}
        shape = {name: (len(self._models), len(folds), len(self._seeds)) for name, folds in self._folds.items()}
        self._decoded = {name: np.full((*shape[name], rows[name]), np.nan, np.float32) for name in shape}
        self._state = {name: np.full((shape[name][1], rows[name]), np.nan, np.float32) for name in shape}

    def add(self, fit: Fit, tested: Tested, *, true: bool) -> None:
        """Store what one fit said; true: its labels are the true states, not null labels and not speed."""
        for index in np.unique(tested.session):
            name, own = tested.names[index], tested.only(tested.session == index)
            fold = self._folds[name].index(fit.fold)
            if fit.model in self._models:
                place = self._models.index(fit.model), fold, self._seeds.index(fit.seed)
                self._decoded[name][place][own.row] = own.prediction
            if true:
                self._state[name][fold, own.row] = own.state

    def tree(self) -> xr.DataTree:
        """Return the groups `/RECORDING`: probability, state, and speed where it was recorded."""
        return xr.DataTree.from_dict({f"/{name}": self._group(name) for name in self._folds})

    def _group(self, name: str) -> xr.Dataset:
        group = self._features.group(name, "behaviour")
        axes = ("model", "fold", "seed", "time")
        variables: dict[str, Any] = {
            "probability": (axes, self._decoded[name], {"units": "1", "meaning": _MEANING}),
            "state": (("fold", "time"), self._state[name], {"units": "1"}),
        }
        if "speed" in group:
            variables["speed"] = (("time",), group["speed"].values, {"units": group["speed"].attrs["units"]})
        coords = {
            "model": np.array(self._models, object),
            "fold": np.array(self._folds[name], np.int64),
            "seed": np.array(self._seeds, np.int64),
        }
        clock = {key: float(group.attrs[key]) for key in ("rate_hz", "start_s")}
        return xr.Dataset(variables, coords=coords, attrs=clock)
