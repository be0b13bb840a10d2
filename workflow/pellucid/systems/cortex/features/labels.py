"""The behavioural state, or the trace it comes from, and running speed, at the time of every frame."""

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import behaviour, calcium
from pellucid.systems.cortex.features.inputs import Clock
from pellucid.systems.cortex.features.settings import Label, Settings, TrialFrames


def dataset(recording: xr.DataTree, settings: Settings, clock: Clock) -> xr.Dataset:
    """Return `state`, `segment` and, if asked for, `speed` (time), with attributes for what makes states of a trace.

    Raises MissingError or DataError.
    """
    label = settings.label
    state, units = _state(recording, label, clock)
    if not np.isfinite(state).any():
        raise DataError(
            f"label, {label.source or 'trials'}",
            expected=f"values between {clock.times[0]:g} and {clock.times[-1]:g} s, the time of the frames",
            found="none",
            remedy="Correct `rate_hz` and `start_s` in the reader's options: both clocks start at the same moment.",
        )
    variables = {
        "state": ("time", state.astype(np.float32), {"units": units}),
        "segment": ("time", clock.segment, {"units": "1"}),
    }
    if settings.speed is not None:
        speed, speed_units = _trace(recording, settings.speed, None, clock)
        variables["speed"] = ("time", speed.astype(np.float32), {"units": speed_units})
    kept = {"continuous": label.threshold is not None, "least_s": label.least_s, "bridge_s": label.bridge_s}
    trials = {}
    if clock.trial_frames is not None:
        trials = {
            "trial_frames": clock.trial_frames,
            "trial_start_s": clock.trial_start_s,
            "clock": "trials follow each other without a gap from 0 s; trial_start_s is the first frame of each on its "
            "own clock",
        }
    return xr.Dataset(variables, attrs={**clock.attributes, **kept, **trials})


def _state(recording: xr.DataTree, label: Label, clock: Clock) -> tuple[np.ndarray, str]:
    if label.trials is not None:
        return _by_place(label.trials, clock), "1"
    assert label.source is not None
    if label.threshold is None:
        return _recorded(recording, label.source, label.output, clock), "1"
    trace, units = _trace(recording, label.source, label.output, clock)
    if label.smooth_s is not None:
        trace = _smooth(trace, calcium.samples(label.smooth_s, clock.rate_hz))
    return trace, units


def _by_place(trials: TrialFrames, clock: Clock) -> np.ndarray:
    length = clock.trial_frames
    if length is None or max(*trials.before, *trials.response) >= length:
        raise DataError(
            "label.trials",
            expected="frames of trials, counted from 0",
            found="a continuous session" if length is None else f"trials of {length} frames",
            remedy="Name inputs with axes (trial, time, ...), or correct the frames.",
        )
    states = np.full(length, np.nan)
    states[trials.before], states[trials.response] = 0, 1
    return np.tile(states, clock.rows // length)


def _recorded(recording: xr.DataTree, path: str, output: str | None, clock: Clock) -> np.ndarray:
    """Return recorded states of the nearest samples. Raises DataError for values other than 0, 1 and NaN."""
    times, values, _ = _samples(recording, path, output, clock)
    other = values[np.isfinite(values) & (values != 0) & (values != 1)]
    if other.size:
        raise DataError(
            f"label, {path}",
            expected="0 and 1",
            found=f"{other[0]:g}",
            remedy="Set `label.threshold` to make states of a trace.",
        )
    return behaviour.nearest(times, values, clock.times)


def _trace(recording: xr.DataTree, path: str, output: str | None, clock: Clock) -> tuple[np.ndarray, str]:
    """Return a trace interpolated linearly, NaN where its nearest sample is, and its units."""
    times, values, units = _samples(recording, path, output, clock)
    between = behaviour.resample(times, values, clock.times)[:, 0]
    return np.where(np.isnan(behaviour.nearest(times, values, clock.times)), np.nan, between), units


def _samples(recording: xr.DataTree, path: str, output: str | None, clock: Clock) -> tuple[np.ndarray, np.ndarray, str]:
    """Return times (s), values (time,) and units of one variable of behaviour. Raises MissingError or DataError."""
    group, variable = schema.variable(recording, path)
    if clock.trial_frames is not None:
        raise DataError(
            path,
            expected="labels of frames by their place in the trial",
            found="a trace on a clock of its own",
            remedy="Set `label.trials`, and no `speed`, with inputs (trial, time, ...).",
        )
    chosen = _column(variable, output, path)
    if chosen.dims != ("time",) or chosen.dtype.kind not in "biuf" or not chosen.size:
        raise DataError(
            path,
            expected="numbers with the axis time" + ("; name one `output`" if "output" in chosen.dims else ""),
            found=f"{chosen.dtype} with axes {chosen.dims}",
            remedy="Correct the path or `output`.",
        )
    times = schema.sample_times(group)
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else clock.rate_hz
    if len(times) == clock.rows and abs(rate / clock.rate_hz - 1) > 1e-3:
        raise DataError(
            path,
            expected=f"another number of samples, or {clock.rate_hz:g} Hz, the rate of as many frames",
            found=f"{clock.rows} samples at {rate:g} Hz",
            remedy="Correct `rate_hz` in the reader's options.",
        )
    return times, np.asarray(chosen.values, float), str(variable.attrs.get("units", "1"))


def _column(variable: xr.DataArray, output: str | None, path: str) -> xr.DataArray:
    if output is None:
        return variable
    known = [str(name) for name in variable.coords["output"].values] if "output" in variable.coords else []
    if output not in known:
        raise DataError(
            f"{path}, output",
            expected=f"one of {', '.join(known)}" if known else "a source with the axis output and names along it",
            found=repr(output),
            remedy="Correct `label.output`.",
        )
    return variable.isel(output=known.index(output))


def _smooth(trace: np.ndarray, window: int) -> np.ndarray:
    """Return the centred moving mean of what is known, (time,); NaN stays NaN."""
    known = np.isfinite(trace)
    total = calcium.moving_mean(np.where(known, trace, 0.0), window)
    share = calcium.moving_mean(known.astype(float), window)
    return np.where(known, total / np.where(known, share, 1.0), np.nan)
