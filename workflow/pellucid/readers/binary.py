"""Flat binary files: pairs NAME.bin and NAME.json, where the sidecar says what the little-endian numbers mean."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue, ValidationError, model_validator

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class Sidecar(Block):
    """What one binary file holds; the length of its open axis follows from the size of the file."""

    group: str = Field(description="group of the recording: ephys, behaviour, ...")
    variable: str = Field(description="name in the group; `time` makes it the group's clock")
    dims: list[str] = Field(min_length=1, description="axes in the order of the file, slowest first")
    shape: list[int | None] = Field(min_length=1, description="length of each axis; null for the open one")
    dtype: layout.DTypeName
    samples: int | None = Field(None, ge=0, description="length of the open axis, to recognise a truncated file")
    offset_bytes: int = Field(0, ge=0, description="header bytes to skip")
    rate_hz: float | None = Field(None, gt=0)
    start_s: float = 0.0
    units: str = "1"
    scale: float | None = Field(None, description="units per step of a stored integer")
    coordinates: dict[str, layout.Coordinate] = Field(default_factory=dict)
    attributes: dict[str, JsonValue] = Field(default_factory=dict, description="noted with the group")

    @model_validator(mode="after")
    def _check_shape(self) -> "Sidecar":
        if len(self.shape) != len(self.dims) or self.shape.count(None) > 1:
            raise ValueError("`shape` with one length per axis of `dims`, at most one of them null")
        if any(length is not None and length < 1 for length in self.shape):
            raise ValueError("`shape` with positive lengths")
        return self


class Settings(Block):
    """Options of the reader; none are needed where every file has its sidecar."""

    files: dict[str, Sidecar] = Field(
        default_factory=dict, description="file name -> what a sidecar would say, for files without one"
    )


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if one is missing, or half of a pair."""
    if settings.files:
        found = {path.name: path for path in files if path.name in settings.files}
        for name in settings.files:
            if name not in found or not found[name].is_file():
                raise MissingError(
                    name, expected="a file of this name", found="nothing", remedy="Correct `raw` or `options.files`."
                )
        return [found[name] for name in sorted(found)]
    chosen = layout.select([path for path in files if path.suffix == ".bin"], (".bin",))
    names = {path.with_suffix("") for path in chosen}
    for path in sorted(files):
        if path.suffix == ".json" and path.with_suffix("") not in names:
            raise MissingError(
                str(path.with_suffix(".bin")),
                expected="the data of this sidecar",
                found="nothing",
                remedy="Restore it.",
            )
    for path in chosen:
        if not path.with_suffix(".json").is_file():
            raise MissingError(
                str(path.with_suffix(".json")),
                expected="a sidecar that says what the numbers mean",
                found="nothing",
                remedy="Write it, or describe the file in `options.files`.",
            )
    return sorted([*chosen, *(path.with_suffix(".json") for path in chosen)])


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity, arrays memory mapped.

    files     pairs NAME.bin and NAME.json, or the files named in the settings
    settings  see Settings
    Raises DataError or MissingError.
    """
    files = select(files, settings)
    data = [path for path in files if settings.files or path.suffix == ".bin"]
    described = [
        (path, settings.files[path.name] if settings.files else _sidecar(path.with_suffix(".json"))) for path in data
    ]
    sources = {f"{sidecar.group}/{sidecar.variable}": _map(path, sidecar) for path, sidecar in described}
    label = layout.where(data)
    if len(sources) < len(described):
        raise DataError(
            label, expected="each variable once", found="one twice", remedy="Rename a variable in its sidecar."
        )
    return assemble(sources, _groups(described, label), label)


def write(
    folder: Path,
    name: str,
    values: "np.ndarray | Iterable[np.ndarray]",
    *,
    group: str,
    variable: str,
    dims: Sequence[str],
    units: str = "1",
    rate_hz: float | None = None,
    start_s: float = 0.0,
    scale: float | None = None,
    coordinates: Mapping[str, Sequence[str] | Sequence[int] | Sequence[float]] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write one pair NAME.bin and NAME.json; equal values give equal bytes.

    folder       where; made if need be
    values       the array, or blocks of it that follow each other along its first axis
    dims         its axes, first the slowest
    scale        units per step of an integer
    coordinates  axis -> its labels
    """
    import numpy as np

    from pellucid import store

    blocks = [values] if isinstance(values, np.ndarray) else values
    labels = {axis: {"values": np.asarray(given).tolist()} for axis, given in (coordinates or {}).items()}
    sidecar = Sidecar.model_validate(
        _write_blocks(folder / f"{name}.bin", blocks)
        | {"group": group, "variable": variable, "dims": list(dims), "units": units, "scale": scale}
        | {"rate_hz": rate_hz, "start_s": start_s, "coordinates": labels, "attributes": dict(attributes or {})}
    )
    store.write_json(folder / f"{name}.json", sidecar.model_dump(exclude_defaults=True))


def _write_blocks(path: Path, blocks: "Iterable[np.ndarray]") -> dict[str, Any]:
    """Write blocks one after the other and return their shape and type as a sidecar says them."""
    import numpy as np

    from pellucid import store

    samples, tail, dtype = 0, None, None
    with store.atomic_file(path) as partial, partial.open("wb") as file:
        for block in blocks:
            if tail is not None and (block.shape[1:], block.dtype) != (tail, dtype):
                raise ValueError(f"blocks of {path.name} differ: {block.shape[1:]} {block.dtype} after {tail} {dtype}")
            samples, tail, dtype = samples + len(block), block.shape[1:], block.dtype
            file.write(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes())
    return {"shape": [None, *(tail or ())], "dtype": str(dtype), "samples": samples}


def _sidecar(path: Path) -> Sidecar:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            str(path), expected="a sidecar in JSON", found=str(error), remedy="Restore or correct it."
        ) from error
    try:
        return Sidecar.model_validate(raw)
    except ValidationError as error:
        raise layout.invalid(str(path), error) from None


def _groups(described: Sequence[tuple[Path, Sidecar]], label: str) -> dict[str, layout.Group]:
    """Return the layout that sidecars describe together. Raises DataError where two disagree."""
    groups: dict[str, dict[str, Any]] = {}
    for path, sidecar in described:
        group = groups.setdefault(sidecar.group, {"variables": {}, "coordinates": {}, "attributes": {}})
        group["variables"][sidecar.variable] = {
            "source": f"{sidecar.group}/{sidecar.variable}",
            **{"dims": sidecar.dims, "units": sidecar.units, "scale": sidecar.scale},
        }
        if sidecar.rate_hz is not None:
            _agree(group, {"rate_hz": sidecar.rate_hz, "start_s": sidecar.start_s}, path)
        _agree(group["coordinates"], sidecar.coordinates, path)
        _agree(group["attributes"], sidecar.attributes, path)
    try:
        return {name: layout.Group.model_validate(group) for name, group in groups.items()}
    except ValidationError as error:
        raise layout.invalid(label, error) from None


def _agree(known: dict[str, Any], said: Mapping[str, Any], path: Path) -> None:
    """Add what one sidecar says about its group to what is known of it. Raises DataError where they differ."""
    for key, value in said.items():
        if known.setdefault(key, value) != value:
            raise DataError(
                f"{path}, {key}",
                expected=f"{known[key]}, as in the other files of its group",
                found=str(value),
                remedy="Correct the sidecar, or put the file into a group of its own clock.",
            )


def _map(path: Path, sidecar: Sidecar) -> layout.Array:
    """Map a file, its open axis as long as the bytes allow."""
    import numpy as np

    dtype = np.dtype(sidecar.dtype).newbyteorder("<")
    size = path.stat().st_size - sidecar.offset_bytes
    row = dtype.itemsize * math.prod(length for length in sidecar.shape if length is not None)
    length = size // row if None in sidecar.shape else 1
    if (
        size % row
        or length < 1
        or (length if sidecar.samples is None else sidecar.samples) != length
        or (None not in sidecar.shape and size != row)
    ):
        wanted = "one block" if None not in sidecar.shape else f"{sidecar.samples or 'whole'} rows"
        raise DataError(
            str(path),
            expected=f"{wanted} of {row} bytes after {sidecar.offset_bytes} bytes of header",
            found=f"{size} bytes, which is {size / row:g} rows",
            remedy="Copy the file again: it is truncated, or its sidecar describes another file.",
        )
    shape = tuple(length if given is None else given for given in sidecar.shape)
    return np.memmap(path, dtype=dtype, mode="r", offset=sidecar.offset_bytes, shape=shape)
