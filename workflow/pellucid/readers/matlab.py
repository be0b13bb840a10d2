"""MATLAB files of every version, whose variables are named as `matfile` says: `a`, `a.b`, `a[0]`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.readers import layout
from pellucid.readers.assemble import assemble
from pellucid.readers.matfile import contents, write

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Settings", "read", "select", "write"]


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
    parts = {path.stem: contents(path) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))
