"""Responses of ganglion cells to every frame, to repeated ones, and potentials of interneurons."""

import hashlib

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError, MissingError
from pellucid.preprocess import stimulus
from pellucid.systems.retina.features.frames import TEST, TRAIN, Frames
from pellucid.systems.retina.features.settings import Settings

UNITS = {"rate": "Hz", "counts": "count", "spikes": "count"}

AXES = ("time", "neuron")


def of_interneurons(recording: xr.DataTree) -> bool:
    """Return whether a recording has potentials, and hence no spikes."""
    return "responses" in recording.children and "potential" in recording["responses"].data_vars


def potential(recording: xr.DataTree, frames: Frames) -> xr.Dataset:
    """Return `potential` (time, neuron) float32. Raises DataError for another clock than the movie's."""
    values, group = _recorded(recording, "potential", frames)
    units = str(group["potential"].attrs.get("units", "1"))
    found = xr.Dataset({"potential": (AXES, values, {"units": units})}, _cells(group), {**frames.clock, "units": units})
    return found.assign_attrs(fingerprint=_fingerprint(values))


def responses(recording: xr.DataTree, frames: Frames, settings: Settings) -> xr.Dataset:
    """Return `response` (time, neuron) float32, and by each cell the lag it was found at behind the movie.

    sta_lag (neuron) in frames and sta_z (neuron): see pellucid.preprocess.stimulus.lags; from rows that may be fitted.
    Raises MissingError or DataError.
    """
    noted: dict[str, int] = {}
    if settings.response == "spikes":
        values, group, noted["spikes_outside"] = _counted(recording, frames)
    else:
        values, group = _recorded(recording, settings.response, frames)
        if (values < 0).any():
            raise DataError(
                f"/responses/{settings.response}",
                expected="no negative values",
                found=f"{float(np.nanmin(values)):g}",
                remedy="Name rates or counts.",
            )
    lag, z = stimulus.lags(frames.movie, values, _runs(frames), settings.history_frames)
    arrays = {
        "response": (AXES, values, {"units": UNITS[settings.response]}),
        "sta_lag": ("neuron", lag, {"units": "frame"}),
        "sta_z": ("neuron", z, {"units": "1"}),
    }
    said = {**frames.clock, "units": UNITS[settings.response], "fingerprint": _fingerprint(values), **noted}
    return xr.Dataset(arrays, _cells(group), said)


def repeats(
    recording: xr.DataTree, frames: Frames, settings: Settings, response: np.ndarray, own: np.ndarray
) -> xr.Dataset | None:
    """Return `response` (repeat, time, neuron) to test rows and `frame` (time), the row of each; None without repeats.

    response  (time, neuron), of which repeats inside the movie are cut
    own       (time,) bool, the test rows of the recording, in the order of its own repeats
    Raises DataError if the recording has repeats of another length than its test rows.
    """
    attributes: dict[str, float | str] = {**frames.clock, "start_s": 0.0, "units": UNITS[settings.response]}
    frame = np.flatnonzero(frames.test == TEST)
    if frames.repeats:
        values = np.stack([response[begin : begin + len(frame)] for begin in frames.repeats])
        return _repeats(values, frame, attributes)
    if "trials" not in recording.children or settings.response not in recording["trials"].data_vars:
        return None
    variable = schema.variable(recording, f"/trials/{settings.response}")[1]
    shown = np.flatnonzero(own)
    wanted = (len(shown), response.shape[1])
    if variable.dims != ("repeat", *AXES) or variable.shape[1:] != wanted:
        raise DataError(
            f"/trials/{settings.response}",
            expected=f"axes ('repeat', 'time', 'neuron'), {wanted[0]} test rows of {wanted[1]} cells",
            found=f"axes {variable.dims} of sizes {variable.shape}",
            remedy="Give the repeats of the test rows, in their order.",
        )
    kept = np.isin(shown, frame)
    return _repeats(np.asarray(variable.values[:, kept], np.float32), shown[kept], attributes)


def _repeats(values: np.ndarray, frame: np.ndarray, attributes: dict[str, float | str]) -> xr.Dataset:
    arrays = {
        "response": (("repeat", *AXES), values, {"units": attributes["units"]}),
        "frame": ("time", frame.astype(np.int32), {"units": "1"}),
    }
    return xr.Dataset(arrays, attrs=attributes)


def _recorded(recording: xr.DataTree, name: str, frames: Frames) -> tuple[np.ndarray, xr.Dataset]:
    """Return recorded responses, (time, neuron) float32, NaN where not recorded, and their group."""
    path = f"/responses/{name}"
    group, variable = schema.variable(recording, path)
    if variable.dims != AXES or variable.shape[0] != frames.rows or not variable.shape[1]:
        raise DataError(
            path,
            expected=f"axes ('time', 'neuron') and {frames.rows} rows, one for each frame of the movie",
            found=f"axes {variable.dims} of sizes {variable.shape}",
            remedy="Correct the reader's options.",
        )
    times, wanted = schema.sample_times(group), frames.edges[:-1]
    if np.abs(times - wanted).max() > 0.5 / frames.rate_hz:
        raise DataError(
            path,
            expected=f"the clock of the movie, {frames.rate_hz:g} Hz from {wanted[0]:g} s",
            found=f"samples up to {np.abs(times - wanted).max():g} s from it",
            remedy="Sample responses at the frames, or use spike times.",
        )
    values = np.asarray(variable.values, np.float32)
    if np.isinf(values).any():
        raise DataError(path, expected="finite values, or NaN", found="infinite ones", remedy="Correct the raw files.")
    return values, group


def _counted(recording: xr.DataTree, frames: Frames) -> tuple[np.ndarray, xr.Dataset, int]:
    """Return spikes in each frame, (time, neuron) float32, the group of the spikes, and how many are in no frame."""
    group, times = schema.variable(recording, "/spikes/spike_time")
    units = schema.variable(recording, "/spikes/spike_unit")[1]
    if "neuron" not in group.coords:
        raise MissingError(
            "/spikes", expected="a coordinate `neuron`", found="none", remedy="Let the reader name the cells."
        )
    index, neurons = np.asarray(units.values), group.sizes["neuron"]
    if index.shape != times.shape or (index.size and not 0 <= index.min() <= index.max() < neurons):
        raise DataError(
            "/spikes/spike_unit",
            expected=f"for each spike the number of its cell, 0 to {neurons - 1}",
            found=f"shape {index.shape}, values {index.min(initial=0)} to {index.max(initial=0)}",
            remedy="Correct the reader's options.",
        )
    counts = stimulus.counts_in_frames(np.asarray(times.values, np.float64), index, frames.edges, neurons)
    return counts.astype(np.float32), group, int(index.size - counts.sum())


def _cells(group: xr.Dataset) -> dict[str, tuple[str, np.ndarray] | tuple[str, np.ndarray, dict[str, str]]]:
    """Return ids as text, and the centre of each receptive field in px, NaN where unknown."""
    count = group.sizes["neuron"]
    ids = group.coords["neuron"].values if "neuron" in group.coords else [f"cell{index:02d}" for index in range(count)]
    found: dict[str, tuple[str, np.ndarray] | tuple[str, np.ndarray, dict[str, str]]] = {
        "neuron": ("neuron", np.array([str(one) for one in ids], object))
    }
    for name in ("row", "column"):
        known = name in group.variables and group[name].dims == ("neuron",)
        values = np.asarray(group[name].values, np.float32) if known else np.full(count, np.nan, np.float32)
        found[name] = ("neuron", values, {"units": "px"})
    return found


def _runs(frames: Frames) -> list[tuple[int, int]]:
    """Return the runs of rows that may be fitted, each within one block."""
    key = np.where(frames.test == TRAIN, frames.block.astype(np.int64), -1)
    borders = np.flatnonzero(np.diff(key)) + 1
    starts, stops = np.append(0, borders), np.append(borders, len(key))
    return [(int(start), int(stop)) for start, stop in zip(starts, stops) if frames.test[start] == TRAIN]


def _fingerprint(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
