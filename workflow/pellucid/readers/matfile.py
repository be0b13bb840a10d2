"""MATLAB files: v4 to v7 through scipy, v7.3 (HDF5) through h5py, with the arrays as MATLAB shows them.

A field of a struct is named `a.b`, an element of a cell or struct array `a[0]` (counted from 0 down the columns), and
combinations follow: `trials[2].spikes`. Numbers keep the class they have in MATLAB.
"""

import math
import mmap
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pellucid.readers import layout, matlab73
from pellucid.readers.matlab73 import LISTED, USER_BLOCK, Value, Version73, check_dense, damaged, steps

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_OUTSIDE = {_MATRIX, _COMPRESSED}
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_INSIDE = {*_WIDTHS, _MATRIX, 16, 17, 18}
_HEADER = "MATLAB 5.0 MAT-file, written by pellucid"


def contents(path: Path) -> Mapping[str, layout.Array]:
    """Return the variables of one file by name, read when asked for. Raises DataError for a damaged file."""
    return Version73(path) if _is_hdf5(path) else _Version5(path)


def write(
    path: Path, variables: Mapping[str, Value], *, version: Literal["5", "7.3"] = "5", compress: bool = False
) -> None:
    """Write variables to one file; equal variables give equal bytes.

    path       the file, ending in .mat
    variables  name -> array, number or string; a mapping becomes a struct, a list a cell array, a vector a column
    version    5 (at most 2 GB a variable) or 7.3
    """
    from pellucid import store

    with store.atomic_file(path) as partial:
        if version == "5":
            _write_5(partial, variables, compress)
        else:
            matlab73.write(partial, variables, compress)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(USER_BLOCK + len(_HDF5))
    return head.startswith(_HDF5) or head.startswith(b"MATLAB 7.3") or head.endswith(_HDF5)


class _Version5(Mapping[str, layout.Array]):
    """The variables of a file of v4 to v7, each loaded when asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _check_tags(path)
        self._loaded: dict[str, Any] = {}
        self._roots = {name: kind for name, _, kind in self._call("whosmat")}

    def __getitem__(self, name: str) -> layout.Array:
        root, *inner = steps(name)
        if root not in self._roots:
            raise KeyError(name)
        value = self._root(str(root))
        for step in inner:
            value = _inside(value, step)
        return self._array(name, value)

    def __iter__(self) -> Iterator[str]:
        for root, kind in self._roots.items():
            yield from _paths(root, self._root(root)) if kind in ("struct", "cell") else (root,)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _root(self, root: str) -> Value:
        import numpy as np

        if root not in self._loaded:
            options = {"variable_names": [root], "mat_dtype": True, "spmatrix": False}
            try:
                self._loaded = {root: self._call("loadmat", **options)[root]}
            except np.exceptions.ComplexWarning:  # scipy drops imaginary parts when it keeps classes
                self._loaded = {root: self._call("loadmat", **options | {"mat_dtype": False})[root]}
        return self._loaded[root]

    def _call(self, function: str, **options: Value) -> Value:
        import numpy as np
        import scipy.io
        from scipy.io.matlab import MatReadError

        wrong = (
            MatReadError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            OSError,
            EOFError,
            OverflowError,
            zlib.error,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                return getattr(scipy.io, function)(self._path, appendmat=False, **options)
            except (*wrong, MemoryError, NameError, NotImplementedError) as error:
                raise damaged(self._path, error) from error

    def _array(self, name: str, value: Value) -> layout.Array:
        import numpy as np
        import scipy.sparse

        if scipy.sparse.issparse(value):
            check_dense(self._path, name, value.shape, value.dtype.itemsize)
            return value.toarray()
        if not isinstance(value, np.ndarray) or value.dtype.names is not None or value.dtype.kind == "O":
            raise KeyError(name)  # a struct or cell, not an array: the message lists what is in it
        return np.char.rstrip(value) if value.dtype.kind == "U" else value


def _check_tags(path: Path) -> None:
    """Raise DataError unless the uncompressed arrays of a v5 file are made of the parts that their kind has.

    scipy believes the tags of such arrays, which carry no checksum, and crashes over some damaged ones.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if not head.startswith(b"MATLAB 5") or len(head) < _HEADER_BYTES:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                _check_parts(content, "<" if head.endswith(b"IM") else ">", _HEADER_BYTES, len(content), inside=False)
            except (ValueError, struct.error) as error:
                raise damaged(path, error) from error


def _check_parts(content: mmap.mmap, order: str, start: int, stop: int, *, inside: bool) -> list[tuple[int, int, int]]:
    """Return (kind, first byte, bytes) of each part between two places, checking matrices among them."""
    parts = []
    while start < stop:
        kind, size = struct.unpack_from(f"{order}II", content, start)
        small = kind >> 16  # up to four bytes of data in the tag itself
        kind, size, first = (kind & 0xFFFF, small, start + 4) if small else (kind, size, start + 8)
        end = first + (4 if small else size)
        if kind not in (_INSIDE if inside else _OUTSIDE) or small > 4 or end > stop:
            raise ValueError(f"no part of kind {kind} with {size} bytes can be at byte {start}")
        parts.append((kind, first, size))
        if kind == _MATRIX and size:
            inner = _check_parts(content, order, first, end, inside=True)
            if not _is_matrix(content, order, inner):
                raise ValueError(f"the array at byte {start} lacks a part")
        start = end if small or kind == _COMPRESSED else end + -size % 8
    return parts


def _is_matrix(content: mmap.mmap, order: str, parts: list[tuple[int, int, int]]) -> bool:
    """Return whether flags, size and name are followed by the data that such an array has."""
    kinds = [kind for kind, _, _ in parts]
    if len(parts) < 4 or kinds[0] != 6 or parts[0][2] != 8:
        return False
    flags = struct.unpack_from(f"{order}I", content, parts[0][1])[0]
    array, copies = flags & 0xFF, 2 if flags & 0x0800 else 1  # a complex array has two parts of data
    if array in (16, 17):  # functions and objects of MATLAB, which scipy does not enter
        return True
    if kinds[1] != 5 or parts[1][2] < 8 or parts[1][2] % 4 or kinds[2] not in (1, 16):
        return False
    shape = struct.unpack_from(f"{order}{parts[1][2] // 4}i", content, parts[1][1])
    count, data = math.prod(shape), parts[3:]
    if array in range(6, 16):
        return len(data) == copies and all(size == count * _WIDTHS.get(kind, -1) for kind, _, size in data)
    if array == 5:
        return kinds[3:5] == [5, 5] and len(data) == 2 + copies and data[1][2] == 4 * (shape[-1] + 1)
    if array == 4:
        return len(data) == 1 and kinds[3] != _MATRIX
    if array in (2, 3):
        data = data[array - 2 :]  # an object has the name of its class first
        if len(data) < 2 or data[0][0] != 5 or data[1][0] != 1:
            return False
        width = struct.unpack_from(f"{order}i", content, data[0][1])[0]
        count, data = count * (data[1][2] // max(width, 1)), data[2:]
    return array in (1, 2, 3) and len(data) == count and all(kind == _MATRIX for kind, _, _ in data)


def _inside(value: Value, step: str | int) -> Value:
    """Return a field of a struct or an element of a cell. Raises KeyError."""
    fields = getattr(getattr(value, "dtype", None), "names", None)
    if isinstance(step, int):
        if not hasattr(value, "ravel") or (fields is None and value.dtype.kind != "O") or step >= value.size:
            raise KeyError(step)
        return value.ravel(order="F")[step]
    if fields is None or step not in fields or value.size != 1:
        raise KeyError(step)
    field = value[step]
    return field.item() if value.ndim else field


def _paths(name: str, value: Value) -> Iterator[str]:
    """Yield the names of the arrays inside a struct or cell."""
    dtype: Any = getattr(value, "dtype", None)
    if getattr(dtype, "names", None) and value.size == 1:
        for field in dtype.names:
            yield from _paths(f"{name}.{field}", _inside(value, field))
    elif dtype is not None and (dtype.names or dtype.kind == "O"):
        for index in range(min(value.size, LISTED)):
            yield from _paths(f"{name}[{index}]", _inside(value, index))
    else:
        yield name


def _write_5(path: Path, variables: Mapping[str, Value], compress: bool) -> None:
    """Write with scipy, then put a fixed text in place of its header, which holds the date."""
    import scipy.io

    with path.open("w+b") as file:
        content = {name: _cells(value) for name, value in variables.items()}
        scipy.io.savemat(file, content, do_compression=compress, oned_as="column", long_field_names=True)
        file.seek(0)
        file.write(_HEADER.encode().ljust(116))


def _cells(value: Value) -> Value:
    """Turn lists into cell arrays, shape (n, 1), at any depth."""
    import numpy as np

    if isinstance(value, Mapping):
        return {name: _cells(item) for name, item in value.items()}
    if isinstance(value, list):
        cells = np.empty((len(value), 1), dtype=object)
        for index, item in enumerate(value):
            cells[index, 0] = _cells(item)
        return cells
    return value
