"""Ids, places and areas of ROIs, from what a recording says and from its map of parcels."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.errors import DataError
from pellucid.preprocess import movies
from pellucid.systems.cortex.features import inputs
from pellucid.systems.cortex.features.settings import Traces

STRIPS = ("top", "bottom", "left", "right")
SHIFTS = ("dy", "dx")


def coordinates(recording: xr.DataTree, item: Traces, variable: xr.DataArray) -> dict[str, xr.Variable]:
    """Return ids, and row, column (fractions, NaN unknown) and area ("" unknown) of every ROI."""
    if item.of == "roi":
        ids = _ids(variable)
        known = _described(variable, ids)
    else:
        ids = _named(recording, item)
        known = _described(_rois(recording), ids) if item.of == "parcels" else _described(None, ids)
    row, column, area = known
    if item.parcels is not None and np.isnan(row).all():
        row, column = _from_map(recording, item.parcels, ids)
    return {
        "roi": xr.Variable("roi", np.array(ids, object)),
        "row": xr.Variable("roi", row, {"units": "fraction of the height"}),
        "column": xr.Variable("roi", column, {"units": "fraction of the width"}),
        "area": xr.Variable("roi", area),
    }


def _named(recording: xr.DataTree, item: Traces) -> list[str]:
    if item.of == "parcels":
        assert item.parcels is not None
        return [str(label) for label in labels(inputs.parcels(recording, item.parcels, None))]
    return {"border": list(STRIPS), "shifts": list(SHIFTS)}.get(item.of, [item.of])


def labels(parcels: np.ndarray) -> np.ndarray:
    """Return the labels of a map but 0, (roi,)."""
    found = np.unique(parcels)
    return np.asarray(found[found > 0])


def _ids(variable: xr.DataArray) -> list[str]:
    """Return the ids of ROIs as text: those of the recording, else numbers from 1, as in a map of parcels."""
    if _has_ids(variable):
        return [str(roi) for roi in variable.coords["roi"].values.tolist()]
    return [str(number + 1) for number in range(variable.sizes["roi"])]


def _rois(recording: xr.DataTree) -> xr.Dataset | None:
    """Return what the recording says about ROIs, if it has any with ids."""
    imaging = recording.children.get("imaging")
    return None if imaging is None or not _has_ids(imaging.to_dataset()) else imaging.to_dataset()


def _has_ids(source: xr.DataArray | xr.Dataset) -> bool:
    """Return whether ROIs have ids; an array that is called roi itself has none."""
    return "roi" in source.coords and source.coords["roi"].dims == ("roi",)


def _described(
    source: xr.DataArray | xr.Dataset | None, ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, column and area of some ROIs, as far as a variable's coordinates say."""
    row, column = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    area = np.full(len(ids), "", object)
    if source is None:
        return row, column, area
    known = [str(roi) for roi in source.coords["roi"].values.tolist()] if _has_ids(source) else list(ids)
    places = {roi: index for index, roi in enumerate(known)}
    for index, roi in enumerate(ids):
        if roi not in places:
            continue
        for name, values in (("row", row), ("column", column), ("area", area)):
            if name in source.coords:
                found = source.coords[name].values[places[roi]]
                values[index] = str(found) if name == "area" else found
    return row, column, area


def _from_map(recording: xr.DataTree, path: str, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of parcels. Raises DataError for an ROI without one."""
    parcels = inputs.parcels(recording, path, None)
    numbers = np.array([int(roi) if roi.isdigit() else 0 for roi in ids])
    missing = [roi for roi, label in zip(ids, numbers) if label not in set(labels(parcels).tolist())]
    if missing:
        raise DataError(
            path,
            expected=f"a parcel for each of {len(ids)} ROIs, label k for ROI k",
            found=f"none for {', '.join(missing[:5])}",
            remedy="Give the map these ROIs were made with, or leave `parcels` out.",
        )
    return movies.centres(parcels, numbers)
