"""Movies as multi-page TIFF, read when frames are asked for, with tables and .mat files of behaviour beside them.

A movie is named after its file; with `interleaved`, its colours are STEM/COLOUR. The columns of a table and the
variables of a .mat file are STEM/NAME, or NAME where only one such file lies beside the movies. An image alone, such as
a map of parcels, has the axes [height, width]; a hyperstack has its axes in the order of the file, without those of
length 1.
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pellucid.errors import DataError, MissingError
from pellucid.readers import csv, layout, matfile
from pellucid.readers.assemble import assemble
from pellucid.readers.tiff_movie import Colour, open_movie

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

IMAGES = (".tif", ".tiff", ".btf", ".tf8")
BESIDE = (".csv", ".tsv", ".txt", ".mat")


class Settings(csv.Settings):
    """Which movies, columns and variables become which arrays; the options of tables hold for those beside."""

    stem: str | None = Field(
        None,
        min_length=1,
        description="only files whose names begin with it, no letter or digit following (m1_s1 is not m1_s10); "
        "`{stem}` in a `source` stands for it",
    )
    interleaved: list[str] | None = Field(
        None,
        min_length=2,
        description="names of the colours whose frames alternate in a movie, or of those of a hyperstack; frames after "
        "the last whole round are left out",
    )


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use: movies, then what lies beside them. Raises MissingError or DataError."""
    stem = settings.stem
    chosen = [path for path in files if stem is None or _begins(path.name, stem)]
    if stem is not None and not chosen:
        raise MissingError(
            layout.where(files) if files else "raw files",
            expected=f"files whose names begin with {stem!r}",
            found=", ".join(path.name for path in files[:5]) or "none",
            remedy="Correct `options.stem` or `raw`.",
        )
    beside = [path for path in chosen if path.suffix.lower() in BESIDE]
    return layout.select(chosen, IMAGES) + (layout.select(beside, BESIDE) if beside else [])


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity; frames stay in the file until they are used, numbers keep their type.

    files     movies and single images, with tables and .mat files
    settings  see Settings
    Raises DataError: a damaged or truncated file, frames of different sizes, a compression that cannot be read, or
    variables that do not fit the layout. Raises MissingError for a file that is not there.
    """
    files = select(files, settings)
    movies = {path.stem: _named(path, settings) for path in files if path.suffix.lower() in IMAGES}
    beside = {path.stem: _Beside(path, settings) for path in files if path.suffix.lower() in BESIDE}
    parts: Any = (layout.Sources(movies), layout.Sources(beside))  # a ChainMap that is only read asks for no more
    groups = {
        name: layout.Group.model_validate(_filled(group.model_dump(), settings.stem or "{stem}"))
        for name, group in settings.groups.items()
    }
    return assemble(ChainMap(*parts), groups, layout.where(files))


def write(path: Path, frames: "Iterable[np.ndarray]", *, bigtiff: bool = False) -> None:
    """Write frames one by one; equal frames give equal bytes, without date or name of software.

    path     the file
    frames   each (height, width), all of one shape and type; or one array (time, height, width)
    bigtiff  needed for 4 GB and more
    Raises DataError if frames differ, or if there is none.
    """
    import tifffile

    from pellucid import store

    with store.atomic_file(path) as partial, tifffile.TiffWriter(partial, bigtiff=bigtiff) as file:
        for frame in _alike(frames, str(path)):
            file.write(frame, photometric="minisblack", contiguous=True, software=False)


def _begins(name: str, stem: str) -> bool:
    """Return whether a name is the stem and something else: after a letter or digit, no letter or digit."""
    following = name[len(stem) : len(stem) + 1]
    return name.startswith(stem) and not (stem[-1].isalnum() and following.isalnum())


def _named(path: Path, settings: Settings) -> layout.Array:
    """Return a movie, or its colours by name."""
    movie = open_movie(path)
    if settings.interleaved is None or len(movie.shape) < 3:
        return movie
    return {name: Colour(movie, index, len(settings.interleaved)) for index, name in enumerate(settings.interleaved)}


class _Beside(Mapping[str, layout.Array]):
    """The arrays of a file beside a movie, which is not opened before one is asked for: it may be a note."""

    def __init__(self, path: Path, settings: csv.Settings) -> None:
        self._path, self._settings = path, settings

    @cached_property
    def _content(self) -> Mapping[str, layout.Array]:
        if self._path.suffix.lower() == ".mat":
            return matfile.contents(self._path)
        return csv.table(self._path, self._settings)

    def __getitem__(self, name: str) -> layout.Array:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


def _filled(node: Any, stem: str) -> Any:  # noqa: ANN401 - a node of a layout
    """Put the stem into every string of a layout."""
    if isinstance(node, dict):
        return {key: _filled(value, stem) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, stem) for value in node]
    return node.replace("{stem}", stem) if isinstance(node, str) else node


def _alike(frames: "Iterable[np.ndarray]", label: str) -> "Iterator[np.ndarray]":
    """Yield frames of one shape and type. Raises DataError."""
    first = None
    for number, frame in enumerate(frames):
        first = first or (frame.shape, frame.dtype)
        if (frame.shape, frame.dtype) != first or frame.ndim != 2:
            raise DataError(
                f"{label}, frame {number}",
                expected=f"height x width, {first[1]} of shape {first[0]} as before",
                found=f"{frame.dtype} of shape {frame.shape}",
                remedy="Write frames of one size and type.",
            )
        yield frame
    if first is None:
        raise DataError(label, expected="frames", found="none", remedy="Write at least one.")
