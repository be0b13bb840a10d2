"""HDF5 files whose datasets are read by slices, and nothing from outside the file."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pellucid.errors import DataError, PellucidError
from pellucid.readers.layout import Array

if TYPE_CHECKING:
    import numpy as np

DEFLATION = 1100
"""Numbers of a dataset may take this many times the bytes stored for it; deflate, the densest filter, reaches 1032."""

SMALL = 1 << 20
"""Datasets up to this size are read whatever is stored for them."""

Node: TypeAlias = Any
"""A file, group or dataset of h5py."""

_LOCK = threading.Lock()
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError, OverflowError)


def wrong(where: str, expected: str, found: str, remedy: str = "Correct the file or the options.") -> DataError:
    """Return the error that says what a file should hold and does not."""
    return DataError(where, expected=expected, found=found, remedy=remedy)


@contextmanager
def opened(path: Path) -> Iterator[Node]:
    """Open a file for one reader at a time; all that h5py raises over damaged files becomes a DataError."""
    import h5py

    with _LOCK:
        try:
            with h5py.File(path, "r") as file:
                yield file
        except PellucidError:
            raise
        except _DAMAGE as error:
            said = f"a damaged or truncated one ({error})"
            raise wrong(str(path), "a whole HDF5 file", said, "Copy or fetch the file again.") from error


class Datasets(Mapping[str, Array]):
    """The numeric datasets of a file by their names, `group/dataset`, each read when it is indexed."""

    def __init__(self, path: Path) -> None:
        """path: of the file. Raises DataError for a damaged file, and for links and storage outside it."""
        self._path = path
        self._stored: dict[str, Array] = {}
        with opened(path) as file:
            self._collect(file, "")

    def __getitem__(self, name: str) -> Array:
        return self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def _collect(self, group: Node, prefix: str) -> None:
        """Note the datasets below a group; a link that is no hard one could lead anywhere, also back."""
        import h5py

        for name in group:
            label = f"{self._path}, {prefix}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise wrong(
                    label, "an array or group of this file", "a link", "Save the arrays themselves in one file."
                )
            node = group[name]
            if isinstance(node, h5py.Group):
                if prefix.count("/") > 8:
                    raise wrong(label, "at most 8 groups inside each other", "more")
                self._collect(node, f"{prefix}{name}/")
            elif isinstance(node, h5py.Dataset) and node.dtype.kind in "biuf" and node.shape is not None:
                check_stored(node, label)
                self._stored[f"{prefix}{name}"] = Stored(self._path, node)


class Stored:
    """A dataset of a file that is open only while a slice is read."""

    def __init__(self, path: Path, node: Node) -> None:
        self._path, self._name = path, node.name
        self.shape, self.dtype, self.ndim = tuple(map(int, node.shape)), node.dtype, node.ndim

    def __getitem__(self, index: Any) -> "np.ndarray":  # noqa: ANN401 - what h5py takes
        with opened(self._path) as file:
            values: np.ndarray = file[self._name][index]
        return values


def check_shape(array: Array, shape: tuple[int | None, ...], label: str) -> None:
    """Raise DataError for another shape; None stands for any length."""
    fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits or 0 in array.shape:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise wrong(label, f"shape ({wanted})", f"{tuple(array.shape)}")


def loaded(array: Array) -> "np.ndarray":
    """Return an array in memory as float32, in its shape; what is too large becomes infinite."""
    import numpy as np

    with np.errstate(over="ignore"):
        return np.asarray(array[(slice(None),) * len(array.shape)]).astype(np.float32)


def check_numbers(values: "np.ndarray", label: str, *, negative: bool) -> None:
    """Raise DataError for NaN and infinity, and for numbers below 0 unless they may be negative."""
    import numpy as np

    off = ~np.isfinite(values) if negative else ~(np.isfinite(values) & (values >= 0))
    if off.any():
        at = tuple(map(int, np.argwhere(off)[0]))
        wanted = "a number" if negative else "a number of at least 0"
        raise wrong(f"{label}, at {at}", wanted, f"{values[at]}", "Leave the cell out of `cells`.")


class Joined:
    """Arrays of equal width, one after the other along their first axis, read by slices and looked through for NaN."""

    def __init__(self, parts: Sequence[Array], dtype: "np.dtype[Any]", label: str) -> None:
        """parts: the arrays; dtype: of all of them; label: what messages call them."""
        self._parts, self.dtype, self._label = list(parts), dtype, label
        self.shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        self.ndim = len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> "np.ndarray":
        import numpy as np

        start, stop, step = index[0].indices(self.shape[0])
        found, offset = [], 0
        for part in self._parts:
            first, last = (min(max(row - offset, 0), part.shape[0]) for row in (start, stop))
            if first < last:
                found.append(part[(slice(first, last), *index[1:])].astype(self.dtype, copy=False))
            offset += part.shape[0]
        values = np.concatenate(found)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = start + int(np.argwhere(~np.isfinite(values))[0, 0])
            raise wrong(f"{self._label}, row {row}", "numbers", "NaN or infinity")
        return values[::step]


def check_stored(node: Node, label: str) -> None:
    """Raise DataError for a dataset whose numbers are in other files, or were never written."""
    if node.is_virtual or node.external:
        raise wrong(label, "numbers stored in this file", "a name of another file", "Save the arrays in one file.")
    stored = int(node.id.get_storage_size())
    if node.nbytes > max(DEFLATION * stored, SMALL):
        raise wrong(label, f"about {node.nbytes} bytes of numbers", f"{stored} bytes", "Copy or fetch the file again.")
