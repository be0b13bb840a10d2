"""The simulated truth behind a recording."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

import xarray as xr


def of(recording: xr.DataTree, truth: Mapping[str, xr.DataTree]) -> xr.DataTree | None:
    """Return the truth of the raw folder a recording comes from; of unknown origin, the only one there is.

    recording  its features, whose provenance names the folder
    truth      name of the raw folder -> tree; those of recordings that were not simulated are missing
    """
    said = json.loads(str(recording.attrs.get("provenance") or "{}"))
    raw = said.get("config", {}).get("raw")
    if raw is not None:
        return truth.get(PurePosixPath(str(raw)).name)
    return next(iter(truth.values())) if len(truth) == 1 else None
