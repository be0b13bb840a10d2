"""What is to be recovered from a simulated retina, as groups of a store."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.retina.simulate import depression, stimuli, teacher
from pellucid.systems.retina.simulate.depression import Depression
from pellucid.systems.retina.simulate.interneurons import Recorded
from pellucid.systems.retina.simulate.settings import Settings
from pellucid.systems.retina.simulate.teacher import Subunits

Groups = dict[str, xr.Dataset]
ONE, PX, MS, COUNT = {"units": "1"}, {"units": "px"}, {"units": "ms"}, {"units": "count"}


def coordinates(settings: Settings, retina: Subunits | Depression) -> dict[str, np.ndarray]:
    """Return the names of cells and channels."""
    return {"neuron": ids(settings.cells), "kernel": _objects(retina.names)}


def ids(count: int) -> np.ndarray:
    """Return the names of cells as readers give them, (neuron,)."""
    return _objects(f"cell{cell:02d}" for cell in range(count))


def mechanism(settings: Settings, retina: Subunits | Depression) -> Groups:
    """Return how the retina works.

    /teacher  attributes mechanism, gain, rate_hz, history, lag, movie_mean and movie_sd (grey levels of no contrast and
              of one s.d.), and all constants of a depressing synapse. Of subunits: filter (lag, kernel, height, width),
              oldest frame first; threshold, sign (1 ON, -1 OFF), fast, peak_ms from the response back to the filter's
              peak (kernel)
    /weights  of subunits: weight (neuron, kernel, height, width) of the valid map; offset, row, column (neuron)
    /synapse  of a depressing synapse: weight (neuron, kernel), offset (neuron)
    """
    about: dict[str, Any] = {
        "mechanism": settings.scenario,
        "rate_hz": settings.rate_hz,
        "history": settings.span,
        "lag": settings.lag,
        "movie_mean": float(stimuli.MEAN),
        "movie_sd": float(stimuli.SD),
    }
    names = coordinates(settings, retina)
    known = {"kernel": names["kernel"]}
    offset = {"offset": ("neuron", retina.offset, ONE)}
    if isinstance(retina, Depression):
        weight = {"weight": (("neuron", "kernel"), retina.weight, ONE)}
        return {
            "/teacher": xr.Dataset(coords=known, attrs={**about, **depression.CONSTANTS}),
            "/synapse": xr.Dataset({**weight, **offset}, names),
        }
    return {
        "/teacher": xr.Dataset(_channels(settings, retina), known, {**about, "gain": teacher.GAIN}),
        "/weights": xr.Dataset({**_pools(retina), **offset}, names),
    }


def noiseless(settings: Settings, rate: np.ndarray) -> xr.Dataset:
    """Return expected responses, rate (time, neuron) in spikes per sample, in the rows of the recording."""
    clock = {"rate_hz": settings.rate_hz, "start_s": 0.0}
    return xr.Dataset({"rate": (("time", "neuron"), rate, COUNT)}, {"neuron": ids(settings.cells)}, clock)


def interneurons(recorded: Recorded) -> Groups:
    """Return /interneurons: the channel, feature, and the unit of the valid map, row and column, of each (neuron)."""
    variables = {
        "feature": ("neuron", recorded.feature.astype(np.int32), ONE),
        "row": ("neuron", recorded.place[:, 0].astype(np.int32), PX),
        "column": ("neuron", recorded.place[:, 1].astype(np.int32), PX),
    }
    return {"/interneurons": xr.Dataset(variables, {"neuron": ids(len(recorded.feature))})}


def _channels(settings: Settings, retina: Subunits) -> dict[str, Any]:
    peak = settings.span - 1 - np.abs(retina.time).argmax(axis=1) + settings.lag
    known = [row for name, row in teacher.PATHWAYS.items() if name in retina.names]
    return {
        "filter": (("lag", "kernel", "height", "width"), retina.kernel.swapaxes(0, 1).astype(np.float32), ONE),
        "threshold": ("kernel", np.full(len(known), teacher.THRESHOLD), ONE),
        "sign": ("kernel", np.array([sign for sign, _, _ in known], np.int8), ONE),
        "fast": ("kernel", np.array([fast for _, fast, _ in known], np.int8), ONE),
        "peak_ms": ("kernel", 1000 * peak / settings.rate_hz, MS),
    }


def _pools(retina: Subunits) -> dict[str, Any]:
    return {
        "weight": (("neuron", "kernel", "height", "width"), retina.weight.astype(np.float32), ONE),
        "row": ("neuron", retina.centre[:, 0], PX),
        "column": ("neuron", retina.centre[:, 1], PX),
    }


def _objects(names: Iterable[str]) -> np.ndarray:
    return np.array(list(names), dtype=object)
