"""MATLAB files of v7.3: HDF5 behind a block of 512 bytes, arrays stored with their axes reversed."""

import itertools
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pellucid.errors import DataError, PellucidError
from pellucid.readers.layout import Array

if TYPE_CHECKING:
    import numpy as np

SPARSE_BYTES = 1 << 28
"""Sparse matrices up to this size are made dense."""

LISTED = 64
"""How many elements of a cell are listed where names are listed."""

USER_BLOCK = 512
Value: TypeAlias = Any
"""What MATLAB's types become: an array, number or string, a mapping (struct) or a list (cell)."""

Node: TypeAlias = Any
"""A file, group or dataset of h5py."""

_HEADER = b"MATLAB 7.3 MAT-file, written by pellucid"
_LOCK = threading.Lock()


class Absent(KeyError):
    """No array has this name; other KeyErrors come from damaged files."""


def damaged(path: Path, error: Exception | str) -> DataError:
    """Return the error that says a file cannot be read."""
    return DataError(
        str(path),
        expected="a whole MATLAB file",
        found=f"a damaged or truncated one ({error})",
        remedy="Copy the file again, or save it again in MATLAB.",
    )


def steps(name: str) -> list[str | int]:
    """Return ["a", "b", 0] for `a.b[0]`. Raises KeyError for a name that cannot be."""
    if not re.fullmatch(r"\w+(\.\w+|\[\d+\])*", name):
        raise Absent(name)
    return [int(index) if index else field for index, field in re.findall(r"\[(\d+)\]|(\w+)", name)]


def check_dense(path: Path, name: str, shape: Sequence[int], itemsize: int) -> None:
    """Raise DataError if a sparse matrix is too large to be made dense."""
    size = int(shape[0]) * int(shape[1]) * itemsize
    if size > SPARSE_BYTES:
        raise DataError(
            f"{path}, {name}",
            expected=f"a sparse matrix of at most {SPARSE_BYTES} bytes when dense",
            found=f"{size} bytes",
            remedy="Save it as a full array, or as indices and values.",
        )


class _Stored:
    """A numeric array of a v7.3 file as MATLAB shows it (axes reversed), read by slices."""

    def __init__(self, path: Path, node: Node, dtype: "np.dtype[Any]") -> None:
        self._path, self._name = path, node.name
        self.shape, self.dtype, self.ndim = tuple(node.shape[::-1]), dtype, node.ndim

    def __getitem__(self, index: tuple[int | slice, ...]) -> "np.ndarray":
        with _opened(self._path) as file:
            values: np.ndarray = file[self._name][tuple(reversed(index))]
        return values.T.astype(self.dtype, copy=False)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file for one reader at a time; all that h5py raises over damaged files becomes a DataError."""
    import h5py

    with _LOCK:
        try:
            with h5py.File(path, "r") as file:
                yield file
        except (PellucidError, Absent):
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise damaged(path, error) from error


class Version73(Mapping[str, Array]):
    """The variables of a v7.3 file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _opened(path) as file:
            self._roots = [name for name in file if not name.startswith("#")]

    def __getitem__(self, name: str) -> Array:
        root, *inner = steps(name)
        if root not in self._roots:
            raise Absent(name)
        with _opened(self._path) as file:
            node = _walk(file, file[root], inner)
            return self._array(name, node)

    def __iter__(self) -> Iterator[str]:
        with _opened(self._path) as file:
            return iter([path for root in self._roots for path in _paths(file, root, file[root])])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _array(self, name: str, node: Node) -> Array:
        import numpy as np

        kind = _kind(node)
        if "MATLAB_sparse" in node.attrs:
            return self._dense(name, node)
        if not hasattr(node, "shape") or kind == "cell" or node.dtype.kind == "O":
            raise Absent(name)
        if node.attrs.get("MATLAB_empty", 0):
            return np.zeros(tuple(map(int, node[()])), dtype="U1" if kind == "char" else "float64")
        if kind == "char":
            rows = np.atleast_2d(node[()].T)
            return np.array(["".join(map(chr, row)).rstrip() for row in rows])
        if node.dtype.names == ("real", "imag"):
            return (node["real"] + 1j * node["imag"]).T
        return _Stored(self._path, node, np.dtype(bool) if kind == "logical" else node.dtype)

    def _dense(self, name: str, node: Node) -> Array:
        import numpy as np
        import scipy.sparse

        columns = node["jc"][()].astype("int64")
        shape = (int(node.attrs["MATLAB_sparse"]), len(columns) - 1)
        data, rows = (node[key][()] if key in node else np.zeros(0) for key in ("data", "ir"))
        check_dense(self._path, name, shape, max(data.dtype.itemsize, 1))
        return scipy.sparse.csc_array((data, rows.astype("int64"), columns), shape=shape).toarray()


def _kind(node: Node) -> str:
    kind = node.attrs.get("MATLAB_class", b"")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _walk(file: Node, node: Node, inner: Sequence[str | int]) -> Node:
    """Follow fields and indices; an array of structs keeps, for each field, references to its elements."""
    element: int | None = None
    for step in inner:
        if isinstance(step, str):
            node = _field(node, step)
            if element is not None:
                node, element = _element(file, node, element, of_structs=True), None
        elif hasattr(node, "shape"):
            node = _element(file, node, step, of_structs=False)
        else:
            element = step
    if element is not None:
        raise Absent(element)
    return node


def _field(node: Node, name: str) -> Node:
    if hasattr(node, "shape") or name not in node:
        raise Absent(name)
    return node[name]


def _element(file: Node, node: Node, index: int, *, of_structs: bool) -> Node:
    """Return what the reference at a place points to; a cell says that it is one, a field of structs does not."""
    is_cell = _kind(node) == "cell"
    if not hasattr(node, "shape") or node.dtype.kind != "O" or is_cell == of_structs or index >= node.size:
        raise Absent(index)
    return file[node[()].ravel()[index]]


def _paths(file: Node, name: str, node: Node) -> Iterator[str]:
    """Yield the names of the arrays inside a struct or cell."""
    if "MATLAB_sparse" in node.attrs or (hasattr(node, "shape") and node.dtype.kind != "O"):
        yield name
    elif hasattr(node, "shape"):
        for index, reference in enumerate(node[()].ravel()[:LISTED]):
            yield from _paths(file, f"{name}[{index}]", file[reference])
    else:
        for field, child in node.items():
            if hasattr(child, "shape") and child.dtype.kind == "O" and _kind(child) != "cell":
                yield from (f"{name}[{index}].{field}" for index in range(min(child.size, LISTED)))
            else:
                yield from _paths(file, f"{name}.{field}", child)


def write(path: Path, variables: Mapping[str, Value], compress: bool) -> None:
    """Write an HDF5 file behind the block by which MATLAB knows its own."""
    import h5py

    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        writer = _Writer(file, {"compression": "gzip", "shuffle": True} if compress else {})
        for name, value in variables.items():
            writer.put(file, name, value)
    with path.open("r+b") as raw:
        raw.write(_HEADER.ljust(116) + bytes(8) + (0x0200).to_bytes(2, "little") + b"IM")


class _Writer:
    """Puts values into an HDF5 file as MATLAB would; elements of cells go to the group #refs#, numbered."""

    def __init__(self, file: Node, options: Mapping[str, Any]) -> None:
        """file: an open h5py.File; options: how arrays are compressed."""
        self._file, self._options, self._count = file, options, itertools.count()

    def put(self, parent: Node, name: str, value: Value) -> Node:
        """Write one value below a group and return what was made."""
        if isinstance(value, Mapping):
            node, kind = parent.create_group(name), "struct"
            for field, item in value.items():
                self.put(node, field, item)
        elif isinstance(value, list):
            node, kind = self._cells(parent, name, value), "cell"
        else:
            array, kind = _matlab_array(value)
            node = parent.create_dataset(name, data=array.T, **self._options)
            if kind in ("logical", "char"):
                node.attrs["MATLAB_int_decode"] = array.dtype.type(array.dtype.itemsize).astype("int32")
        node.attrs["MATLAB_class"] = kind.encode()
        return node

    def _cells(self, parent: Node, name: str, items: list[Value]) -> Node:
        import h5py

        kept = self._file.require_group("#refs#")
        node = parent.create_dataset(name, (1, len(items)), dtype=h5py.ref_dtype)
        for index, item in enumerate(items):
            node[0, index] = self.put(kept, f"r{next(self._count)}", item).ref
        return node


def _matlab_array(value: Value) -> "tuple[np.ndarray, str]":
    """Return an array of at least two axes and the name of its class in MATLAB."""
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind == "U":
        rows = np.atleast_1d(array).ravel()
        width = max(map(len, rows.tolist()), default=0)
        return np.array([[ord(letter) for letter in row.ljust(width)] for row in rows.tolist()], dtype="uint16"), "char"
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    if array.dtype.kind == "b":
        return array.astype("uint8"), "logical"
    return array, {"float64": "double", "float32": "single"}.get(array.dtype.name, array.dtype.name)
