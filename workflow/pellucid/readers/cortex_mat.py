"""ROI signals of cortex-wide calcium imaging in MATLAB files, merged over mice or of one session (Ajioka et al. 2024).

Merged: `signal_5mice_raw.mat` has `signal1` .. `signal5`, a cell of ROI x time for each session of a mouse;
`runrest_5mice.mat` has `runrest1` .., 0 at rest and 1 in a run; `speed*.mat`, which may be absent, `speed1` .. (names
unverified). One session: `ID_behavior.mat` has `runrest` and `speed_rs`, and another file beginning with ID, the name
of which is unverified, has `dat_roi`, ROI x time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout, matfile
from pellucid.readers.assemble import assemble, load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_CENTRES = """
.32 .11  .38 .20  .19 .18  .29 .34  .13 .34  .13 .44  .13 .58  .20 .47  .25 .57  .21 .65
.06 .59  .12 .65  .45 .48  .32 .54  .32 .62  .41 .75  .41 .87  .25 .76  .26 .84  .17 .83
.22 .92  .15 .75  .09 .82  .10 .89  .05 .73  .68 .11  .62 .20  .80 .18  .71 .34  .87 .34
.87 .44  .87 .58  .79 .47  .75 .57  .79 .65  .94 .59  .88 .65  .55 .48  .67 .54  .68 .62
.59 .75  .59 .87  .75 .76  .73 .84  .82 .83  .78 .92  .85 .75  .90 .82  .90 .89  .95 .73
"""
_AREAS = {
    "M2&M1": (1, 2, 3, 4, 26, 27, 28, 29),
    "FLa&HLa": (6, 8, 31, 33),
    "FL&HL": (7, 9, 32, 34),
    "PT&RS": (14, 15, 16, 17, 39, 40, 41, 42),
    "V1&Vm": (18, 19, 20, 21, 43, 44, 45, 46),
    "Vl&A1": (22, 23, 24, 25, 47, 48, 49, 50),
}
_AREA_OF = {roi: area for area, members in _AREAS.items() for roi in members}

ROIS: dict[int, tuple[float, float, str]] = {
    roi: (float(y), float(x), _AREA_OF.get(roi, ""))
    for roi, (x, y) in enumerate(zip(_CENTRES.split()[::2], _CENTRES.split()[1::2], strict=True), start=1)
}
"""ROI -> row and column of its centre, as fractions of the image's height (0: anterior) and width, and its area.

1 to 25 are left, 26 to 50 right. Centres are read off the authors' map of ROIs, +-0.01; areas are those of Ajioka et
al. 2024, Fig. 6, "" for ROIs in none of them. FLa&HLa are the anterior ones of FL&HL.
"""


class Settings(Block):
    """Which session of which mouse; or, with `id`, which session's own files."""

    mouse: int = Field(1, ge=1, description="counted from 1, as in the names of variables")
    session: int = Field(0, ge=0, description="counted from 0")
    rate_hz: float = Field(30.0, gt=0, description="frames per second")
    signal: str = Field("signal_5mice_raw", min_length=1, description="merged file of the signals, without .mat")
    violet: str | None = Field(None, min_length=1, description="file of a reference colour of 405 nm, without .mat")
    id: str | None = Field(None, min_length=1, description="beginning of the names of one session's own files")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        merged = {"mouse", "session", "signal"} & self.model_fields_set
        if self.id is not None and merged:
            raise ValueError(f"either `id` or {', '.join(sorted(merged))}")
        return self


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if one is missing, DataError if several fit."""
    return sorted(set(_roles(files, settings).values()))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return one session as a recording without its identity.

    files     .mat files of any version
    settings  see Settings
    Gives /imaging signal (time, roi), and signal_405 if there is `violet`, with roi ids "1", "2", ..., row and column
    of their centres as fractions of height and width and their area (see ROIS; NaN and "" unless there are 50 ROIs);
    /behaviour run (time) uint8 and, where it was recorded, speed (time), in cm/s presumably.
    Raises DataError: damage, a session that is not there, other lengths, or a run that is neither 0 nor 1.
    """
    roles = _roles(files, settings)
    contents = {path: matfile.contents(path) for path in set(roles.values())}
    label = layout.where(sorted(contents))
    names = _variables(settings)
    found = {role: _lookup(contents[path], names[role], f"{path}, {names[role]}") for role, path in roles.items()}
    sources = {role: _shaped(role, array, label) for role, array in found.items() if array is not None}
    sources["run"] = _flags(load(sources, "run", label), f"{roles['run']}, {names['run']}")
    _check_lengths(sources, label)
    tree = assemble(sources, _groups(sources, settings.rate_hz), label)
    tree["imaging"].dataset = tree["imaging"].to_dataset().assign_coords(_coordinates(sources["signal"].shape[0]))
    return tree


def write(path: Path, name: str, mice: int, sessions: "Callable[[int], Sequence[np.ndarray]]") -> None:
    """Write a merged file as v7.3, one mouse after the other; equal values give equal bytes.

    name      of the variables, to which the mouse's number is added
    mice      how many there are
    sessions  mouse, from 1 -> the arrays of its sessions, each (roi, time) or (1, time)
    """
    matfile.write(path, _Merged(name, mice, sessions), version="7.3")


class _Merged(Mapping[str, "list[np.ndarray]"]):
    """The variables of a merged file, each made when it is written."""

    def __init__(self, name: str, mice: int, sessions: "Callable[[int], Sequence[np.ndarray]]") -> None:
        self._mouse = {f"{name}{mouse}": mouse for mouse in range(1, mice + 1)}
        self._sessions = sessions

    def __getitem__(self, name: str) -> "list[np.ndarray]":
        return list(self._sessions(self._mouse[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._mouse)

    def __len__(self) -> int:
        return len(self._mouse)


def _roles(files: Sequence[Path], settings: Settings) -> dict[str, Path]:
    """Return the file of each array: signal, run, and speed and signal_405 where there are any."""
    found = {path.stem: path for path in layout.select(files, (".mat",))}
    where = layout.where(files)
    if settings.id is not None:
        behaviour = f"{settings.id}_behavior"
        others = (behaviour, settings.violet)
        own = [stem for stem in found if f"{stem}_".startswith(f"{settings.id}_") and stem not in others]
        roles = {"signal": own, "run": [behaviour], "speed": [behaviour]}
    else:
        runs, speeds = ([stem for stem in found if stem.startswith(name)] for name in ("runrest", "speed"))
        roles = {"signal": [settings.signal], "run": runs, **({"speed": speeds} if speeds else {})}
    if settings.violet is not None:
        roles["signal_405"] = [settings.violet]
    return {role: found[_one(role, stems, found, where)] for role, stems in roles.items()}


def _one(role: str, stems: Sequence[str], found: Mapping[str, Path], where: str) -> str:
    """Return the stem of the one file for an array. Raises MissingError or DataError."""
    if len(stems) > 1:
        raise DataError(
            where,
            expected=f"one file for {role}",
            found=", ".join(f"{stem}.mat" for stem in sorted(stems)),
            remedy="Name the files of one set in `raw`.",
        )
    if not stems or stems[0] not in found:
        raise MissingError(
            where,
            expected=f"{stems[0]}.mat" if stems else f"a file for {role}",
            found=", ".join(f"{stem}.mat" for stem in sorted(found)[:8]),
            remedy="Correct `raw` or the reader's options.",
        )
    return stems[0]


def _variables(settings: Settings) -> dict[str, str]:
    """Return the variable of each array in its file."""
    if settings.id is not None:
        return {"signal": "dat_roi", "signal_405": "dat_roi", "run": "runrest", "speed": "speed_rs"}
    cell = f"{settings.mouse}[{settings.session}]"
    return {"signal": f"signal{cell}", "signal_405": f"signal{cell}", "run": f"runrest{cell}", "speed": f"speed{cell}"}


def _lookup(content: Mapping[str, layout.Array], name: str, label: str) -> layout.Array | None:
    """Return a variable; None for a speed that is not in the file of behaviour. Raises DataError."""
    try:
        return content[name]
    except KeyError:
        if name == "speed_rs":
            return None
        listed = ", ".join(list(content)[:12])
        raise DataError(
            label,
            expected="an array of this name",
            found=f"{listed}, ..." if len(content) > 12 else listed or "nothing",
            remedy="Correct `mouse`, counted from 1, and `session`, counted from 0, or the names of files.",
        ) from None


def _shaped(role: str, array: layout.Array, label: str) -> layout.Array:
    """Return behaviour as (time,), signals as they are. Raises DataError unless these are numbers on two axes."""
    if array.dtype.kind not in "biuf" or len(array.shape) != 2 or 0 in array.shape:
        raise DataError(
            f"{label}, {role}",
            expected="numbers, ROI x time or 1 x time",
            found=f"{array.dtype} of shape {tuple(array.shape)}",
            remedy="Save the file with two axes.",
        )
    return array if role.startswith("signal") else array[(slice(None), slice(None))].ravel()


def _flags(values: "np.ndarray", label: str) -> "np.ndarray":
    """Return states as uint8, shape (time,). Raises DataError unless each is 0 or 1."""
    wrong = ~((values == 0) | (values == 1))
    if wrong.any():
        raise DataError(label, expected="0 (rest) or 1 (run)", found=str(values[wrong][0]), remedy="Correct the file.")
    return values.astype("uint8")


def _check_lengths(sources: Mapping[str, layout.Array], label: str) -> None:
    """Raise DataError unless all arrays have as many frames."""
    frames = sources["signal"].shape[1]
    for role, array in sources.items():
        if array.shape[-1] != frames or (role == "signal_405" and array.shape != sources["signal"].shape):
            raise DataError(
                f"{label}, {role}",
                expected=f"{frames} frames, as in the signals of shape {tuple(sources['signal'].shape)}",
                found=f"shape {tuple(array.shape)}",
                remedy="Save signals and behaviour of the same frames and ROIs.",
            )


def _groups(sources: Mapping[str, layout.Array], rate_hz: float) -> dict[str, layout.Group]:
    signals = {role: {"dims": ["roi", "time"], "units": "dF/F"} for role in sources if role.startswith("signal")}
    units = {"run": "1", "speed": "cm/s"}
    traces = {role: {"dims": ["time"], "units": unit} for role, unit in units.items() if role in sources}
    return {
        name: layout.Group.model_validate({"rate_hz": rate_hz, "variables": variables})
        for name, variables in (("imaging", signals), ("behaviour", traces))
    }


def _coordinates(count: int) -> "dict[str, xr.Variable]":
    import numpy as np
    import xarray as xr

    known = [ROIS[roi] if count == len(ROIS) else (np.nan, np.nan, "") for roi in range(1, count + 1)]
    rows, columns, areas = (list(values) for values in zip(*known, strict=True))
    fraction = {"units": "1"}
    return {
        "roi": xr.Variable("roi", np.array([str(roi) for roi in range(1, count + 1)], dtype=object)),
        "row": xr.Variable("roi", np.array(rows, dtype=float), fraction),
        "column": xr.Variable("roi", np.array(columns, dtype=float), fraction),
        "area": xr.Variable("roi", np.array(areas, dtype=object)),
    }
