"""What an NWB 2 file holds, as pynwb understands it; arrays are named, not read, and nothing leads out of the file.

Types that a file brings along (extensions, its cached specification) are not loaded, so nothing of it is executed.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import PellucidError
from pellucid.readers.hdf5 import Node, Stored, check_stored, opened, wrong

if TYPE_CHECKING:
    import numpy as np

DEPTH = 16
"""Groups inside each other that a file may have."""

NODES = 100_000
"""Groups and arrays that a file may have."""


FAILURES = (LookupError, ValueError, TypeError, AttributeError, RuntimeError, AssertionError, ArithmeticError)
"""What pynwb raises over files that are damaged, or hold types it does not know, beside errors of its own."""


@contextmanager
def session(path: Path) -> Iterator[Node]:
    """Give the pynwb object of a file while it is open. Raises DataError for damage, and for links out of the file."""
    from hdmf.build.errors import BuildError, ConstructError, ContainerConfigurationError
    from pynwb import NWBHDF5IO

    failures = (BuildError, ConstructError, ContainerConfigurationError, *FAILURES)
    with opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb warns of what it would have written otherwise
        check_inside(file, str(path))
        if not str(_said(file, "nwb_version")).startswith("2."):
            found = str(_said(file, "nwb_version"))[:40] or "no version"
            raise wrong(str(path), "NWB 2", found, "Open Ephys files of the first version have `open_ephys_nwb1`.")
        try:
            yield NWBHDF5IO(file=file, mode="r", load_namespaces=False).read()
        except PellucidError:
            raise
        except failures as error:
            found = f"{type(error).__name__} ({str(error)[:200]})"
            remedy = "Copy the file again; types of extensions are not read, save the arrays as types of the core."
            raise wrong(str(path), "a session that pynwb reads with the types of the core", found, remedy) from error


def check_inside(file: Node, label: str) -> None:
    """Raise DataError for links and arrays outside a file, arrays never written, and groups too many or too deep."""
    import h5py

    waiting: list[tuple[Node, str, int]] = [(file, "", 0)]
    seen = 0
    while waiting:
        group, prefix, depth = waiting.pop()
        for name in group:
            seen += 1
            where = f"{label}, {prefix}{name}"
            if depth > DEPTH or seen > NODES:
                raise wrong(where, f"at most {NODES} groups and arrays, {DEPTH} groups inside each other", "more")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                continue  # it names a place in this file, which is checked where it lies
            if not isinstance(link, h5py.HardLink):
                raise wrong(where, "an object of this file", "a link out of it", "Save the arrays in one file.")
            node = group[name]
            if isinstance(node, h5py.Group):
                waiting.append((node, f"{prefix}{name}/", depth + 1))
            elif isinstance(node, h5py.Dataset):
                check_stored(node, where)


def stored(path: Path, data: Node, label: str) -> Stored:
    """Return an array of numbers, to be read by slices when the file is open no longer."""
    import h5py

    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "iuf" or data.shape is None:
        raise wrong(label, "an array of numbers", type(data).__name__)
    return Stored(path, data)


def texts(column: Node, rows: "Sequence[int] | slice", label: str) -> list[str]:
    """Return rows of a column of a table as text. Raises DataError for rows that are not there."""
    values = [_text(value) for value in column.data[:]]
    chosen = range(len(values))[rows] if isinstance(rows, slice) else rows
    if any(not 0 <= row < len(values) for row in chosen):
        raise wrong(label, f"rows from 0 to {len(values) - 1}", f"rows up to {max(chosen)}")
    return [values[row] for row in chosen]


def ragged(table: Node, label: str) -> "list[np.ndarray]":
    """Return the spike times of each unit, (any,) s. Raises DataError for ends that step back or do not fit."""
    import numpy as np

    index = table["spike_times"]
    ends = np.asarray(index.data[:]).astype(np.int64)
    values = np.asarray(index.target.data[:], np.float64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    if len(ends) != len(table.id) or (len(ends) and (ends[-1] != len(values) or (ends < starts).any())):
        found = f"{len(ends)} ends up to {ends.max(initial=0)} of {len(values)} spikes"
        raise wrong(f"{label}, spike_times_index", f"ends of the spikes of {len(table.id)} units", found)
    return [values[start:stop] for start, stop in zip(starts, ends, strict=True)]


def _said(file: Node, name: str) -> object:
    value = file.attrs.get(name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _text(value: Any) -> str:  # noqa: ANN401 - what a column holds
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    named = getattr(value, "name", None)  # the group of a channel or unit is an object
    return str(value if named is None else named)
