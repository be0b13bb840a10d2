"""The array contract: which groups, dimensions, coordinates and attributes every store has.

A store is an xarray DataTree with one group per clock. A group whose samples are regular and many may carry the
attributes `rate_hz` and `start_s` in place of a `time` coordinate; every other group with a `time` axis has one.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from pellucid.errors import MissingError, SchemaError

DIMENSIONS = (
    *("model", "fold", "seed", "subject", "repeat", "trial", "event", "spike", "image", "window", "time", "lag"),
    *("frequency", "channel", "roi", "neuron", "kernel", "feature", "output", "height", "width"),
)
"""Every dimension, in the order it has whenever several occur in one array."""

CLOCKS = ("ephys", "imaging", "stimulus", "responses", "behaviour", "events", "spikes", "trials", "features")
"""The groups of a recording, one per clock."""

RECORDING_ATTRIBUTES = ("recording", "dataset", "subject", "session", "licence", "citation", "provenance")
"""What the root of a recording says about where it comes from."""


def check(tree: xr.DataTree, where: str, *, kind: str = "store") -> xr.DataTree:
    """Return the tree unchanged if it keeps the array contract.

    tree   one group per clock
    where  the path or name put into the message
    kind   "recording" also asks for the groups of CLOCKS and for RECORDING_ATTRIBUTES
    Raises SchemaError, naming variable and axis.
    """
    if "time" in tree.dataset.dims:
        raise SchemaError(
            f"{where}, root group", expected="no `time` axis", found="`time`", remedy="Use one group per clock."
        )
    if kind == "recording":
        _check_recording(tree, where)
    for group in tree.subtree:
        _check_time(group, f"{where}, {group.path}")
        for name, variable in group.dataset.variables.items():
            _check_variable(str(name), variable, f"{where}, {group.path.rstrip('/')}/{name}")
    return tree


def ordered(tree: xr.DataTree) -> xr.DataTree:
    """Return a tree with groups and variables in the order of their names, not in that of the disk's listing."""
    nodes = sorted(tree.subtree_with_keys)
    own = {f"/{path.strip('./')}": node.to_dataset(inherit=False) for path, node in nodes}
    return xr.DataTree.from_dict({path: found[sorted(found.variables, key=str)] for path, found in own.items()})


def group(tree: xr.DataTree, path: str, where: str = "store") -> xr.Dataset:
    """Return one group as a lazily read dataset. Raises MissingError, naming the groups there are."""
    found = tree
    for name in path.strip("/").split("/"):
        if name not in found.children:
            raise MissingError(
                f"{where}, /{path.strip('/')}",
                expected=f"one of {', '.join(child.path for child in tree.subtree if child is not tree)}",
                found="no such group",
                remedy="Correct the path, or the reader's options.",
            )
        found = found.children[name]
    return found.to_dataset()


def variable(recording: xr.DataTree, path: str) -> tuple[xr.Dataset, xr.DataArray]:
    """Return a variable or coordinate named /group/variable, not yet read, and its group.

    Raises MissingError, naming what there is.
    """
    where, _, name = path.rpartition("/")
    for found in recording.subtree:
        if found.path == where and name in found.dataset.variables:
            return found.to_dataset(), found.dataset[name]
    known = [
        f"{found.path.rstrip('/')}/{name}"
        for found in recording.subtree
        for name in sorted(map(str, found.dataset.variables))
    ]
    raise MissingError(
        f"recording {recording.attrs.get('recording', '')}, {path}",
        expected=f"one of {', '.join(known)}",
        found=f"no {path}",
        remedy="Correct the path in `preprocess`, or the reader's options.",
    )


def sample_times(group: xr.Dataset, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return the times of samples [start, stop) of a group, shape (time,), in seconds on the recording's clock."""
    stop = group.sizes["time"] if stop is None else stop
    if "time" in group.coords:
        return np.asarray(group.coords["time"].values[start:stop])
    return float(group.attrs["start_s"]) + np.arange(start, stop) / float(group.attrs["rate_hz"])


def data_variables(tree: xr.DataTree) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield (path, array) of every data variable of every group, in a fixed order."""
    for group in tree.subtree:
        for name in sorted(map(str, group.data_vars)):
            yield f"{group.path.rstrip('/')}/{name}", group.dataset[name]


def _check_recording(tree: xr.DataTree, where: str) -> None:
    missing = [name for name in RECORDING_ATTRIBUTES if name not in tree.attrs]
    if missing:
        raise SchemaError(
            f"{where}, root attributes",
            expected=", ".join(RECORDING_ATTRIBUTES),
            found=f"no {', '.join(missing)}",
            remedy="Set them in the reader or in the recording's block of the configuration.",
        )
    unknown = sorted(set(tree.children) - set(CLOCKS))
    if unknown:
        raise SchemaError(
            where,
            expected=f"groups among {', '.join(CLOCKS)}",
            found=", ".join(unknown),
            remedy="Rename the group after the clock its samples follow.",
        )


def _check_time(group: xr.DataTree, where: str) -> None:
    if "time" not in group.dataset.dims:
        return
    if "time" not in group.coords:
        if not {"rate_hz", "start_s"} <= set(group.attrs):
            raise SchemaError(
                f"{where}, axis time",
                expected="a `time` coordinate in seconds, or the attributes rate_hz and start_s",
                found="neither",
                remedy="Add the coordinate, or both attributes if the clock is regular.",
            )
        if not float(group.attrs["rate_hz"]) > 0:
            raise SchemaError(
                f"{where}, rate_hz", expected="a positive rate", found=str(group.attrs["rate_hz"]), remedy="Correct it."
            )
        return
    time = np.asarray(group.coords["time"].values)
    if not np.issubdtype(time.dtype, np.floating) or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        first = int(np.argmax(~(np.diff(time, prepend=-np.inf) > 0))) if time.dtype.kind == "f" else 0
        raise SchemaError(
            f"{where}, coordinate time",
            expected="finite, strictly increasing seconds",
            found=f"{time.dtype} with a step back, repeat or gap at index {first}",
            remedy="Sort the samples, or split the recording where its clock restarts.",
        )


def _check_variable(name: str, variable: xr.Variable, where: str) -> None:
    dims = tuple(map(str, variable.dims))
    unknown = [dim for dim in dims if dim not in DIMENSIONS]
    if unknown:
        raise SchemaError(
            f"{where}, axis {unknown[0]}",
            expected=f"dimensions among {', '.join(DIMENSIONS)}",
            found=str(dims),
            remedy="Rename the axis.",
        )
    order = tuple(sorted(dims, key=DIMENSIONS.index))
    if dims != order:
        raise SchemaError(where, expected=f"axes in the order {order}", found=str(dims), remedy="Transpose the array.")
    if variable.dtype.kind == "U":
        raise SchemaError(
            where,
            expected="strings as object or StringDType",
            found=f"fixed-width strings {variable.dtype}",
            remedy="Use .astype(object).",
        )
    if name not in DIMENSIONS and variable.dtype.kind in "iuf" and "units" not in variable.attrs:
        raise SchemaError(
            where,
            expected="an attribute `units` ('1' where there is none)",
            found="no units",
            remedy="Set attrs['units'].",
        )
