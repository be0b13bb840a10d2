"""From one recording to one store of processed images and the responses to them, not normalised."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.systems.whatwhere.features import pixels, variables
from pellucid.systems.whatwhere.features.settings import Settings


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/features` with images (image, feature, height, width) and responses (repeat, image, neuron).

    Also set, same and fingerprint (image): part it was recorded for, number of the group of identical processed
    images, and the hash that tells these apart in all recordings; row and column (neuron) in px of the processed
    image, NaN where unknown. Attribute `processing`, JSON: crop_origin_px, crop_px, downsample, invert, white, pixels.
    Bounded memory: images and responses are read in blocks, twice. Raises MissingError or DataError naming the
    variable, and leaves nothing half-written.
    """
    images = variables.images(recording, settings)
    responses, names = variables.responses(recording, settings, images.sizes["image"])
    plan = pixels.processing(images, settings)
    fingerprint = _fingerprints(images, plan, settings)
    _check_responses(responses, names, settings)
    features = xr.Dataset(
        {
            "images": (("image", "feature", "height", "width"), _processed(images, plan), {"units": _units(images)}),
            "responses": (responses.dims, responses.data.astype(np.float32), {"units": _units(responses)}),
            "set": ("image", variables.sets(recording, settings, images.sizes["image"])),
            "same": ("image", pixels.groups(fingerprint), {"units": "1"}),
            "fingerprint": ("image", fingerprint, {"units": "1"}),
            **_positions(recording, settings, plan, names),
        },
        coords={"neuron": names},
        attrs={"processing": json.dumps({**asdict(plan), "pixels": settings.pixels})},
    )
    identity = {key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    store.write(output, xr.DataTree.from_dict({"/": xr.Dataset(attrs=identity), "/features": features}))


def _processed(images: xr.DataArray, plan: pixels.Processing) -> Any:  # noqa: ANN401 - a dask array
    """Return the processed images as a dask array, (image, feature, height, width)."""
    raw = images.data
    kept = (raw.chunks[0], raw.chunks[1], *((side,) for side in plan.size))
    return raw.map_blocks(plan.images, dtype=np.float32, chunks=kept, meta=np.empty((0,) * 4, np.float32))


def _fingerprints(images: xr.DataArray, plan: pixels.Processing, settings: Settings) -> np.ndarray:
    """Return the hash of each processed image, shape (image,). Raises DataError for pixels that are no numbers."""
    found = []
    for start, block in tqdm(variables.blocks(images), desc="images", unit="block", disable=None):
        made = plan.images(block)
        if not np.isfinite(made).all():
            bad = start + np.flatnonzero(~np.isfinite(made).all(axis=(1, 2, 3)))
            raise DataError(
                f"{settings.images}, image {bad[0]}",
                expected="finite pixels",
                found=f"NaN or infinite ones (in {len(bad)} images from here to {bad[-1]})",
                remedy="Correct or leave out these images in the raw files.",
            )
        if plan.invert and (made.min() < 0 or made.max() > plan.white):
            raise DataError(
                f"{settings.images}, invert",
                expected=f"pixels from 0 to {plan.white:g}",
                found=f"{plan.white - made.max():g} to {plan.white - made.min():g}",
                remedy="Set `invert: false`: z-scored pixels of such images need no inversion.",
            )
        found.append(pixels.fingerprints(made))
    return np.concatenate(found)


def _check_responses(responses: xr.DataArray, names: np.ndarray, settings: Settings) -> None:
    """Raise DataError for infinite responses and for neurons without any."""
    axis = responses.dims.index("image")
    shown = np.zeros(len(names), bool)
    for start, block in variables.blocks(responses, axis):
        infinite = np.isinf(block).any(axis=(0, 1))
        if infinite.any():
            raise DataError(
                f"{settings.responses}, neuron {names[infinite][0]}",
                expected="numbers, or NaN where an image was not shown",
                found=f"infinite ones at images {start} to {start + block.shape[axis] - 1}",
                remedy="Correct the raw files.",
            )
        shown |= np.isfinite(block).any(axis=(0, 1))
    if not shown.all():
        silent = names[~shown]
        raise DataError(
            settings.responses,
            expected="a response of every neuron to at least one image",
            found=f"none of {', '.join(silent[:10])}" + (f" and {len(silent) - 10} others" if len(silent) > 10 else ""),
            remedy="Leave them out by `neurons`.",
        )


def _positions(
    recording: xr.DataTree, settings: Settings, plan: pixels.Processing, names: np.ndarray
) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Return row and column of the neurons in px of the processed image, NaN where unknown."""
    paths = {"row": settings.row, "column": settings.column}
    return {
        name: (
            "neuron",
            plan.position(variables.of_neurons(recording, path, settings, names), axis).astype(np.float32),
            {"units": "px"},
        )
        for axis, (name, path) in enumerate(paths.items())
    }


def _units(variable: xr.DataArray) -> str:
    return str(variable.attrs.get("units", "1"))
