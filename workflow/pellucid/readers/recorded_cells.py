"""What the two formats of recorded retinal cells share: which file, which of its cells, and where these are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pellucid.errors import MissingError
from pellucid.readers import layout
from pellucid.readers.hdf5 import wrong
from pellucid.settings import Block

if TYPE_CHECKING:
    import xarray as xr


class Cells(Block):
    """Which file and cells are read."""

    file: str | None = Field(
        None, min_length=1, description="name of the file, or the end of its path, where there are several"
    )
    cells: list[int] | None = Field(None, min_length=1, description="which ones, counted from 0; all by default")
    centres: list[tuple[float, float]] | None = Field(
        None, description="row and column of each of `cells` in px of the image, where they are known"
    )
    rate_hz: float = Field(100.0, gt=0, description="samples per second")

    @model_validator(mode="after")
    def _check_cells(self) -> "Cells":
        if self.cells is not None and (min(self.cells) < 0 or len(set(self.cells)) != len(self.cells)):
            raise ValueError("cells counted from 0, each once")
        if self.centres is not None and (self.cells is None or len(self.centres) != len(self.cells)):
            raise ValueError("one of `centres` for each of `cells`")
        return self


def select(files: Sequence[Path], settings: Cells) -> list[Path]:
    """Return the one file that is read. Raises MissingError if there is none, DataError if there are several."""
    tail = () if settings.file is None else Path(settings.file).parts
    found = [path for path in files if not tail or path.parts[-len(tail) :] == tail]
    if files and not found:
        raise MissingError(
            layout.where(files),
            expected=f"a file {settings.file}",
            found=", ".join(path.name for path in files[:8]),
            remedy="Correct `raw` or `options.file`.",
        )
    return [layout.single(found, ".h5", remedy="Name one of them in `options.file`.")]


def chosen(settings: Cells, count: int, where: str) -> list[int]:
    """Return the cells that are read, counted from 0.

    count  how many the file has
    Raises DataError for one that is not there.
    """
    cells = list(range(count)) if settings.cells is None else settings.cells
    missing = [cell for cell in cells if cell >= count]
    if missing:
        raise wrong(where, f"cells 0 to {count - 1}", ", ".join(map(str, missing)), "Correct `cells`.")
    return cells


def ids(cells: Sequence[int]) -> list[str]:
    """Return the names of cells: cell00 for the first one of the file."""
    return [f"cell{cell:02d}" for cell in cells]


def places(settings: Cells, count: int) -> "dict[str, xr.Variable]":
    """Return row and column of `count` chosen cells, (neuron,) in px, NaN where they are not known."""
    import numpy as np
    import xarray as xr

    known = np.full((count, 2), np.nan) if settings.centres is None else np.array(settings.centres, float)
    return {name: xr.Variable("neuron", known[:, axis], {"units": "px"}) for axis, name in enumerate(("row", "column"))}
