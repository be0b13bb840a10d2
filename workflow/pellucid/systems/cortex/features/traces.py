"""Inputs that are traces: ROIs as recorded or averaged from a movie, and the measures of controls."""

import hashlib

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import movies, registration
from pellucid.preprocess.streams import Stream
from pellucid.systems.cortex.features import inputs, places, steps
from pellucid.systems.cortex.features.inputs import Clock
from pellucid.systems.cortex.features.settings import Settings, Traces

Key = tuple[str, bool]
"""Name of an input, and whether it is the violet channel behind it."""


def datasets(recording: xr.DataTree, settings: Settings, clock: Clock) -> dict[str, xr.Dataset]:
    """Return `signal` (time, roi) of every input of traces, with ids, places and areas of its ROIs.

    All averages of one movie are made in one pass over it. Raises MissingError or DataError.
    """
    wanted = {name: item for name, item in settings.inputs.items() if isinstance(item, Traces)}
    averages = _averages(recording, wanted, clock)
    return {name: _dataset(recording, name, item, averages, clock) for name, item in wanted.items()}


def _dataset(
    recording: xr.DataTree, name: str, item: Traces, averages: dict[Key, np.ndarray], clock: Clock
) -> xr.Dataset:
    violet, variable = None, schema.variable(recording, item.source)[1]
    if item.of == "roi":
        signal = inputs.traces(recording, item.source, clock)[0]
        if item.reference is not None:
            violet = inputs.traces(recording, item.reference.source, clock)[0]
            _check_alike(violet, signal, item)
    elif item.of == "shifts":
        signal = Stream.of(registration.shifts(inputs.movie(recording, item.source, clock)[0], name))
    else:
        signal = Stream.of(averages[name, False])
        violet = Stream.of(averages[name, True]) if item.reference is not None else None
    found, slope = steps.processed(_scaled(signal, variable), violet, item, clock, name)
    values = found.whole().astype(np.float32)
    units = "px" if item.of == "shifts" else steps.units(str(variable.attrs.get("units", "1")), item)
    data = {"signal": xr.Variable(("time", "roi"), values, {"units": units})}
    if slope is not None:
        data["coefficient"] = xr.Variable("roi", slope.astype(np.float32), {"units": "1"})
    said = {"kind": "traces", "units": units, "fingerprint": hashlib.sha256(values.tobytes()).hexdigest()}
    return xr.Dataset(data, places.coordinates(recording, item, variable), {**clock.attributes, **said})


def _averages(recording: xr.DataTree, wanted: dict[str, Traces], clock: Clock) -> dict[Key, np.ndarray]:
    """Return the averages of pixels of all inputs, (time, roi) each, with one pass over every movie."""
    asked: dict[str, list[tuple[Key, np.ndarray]]] = {}
    for name, item in wanted.items():
        if item.of in ("roi", "shifts"):
            continue
        shape = inputs.movie(recording, item.source, clock)[0].shape[1:]
        weights = _weights(recording, name, item, shape)
        asked.setdefault(item.source, []).append(((name, False), weights))
        if item.reference is not None:
            asked.setdefault(item.reference.source, []).append(((name, True), weights))
    found: dict[Key, np.ndarray] = {}
    for path, parts in asked.items():
        stream = inputs.movie(recording, path, clock)[0]
        if any(weights.shape[1:] != stream.shape[1:] for _, weights in parts):
            raise DataError(
                path,
                expected="frames of the size of the signal's movie",
                found=f"{stream.shape[1]} x {stream.shape[2]} px",
                remedy="Give both channels at one size.",
            )
        joined = movies.averages(stream, np.concatenate([weights for _, weights in parts]), path)
        borders = np.cumsum([len(weights) for _, weights in parts])[:-1]
        found |= dict(zip([key for key, _ in parts], np.split(joined, borders, axis=1)))
    return found


def _weights(recording: xr.DataTree, name: str, item: Traces, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of pixels, (roi, height, width)."""
    if item.of == "parcels":
        assert item.parcels is not None
        parcels = inputs.parcels(recording, item.parcels, shape)
        return movies.of_parcels(parcels, places.labels(parcels))
    if item.of == "border":
        if 2 * item.border_px > min(shape):
            raise DataError(
                f"inputs.{name}, border_px",
                expected=f"at most {min(shape) // 2}, half of the smaller side",
                found=str(item.border_px),
                remedy="Choose narrower strips.",
            )
        return movies.of_border(shape[0], shape[1], item.border_px)
    if item.of == "global":
        return movies.of_mask(np.ones(shape))
    assert item.mask is not None
    mask = np.nan_to_num(np.asarray(inputs.image(recording, item.mask, shape), float))
    if not mask.any():
        raise DataError(item.mask, expected="pixels inside the mask", found="none", remedy="Correct the mask.")
    return movies.of_mask(mask)


def _scaled(signal: Stream, variable: xr.DataArray) -> Stream:
    scale = float(variable.attrs.get("scale", 1.0))
    return signal if scale == 1.0 else signal.each(lambda values: values * scale)


def _check_alike(violet: Stream, signal: Stream, item: Traces) -> None:
    if violet.shape != signal.shape and item.reference is not None:
        raise DataError(
            item.reference.source,
            expected=f"{signal.shape[1]} ROIs, as {item.source} has",
            found=str(violet.shape[1]),
            remedy="Give both channels of the same ROIs.",
        )
