"""Frames of a stimulus at measured times, and spike times of cells: text with one number a line, or MATLAB files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout, matfile, sorted_units
from pellucid.readers.assemble import load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

Axis = Literal["time", "height", "width"]

NAME = r"^[^/\\].*\.(txt|mat)$"


class Numbers(Block):
    """Where an array of numbers is."""

    file: str = Field(pattern=NAME, description="name below `raw`: .txt with one number a line, or .mat of any version")
    variable: str | None = Field(None, min_length=1, description="of a .mat file, and only there")

    @model_validator(mode="after")
    def _check(self) -> "Numbers":
        if self.file.endswith(".mat") != (self.variable is not None):
            raise ValueError("a `variable` of a .mat file, and of no other")
        return self


class Stimulus(Numbers):
    """What was shown in each frame."""

    dims: list[Axis] = Field(
        default=["time"], min_length=1, max_length=3, description="axes in the order of the file, time among them"
    )
    frames: int | None = Field(None, ge=2, description="frames used, the first ones; none: those with a frame time")
    units: str = "1"
    name: str = Field("movie", min_length=1, description="what the stimulus is called")

    @model_validator(mode="after")
    def _check_dims(self) -> "Stimulus":
        if "time" not in self.dims or len(set(self.dims)) < len(self.dims):
            raise ValueError("different `dims`, time among them")
        return self


class Times(Numbers):
    """When frames began."""

    scale_s: float = Field(1.0, gt=0, description="seconds per unit of the file; 0.001 for ms")
    offset_s: float = Field(0.0, description="added to all times; negative if frames were shown before the time stamps")
    count: int | None = Field(None, ge=2, description="times used, the first ones; none: all")


class Settings(Block):
    """Frames, their times, and the spikes of each cell."""

    stimulus: Stimulus
    times: Times
    spikes: dict[str, str | Numbers] = Field(min_length=1, description="cell -> its file of spike times")
    spikes_scale_s: float = Field(1.0, gt=0, description="seconds per unit of the spike times")

    def cells(self) -> dict[str, Numbers]:
        """Return where the spike times of each cell are."""
        return {cell: Numbers(file=found) if isinstance(found, str) else found for cell, found in self.spikes.items()}

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        named = [(found.file, found.variable) for found in self.cells().values()]
        if len(set(named)) < len(named):
            raise ValueError("spike times of their own for each cell")
        return self


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if one is missing, DataError if several fit."""
    return sorted(set(_paths(files, settings).values()))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity.

    files     .txt and .mat files
    settings  see Settings
    Gives /stimulus movie (time, height, width) with the onset of each frame as `time`, s; /spikes spike_time (spike,) s
    in order, spike_unit (spike,) the index of the cell, and the cells as coordinate `neuron`. Spikes before the first
    and after the last frame are kept. Raises DataError: no number, NaN, frame times that do not increase or spike times
    that step back, an empty file, fewer frames or times than asked for, or more times than frames.
    """
    import xarray as xr

    paths = _paths(files, settings)
    times = _times(paths[settings.times.file], settings.times)
    movie = _movie(paths[settings.stimulus.file], settings.stimulus, len(times))
    cells = settings.cells()
    spikes = {cell: _spikes(paths[found.file], found, settings.spikes_scale_s) for cell, found in cells.items()}
    stimulus = xr.Dataset(
        {"movie": (("time", "height", "width"), movie, {"units": settings.stimulus.units})},
        {"time": ("time", times[: len(movie)], {"units": "s"})},
        {"stimulus": settings.stimulus.name},
    )
    spiked = sorted_units.spikes(spikes, {}, "spikes")
    return xr.DataTree.from_dict({"/": xr.Dataset(), "/stimulus": stimulus, "/spikes": spiked})


def write(path: Path, numbers: "np.ndarray") -> None:
    """Write numbers, shape (n,), one a line as their shortest exact text."""
    from pellucid import store

    with store.atomic_file(path) as partial:
        partial.write_text("".join(f"{number!r}\n" for number in numbers.tolist()), encoding="utf-8")


def _paths(files: Sequence[Path], settings: Settings) -> dict[str, Path]:
    """Return the path of each file named."""
    names = [settings.stimulus.file, settings.times.file, *(found.file for found in settings.cells().values())]
    found = {}
    for name in dict.fromkeys(names):
        fits = [path for path in files if path.as_posix() == name or path.as_posix().endswith(f"/{name}")]
        where = layout.where(list(files)) if files else "raw files"
        if not fits or not fits[0].is_file():
            listed = ", ".join(sorted(path.name for path in files)[:8]) or "nothing"
            raise MissingError(where, expected=name, found=listed, remedy="Correct `raw` or the reader's options.")
        if len(fits) > 1:
            raise DataError(where, expected=f"one file {name}", found=f"{len(fits)}", remedy="Name it with its folder.")
        found[name] = fits[0]
    return found


def _array(path: Path, asked: Numbers) -> "np.ndarray":
    """Return the numbers of a file, finite, in their shape; whole ones of a .mat keep their type. Raises DataError."""
    import numpy as np

    if asked.variable is None:
        return _text(path)
    values = load(matfile.contents(path), asked.variable, str(path))
    if values.dtype.kind not in "iuf" or not values.size:
        raise DataError(
            f"{path}, {asked.variable}",
            expected="numbers",
            found="none" if values.dtype.kind in "iuf" else f"type {values.dtype}",
            remedy="Correct `variable`.",
        )
    if not np.isfinite(values).all():
        index = int(np.argmin(np.isfinite(values.ravel(order="F"))))
        _refuse(f"{path}, {asked.variable}, number {index + 1}", "a finite number", "NaN or infinity")
    return values


def _text(path: Path) -> "np.ndarray":
    """Return the numbers of a text, (n,) float64. Raises DataError naming the line of anything else."""
    import numpy as np

    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(str(path), expected="a text in UTF-8", found=str(error), remedy="Save it as text.") from error
    if lines == [""]:
        raise DataError(str(path), expected="one number a line", found="an empty file", remedy="Copy the file again.")
    try:
        values = np.array([float(line) for line in lines])
        wrong = ~np.isfinite(values)
    except ValueError:
        wrong = np.array([not _is_number(line) for line in lines])
    wrong |= np.array(["_" in line for line in lines])  # Python would read 1_0 as ten
    if wrong.any():
        line = int(np.argmax(wrong))
        _refuse(f"{path}, line {line + 1}", "one finite number", repr(lines[line].strip()[:80]))
    return values


def _is_number(line: str) -> bool:
    try:
        return abs(float(line)) < float("inf")
    except ValueError:
        return False


def _vector(path: Path, asked: Numbers) -> "np.ndarray":
    """Return a vector, (n,) float64. Raises DataError for an array with more than one axis longer than 1."""
    values = _array(path, asked)
    if values.size != max(values.shape):
        _refuse(f"{path}, {asked.variable}", "a vector", f"shape {values.shape}")
    return values.ravel().astype("float64")


def _times(path: Path, settings: Times) -> "np.ndarray":
    """Return onsets of frames, (time,) s."""
    import numpy as np

    values = _vector(path, settings)
    if settings.count is not None and len(values) < settings.count:
        _refuse(str(path), f"{settings.count} frame times (times.count)", f"{len(values)}")
    seconds = values[: settings.count] * settings.scale_s + settings.offset_s
    steps = np.diff(seconds)
    if not (steps > 0).all():
        index = int(np.argmin(steps > 0)) + 1
        _refuse(f"{path}, frame time {index + 1}", f"a time after {seconds[index - 1]:g} s", f"{seconds[index]:g} s")
    return np.asarray(seconds)


def _spikes(path: Path, asked: Numbers, scale_s: float) -> "np.ndarray":
    """Return spike times, (spike,) s; two may be equal, as rounded ones are."""
    import numpy as np

    seconds = _vector(path, asked) * scale_s
    back = np.diff(seconds) < 0
    if back.any():
        index = int(np.argmax(back)) + 1
        _refuse(f"{path}, spike {index + 1}", f"a time from {seconds[index - 1]:g} s", f"{seconds[index]:g} s")
    return seconds


def _movie(path: Path, settings: Stimulus, times: int) -> "np.ndarray":
    """Return the frames that have a time, (time, height, width)."""
    import numpy as np

    values = _array(path, settings)
    if values.ndim > len(settings.dims):
        values = values.squeeze()
    if values.ndim != len(settings.dims):
        _refuse(str(path), f"an array with the axes {settings.dims}", f"shape {values.shape}")
    axes = [settings.dims.index(axis) for axis in ("time", "height", "width") if axis in settings.dims]
    values = np.transpose(values, axes)
    for place, axis in enumerate(("time", "height", "width")):
        if axis not in settings.dims:
            values = np.expand_dims(values, place)
    asked = settings.frames or times
    if len(values) < asked:
        said = "stimulus.frames" if settings.frames else "as many as frame times; set times.count to use the first ones"
        _refuse(str(path), f"{asked} frames ({said})", str(len(values)))
    if times < asked:
        _refuse(str(path), f"a time for each of {asked} frames (stimulus.frames)", f"{times} frame times")
    return np.ascontiguousarray(values[:asked])


def _refuse(where: str, expected: str, found: str) -> None:
    raise DataError(where, expected=expected, found=found, remedy="Correct the file, or the reader's options.")
