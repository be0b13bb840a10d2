"""Ganglion cells and the movie they were shown, HDF5 files in the layout of Maheswaranathan et al. 2023.

Groups `train` and `test`: time (time,) in s, stimulus (time, height, width), response/NAME (cell, time) with NAME
firing_rate_5ms, firing_rate_10ms, firing_rate_20ms in Hz or `binned`, spikes per sample. Repeats of the test movie are
test/repeats/cellNN (repeat, time), NN counted from 0 or 1, or test/repeats/NAME (repeat, cell, time).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from pellucid.readers import layout, recorded_cells
from pellucid.readers.assemble import assemble
from pellucid.readers.hdf5 import Datasets, Joined, Node, check_numbers, check_shape, loaded, wrong
from pellucid.readers.recorded_cells import Cells

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

PARTS = ("train", "test")
Response = Literal["firing_rate_5ms", "firing_rate_10ms", "firing_rate_20ms", "binned"]
UNITS = {"rate": "Hz", "counts": "count"}

STEP_OFF = 0.05
"""Largest difference of a step of the clock from a regular one, in samples."""


class Settings(Cells):
    """Which file and cells are read, and what of them."""

    response: list[Response] = Field(
        ["firing_rate_10ms"], min_length=1, description="firing rates become `rate` in Hz, binned `counts`; one of each"
    )
    blocks: int = Field(1, ge=1, description="equal parts in which the training movie was shown, with breaks between")
    movie_units: str = Field("1", description="units of a pixel")
    repeats: Literal["rate", "counts"] = Field(
        "rate", description="what test/repeats/cellNN holds, which does not say itself: Hz, or spikes per sample"
    )
    stimulus: str | None = Field(
        None, description="what the movie shows; by default the file's name without its ending"
    )

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        kinds = [kind(name) for name in self.response]
        if len(set(kinds)) != len(kinds):
            raise ValueError("at most one firing rate, and `binned`, in response")
        return self


def kind(name: str) -> str:
    """Return what a dataset of responses becomes: "counts" for binned, else "rate"."""
    return "counts" if name == "binned" else "rate"


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the one file that `read` will use. Raises MissingError or DataError if there is not exactly one."""
    return recorded_cells.select(files, settings)


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return training and test movie and the responses as a recording without its identity; the movie is not loaded.

    files     one .h5 file
    settings  see Settings
    Gives /stimulus movie (time, height, width), training rows first, block (time) int32, the number of the continuous
    part of the movie, test (time) int8, 1 in test rows; /responses rate in Hz and counts (time, neuron) float32 of the
    same rows; /trials the same of every repeat of the test rows (repeat, time, neuron), if there are repeats.
    Raises DataError: damage, links out of the file, shapes or lengths that differ, NaN, an irregular clock, or cells
    that are not there.
    """
    path = select(files, settings)[0]
    file = Datasets(path)
    where = str(path)
    parts = [_part(file, name, settings, where) for name in PARTS if f"{name}/stimulus" in file]
    if not parts or parts[0].test:
        raise wrong(where, "a dataset train/stimulus", ", ".join(list(file)[:8]) or "none")
    _check_same(parts, where)
    cells = recorded_cells.chosen(settings, parts[0].cells, where)
    sources = {**_stimulus(parts, settings, where), **_responses(parts, cells, where)}
    repeats = _repeats(file, parts[-1], cells, settings, where) if parts[-1].test else {}
    tree = assemble({**sources, **repeats}, _groups(list(repeats), settings, cells), where)
    for name in ("responses", "trials")[: 1 + bool(repeats)]:
        tree[name].dataset = tree[name].to_dataset().assign_coords(recorded_cells.places(settings, len(cells)))
    tree["stimulus"].attrs["stimulus"] = settings.stimulus or path.stem
    return tree


@dataclass(frozen=True)
class Part:
    """Training or test rows for `write`.

    frames     length of the movie
    movie      blocks of frames (time, height, width), written as they come
    responses  asked for after the movie is written: name -> (cell, time), of names as in the file
    repeats    likewise: name -> (repeat, cell, time), or cellNN -> (repeat, time)
    """

    frames: int
    movie: "Iterable[np.ndarray]"
    responses: "Callable[[], Mapping[str, np.ndarray]]"
    repeats: "Callable[[], Mapping[str, np.ndarray]]" = field(default=dict)


def write(path: Path, parts: Mapping[str, Part], rate_hz: float = 100.0) -> None:
    """Write a file of this layout, the movie block by block; equal values give equal bytes.

    parts    "train", and "test" where there is one
    rate_hz  of the clock, from 0 s in each part
    """
    import h5py
    import numpy as np

    from pellucid import store

    with store.atomic_file(path) as partial, h5py.File(partial, "w") as file:
        for name, part in parts.items():
            group = file.create_group(name)
            group["time"] = np.arange(part.frames) / rate_hz
            _write_movie(group, part)
            for inner, arrays in (("response", part.responses()), ("repeats", part.repeats())):
                for key, values in arrays.items():
                    group[f"{inner}/{key}"] = values


def _write_movie(group: Node, part: Part) -> None:
    dataset, done = None, 0
    for block in part.movie:
        if dataset is None:
            shape = (part.frames, *block.shape[1:])
            rows = max(1, min(part.frames, (1 << 20) // max(1, block[:1].nbytes)))
            dataset = group.create_dataset("stimulus", shape, block.dtype, chunks=(rows, *shape[1:]))
        dataset[done : done + len(block)] = block
        done += len(block)


@dataclass(frozen=True)
class _Rows:
    """One group of the file: its name, its movie, and its responses (cell, time) by what they become."""

    name: str
    movie: layout.Array
    responses: Mapping[str, layout.Array]

    @property
    def test(self) -> bool:
        return self.name == "test"

    @property
    def frames(self) -> int:
        return int(self.movie.shape[0])

    @property
    def cells(self) -> int:
        return int(next(iter(self.responses.values())).shape[0])


def _part(file: Datasets, name: str, settings: Settings, where: str) -> _Rows:
    """Check the arrays of a group against each other. Raises DataError."""
    movie = file[f"{name}/stimulus"]
    if len(movie.shape) != 3 or 0 in movie.shape:
        raise wrong(f"{where}, {name}/stimulus", "axes time, height, width", f"shape {movie.shape}")
    responses = {}
    for wanted in settings.response:
        key = f"{name}/response/{wanted}"
        label = f"{where}, {key}"
        if key not in file:
            known = [other.rpartition("/")[2] for other in file if other.startswith(f"{name}/response/")]
            raise wrong(label, "a dataset of this name", ", ".join(known) or "no responses", "Correct `response`.")
        responses[kind(wanted)] = file[key]
        check_shape(file[key], (None, movie.shape[0]), label)
    _check_clock(file, name, movie.shape[0], settings, where)
    return _Rows(name, movie, responses)


def _chosen(array: layout.Array, cells: list[int], label: str) -> "np.ndarray":
    """Return the chosen cells, on the axis before the last, as float32. Raises DataError for NaN or below 0."""
    values = loaded(array)[..., cells, :]
    check_numbers(values, f"{label} of cells {cells}", negative=False)
    return values


def _check_clock(file: Datasets, name: str, frames: int, settings: Settings, where: str) -> None:
    """Raise DataError unless there is a time for each frame, regular at the rate apart from breaks between blocks."""
    import numpy as np

    label = f"{where}, {name}/time"
    if f"{name}/time" not in file:
        raise wrong(label, "the time of each frame", "no such dataset")
    time = file[f"{name}/time"]
    if tuple(time.shape) != (frames,):
        raise wrong(label, f"shape ({frames},), as many as frames", f"{tuple(time.shape)}")
    seconds = np.asarray(time[:])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(seconds.astype(np.float64)) * settings.rate_hz
    largest = np.abs(seconds[np.isfinite(seconds)]).max(initial=0)
    rounding = 4 * settings.rate_hz * float(np.spacing(largest)) if seconds.dtype.kind == "f" else 0.0
    off = ~(np.abs(steps - 1) <= min(STEP_OFF + rounding, 0.5))
    if name == "train" and frames % settings.blocks == 0:
        length = frames // settings.blocks
        off[length - 1 :: length] &= ~(steps[length - 1 :: length] > 0)
    if off.any():
        at = int(np.argmax(off))
        said = f"{steps[at] / settings.rate_hz:.6g} s"
        raise wrong(f"{label}, after sample {at}", f"a step of {1 / settings.rate_hz:g} s", said, "Correct `rate_hz`.")


def _check_same(parts: Sequence[_Rows], where: str) -> None:
    """Raise DataError unless training and test rows have one size of image and one number of cells."""
    first = parts[0]
    for part in parts:
        label = f"{where}, {part.name}"
        if part.movie.shape[1:] != first.movie.shape[1:]:
            raise wrong(f"{label}/stimulus", f"frames {first.movie.shape[1:]}", f"{part.movie.shape[1:]}")
        for key, array in part.responses.items():
            if array.shape[0] != first.cells:
                raise wrong(f"{label}/response", f"{first.cells} cells", f"{array.shape[0]} in {key}")


def _stimulus(parts: Sequence[_Rows], settings: Settings, where: str) -> dict[str, layout.Array]:
    """Return the movie, and of each of its rows the block and whether it is a test row."""
    import numpy as np

    frames = [part.frames for part in parts]
    if frames[0] % settings.blocks:
        raise wrong(f"{where}, train", f"{settings.blocks} blocks of equal length", f"{frames[0]} frames")
    block = [np.arange(frames[0], dtype=np.int32) // (frames[0] // settings.blocks)]
    block += [np.full(count, settings.blocks, np.int32) for count in frames[1:]]
    dtype = np.result_type(*[part.movie.dtype for part in parts])
    return {
        "movie": Joined([part.movie for part in parts], dtype, f"{where}, stimulus of train and test"),
        "block": np.concatenate(block),
        "test": np.repeat(np.arange(len(parts), dtype=np.int8), frames),
    }


def _responses(parts: Sequence[_Rows], cells: list[int], where: str) -> dict[str, layout.Array]:
    import numpy as np

    return {
        key: np.concatenate([_chosen(part.responses[key], cells, f"{where}, {part.name}, {key}").T for part in parts])
        for key in parts[0].responses
    }


def _repeats(file: Datasets, test: _Rows, cells: list[int], settings: Settings, where: str) -> dict[str, layout.Array]:
    """Return responses to each repeat, (repeat, time, neuron), by name: trials_rate, trials_counts."""
    found: dict[str, layout.Array] = {}
    for name in settings.response:
        key = f"test/repeats/{name}"
        if key in file:
            check_shape(file[key], (None, test.cells, test.frames), f"{where}, {key}")
            found[f"trials_{kind(name)}"] = _chosen(file[key], cells, f"{where}, {key}").transpose(0, 2, 1)
    numbered = [(re.fullmatch(r"test/repeats/cell(\d+)", name), name) for name in file]
    by_cell = [name for _, name in sorted((int(match[1]), name) for match, name in numbered if match)]
    if not found and by_cell and settings.repeats in {kind(name) for name in settings.response}:
        if len(by_cell) != test.cells:
            raise wrong(f"{where}, test/repeats", f"{test.cells} cells, as in response", f"{len(by_cell)}")
        found[f"trials_{settings.repeats}"] = _stacked(file, [by_cell[cell] for cell in cells], test.frames, where)
    return found


def _stacked(file: Datasets, names: Sequence[str], frames: int, where: str) -> "np.ndarray":
    """Return datasets (repeat, time) of one cell each as (repeat, time, neuron)."""
    import numpy as np

    repeats = file[names[0]].shape[0] if file[names[0]].shape else 0
    for name in names:
        check_shape(file[name], (repeats, frames), f"{where}, {name}")
    values = np.stack([loaded(file[name]) for name in names], axis=-1)
    check_numbers(values, f"{where}, test/repeats", negative=False)
    return values


def _groups(repeats: Sequence[str], settings: Settings, cells: Sequence[int]) -> dict[str, layout.Group]:
    def group(variables: dict[str, Any], **more: object) -> layout.Group:
        return layout.Group.model_validate({"rate_hz": settings.rate_hz, "variables": variables, **more})

    ids = {"neuron": {"values": recorded_cells.ids(cells)}}
    movie = {"dims": ["time", "height", "width"], "units": settings.movie_units}
    kinds = [kind(name) for name in settings.response]
    responses = {key: {"dims": ["time", "neuron"], "units": UNITS[key]} for key in kinds}
    groups = {
        "stimulus": group({"movie": movie, "block": {"dims": ["time"]}, "test": {"dims": ["time"]}}),
        "responses": group(responses, coordinates=ids),
    }
    if repeats:
        dims = ["repeat", "time", "neuron"]
        of = {name.removeprefix("trials_"): name for name in repeats}
        trials = {key: {"source": name, "dims": dims, "units": UNITS[key]} for key, name in of.items()}
        groups["trials"] = group(trials, coordinates=ids)
    return groups
