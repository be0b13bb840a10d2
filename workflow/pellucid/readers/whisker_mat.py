"""Thalamic units under whisker deflection: Dir{d}/Neuron{n}/Stim{s}/trngdata.mat and testdata.mat, at 1 ms.

Both files hold `y` (spikes) and `t` (stimulus), each one row of all trials in turn, or one column per trial.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout, matfile
from pellucid.readers.assemble import assemble, counts, load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

PARTS = ("trngdata.mat", "testdata.mat")
"""The files of a unit: published training trials, then published test trials."""

RATE_HZ = 1000.0
PUBLISHED = (
    *("Dir1/Neuron2", "Dir2/Neuron1", "Dir4/Neuron1", "Dir5/Neuron1", "Dir6/Neuron1"),
    *("Dir8/Neuron2", "Dir10/Neuron2", "Dir16/Neuron2", "Dir17/Neuron1", "Dir17/Neuron2"),
)
"""The units that were analysed; an eleventh was announced without a name."""


class Settings(Block):
    """Which units are read, and how their trials are cut."""

    units: list[Annotated[str, Field(pattern=r"^Dir\d+/Neuron\d+$")]] = Field(
        list(PUBLISHED), min_length=1, description="folders of the units, all with the same stimulus"
    )
    stimulus: int = Field(3, ge=1, description="number in the name of the folder Stim{s}")
    trial_ms: int = Field(3000, ge=1, description="duration of a trial")
    above: float = Field(0.0, description="a deflection begins in the ms in which the stimulus rises above this")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return both files of every unit, unit by unit. Raises MissingError for a unit that is not there."""
    found = []
    for unit in settings.units:
        for part in PARTS:
            tail = (*unit.split("/"), f"Stim{settings.stimulus}", part)
            matching = [path for path in files if path.parts[-len(tail) :] == tail and path.is_file()]
            if len(matching) != 1:
                raise MissingError(
                    "/".join(tail),
                    expected="one such file of the unit",
                    found=f"{len(matching)} among {len(files)} files",
                    remedy="Correct `raw`, or take the unit out of `options.units`.",
                )
            found += matching
    return found


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return the units as a recording without its identity.

    files     see `select`
    settings  see Settings
    Gives /trials at 1000 Hz: raster (trial, time, neuron) uint8, stimulus (trial, time), uint8 where it is made of
    small whole numbers and float32 otherwise, deflection (trial, event) in s, NaN after a trial's last one, and
    published_part (trial,), 0 for training and 1 for test.
    Raises DataError: damage, a length that is no number of trials, or units with other trials or another stimulus.
    """
    import numpy as np

    paths = select(files, settings)
    rasters, stimuli, parts = [], [], []
    for pair in zip(paths[::2], paths[1::2], strict=True):
        spikes, stimulus = ([_trials(path, name, settings.trial_ms) for path in pair] for name in ("y", "t"))
        parts.append(np.repeat(np.arange(2, dtype="uint8"), [len(part) for part in spikes]))
        rasters.append(np.concatenate([counts(part, f"{path}, y") for path, part in zip(pair, spikes)]))
        stimuli.append(np.concatenate(stimulus))
        if not (np.array_equal(parts[-1], parts[0]) and np.array_equal(stimuli[-1], stimuli[0])):
            raise DataError(
                str(pair[0].parent),
                expected=f"the trials and the stimulus of {settings.units[0]}",
                found=f"{len(stimuli[-1])} trials, others or with another stimulus",
                remedy="Give units of different trials to recordings of their own, by `options.units`.",
            )
    sources = {
        **{"raster": np.stack(rasters, axis=-1), "stimulus": _small(stimuli[0]), "published_part": parts[0]},
        "deflection": _rises(stimuli[0], settings.above) / RATE_HZ,
    }
    return assemble(sources, {"trials": _group(settings.units)}, str(paths[0].parents[3]))


def write(
    folder: Path, rasters: "Mapping[str, np.ndarray]", stimulus: "np.ndarray", *, training: int, number: int = 3
) -> None:
    """Write the two files of every unit, one row of all trials in each; equal values give equal bytes.

    folder    the one that holds the folders Dir{d}
    rasters   Dir{d}/Neuron{n} -> spikes, shape (trial, time) at 1 ms
    stimulus  shape (trial, time)
    training  how many of the first trials are published as training data
    number    of the stimulus
    """
    for unit, spikes in rasters.items():
        for part, rows in zip(PARTS, (slice(None, training), slice(training, None)), strict=True):
            content = {"y": spikes[rows].reshape(1, -1), "t": stimulus[rows].reshape(1, -1)}
            matfile.write(folder / unit / f"Stim{number}" / part, content)


def _group(units: list[str]) -> layout.Group:
    group = {
        "rate_hz": RATE_HZ,
        "variables": {
            "raster": {"dims": ["trial", "time", "neuron"], "units": "count"},
            "stimulus": {"dims": ["trial", "time"]},
            "deflection": {"dims": ["trial", "event"], "units": "s"},
            "published_part": {"dims": ["trial"]},
        },
        "coordinates": {"neuron": {"values": units}},
    }
    return layout.Group.model_validate(group)


def _trials(path: Path, name: str, trial_ms: int) -> "np.ndarray":
    """Return a variable of a file, shape (trial, time)."""
    array = load(matfile.contents(path), name, str(path))
    if array.dtype.kind in "biuf" and array.ndim == 2:
        if 1 in array.shape and array.size % trial_ms == 0 and array.size:
            return array.reshape(-1, trial_ms)
        if array.shape[0] == trial_ms:
            return array.T
    raise DataError(
        f"{path}, {name}",
        expected=f"numbers in one row of whole trials of {trial_ms} ms, or {trial_ms} rows with a column per trial",
        found=f"{array.dtype} of shape {array.shape}",
        remedy="Correct `options.trial_ms`, or copy the file again.",
    )


def _small(stimulus: "np.ndarray") -> "np.ndarray":
    """Return small whole numbers as uint8, any other as float32."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        small = stimulus.astype("uint8")
    return small if np.array_equal(small, stimulus) else stimulus.astype("float32")


def _rises(stimulus: "np.ndarray", above: float) -> "np.ndarray":
    """Return the samples in which each trial's stimulus rises above a value, shape (trial, event), NaN at the end."""
    import numpy as np

    high = np.pad(stimulus > above, ((0, 0), (1, 0)))
    trial, sample = np.nonzero(high[:, 1:] & ~high[:, :-1])
    number = np.bincount(trial, minlength=len(stimulus))
    found = np.full((len(stimulus), max(1, int(number.max(initial=0)))), np.nan)
    found[trial, np.arange(len(trial)) - np.repeat(np.cumsum(number) - number, number)] = sample
    return found
