"""Whisking rats (VPM_cell_*.mat): one unit and the whisker's angle, in segments whose clocks count samples at Fs.

`whiskparams` is a struct array of segments with `samples` (sample numbers of the angle's samples), `position`,
`setpoint`, `amp`, `phase`, `iswhisking` and `spikes` (sample numbers). Spikes may lie outside the tracked time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from pellucid.errors import DataError
from pellucid.readers import layout, matfile
from pellucid.readers.assemble import assemble, load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

ANGLES = {
    "position": ("position", "degree"),
    "setpoint": ("setpoint", "degree"),
    "amplitude": ("amp", "degree"),
    "phase": ("phase", "rad"),
}
"""Variable -> its field in the file, its units."""


class Settings(Block):
    """Which segment becomes the recording."""

    segment: int = Field(ge=0, description="counted from 0")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the file that `read` will use. Raises MissingError if there is none, DataError if there are several."""
    return [layout.single(files, ".mat")]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return one segment as a recording without its identity.

    files     one .mat file
    settings  see Settings
    Gives /spikes time (spike,) in s, and on the regular clock of the samples /behaviour position, setpoint and
    amplitude in degrees, phase in rad, whisking (time,) bool; second 0 is the segment's sample 0.
    Raises DataError: a damaged file, a segment that is not there, or samples that are not evenly spaced.
    """
    import numpy as np

    (path,) = select(files, settings)
    content, label = matfile.contents(path), f"{path}, segment {settings.segment}"

    def field(name: str) -> "np.ndarray":
        return load(content, f"whiskparams[{settings.segment}].{name}", label).ravel()

    rate = float(load(content, "Fs", str(path)).ravel()[0])
    samples = field("samples").astype("int64")
    step = _step(samples, rate, label)
    sources = {name: field(inner) for name, (inner, _) in ANGLES.items()}
    sources |= {"time": field("spikes"), "whisking": np.isin(samples, field("iswhisking"))}
    behaviour = {
        **{"rate_hz": rate / step, "start_s": float(samples[0]) / rate},
        "variables": {
            **{name: {"dims": ["time"], "units": units} for name, (_, units) in ANGLES.items()},
            "whisking": {"dims": ["time"]},
        },
    }
    groups = {
        "behaviour": layout.Group.model_validate(behaviour),
        "spikes": layout.Group(variables={"time": layout.Variable(dims=["spike"], units="s", divisor=rate)}),
    }
    return assemble(sources, groups, label)


def write(path: Path, segments: "Sequence[Mapping[str, np.ndarray]]", *, rate_hz: float) -> None:
    """Write segments to one file; equal segments give equal bytes.

    segments  field of the file -> numbers, shape (n,), each
    rate_hz   samples per second that `samples`, `spikes` and `iswhisking` count
    """
    matfile.write(path, {"Fs": rate_hz, "whiskparams": [dict(segment) for segment in segments]})


def _step(samples: "np.ndarray", rate: float, label: str) -> int:
    """Return how many samples at `rate` lie between two of the angle. Raises DataError if that varies."""
    import numpy as np

    steps = np.unique(np.diff(samples))
    if not rate > 0 or len(steps) != 1 or steps[0] < 1:
        raise DataError(
            f"{label}/samples",
            expected="evenly spaced sample numbers of a positive Fs",
            found=f"Fs {rate:g}, steps {steps[:3].tolist()}",
            remedy="Restore the file, or give its time stamps to the reader `matlab`.",
        )
    return int(steps[0])
