"""What inputs are made of: movies, traces, maps and the clock of a recording, found by path and checked."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess.streams import Stream
from pellucid.systems.cortex.features.settings import Settings

LARGEST_LABEL = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Clock:
    """The frames of a recording, on which all inputs and the labels are.

    rows          frames; trials follow each other
    rate_hz       frames per second
    start_s       time of the first frame on the recording's clock, 0 for trials
    trial_frames  frames of a trial, None for a continuous session
    trial_start_s time of the first frame of each trial on the trial's own clock
    """

    rows: int
    rate_hz: float
    start_s: float
    trial_frames: int | None = None
    trial_start_s: float = 0.0

    @property
    def times(self) -> np.ndarray:
        """Time of every frame, (time,), s."""
        return np.asarray(self.start_s + np.arange(self.rows) / self.rate_hz)

    @property
    def segment(self) -> np.ndarray:
        """Number of the stretch without a gap that each frame is in, (time,) int32: the trial, or 0."""
        return (np.arange(self.rows) // (self.trial_frames or self.rows)).astype(np.int32)

    @property
    def attributes(self) -> dict[str, float]:
        """What a group on this clock says about it."""
        return {"rate_hz": self.rate_hz, "start_s": self.start_s}


def clock(recording: xr.DataTree, settings: Settings) -> Clock:
    """Return the clock that all inputs share. Raises DataError if they do not, or if frames are missing."""
    found = {name: _clock(recording, item.source) for name, item in settings.inputs.items()}
    first = next(iter(found))
    for name, other in found.items():
        if other != found[first]:
            raise DataError(
                f"inputs.{name}, {settings.inputs[name].source}",
                expected=f"the clock of {first}: {_said(found[first])}",
                found=_said(other),
                remedy="Put inputs of another clock into an analysis of their own.",
            )
    return found[first]


def movie(recording: xr.DataTree, path: str, clock: Clock) -> tuple[Stream, xr.DataArray]:
    """Return a movie as a stream (time, height, width) of finite values, and its variable.

    Raises MissingError or DataError.
    """
    return _stream(recording, path, ("height", "width"), clock)


def traces(recording: xr.DataTree, path: str, clock: Clock) -> tuple[Stream, xr.DataArray]:
    """Return traces as a stream (time, roi) of finite values, and their variable. Raises MissingError or DataError."""
    return _stream(recording, path, ("roi",), clock)


def image(recording: xr.DataTree, path: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return a map of pixels, (height, width). Raises DataError for other axes, or another size than the movie's."""
    found = schema.variable(recording, path)[1]
    if found.dims != ("height", "width") or found.dtype.kind not in "biuf":
        raise DataError(
            path,
            expected="numbers with axes ('height', 'width')",
            found=f"{found.dtype} with axes {found.dims}",
            remedy="Correct the path, or `dims` in the reader's options.",
        )
    if shape is not None and found.shape != tuple(shape):
        raise DataError(
            path,
            expected=f"{shape[0]} x {shape[1]} px, the size of the movie",
            found=f"{found.shape[0]} x {found.shape[1]}",
            remedy="Give the map that belongs to this movie.",
        )
    return np.asarray(found.values)


def parcels(recording: xr.DataTree, path: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return a map of parcels, (height, width) int16, 0 outside. Raises DataError for labels that are none."""
    found = image(recording, path, shape)
    whole = np.nan_to_num(np.asarray(found, float), nan=0.0)
    if (whole != np.floor(whole)).any() or whole.min() < 0 or whole.max() > LARGEST_LABEL or not whole.any():
        raise DataError(
            path,
            expected=f"whole numbers from 0 to {LARGEST_LABEL}, not all 0",
            found=f"values from {whole.min():g} to {whole.max():g}",
            remedy="Give a map of labels, 0 outside.",
        )
    return np.asarray(whole.astype(np.int16))


def _stream(recording: xr.DataTree, path: str, axes: tuple[str, ...], clock: Clock) -> tuple[Stream, xr.DataArray]:
    variable = schema.variable(recording, path)[1]
    leading = ("time",) if clock.trial_frames is None else ("trial", "time")
    if variable.dims != (*leading, *axes) or variable.dtype.kind not in "biuf" or not variable.size:
        raise DataError(
            path,
            expected=f"numbers with axes {(*leading, *axes)}",
            found=f"{variable.dtype} with axes {variable.dims} of sizes {variable.shape}",
            remedy="Correct the path, or `dims` in the reader's options.",
        )
    stream = Stream.of(variable) if clock.trial_frames is None else Stream.of_trials(variable)
    if stream.shape[0] != clock.rows:
        raise DataError(
            f"{path}, axis time",
            expected=f"{clock.rows} frames, as the other inputs have",
            found=str(stream.shape[0]),
            remedy="Drop frames that one channel has and the other has not.",
        )
    return stream.finite(path), variable


def _clock(recording: xr.DataTree, path: str) -> Clock:
    group, variable = schema.variable(recording, path)
    trials = variable.dims[:2] == ("trial", "time")
    if not trials and variable.dims[:1] != ("time",):
        raise DataError(
            path,
            expected="axes that begin with time, or with trial and time",
            found=str(variable.dims),
            remedy="Correct the path, or `dims` in the reader's options.",
        )
    rate, start = _regular(group, path)
    if trials:
        return Clock(variable.shape[0] * variable.shape[1], rate, 0.0, variable.shape[1], start)
    return Clock(variable.shape[0], rate, start)


def _regular(group: xr.Dataset, path: str) -> tuple[float, float]:
    """Return rate (Hz) and first time (s) of a clock. Raises DataError if frames are missing from it."""
    if "time" not in group.coords:
        return float(group.attrs["rate_hz"]), float(group.attrs["start_s"])
    times = schema.sample_times(group)
    if len(times) < 2:
        raise DataError(path, expected="two frames or more", found=str(len(times)), remedy="Leave this recording out.")
    steps = np.diff(times)
    gap = int(np.argmax(steps))
    if steps[gap] > 1.5 * np.median(steps):
        raise DataError(
            f"{path}, frame {gap + 1}",
            expected=f"frames {np.median(steps):g} s apart",
            found=f"{steps[gap]:g} s after the one before",
            remedy="Fill frames that were dropped, or split the recording where it pauses.",
        )
    return float((len(times) - 1) / (times[-1] - times[0])), float(times[0])


def _said(clock: Clock) -> str:
    trials = "" if clock.trial_frames is None else f" in trials of {clock.trial_frames}"
    return f"{clock.rows} frames{trials} at {clock.rate_hz:g} Hz from {clock.start_s:g} s"
