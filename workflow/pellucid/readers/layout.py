"""What the variables of raw files become: the settings shared by readers, and the files a reader is given.

A layout names the groups (one per clock), the axes of each array in the order of the file, its units and its clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, JsonValue, ValidationError, model_validator

from pellucid.errors import DataError, MissingError
from pellucid.settings import Block

Array: TypeAlias = Any
"""A numpy array, one memory mapped, a dask array, or anything with shape, dtype and slicing."""

DTypeName = Literal[
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"
]  # fmt: skip


class Variable(Block):
    """One array of a recording and where it is in the raw files."""

    source: str | list[str] | None = Field(
        None,
        description="name in the file, the variable's own by default; several names, or one with *, "
        "are stacked along the last of `dims`",
    )
    dims: list[str] = Field(
        min_length=1, description="axes in the order of the file; other axes of length 1 are dropped"
    )
    units: str = Field(default="1", description="units of the values times `scale`; '1' where there is none")
    scale: float | None = Field(default=None, description="units per step of a number; noted, never applied")
    divisor: float | None = Field(
        None, gt=0, description="numbers are divided by it and become float64; 1000 turns ms into s"
    )


class Coordinate(Block):
    """Labels along an axis: values written here, or a variable of the raw files."""

    values: list[str] | list[int] | list[float] | None = None
    source: str | None = None
    dims: list[str] | None = Field(None, description="the axis it labels, by default the one of its name")
    units: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "Coordinate":
        if (self.values is None) == (self.source is None):
            raise ValueError("either `values` or `source`")
        return self


class Group(Block):
    """The arrays that follow one clock: a regular one (`rate_hz`, `start_s`) or one with a time for each sample."""

    rate_hz: float | None = Field(None, gt=0, description="samples per second of a regular clock")
    start_s: float = Field(0.0, description="time of the first sample in s, on the recording's clock")
    time: str | None = Field(None, description="variable of the file with the time of each sample")
    time_scale: float = Field(1.0, gt=0, description="seconds per unit of `time`; 0.001 for ms")
    variables: dict[str, Variable] = Field(min_length=1)
    coordinates: dict[str, Coordinate] = Field(default_factory=dict)
    attributes: dict[str, JsonValue] = Field(default_factory=dict, description="noted with the group as they are")

    @model_validator(mode="after")
    def _check_clock(self) -> "Group":
        timed = any("time" in variable.dims for variable in self.variables.values())
        clocks = (self.rate_hz, self.time, self.coordinates.get("time"), self.variables.get("time"))
        if timed and all(clock is None for clock in clocks):
            raise ValueError("`rate_hz`, or `time`, for a group with a time axis")
        return self


class Layout(Block):
    """Settings of a reader whose files do not say what their variables mean."""

    groups: dict[str, Group] = Field(min_length=1, description="group (ephys, behaviour, ...) -> its arrays")


class Sources(Mapping[str, Array]):
    """The variables of several files: `stem/name`, and plain `name` where there is one file only."""

    def __init__(self, parts: Mapping[str, Array]) -> None:
        """parts: stem of a file -> its one array, or a mapping from names to arrays."""
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> Array:
        if name in self._parts and not isinstance(self._parts[name], Mapping):
            return self._parts[name]
        stem, _, rest = name.partition("/")
        nested = [part for part in self._parts.values() if isinstance(part, Mapping)]
        if rest and isinstance(self._parts.get(stem), Mapping):
            return self._parts[stem][rest]
        if len(self._parts) == 1 and nested:
            return nested[0][name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for stem, part in self._parts.items():
            if isinstance(part, Mapping):
                prefix = "" if len(self._parts) == 1 else f"{stem}/"
                yield from (f"{prefix}{name}" for name in part)
            else:
                yield stem

    def __len__(self) -> int:
        return sum(1 for _ in self)


def select(files: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return the files with one of the suffixes, sorted. Raises MissingError if there is none or one does not exist."""
    found = sorted(path for path in files if path.suffix.lower() in suffixes)
    where = ", ".join(path.name for path in files[:5]) or "raw files"
    for path in found:
        if not path.is_file():
            raise MissingError(str(path), expected="a file", found="nothing", remedy="Correct `raw` or make the file.")
    if not found:
        raise MissingError(
            where,
            expected=f"files ending in {' or '.join(suffixes)}",
            found="none",
            remedy="Correct `raw`, or choose the reader of this format.",
        )
    stems = [path.stem for path in found]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(
            where, expected="files of different names", found=f"{twice[0]!r} twice", remedy="Rename one of them."
        )
    return found


def single(files: Sequence[Path], suffix: str, *, remedy: str = "Name one of them in `raw`.") -> Path:
    """Return the one file with this suffix. Raises MissingError if there is none, DataError if there are several."""
    found = select(files, (suffix,))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(where(found), expected=f"one file ending in {suffix}", found=names, remedy=remedy)
    return found[0]


def where(files: Sequence[Path]) -> str:
    """Return how messages call a set of files: the file, or the folder."""
    return str(files[0]) if len(files) == 1 else str(files[0].parent)


def invalid(label: str, error: ValidationError) -> DataError:
    """Return the first complaint about a description found beside the raw data, as an error to raise."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    return DataError(
        f"{label}, {key}" if key else label,
        expected=first["msg"].removeprefix("Value error, ").removeprefix("Input should be "),
        found=repr(first["input"])[:80],
        remedy="Correct the description of the file.",
    )
