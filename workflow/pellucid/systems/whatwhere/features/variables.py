"""Images, responses, sets and positions of a recording, found by their path and checked against each other."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.whatwhere.features import pixels
from pellucid.systems.whatwhere.features.settings import Settings

PARTS = ("train", "test")
"""What the set of an image may be."""


def images(recording: xr.DataTree, settings: Settings) -> xr.DataArray:
    """Return the images (image, feature, height, width) as a dask array cut into blocks of images.

    Raises MissingError, or DataError for other axes, types or an empty set.
    """
    found = schema.variable(recording, settings.images)[1]
    plain, coloured = ("image", "height", "width"), ("image", "feature", "height", "width")
    if found.dims not in (plain, coloured) or found.dtype.kind not in "biuf" or not found.size:
        raise DataError(
            settings.images,
            expected=f"numbers with axes {plain} or {coloured}",
            found=f"{found.dtype} with axes {found.dims} of sizes {found.shape}",
            remedy="Correct `dims` in the reader's options.",
        )
    found = _chunked(found)
    return found if found.dims == coloured else found.expand_dims("feature", axis=1)


def responses(recording: xr.DataTree, settings: Settings, count: int) -> tuple[xr.DataArray, np.ndarray]:
    """Return the responses (repeat, image, neuron), cut into blocks of images, and the ids of the neurons as text.

    count  number of images
    Integers are in units after the reader's `scale`. Raises MissingError or DataError.
    """
    found = schema.variable(recording, settings.responses)[1]
    single, repeated = ("image", "neuron"), ("repeat", "image", "neuron")
    if found.dims not in (single, repeated) or found.dtype.kind not in "biuf" or not found.size:
        raise DataError(
            settings.responses,
            expected=f"numbers with axes {single} or {repeated}",
            found=f"{found.dtype} with axes {found.dims} of sizes {found.shape}",
            remedy="Correct `dims` in the reader's options.",
        )
    _check_length(found, "image", count, settings.responses, f"as {settings.images} has")
    names = _names(found)
    kept = _chosen(names, settings)
    found = _chunked(found)[..., kept].astype(np.float64, keep_attrs=True)
    if found.dims == single:
        found = found.expand_dims("repeat", axis=0)
    scale = float(found.attrs.get("scale", 1.0))
    return (found if scale == 1.0 else found.copy(data=found.data * scale)), names[kept]


def sets(recording: xr.DataTree, settings: Settings, count: int) -> np.ndarray:
    """Return "train" or "test" for each image, shape (image,); "train" where the recording does not say."""
    if settings.set is None:
        return np.full(count, "train", object)
    found = schema.variable(recording, settings.set)[1]
    _check_axes(found, "image", settings.set)
    _check_length(found, "image", count, settings.set, f"as {settings.images} has")
    labels = np.array([str(label) for label in found.values.tolist()], object)
    unknown = sorted(set(labels) - set(PARTS))
    if unknown:
        raise DataError(
            settings.set,
            expected="train or test for every image",
            found=", ".join(map(repr, unknown[:5])),
            remedy="Name another variable in `set`.",
        )
    return labels


def of_neurons(recording: xr.DataTree, path: str | None, settings: Settings, names: np.ndarray) -> np.ndarray:
    """Return a variable of the neurons kept, shape (neuron,), NaN without a path. Raises MissingError or DataError."""
    if path is None:
        return np.full(len(names), np.nan)
    found = schema.variable(recording, path)[1]
    everyone = _names(schema.variable(recording, settings.responses)[1])
    _check_axes(found, "neuron", path)
    _check_length(found, "neuron", len(everyone), path, f"as {settings.responses} has")
    if found.dtype.kind not in "iuf":
        raise DataError(path, expected="px", found=f"type {found.dtype}", remedy="Name another variable.")
    return np.asarray(found.values[_chosen(everyone, settings)], np.float64)


def blocks(variable: xr.DataArray, axis: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first image, values) of each block of a variable that is cut along its axis of images."""
    start = 0
    for size in (variable.chunks or ())[axis]:
        index = (slice(None),) * axis + (slice(start, start + size),)
        yield start, np.asarray(variable[index].values)
        start += size


def _chunked(variable: xr.DataArray) -> xr.DataArray:
    """Return a variable as a dask array cut along its images."""
    values = variable.size // variable.sizes["image"]
    whole = {dim: -1 for dim in variable.dims}
    return variable.chunk({**whole, "image": pixels.rows_at_once(values)})


def _names(variable: xr.DataArray) -> np.ndarray:
    """Return the ids of the neurons as text, shape (neuron,): those of the recording, else numbers from 0."""
    given = variable.coords["neuron"].values.tolist() if "neuron" in variable.coords else range(variable.shape[-1])
    return np.array([str(name) for name in given], object)


def _chosen(names: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the indices of the neurons to keep, in the order asked for, shape (neuron,)."""
    if settings.neurons is None:
        return np.arange(len(names))
    places = {name: index for index, name in enumerate(names)}
    wanted = [str(name) for name in settings.neurons]
    unknown = [name for name in wanted if name not in places]
    if unknown:
        raise DataError(
            "neurons",
            expected=f"ids among {', '.join(names[:12])}" + (", ..." if len(names) > 12 else ""),
            found=", ".join(unknown),
            remedy="Correct `neurons`.",
        )
    return np.array([places[name] for name in wanted])


def _check_axes(variable: xr.DataArray, axis: str, path: str) -> None:
    if variable.dims != (axis,):
        raise DataError(path, expected=f"the axis {axis} alone", found=str(variable.dims), remedy="Correct the path.")


def _check_length(variable: xr.DataArray, axis: str, count: int, path: str, why: str) -> None:
    if variable.sizes[axis] != count:
        raise DataError(
            f"{path}, axis {axis}",
            expected=f"{count}, {why}",
            found=str(variable.sizes[axis]),
            remedy="Give images and responses of the same recording to the reader.",
        )
