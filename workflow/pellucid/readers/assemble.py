"""From raw variables and a layout to the groups of a recording.

A reader offers its files as a mapping from names to arrays, read when asked for. Arrays that are memory mapped or know
only how to be sliced become dask arrays, cut like the shards of the store they will be written to.
"""

import difflib
import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pellucid.errors import DataError
from pellucid.readers.layout import Array, Coordinate, Group, Variable

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def assemble(sources: Mapping[str, Array], groups: Mapping[str, Group], label: str) -> "xr.DataTree":
    """Return the tree that a layout makes of raw variables, arrays transposed to the order of the contract.

    sources  name -> array: numpy in memory, or memory mapped, or anything with shape, dtype and slicing
    groups   the layout
    label    the file or folder, for messages
    Raises DataError: a variable is missing, axes do not fit, lengths differ, or a time is NaN or steps back.
    """
    import xarray as xr

    return xr.DataTree.from_dict(
        {f"/{name}": _dataset(sources, group, f"{label}, {name}") for name, group in groups.items()}
    )


def load(sources: Mapping[str, Array], name: str, label: str) -> "np.ndarray":
    """Return a raw variable in memory, in its shape. Raises DataError, naming the nearest, if there is none."""
    import numpy as np

    array = _lookup(sources, name, label)
    return np.asarray(array[(slice(None),) * len(array.shape)])


def counts(array: Array, label: str) -> "np.ndarray":
    """Return whole numbers from 0 to 255 as uint8, in their shape. Raises DataError for any other."""
    import numpy as np

    values = np.asarray(array)
    inside = np.greater_equal(values, 0) & np.less_equal(values, 255)
    if not inside.all() or (values != np.floor(values)).any():
        worst = values[~inside | (values != np.floor(values))][0]
        raise DataError(label, expected="counts from 0 to 255", found=str(worst), remedy="Correct the file.")
    return values.astype("uint8")


def _dataset(sources: Mapping[str, Array], group: Group, label: str) -> "xr.Dataset":
    import xarray as xr

    arrays = {name: _variable(sources, name, settings, f"{label}/{name}") for name, settings in group.variables.items()}
    if group.time is not None:
        arrays["time"] = _variable(sources, "time", Variable(source=group.time, dims=["time"]), f"{label}/time")
    for name, coordinate in group.coordinates.items():
        arrays[name] = _coordinate(sources, name, coordinate, f"{label}/{name}")
    _check_lengths(arrays, label)
    if "time" in arrays and arrays["time"].dims == ("time",):  # times of spikes are no clock
        seconds = arrays["time"].values.astype("float64") * (1.0 if group.time is None else group.time_scale)
        _check_time(seconds, f"{label}/time")
        arrays["time"] = xr.Variable(("time",), seconds, {"units": "s"})
    clock = {} if group.rate_hz is None else {"rate_hz": group.rate_hz, "start_s": group.start_s}
    dataset = xr.Dataset(arrays, attrs={**group.attributes, **clock})
    return dataset.set_coords([name for name in group.coordinates if name not in dataset.dims])


def _variable(sources: Mapping[str, Array], name: str, settings: Variable, label: str) -> "xr.Variable":
    """Look an array up, fit it to its axes and put these in the order of the contract."""
    import xarray as xr

    wanted = name if settings.source is None else settings.source
    if isinstance(wanted, str) and "*" in wanted:
        wanted = fnmatch.filter(sources, wanted.replace("[", "[[]")) or wanted
    order = _ordered(settings.dims, label)
    if isinstance(wanted, str):
        array = _fit(_lookup(sources, wanted, label), settings.dims, order, label)
    else:
        array = _stack([_lookup(sources, each, label) for each in wanted], settings.dims, label)
    if settings.divisor is not None:
        array = _divide(array, settings.divisor, label)
    attributes: dict[str, str | float] = {"units": settings.units} if array.dtype.kind in "iufc" else {}
    if settings.scale is not None:
        attributes["scale"] = settings.scale
    return xr.Variable(settings.dims, array, attributes).transpose(*order)


def _coordinate(sources: Mapping[str, Array], name: str, settings: Coordinate, label: str) -> "xr.Variable":
    import numpy as np
    import xarray as xr

    dims = settings.dims or [name]
    if settings.values is not None:
        sources = {name: np.array(settings.values)}
    variable = _variable(sources, name, Variable(source=settings.source, dims=dims), label)
    units = settings.units or {"time": "s", "frequency": "Hz"}.get(name)
    kept = {} if units is None or variable.dtype.kind not in "iuf" else {"units": units}
    if name not in dims and variable.dtype.kind in "iuf":
        kept.setdefault("units", "1")
    return xr.Variable(variable.dims, variable.values, kept)


def _lookup(sources: Mapping[str, Array], name: str, label: str) -> Array:
    try:
        return sources[name]
    except KeyError:
        known = list(sources)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        listing = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        raise DataError(
            label,
            expected=f"a variable {name!r} in the raw files",
            found=f"only {listing or 'nothing'}",
            remedy=f"Did you mean {near[0]!r}?" if near else "Correct `source`.",
        ) from None


def _ordered(dims: Sequence[str], label: str) -> list[str]:
    from pellucid.schema import DIMENSIONS

    unknown = [dim for dim in dims if dim not in DIMENSIONS]
    if unknown or len(set(dims)) != len(dims):
        near = difflib.get_close_matches(unknown[0], DIMENSIONS, n=1) if unknown else []
        raise DataError(
            label,
            expected=f"different axes among {', '.join(DIMENSIONS)}",
            found=f"dims {list(dims)}",
            remedy=f"Did you mean {near[0]!r}?" if near else "Correct `dims`.",
        )
    return sorted(dims, key=DIMENSIONS.index)


def _fit(array: Array, dims: Sequence[str], order: Sequence[str], label: str) -> Array:
    """Drop the axes of length 1 that `dims` does not name; an array outside memory becomes a dask array."""
    import numpy as np

    keep = _kept_axes(array.shape, dims, label)
    index = tuple(slice(None) if axis in keep else 0 for axis in range(len(array.shape)))
    if isinstance(array, np.ndarray) and (not isinstance(array, np.memmap) or array.dtype.kind in "US"):
        return _plain(array[index], label)
    return _lazy(array, keep, dims, order)[index]


def _kept_axes(shape: Sequence[int], dims: Sequence[str], label: str) -> tuple[int, ...]:
    """Return the axes of the file that `dims` names, if there is only one way to choose them."""
    single = [axis for axis, length in enumerate(shape) if length == 1]
    extra = len(shape) - len(dims)
    choices: dict[tuple[int, ...], tuple[int, ...]] = {}
    for dropped in itertools.combinations(single, max(extra, 0)):
        kept = tuple(axis for axis in range(len(shape)) if axis not in dropped)
        choices.setdefault(tuple(shape[axis] for axis in kept), kept)
    if extra < 0 or len(choices) != 1:
        raise DataError(
            label,
            expected=f"an array with the axes {list(dims)}",
            found=f"shape {tuple(shape)}" + (", which fits in several ways" if len(choices) > 1 else ""),
            remedy="Name in `dims` every axis of the file that is longer than 1, in its order.",
        )
    return next(iter(choices.values()))


def _lazy(array: Array, keep: Sequence[int], dims: Sequence[str], order: Sequence[str]) -> Array:
    """Return a dask array cut like the shards it will be written to."""
    import dask.array
    import xarray as xr

    from pellucid import store

    dtype = array.dtype.newbyteorder("=")
    sizes = {dim: array.shape[axis] for dim, axis in zip(dims, keep, strict=True)}
    template = xr.Variable(order, store.placeholder(tuple(sizes[dim] for dim in order), dtype=dtype.str))
    shards = dict(zip(order, store.layout(template)[1], strict=True))
    chunks = [1] * len(array.shape)
    for dim, axis in zip(dims, keep, strict=True):
        chunks[axis] = max(1, shards[dim])
    cut: Any = dask.array.from_array
    return cut(_Sliced(array), chunks=tuple(chunks), name=False).astype(dtype)


class _Sliced:
    """An array of which dask sees slices only: given a memory map, it would copy the whole file."""

    def __init__(self, array: Array) -> None:
        self._array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, len(array.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Array:
        import numpy as np

        if not isinstance(self._array, np.memmap):
            return self._array[index]
        whole, order = self._array, "C" if self._array.flags.c_contiguous else "F"
        mapped = np.memmap(str(whole.filename), whole.dtype, "r", whole.offset, whole.shape, order)  # type: ignore[call-overload]
        return np.array(mapped[index])  # the map is closed here, so that pages read do not add up


def _stack(arrays: Sequence[Array], dims: Sequence[str], label: str) -> Array:
    """Stack arrays of equal shape along the last axis of `dims`."""
    import dask.array
    import numpy as np

    order = _ordered(dims[:-1], label)
    parts = [_fit(array, dims[:-1], order, label) for array in arrays]
    shapes = {part.shape for part in parts}
    if len(shapes) != 1:
        raise DataError(
            label, expected="sources of one shape", found=str(sorted(shapes)), remedy="Name sources of equal length."
        )
    stack: Any = dask.array.stack
    in_memory = all(isinstance(part, np.ndarray) for part in parts)
    return np.stack(parts, axis=-1) if in_memory else stack(parts, axis=-1).rechunk({-1: -1})


def _plain(array: Array, label: str) -> Array:
    """Return numbers in the machine's byte order, and strings as objects."""
    import numpy as np

    array = np.asarray(array)
    if array.dtype.kind in "biufc":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "US":
        return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).astype(object)
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        return array
    raise DataError(
        label, expected="numbers, booleans or strings", found=f"type {array.dtype}", remedy="Name a plain array."
    )


def _divide(array: Array, divisor: float, label: str) -> Array:
    if array.dtype.kind not in "iuf":
        raise DataError(label, expected="numbers to divide", found=f"type {array.dtype}", remedy="Leave `divisor` out.")
    return array.astype("float64") / divisor


def _check_lengths(arrays: Mapping[str, "xr.Variable"], label: str) -> None:
    first: dict[str, tuple[int, str]] = {}
    for name, variable in arrays.items():
        for dim, length in zip(map(str, variable.dims), variable.shape):
            known, owner = first.setdefault(dim, (length, name))
            if length != known:
                raise DataError(
                    f"{label}/{name}, axis {dim}",
                    expected=f"length {known}, as in {owner}",
                    found=f"{length}",
                    remedy="Correct `dims`, or put arrays of different clocks into different groups.",
                )
    if first.get("time", (1, ""))[0] == 0:
        raise DataError(f"{label}, axis time", expected="samples", found="none", remedy="Leave this file out.")


def _check_time(time: Array, label: str) -> None:
    import numpy as np

    wrong = ~np.isfinite(time)
    wrong[1:] |= ~(np.diff(time) > 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(
            f"{label}, sample {index}",
            expected="a finite time after the one before",
            found=f"{time[index]} s after {time[index - 1]} s" if index else f"{time[index]} s",
            remedy="Drop samples without a time, and split the recording where its clock restarts.",
        )
