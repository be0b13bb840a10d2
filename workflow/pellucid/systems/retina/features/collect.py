"""Folds over all recordings of ganglion cells, and moments of frames and responses from training rows only."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Collected, row_indices
from pellucid.errors import DataError
from pellucid.preprocess.streams import Stream
from pellucid.systems.retina.features import checks, folds
from pellucid.systems.retina.features.settings import Settings


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    """Return the split table and statistics of training rows.

    stores  recording -> features; those of interneurons have no rows and no statistics
    REC/stimulus_mean, REC/stimulus_sd (fold,): over all pixels of the training frames; REC/response_mean,
    REC/response_sd (fold, neuron): NaN ignored. S.d. divide by the number of values.
    Raises DataError if two recordings hold the same data, if recordings do not fit together, or if the movie or a cell
    never varies in the training rows.
    """
    names = [name for name in sorted(stores) if "responses" in stores[name].children]
    checks.alike(stores, names)
    checks.refuse_copies(stores)
    responses = {name: schema.group(stores[name], "responses", name)["response"].values for name in names}
    made = folds.make({name: _marks(stores[name], responses[name]) for name in names}, settings)
    statistics = {}
    for name in names:
        rows = [row_indices(fold.train.get(name, [])) for fold in made]
        movie = _of_movie(schema.group(stores[name], "stimulus", name)["movie"], rows, name)
        cells = _of_cells(stores[name], responses[name], rows, name)
        for index, key in enumerate(("mean", "sd")):
            statistics[f"{name}/stimulus_{key}"] = xr.DataArray(movie[index], dims=("fold",))
            statistics[f"{name}/response_{key}"] = xr.DataArray(cells[index], dims=("fold", "neuron"))
    return Collected(made, statistics)


def _marks(tree: xr.DataTree, response: np.ndarray) -> folds.Marks:
    group = tree["stimulus"].dataset
    return group["block"].values, group["test"].values, np.isfinite(response).any(axis=1)


def _of_movie(movie: xr.DataArray, rows: list[np.ndarray], name: str) -> np.ndarray:
    """Return mean and s.d. over pixels and training frames, (2, fold): from those of each frame, read once."""
    mean, variance = np.empty(len(movie)), np.empty(len(movie))
    for start, block in Stream.of(movie).blocks(f"{name}, frames"):
        flat = block.reshape(len(block), -1)
        mean[start : start + len(block)] = flat.mean(axis=1, dtype=np.float64)
        variance[start : start + len(block)] = flat.var(axis=1, dtype=np.float64)
    found = np.array([[mean[one].mean(), np.sqrt(variance[one].mean() + mean[one].var())] for one in rows]).T
    if not (found[1] > 0).all():
        raise DataError(
            f"features of {name}, movie",
            expected="frames that vary",
            found="one value in all training frames",
            remedy="Leave this recording out.",
        )
    return found


def _of_cells(tree: xr.DataTree, response: np.ndarray, rows: list[np.ndarray], name: str) -> np.ndarray:
    """Return mean and s.d. of each cell over training rows, (2, fold, neuron)."""
    found = np.empty((2, len(rows), response.shape[1]))
    for index, one in enumerate(rows):
        values = response[one].astype(np.float64)
        known = np.isfinite(values).any(axis=0)
        found[:, index, ~known] = 0
        found[0, index, known] = np.nanmean(values[:, known], axis=0)
        found[1, index, known] = np.nanstd(values[:, known], axis=0)
        if not (found[1, index] > 0).all():
            silent = tree["responses"].dataset["neuron"].values[~(found[1, index] > 0)]
            raise DataError(
                f"fold {index}, recording {name}",
                expected="cells whose response varies in the training rows",
                found=f"none in {', '.join(map(str, silent[:10]))}",
                remedy="Leave these cells out in the reader's options.",
            )
    return found
