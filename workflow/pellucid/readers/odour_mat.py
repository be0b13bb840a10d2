"""Odour responses of piriform units (aPCx_*.mat): spikes of 1 ms for every shank, cell, odour and repeat.

`espe(experiment).shank(s).SUA.cell(c).odor(o).spikeMatrix` is a sparse matrix of repeats x ms, `cell(c).good` a flag; a
shank without units has an empty `SUA`. The file does not say when in a trial the odour begins.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from pellucid.errors import DataError
from pellucid.readers import layout, matfile
from pellucid.readers.assemble import assemble, counts, load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

RATE_HZ = 1000.0


class Settings(Block):
    """Which experiment becomes the recording, and its trials' clock."""

    experiment: int = Field(ge=0, description="counted from 0")
    start_s: float = Field(0.0, description="time of a trial's first ms in s; -4 puts 0 near the odour's onset")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the file that `read` will use. Raises MissingError if there is none, DataError if there are several."""
    return [layout.single(files, ".mat")]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return one experiment as a recording without its identity.

    files     one .mat file
    settings  see Settings
    Gives /trials raster (trial, time, neuron) uint8 at 1000 Hz, trials ordered by odour and then by repeat, odour and
    repeat (trial,) counted from 1, and good (neuron,) bool; units are named by shank and cell counted from 0.
    Raises DataError: a damaged file, an experiment without units, or units with other odours, repeats or durations.
    """
    import numpy as np

    (path,) = select(files, settings)
    content, label = matfile.contents(path), f"{path}, experiment {settings.experiment}"
    units = dict(_units(content, settings.experiment))
    if not units:
        raise DataError(label, expected="units", found="none", remedy="Correct `experiment`, counted from 0.")
    trials = {name: _trials(content, unit, f"{label}, {name}") for name, unit in units.items()}
    shapes = {found.shape for found in trials.values()}
    if len(shapes) != 1:
        raise DataError(
            label,
            expected="every unit with the same odours, repeats and ms",
            found=" and ".join(map(str, sorted(shapes))),
            remedy="Restore the file.",
        )
    odours, repeats, length = shapes.pop()
    sources = {
        "raster": np.stack([found.reshape(-1, length) for found in trials.values()], axis=-1),
        "odour": np.repeat(np.arange(1, odours + 1, dtype="int16"), repeats),
        "repeat": np.tile(np.arange(1, repeats + 1, dtype="int16"), odours),
        "good": np.array([bool(load(content, f"{unit}.good", label).any()) for unit in units.values()]),
    }
    return assemble(sources, {"trials": _group(list(units), settings.start_s)}, label)


def write(
    path: Path, experiments: "Sequence[Sequence[np.ndarray]]", *, good: "Sequence[Sequence[np.ndarray]] | None" = None
) -> None:
    """Write experiments to one file; equal values give equal bytes.

    experiments  spikes of each shank of each experiment, shape (cell, odour, repeat, ms) uint8
    good         flags of each shank of each experiment, shape (cell,); all true by default
    """
    import numpy as np
    import scipy.sparse

    def cell(spikes: "np.ndarray", flag: bool) -> dict[str, object]:
        odours = [{"spikeMatrix": scipy.sparse.csc_array(one.astype("uint8"))} for one in spikes]
        return {"odor": odours, "good": np.uint8(flag)}

    def shank(spikes: "np.ndarray", flags: "np.ndarray") -> dict[str, object]:
        cells = [cell(one, bool(flag)) for one, flag in zip(spikes, flags, strict=True)]
        return {"SUA": {"cell": cells} if cells else np.zeros((1, 0))}

    flags = good or [[np.ones(len(spikes), dtype=bool) for spikes in shanks] for shanks in experiments]
    espe = [
        {"shank": [shank(*pair) for pair in zip(shanks, marks, strict=True)]}
        for shanks, marks in zip(experiments, flags, strict=True)
    ]
    matfile.write(path, {"espe": espe}, compress=True)


def _group(units: list[str], start_s: float) -> layout.Group:
    group = {
        **{"rate_hz": RATE_HZ, "start_s": start_s},
        "variables": {
            "raster": {"dims": ["trial", "time", "neuron"], "units": "count"},
            **{name: {"dims": ["trial"]} for name in ("odour", "repeat")},
            "good": {"dims": ["neuron"]},
        },
        "coordinates": {"neuron": {"values": units}},
    }
    return layout.Group.model_validate(group)


def _units(content: Mapping[str, layout.Array], experiment: int) -> Iterator[tuple[str, str]]:
    """Yield label and name of each unit, shank by shank up to the first that is not there."""
    for shank in itertools.count():
        shank_name = f"espe[{experiment}].shank[{shank}].SUA"
        cells = [f"{shank_name}.cell[{index}]" for index in _present(content, f"{shank_name}.cell", "good")]
        if not cells and shank_name not in content:
            return
        yield from ((f"shank{shank}_cell{index}", cell) for index, cell in enumerate(cells))


def _present(content: Mapping[str, layout.Array], name: str, field: str) -> Iterator[int]:
    """Return the indices from 0 on at which a struct array has a field that is an array."""
    return itertools.takewhile(lambda index: f"{name}[{index}].{field}" in content, itertools.count())


def _trials(content: Mapping[str, layout.Array], unit: str, label: str) -> "np.ndarray":
    """Return the spikes of one unit, shape (odour, repeat, time) uint8."""
    import numpy as np

    names = [f"{unit}.odor[{index}].spikeMatrix" for index in _present(content, f"{unit}.odor", "spikeMatrix")]
    matrices = [counts(load(content, name, label), f"{label}, {name}") for name in names]
    shapes = {found.shape for found in matrices}
    if len(shapes) != 1:
        raise DataError(
            label,
            expected="spikes of repeats x ms, of one shape for each odour",
            found=" and ".join(map(str, sorted(shapes))) or "none",
            remedy="Restore the file.",
        )
    return np.stack(matrices)
