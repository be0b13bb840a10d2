"""MATLAB files: v5 to v7 through scipy, v7.3 (HDF5) through h5py, with the arrays as MATLAB shows them.

A field of a struct is named `a.b`, an element of a cell or struct array `a[0]` (counted from 0 down the columns), and
combinations follow: `trials[2].spikes`. Numbers keep the class they have in MATLAB.
"""

import mmap
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pellucid.readers import layout, matlab73
from pellucid.readers.assemble import assemble
from pellucid.readers.matlab73 import LISTED, USER_BLOCK, Value, Version73, check_dense, damaged, steps

if TYPE_CHECKING:
    import xarray as xr

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_OUTSIDE = {_MATRIX, _COMPRESSED}
_INSIDE = {*range(1, 8), 9, 12, 13, _MATRIX, 16, 17, 18}
_HEADER = "MATLAB 5.0 MAT-file, written by pellucid"


class Settings(layout.Layout):
    """Which variables of the files become which arrays."""


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if there is none."""
    return layout.select(files, (".mat",))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity; arrays of v7.3 files stay in the file until they are used.

    files     .mat files; of several, variables are named `stem/name`
    settings  their layout
    Raises DataError or MissingError.
    """
    files = select(files, settings)
    parts = {path.stem: Version73(path) if _is_hdf5(path) else _Version5(path) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))


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
            except (*wrong, MemoryError, NotImplementedError) as error:
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
    """Raise DataError unless all elements of a v5 file are of known types and lie inside each other.

    scipy believes the tags of uncompressed elements, which carry no checksum, and crashes over damaged ones.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if not head.startswith(b"MATLAB 5") or len(head) < _HEADER_BYTES:
            return
        file.seek(0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            order = "<" if head.endswith(b"IM") else ">"
            fault = _fault(content, struct.Struct(f"{order}II"), _HEADER_BYTES, len(content), inside=False)
    if fault is not None:
        raise damaged(path, f"no element can be at byte {fault}")


def _fault(content: mmap.mmap, tag: struct.Struct, start: int, stop: int, *, inside: bool) -> int | None:
    """Return where a row of elements stops making sense, if it does; a matrix is a row of elements itself."""
    kinds = []
    while start < stop:
        if start + 8 > stop:
            return start
        kind, size = tag.unpack_from(content, start)
        small = kind >> 16
        if small:  # up to four bytes of data in the tag itself
            kind, size = kind & 0xFFFF, 0
        end = start + 8 + size
        if kind not in (_INSIDE if inside else _OUTSIDE) or small > 4 or end > stop:
            return start
        if kind == _MATRIX:
            fault = _fault(content, tag, start + 8, end, inside=True)
            if fault is not None:
                return fault
        kinds.append(kind)
        start = end if kind == _COMPRESSED else end + -size % 8
    if inside and kinds and (len(kinds) < 3 or kinds[:2] != [6, 5] or kinds[2] != 1):
        return stop
    return None


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
