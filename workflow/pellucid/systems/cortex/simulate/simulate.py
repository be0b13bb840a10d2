"""Simulated sessions of mice that rest and run: raw files as a laboratory has them, and the truth behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.readers.cortex_mat import ROIS
from pellucid.systems.cortex.simulate import formats, signals
from pellucid.systems.cortex.simulate.settings import Settings

UNITS = {"units": "dF/F"}


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the raw files of all sessions (see formats) and truth.zarr; one mouse or session in memory at a time."""
    write = formats.write_signals if settings.scenario == "roi" else formats.write_movies
    write(settings, seed, folder)
    store.write(folder / "truth.zarr", truth(settings, seed))


def truth(settings: Settings, seed: int) -> xr.DataTree:
    """Return what is to be recovered, made again session by session while it is stored.

    /truth     gain, driving (1 for ROIs 6, 8, 31, 33), row and column (roi), as shares of height and width
    /MOUSE_SESSION  drive (time); neural (time, roi), driven and shared activity; activity (time, roi), which is neural
               with each ROI's private activity and noise, before haemodynamics and drift; haemodynamics (time) and
               shift (time, output) of dy, dx where they are simulated
    """
    return xr.DataTree.from_dict(
        {
            "/truth": _rois(settings),
            **{f"/{name}": _session(settings, seed, mouse, number) for mouse, number, name in formats.names(settings)},
        }
    )


def _rois(settings: Settings) -> xr.Dataset:
    rows, columns, areas = (list(values) for values in zip(*ROIS.values(), strict=True))
    driving = np.isin(list(ROIS), signals.DRIVING) & settings.neural_drive
    variables = {
        "gain": ("roi", signals.gains(settings), {"units": "1"}),
        "driving": ("roi", driving.astype(np.int8), {"units": "1"}),
        "row": ("roi", np.array(rows), {"units": "1"}),
        "column": ("roi", np.array(columns), {"units": "1"}),
        "area": ("roi", np.array(areas, dtype=object)),
    }
    return xr.Dataset(variables, coords=_ids(), attrs={"scenario": settings.scenario})


def _session(settings: Settings, seed: int, mouse: int, number: int) -> xr.Dataset:
    """Return the truth of one session; its arrays are made when they are written."""
    import dask.array
    from dask.delayed import delayed

    made = delayed(signals.simulated)(settings, seed, mouse, number)
    frames, rois = settings.length, len(ROIS)
    from_delayed: Any = dask.array.from_delayed

    def lazy(name: str, *more: int) -> Any:  # noqa: ANN401 - a dask array
        return from_delayed(delayed(_part)(made, name), (frames, *more), dtype=np.float32)

    variables: dict[str, Any] = {
        "drive": ("time", lazy("drive"), {"units": "1"}),
        "neural": (("time", "roi"), lazy("neural", rois), UNITS),
        "activity": (("time", "roi"), lazy("activity", rois), UNITS),
    }
    coords = _ids()
    if settings.haemodynamics is not None:
        variables["haemodynamics"] = ("time", lazy("haemodynamics"), UNITS)
    if settings.motion is not None:
        variables["shift"] = (("time", "output"), lazy("shift", 2), {"units": "px"})
        coords["output"] = np.array(["dy", "dx"], dtype=object)
    return xr.Dataset(variables, coords=coords, attrs={"rate_hz": settings.rate_hz, "start_s": 0.0})


def _part(session: signals.Session, name: str) -> np.ndarray:
    return np.asarray(getattr(session, name), dtype=np.float32)


def _ids() -> dict[str, np.ndarray]:
    return {"roi": np.array([str(roi) for roi in ROIS], dtype=object)}
