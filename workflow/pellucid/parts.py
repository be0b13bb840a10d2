"""Long stores in parts: each job writes whole shards into a store of its own, and one gathers them by hard links.

Two jobs that wrote into one shard would lose samples in silence, so a part is made of whole shards. The gathered store
has the bytes of one that was written by a single job.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import ConfigError, DataError, MissingError, SchemaError

Blocks = Callable[[int, int], Iterator[np.ndarray]]
"""blocks(start, stop) gives rows [start, stop) of the long variable in order, some at a time."""


@dataclass(frozen=True)
class Part:
    """Which part of how many, and a digest of what it is made from: recording, settings and code."""

    number: int
    parts: int
    origin: str

    def rows(self, template: xr.DataTree) -> tuple[int, int]:
        """Rows [start, stop) of this part: whole shards, none where there are more parts than shards.

        template  the whole store, its one long variable made by `store.placeholder`
        Raises ConfigError if there is no such part.
        """
        if not 0 <= self.number < self.parts:
            raise ConfigError(
                f"part {self.number}",
                expected=f"a number from 0 to {self.parts - 1}, as there are {self.parts} parts",
                found=str(self.number),
                remedy="Correct `--part`, or `parts` in the settings.",
            )
        variable = _long(template)[1]
        size = store.layout(variable)[1][0]
        shards = -(-len(variable) // size)
        borders = [
            min(len(variable), number * shards // self.parts * size) for number in (self.number, self.number + 1)
        ]
        return borders[0], borders[1]


def write(path: Path, template: xr.DataTree, blocks: Blocks, part: Part) -> None:
    """Write one part: the metadata of the whole long variable, and only the shards that are this part's.

    path      folder of the part's store, replaced as a whole
    template  the whole store, its one long variable made by `store.placeholder`
    blocks    the rows of that variable; not called for a part without shards
    part      which part
    Raises ConfigError if there is no such part, SchemaError if `blocks` gives more or fewer rows than it was asked for.
    """
    start, stop = part.rows(template)
    with _PartWriter(path, template, part) as writer:
        for rows in blocks(start, stop) if start < stop else ():
            writer.append(writer.name, rows)


def gather(path: Path, template: xr.DataTree, parts: Sequence[Path], origin: str) -> None:
    """Write the store that one job would have written, its shards linked from those of the parts.

    path      folder of the store, replaced as a whole
    template  the whole store, as each part was given it
    parts     stores of all parts, in any order
    origin    what they must have been made from, see Part
    Raises MissingError for a shard that is not there, which would be read as NaN; DataError for parts that do not
    belong together.
    """
    found = [(part, _about(part)) for part in parts]
    _check_parts(found, origin)
    with _Gatherer(path, template, found):
        pass


class _PartWriter(store.Writer):
    """A writer of the rows of one part, which notes in the attributes what it wrote."""

    def __init__(self, path: Path, template: xr.DataTree, part: Part) -> None:
        self.name, _ = _long(template)
        group, _, variable = self.name.rpartition("/")
        dataset = schema.group(template, group)[[variable]]
        super().__init__(path, xr.DataTree.from_dict({"/": xr.Dataset(), group: dataset}))
        self._part, self._rows = part, part.rows(template)

    def __enter__(self) -> "_PartWriter":
        super().__enter__()
        self._done[self.name] = self._rows[0]
        return self

    def _finish(self) -> None:
        import zarr

        array, (start, stop) = self._arrays[self.name], self._rows
        if self._pending[self.name]:
            self._flush(self.name, np.concatenate(self._pending[self.name]))
        if self._done[self.name] != stop:
            raise SchemaError(
                f"{self._path}, {self.name}",
                expected=f"{stop - start} rows",
                found=str(self._done[self.name] - start),
                remedy="Give exactly the rows that are asked for.",
            )
        folder = _folder(array)
        written = {shard: (folder / shard).stat().st_size for shard in _shards(array) if (folder / shard).is_file()}
        part = self._part
        attributes = zarr.open_group(folder, mode="r+").attrs
        attributes.update({"origin": part.origin, "part": part.number, "parts": part.parts, "shards": written})


class _Gatherer(store.Writer):
    """A writer of everything but the long variable, whose shards it links."""

    def __init__(self, path: Path, template: xr.DataTree, parts: Sequence[tuple[Path, dict[str, Any]]]) -> None:
        super().__init__(path, template)
        self._parts, self._name = parts, _long(template)[0]

    def _finish(self) -> None:
        array = self._arrays[self._name]
        metadata = f"{array.path}/zarr.json"
        expected = store.read_json(_folder(array) / metadata)
        for part, about in self._parts:
            if store.read_json(part / metadata) != expected:
                raise _foreign(part, "an array of another shape, type or coordinates")
            for shard, size in about["shards"].items():
                _check_shard(part / shard, size, part)
                _link(part / shard, _folder(array) / shard)


def _long(template: xr.DataTree) -> tuple[str, xr.DataArray]:
    """Return path and array of the one variable of a template that is streamed."""
    ((name, variable),) = [found for found in schema.data_variables(template) if found[1].chunks is not None]
    return name, variable


def _folder(array: Any) -> Path:  # noqa: ANN401 - an array of zarr
    """Return the folder of the store that an array is being written in."""
    return Path(array.store.root)


def _shards(array: Any) -> list[str]:  # noqa: ANN401 - an array of zarr
    """Return the file of each shard, seen from the store; those that hold nothing but NaN are not written."""
    count, rest = -(-array.shape[0] // (array.shards or array.chunks)[0]), (0,) * (array.ndim - 1)
    return [f"{array.path}/{array.metadata.encode_chunk_key((number, *rest))}" for number in range(count)]


def _about(part: Path) -> dict[str, Any]:
    """Return what a part says about itself. Raises MissingError if there is none, DataError if it is no part."""
    if not (part / "zarr.json").is_file():
        remedy = "Run the job of this part again."
        raise MissingError(str(part), expected="the store of a part", found="no zarr.json", remedy=remedy)
    about: dict[str, Any] = store.read_json(part / "zarr.json").get("attributes", {})
    if not {"origin", "part", "parts", "shards"} <= set(about):
        raise _foreign(part, "a store that is no part of another")
    return about


def _check_parts(found: Sequence[tuple[Path, dict[str, Any]]], origin: str) -> None:
    """Refuse parts of something else, and parts of which one is missing or there twice."""
    for part, about in found:
        if about["origin"] != origin:
            raise _foreign(part, "a part of another recording, or made with other settings or code")
    numbers = sorted(about["part"] for _, about in found)
    for part, about in found:
        if numbers != list(range(about["parts"])):
            raise DataError(
                str(part),
                expected=f"parts 0 to {about['parts'] - 1}, each once",
                found=f"parts {', '.join(map(str, numbers))}",
                remedy="Give every part of one run to --parts.",
            )


def _check_shard(file: Path, size: int, part: Path) -> None:
    found = f"{file.stat().st_size} bytes" if file.is_file() else "nothing"
    if found != f"{size} bytes":
        remedy = f"Delete {part} and run its job again."
        raise MissingError(str(file), expected=f"a shard of {size} bytes", found=found, remedy=remedy)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot: across devices, or without links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _foreign(part: Path, found: str) -> DataError:
    return DataError(
        str(part),
        expected="a part of the store that is gathered",
        found=found,
        remedy="Delete it and run its job again.",
    )
