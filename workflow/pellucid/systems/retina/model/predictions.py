"""The store of predicted rates beside the responses they are scored on, one group per recording."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Fit
from pellucid.systems.retina.model.tested import Tested


class Predictions:
    """Arrays that fits are put into one by one; test rows are the same in every fold."""

    def __init__(self, parts: Mapping[int, Sequence[Tested]], fits: Sequence[Fit]) -> None:
        """parts: fold -> its test rows."""
        self._models = list(dict.fromkeys(fit.model for fit in fits))
        self._folds, self._seeds = sorted(parts), sorted({fit.seed for fit in fits})
        self._tested = {part.name: part for fold in reversed(self._folds) for part in parts[fold]}
        shape = (len(self._models), len(self._folds), len(self._seeds))
        self._rates = {
            name: np.full((*shape, *part.response.shape), np.nan, np.float32) for name, part in self._tested.items()
        }

    def add(self, fit: Fit, part: Tested, rate: np.ndarray) -> None:
        """Store the rates, (row, neuron), of one fit."""
        place = self._models.index(fit.model), self._folds.index(fit.fold), self._seeds.index(fit.seed)
        self._rates[part.name][place] = rate

    def tree(self) -> xr.DataTree:
        """Return the groups `/RECORDING`: prediction, response, frame (the row of each), ceiling, and true rate."""
        return xr.DataTree.from_dict({f"/{name}": self._group(part) for name, part in self._tested.items()})

    def _group(self, part: Tested) -> xr.Dataset:
        units = {"units": part.units}
        variables = {
            "prediction": (("model", "fold", "seed", "time", "neuron"), self._rates[part.name], units),
            "response": (("time", "neuron"), part.response.astype(np.float32), units),
            "frame": (("time",), part.rows.astype(np.int64), {"units": "1"}),
            "ceiling": (("neuron",), part.ceiling, {"units": "1"}),
        }
        if part.rate is not None:
            variables["rate"] = (("time", "neuron"), part.rate.astype(np.float32), units)
        coords = {
            "model": np.array(self._models, object),
            "fold": np.array(self._folds),
            "seed": np.array(self._seeds),
            "neuron": part.neurons,
        }
        clock = {"rate_hz": part.rate_hz, "start_s": part.start_s + int(part.rows[0]) / part.rate_hz}
        return xr.Dataset(variables, coords=coords, attrs={**clock, "units": part.units, "stimulus": part.stimulus})
