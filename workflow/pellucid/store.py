"""Everything written to disk: sharded zarr v3 stores, folders and JSON files, each atomic and byte-reproducible."""

import errno
import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import MissingError, SchemaError, StorageError

CHUNK_BYTES = 1 << 20
SHARD_CHUNKS = 32
STREAMED = ("spike", "event", "image", "window", "time")
"""Axes along which long arrays are cut into chunks and shards, innermost preferred."""

_FORMAT: dict[str, Any] = {"zarr_format": 3, "consolidated": False}
_IGNORED = {".snakemake_timestamp"}
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG}


def write(path: Path, tree: xr.DataTree, *, kind: str = "store") -> None:
    """Write a tree to a store, whole or not at all; arrays backed by dask are streamed shard by shard.

    path  folder of the store; an existing one is replaced
    tree  one group per clock, see pellucid.schema
    kind  "recording" or "store", see schema.check
    Raises SchemaError if the tree breaks the contract, StorageError if the disk refuses.
    """
    schema.check(tree, str(path), kind=kind)
    with atomic_folder(path) as partial:
        _to_zarr(tree, partial)


def open_store(path: Path, *, kind: str = "store") -> xr.DataTree:
    """Open a store lazily, its groups and variables sorted by name: arrays are read when indexed.

    path  folder written by `write` or `create`
    Raises MissingError if there is none, SchemaError if it breaks the contract.
    """
    if not (path / "zarr.json").is_file():
        raise MissingError(
            str(path), expected="a zarr v3 store", found="no zarr.json", remedy="Run the stage that makes it."
        )
    with warnings.catch_warnings():  # Snakemake puts an empty time stamp into every folder it made
        warnings.filterwarnings("ignore", "Object at .snakemake_timestamp", UserWarning)
        tree = xr.open_datatree(
            path, engine="zarr", consolidated=False, chunks=None, decode_times=False, decode_timedelta=False
        )
    return schema.check(schema.ordered(tree), str(path), kind=kind)


def placeholder(shape: tuple[int, ...], dtype: str = "float32") -> Any:  # noqa: ANN401 - a dask array
    """Return an array of the given shape that holds no memory, to stand for a streamed variable in a template."""
    import dask.array

    return dask.array.zeros(shape, dtype=dtype, chunks=-1)


class Writer:
    """A store that is filled in order along the streamed axis of each placeholder, in memory of one shard."""

    def __init__(self, path: Path, template: xr.DataTree, *, kind: str = "store") -> None:
        """path: folder of the store; template: the tree, its long variables made by `placeholder`."""
        self._path, self._template, self._kind = path, template, kind
        self._pending: dict[str, list[np.ndarray]] = {}
        self._done: dict[str, int] = {}
        self._arrays: dict[str, Any] = {}

    def __enter__(self) -> "Writer":
        import zarr

        schema.check(self._template, str(self._path), kind=self._kind)
        with ExitStack() as folder:
            partial = folder.enter_context(atomic_folder(self._path))
            _to_zarr(self._template, partial, compute=False)
            root = zarr.open_group(partial, mode="r+")
            for name, variable in schema.data_variables(self._template):
                if variable.chunks is not None:
                    self._arrays[name], self._pending[name], self._done[name] = root[name], [], 0
            self._folder = folder.pop_all()
        return self

    def append(self, name: str, rows: np.ndarray) -> None:
        """Add rows, shape (n, ...) with the streamed axis first, to the variable at `name` ("/group/variable")."""
        self._pending[name].append(rows)
        array = self._arrays[name]
        size = (array.shards or array.chunks)[0]
        count = sum(map(len, self._pending[name]))
        whole = count // size * size
        if whole:
            block = np.concatenate(self._pending[name])
            self._flush(name, block[:whole])
            self._pending[name] = [block[whole:]]

    def _flush(self, name: str, block: np.ndarray) -> None:
        start = self._done[name]
        if start + len(block) > self._arrays[name].shape[0]:
            raise SchemaError(
                f"{self._path}, {name}",
                expected=f"{self._arrays[name].shape[0]} rows",
                found=f"at least {start + len(block)}",
                remedy="Make the template as long as what is written.",
            )
        self._arrays[name][start : start + len(block)] = block
        self._done[name] = start + len(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failure:
            if not self._folder.__exit__(type(failure), failure, failure.__traceback__):
                raise
        else:
            self._folder.__exit__(kind, error, trace)

    def _finish(self) -> None:
        for name, blocks in self._pending.items():
            if blocks:
                self._flush(name, np.concatenate(blocks))
            if self._done[name] != self._arrays[name].shape[0]:
                raise SchemaError(
                    f"{self._path}, {name}",
                    expected=f"{self._arrays[name].shape[0]} rows",
                    found=str(self._done[name]),
                    remedy="Append every row before closing the store.",
                )


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a neighbouring folder to write into; it becomes `path` when the block ends, and vanishes if it fails."""
    partial = path.with_name(path.name + ".partial")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a neighbouring file name to write to; it becomes `path` when the block ends, and vanishes if it fails."""
    partial = path.with_name(path.name + ".partial")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys and no NaN (None stands for a missing number)."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(_plain(content), sort_keys=True, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON file. Raises MissingError if there is none."""
    if not path.is_file():
        raise MissingError(str(path), expected="a JSON file", found="nothing", remedy="Run the stage that makes it.")
    return json.loads(path.read_text())


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """Return a sha256 over the names and bytes of all files below a folder, or of one file."""
    if path.is_file():
        return file_digest(path)
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and p.name not in _IGNORED)
    lines = "".join(f"{name} {file_digest(path / name)}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def content_digest(path: Path) -> str:
    """Return a sha256 over the array data of a store without its attributes: equal data have equal digests."""
    data = sorted(p for p in path.rglob("*") if p.is_file() and p.name not in {"zarr.json", *_IGNORED})
    lines = "".join(f"{p.relative_to(path).as_posix()} {file_digest(p)}\n" for p in data)
    return hashlib.sha256(lines.encode()).hexdigest()


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


def keep_only(paths: Sequence[Path], marker: str, *, depth: int = 1) -> None:
    """Delete the folders beside the given ones that hold a file `marker`: products no configuration names any more.

    paths   folders to keep
    marker  the file that tells a product from anything else
    depth   1: folders of the same parent; 2: of the same grandparent, whose emptied folders go too
    """
    kept = {path.resolve() for path in paths}
    for base in {path.parents[depth - 1] for path in kept}:
        for found in list(base.glob("*/" * depth + marker)):
            if found.parent not in kept:
                shutil.rmtree(found.parent, ignore_errors=True)
            if depth > 1 and not any(found.parent.parent.iterdir()):
                found.parent.parent.rmdir()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise StorageError(
            str(path),
            expected="to be able to write it",
            found=f"{error.strerror or error} ({error.filename or 'no file named'})",
            remedy="Free disk space or correct the permissions, then run the same command again; "
            "nothing was left half-written.",
        ) from error


def _to_zarr(tree: xr.DataTree, folder: Path, *, compute: bool = True) -> None:
    tree = tree.map_over_datasets(lambda ds: ds.drop_encoding())
    encoding = {group.path: _encoding(group) for group in tree.subtree}
    if compute:
        tree = tree.map_over_datasets(_align_to_shards)
    write_zarr: Any = tree.to_zarr  # its overloads take no bool for `compute`
    write_zarr(folder, mode="w", encoding=encoding, compute=compute, **_FORMAT)


def _encoding(group: xr.DataTree) -> dict[str, dict[str, Any]]:
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in group.dataset.variables.items():
        chunks, shards = layout(variable)
        if variable.dtype.kind in "biufc" and variable.ndim and variable.size:
            encoding[str(name)] = {"chunks": chunks, "shards": shards}
        if variable.dtype.kind == "f" and name not in group.coords:
            encoding.setdefault(str(name), {})["_FillValue"] = math.nan
    return encoding


def layout(variable: xr.Variable | xr.DataArray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the chunk and shard shapes of an array: about 1 MiB and 32 MiB along its streamed axis, else whole."""
    dims = [str(dim) for dim in variable.dims]
    axis = max((dims.index(dim) for dim in STREAMED if dim in dims), default=0, key=lambda i: variable.shape[i])
    row = math.prod(variable.shape[:axis] + variable.shape[axis + 1 :]) * variable.dtype.itemsize
    chunks, shards = list(variable.shape), list(variable.shape)
    if variable.ndim and variable.size:
        chunks[axis] = max(1, min(variable.shape[axis], CHUNK_BYTES // row))
        count = min(SHARD_CHUNKS, -(-variable.shape[axis] // chunks[axis]))
        shards[axis] = chunks[axis] * count
    return tuple(chunks), tuple(shards)


def _align_to_shards(dataset: xr.Dataset) -> xr.Dataset:
    lazy = {name: v for name, v in dataset.variables.items() if v.chunks is not None}
    return dataset.assign({name: dataset[name].chunk(dict(zip(v.dims, layout(v)[1]))) for name, v in lazy.items()})


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
