"""Interneurons recorded intracellularly, HDF5 files in the layout of Maheswaranathan et al. 2023.

A group for each stimulus (boxes, lines, flashes, movingbar): stimuli (time, ...) from 0 to 1, and
detrended_membrane_potential (cell, time). How each becomes a movie is that of the reference code: boxes (time, height,
width) are 2 s - 1; of lines (time, place) two neighbours are averaged and every second column is kept, the same in all
rows; flashes (time,) fill a field of 38 x 38 px; of moving bars (time, place) six places are averaged, each frame is
shown for five samples, and all columns are the same. The field is put into the middle of an image of zeros.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from pellucid.readers import layout, recorded_cells
from pellucid.readers.assemble import assemble
from pellucid.readers.hdf5 import Datasets, check_numbers, loaded, wrong
from pellucid.readers.recorded_cells import Cells

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

FIELD_PX = 38
"""Side of the field that flashes fill, and about that of boxes."""

BAR_PLACES, BAR_SAMPLES = 6, 5
POTENTIAL = "detrended_membrane_potential"
AXES = {"boxes": 3, "lines": 2, "flashes": 1, "movingbar": 2}


class Settings(Cells):
    """Which file, stimulus and cells are read, and the size of the image they are put into."""

    stimulus: Literal["boxes", "lines", "flashes", "movingbar"] = "boxes"
    size_px: tuple[int, int] = Field((50, 50), description="height and width of the image that the network sees")
    units: str = Field("mV", description="units of the potential")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if min(self.size_px) < 1:
            raise ValueError("size_px of at least 1")
        return self


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the one file that `read` will use. Raises MissingError or DataError if there is not exactly one."""
    return recorded_cells.select(files, settings)


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return one stimulus and the potentials under it as a recording without its identity.

    files     one .h5 file
    settings  see Settings
    Gives /stimulus movie (time, height, width) float32, with the attribute `standardised` 1, since its values are
    already what a network is to see; /responses potential (time, neuron) float32.
    Raises DataError: damage, links out of the file, a stimulus or cell that is not there, another number of axes,
    lengths that differ, NaN, or a field that is larger than the image.
    """
    path = select(files, settings)[0]
    file, where = Datasets(path), f"{path}, {settings.stimulus}"
    stimuli, potential = (_lookup(file, settings.stimulus, name, where) for name in ("stimuli", POTENTIAL))
    if len(stimuli.shape) != AXES[settings.stimulus]:
        raise wrong(f"{where}/stimuli", f"{AXES[settings.stimulus]} axes, time first", f"shape {tuple(stimuli.shape)}")
    if len(potential.shape) != 2 or 0 in potential.shape:
        raise wrong(f"{where}/{POTENTIAL}", "axes cell and time", f"shape {tuple(potential.shape)}")
    cells = recorded_cells.chosen(settings, potential.shape[0], where)
    drawn, values = loaded(stimuli), loaded(potential)[cells]
    check_numbers(drawn, f"{where}/stimuli", negative=True)
    check_numbers(values, f"{where}/{POTENTIAL} of cells {cells}", negative=True)
    movie = padded(field(drawn, settings.stimulus), settings.size_px, where)
    if values.shape[1] != len(movie):
        raise wrong(f"{where}/{POTENTIAL}", f"{len(movie)} samples, as many as frames", f"{values.shape[1]}")
    tree = assemble({"movie": movie, "potential": values.T}, _groups(settings, cells), where)
    tree["responses"].dataset = (
        tree["responses"].to_dataset().assign_coords(recorded_cells.places(settings, len(cells)))
    )
    tree["stimulus"].attrs.update({"stimulus": settings.stimulus, "standardised": 1})
    return tree


def write(path: Path, stimuli: "dict[str, tuple[np.ndarray, np.ndarray]]") -> None:
    """Write a file of this layout; equal values give equal bytes.

    stimuli  name -> stimuli (time, ...) from 0 to 1, and potential (cell, time)
    """
    import h5py

    from pellucid import store

    with store.atomic_file(path) as partial, h5py.File(partial, "w") as file:
        for name, (shown, potential) in stimuli.items():
            file[f"{name}/stimuli"] = shown
            file[f"{name}/{POTENTIAL}"] = potential


def field(stimuli: "np.ndarray", kind: str) -> "np.ndarray":
    """Return what a stimulus shows, (time, height, width) float32, before it is put into the image.

    stimuli  as in the file: boxes (time, height, width), flashes (time,), lines and movingbar (time, place)
    kind     which of these
    """
    import numpy as np

    shown = stimuli.astype(np.float32)
    if kind == "boxes":
        return 2 * shown - 1
    if kind == "flashes":
        return np.broadcast_to(shown[:, None, None], (len(shown), FIELD_PX, FIELD_PX))
    if kind == "lines":
        before = np.pad(shown, ((0, 0), (1, 0)))[:, :-1]
        columns = ((shown + before) / 2)[:, ::2]
        return np.broadcast_to(columns[:, None, :], (len(columns), columns.shape[1], columns.shape[1]))
    places = np.pad(shown, ((0, 0), (0, -shown.shape[1] % BAR_PLACES)))
    rows = np.repeat(places.reshape(len(places), -1, BAR_PLACES).mean(axis=2), BAR_SAMPLES, axis=0)
    return np.broadcast_to(rows[:, :, None], (len(rows), rows.shape[1], rows.shape[1]))


def padded(shown: "np.ndarray", size_px: tuple[int, int], where: str) -> "np.ndarray":
    """Return a field (time, height, width) in the middle of an image of zeros. Raises DataError if it is larger."""
    import numpy as np

    spare = [size - length for size, length in zip(size_px, shown.shape[1:], strict=True)]
    if min(spare) < 0:
        raise wrong(where, f"a field of at most {size_px} px", f"{shown.shape[1:]}", "Enlarge `size_px`.")
    return np.pad(shown, [(0, 0), *((extra // 2, extra - extra // 2) for extra in spare)])


def _lookup(file: Datasets, stimulus: str, name: str, where: str) -> layout.Array:
    if f"{stimulus}/{name}" not in file:
        known = sorted({key.partition("/")[0] for key in file if key.endswith(POTENTIAL)})
        raise wrong(f"{where}/{name}", "a dataset of this name", ", ".join(known) or "none", "Correct `stimulus`.")
    return file[f"{stimulus}/{name}"]


def _groups(settings: Settings, cells: Sequence[int]) -> dict[str, layout.Group]:
    clock = {"rate_hz": settings.rate_hz}
    movie = {"dims": ["time", "height", "width"], "units": "1"}
    potential = {"dims": ["time", "neuron"], "units": settings.units}
    ids = {"neuron": {"values": recorded_cells.ids(cells)}}
    groups = {
        "stimulus": {**clock, "variables": {"movie": movie}},
        "responses": {**clock, "variables": {"potential": potential}, "coordinates": ids},
    }
    return {name: layout.Group.model_validate(group) for name, group in groups.items()}
