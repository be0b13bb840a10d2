"""The groups of a decoder of movies: occlusion maps with their controls, and the map of t."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features
from pellucid.attribution.occlusion import Patches, patches, stride
from pellucid.systems.cortex.attribute import recovery
from pellucid.systems.cortex.attribute.grid import Grid, Key
from pellucid.systems.cortex.attribute.occlusion import Maps, maps
from pellucid.systems.cortex.attribute.settings import Settings
from pellucid.systems.cortex.attribute.tmap import tmap

ONE, PX = {"units": "1"}, {"units": "px"}
FITS = ("fold", "seed")


def groups(features: Features, grid: Grid, settings: Settings, known: recovery.Known | None) -> dict[str, xr.Dataset]:
    """Return the groups of a model of a movie.

    known  the simulated truth, or None
    /occlusion  square, circle (fold, seed, height, width): AUC lost without each patch, whose centres are the
                coordinates row and column, px; border (fold, seed, output): without strips at the borders; ones, auc
                (fold, seed): without nothing, and of the whole movie; t (fold, height, width): mean |t| in each square;
                with a truth, true (height, width): whether a square holds a driving ROI, and recovered,
                recovered_circle (fold, seed): AUC of the maps against it
    /tmap       t (fold, height, width) of every pixel; background (height, width): mean image of a test session
    """
    lost: dict[Key, Maps] = {}
    pixels: dict[int, np.ndarray] = {}
    geometry, background = None, np.empty((0, 0))
    for key, decoder in grid.restored(features, "occlusion"):
        if geometry is None:
            height, width = decoder.shape
            geometry, background = patches((int(height), int(width)), settings.occlusion.mask_px), decoder.background
        lost[key] = maps(decoder, geometry, settings.occlusion.windows)
        if key[0] not in pixels:
            pixels[key[0]] = tmap(decoder)
    if geometry is None:
        return {}
    t = np.stack([pixels[fold] for fold in grid.folds])
    return {
        "/occlusion": _occlusion(grid, lost, geometry, t, known),
        "/tmap": xr.Dataset(
            {
                "t": (("fold", "height", "width"), t.astype(np.float32), ONE),
                "background": (("height", "width"), np.asarray(background, np.float32), ONE),
            },
            coords={"fold": list(grid.folds)},
            attrs={"model": grid.model},
        ),
    }


def _occlusion(
    grid: Grid, lost: Mapping[Key, Maps], geometry: Patches, t: np.ndarray, known: recovery.Known | None
) -> xr.Dataset:
    image = (*FITS, "height", "width")
    found = {
        name: grid.full({key: getattr(one, name) for key, one in lost.items()})
        for name in ("square", "circle", "border", "ones", "auc")
    }
    axes = {"square": image, "circle": image, "border": (*FITS, "output"), "ones": FITS, "auc": FITS}
    variables: dict[str, Any] = {name: (axes[name], values, ONE) for name, values in found.items()}
    strength = np.stack([geometry.averages(np.abs(one)) for one in t])
    variables["t"] = (("fold", "height", "width"), strength, ONE)
    if known is not None:
        cells = known.cells(geometry)
        variables["true"] = (("height", "width"), cells.astype(np.int8), ONE)
        variables["recovered"] = (FITS, recovery.recovered(found["square"], cells), ONE)
        variables["recovered_circle"] = (FITS, recovery.recovered(found["circle"], cells), ONE)
    down, across = geometry.centres()
    return xr.Dataset(
        variables,
        coords={
            "fold": list(grid.folds),
            "seed": list(grid.seeds),
            "row": ("height", down, PX),
            "column": ("width", across, PX),
            "output": np.array(geometry.border_names(), object),
        },
        attrs={
            "model": grid.model,
            "side_px": geometry.side,
            "stride_px": stride(geometry.side),
            "image_px": list(geometry.shape),
        },
    )
