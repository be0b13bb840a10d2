"""NumPy files: .npy, memory mapped and named after the file, and .npz with its variables by name; never pickled."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import DataError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_DAMAGE = (
    *(ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise over damaged files: a header is Python text, an archive a zip file."""


class Settings(layout.Layout):
    """Which variables of the files become which arrays."""


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if there is none."""
    return layout.select(files, (".npy", ".npz"))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity; arrays of .npy files are memory mapped.

    files     .npy and .npz files
    settings  their layout
    Raises DataError or MissingError.
    """
    files = select(files, settings)
    parts = {path.stem: _Archive(path) if path.suffix.lower() == ".npz" else _map(path) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))


def write(path: Path, arrays: "Mapping[str, np.ndarray]") -> None:
    """Write arrays to one .npz file, or to a folder of .npy files; equal arrays give equal bytes.

    path    a name ending in .npz, or a folder, made if need be
    arrays  name -> array
    """
    import numpy as np

    from pellucid import store

    if path.suffix == ".npz":
        with store.atomic_file(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
        return
    for name, array in arrays.items():
        with store.atomic_file(path / f"{name}.npy") as partial, partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)


class _Archive(Mapping[str, layout.Array]):
    """The arrays of one .npz file, each read when asked for."""

    def __init__(self, path: Path) -> None:
        import numpy as np

        self._path = path
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                self._names = list(archive.files)
        except _DAMAGE as error:
            raise _damaged(path, error) from error

    def __getitem__(self, name: str) -> layout.Array:
        import numpy as np

        if name not in self._names:
            raise KeyError(name)
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return archive[name]
        except _DAMAGE as error:
            raise _damaged(self._path, error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _map(path: Path) -> layout.Array:
    import numpy as np

    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return DataError(
            str(path),
            expected="arrays of numbers or strings",
            found="pickled Python objects, which could run any code when read",
            remedy="Save it again with allow_pickle=False.",
        )
    return DataError(
        str(path),
        expected="a whole NumPy file",
        found=f"a damaged or truncated one ({error})",
        remedy="Copy or make the file again.",
    )
