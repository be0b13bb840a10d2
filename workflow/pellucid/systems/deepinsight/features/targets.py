"""The variables to decode, on the rows of the features: one or two columns for each target."""

import json

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import behaviour, tracking
from pellucid.systems.deepinsight.features import spikes
from pellucid.systems.deepinsight.features.clock import Clock
from pellucid.systems.deepinsight.features.settings import TRACKED, Settings, Target


def columns(recording: xr.DataTree, settings: Settings, rows: Clock) -> tuple[np.ndarray, list[str], list[str]]:
    """Return behaviour (row, output) float32, and the label and the target of each output.

    rows  the moment of each row, and its block
    NaN where a variable is not known: outside its samples, and inside gaps longer than the target bridges.
    Raises MissingError, or DataError if a variable is not of the kind that its target says.
    """
    values, labels, names = [], [], []
    for name, target in settings.targets.items():
        if target.kind == "rate":
            found = target.scale * _rate(recording, target, rows)
        else:
            found = _column(recording, name, target, rows.times)
        values.append(found)
        labels += _labels(recording, name, target, found.shape[1])
        names += [name] * found.shape[1]
    return np.concatenate(values, axis=1).astype(np.float32), labels, names


def described(settings: Settings) -> str:
    """Return kind, period and units of every target as JSON, for scores and axes."""
    return json.dumps({name: _description(target) for name, target in settings.targets.items()})


def on_rows(recording: xr.DataTree, source: str, times: np.ndarray) -> np.ndarray:
    """Return a variable interpolated to the rows, (row, output)."""
    group, variable = schema.variable(recording, source)
    return behaviour.resample(schema.sample_times(group), in_units(variable), times)


def in_units(variable: xr.DataArray) -> np.ndarray:
    """Return a variable in its units, float64: stored numbers times the `scale` that is noted with them."""
    scale = variable.coords["scale"].values if "scale" in variable.coords else variable.attrs.get("scale", 1.0)
    return np.asarray(np.asarray(variable.values, float) * scale)


def check_choices(found: np.ndarray, names: list[str], settings: Settings, trial: np.ndarray) -> None:
    """Raise DataError if a choice changes within a trial.

    found  (row, output); names: target of each output; trial: (row,) number of the trial, -1 outside trials
    """
    border = (trial[1:] == trial[:-1]) & (trial[1:] >= 0)
    for index, name in enumerate(names):
        changes = border & (np.diff(found[:, index]) != 0) & np.isfinite(np.diff(found[:, index]))
        if settings.targets[name].kind == "choice" and changes.any():
            raise DataError(
                settings.targets[name].source,
                expected="one choice in each trial",
                found=f"both in trial {trial[int(np.argmax(changes))]}",
                remedy="Correct `trials`, or decode it as `kind: value`.",
            )


def _column(recording: xr.DataTree, name: str, target: Target, times: np.ndarray) -> np.ndarray:
    group, variable = schema.variable(recording, target.source)
    clock = schema.sample_times(group)
    if target.kind in TRACKED:
        return _tracked(clock, _lights(variable, name, target), target, times)
    if target.kind == "tone":
        return _tone(clock, _single(variable, name, target), target, times)
    if target.kind == "choice":
        return behaviour.nearest(clock, _classes(_single(variable, name, target), target), times)[:, None]
    if target.kind == "circular":
        values = target.scale * in_units(variable).reshape(len(variable))
        encoded = behaviour.circular(values, target.period)
        return behaviour.resample(clock, encoded, times, most_gap_s=target.gap_s)
    angular = target.kind == "angle"
    found = behaviour.resample(clock, in_units(variable), times, angular=angular, most_gap_s=target.gap_s)
    return target.scale * found


def _rate(recording: xr.DataTree, target: Target, rows: Clock) -> np.ndarray:
    """Return spikes per s of all units together in the block of each row, (row, 1)."""
    _, counts = spikes.counted(recording, target.source, rows)
    return np.asarray(counts.sum(axis=1, keepdims=True) / (rows.stops - rows.starts)[:, None])


def _tracked(clock: np.ndarray, lights: np.ndarray, target: Target, times: np.ndarray) -> np.ndarray:
    gap = target.gap_s
    smooth = tracking.smoothed(clock, lights, target.smooth_samples, gap)
    if target.kind == "heading":
        angle = tracking.heading(smooth)[:, None]
        _check_known(angle, target, "both lights")
        return behaviour.resample(clock, angle, times, angular=True, most_gap_s=gap)
    position = tracking.midpoint(clock, smooth, gap)
    _check_known(position, target, "a light")
    if target.kind == "speed":
        position = tracking.speed(clock, position, gap)[:, None]
    return behaviour.resample(clock, position, times, most_gap_s=gap)


def _tone(clock: np.ndarray, frequency: np.ndarray, target: Target, times: np.ndarray) -> np.ndarray:
    """Return log10 of the frequency in `units`, or `silence`, of the nearest sample: tones have edges."""
    plays = np.isfinite(frequency) & (frequency != 0)
    if (frequency[plays] < 0).any():
        lowest = f"{frequency[plays].min():g}"
        raise DataError(
            target.source,
            expected="frequencies, 0 or NaN in silence",
            found=lowest,
            remedy="Name the frequency of the tone.",
        )
    value = np.where(plays, np.log10(np.where(plays, frequency, 1) * target.scale), target.silence)
    return behaviour.nearest(clock, value, times)[:, None]


def _classes(choice: np.ndarray, target: Target) -> np.ndarray:
    classes = np.unique(choice[np.isfinite(choice)])
    if not set(classes) <= {0.0, 1.0}:
        raise DataError(
            target.source,
            expected="0 and 1, the two choices",
            found=", ".join(f"{value:g}" for value in classes[:5]),
            remedy="Name the choice, or decode it as `kind: value`.",
        )
    return 2 * choice - 1


def _single(variable: xr.DataArray, name: str, target: Target) -> np.ndarray:
    """Return a variable of one column, (time,), unscaled."""
    values = in_units(variable)
    if values.size != len(values):
        raise DataError(
            f"{target.source}, target {name}",
            expected=f"one number per sample for the kind {target.kind}",
            found=f"shape {values.shape}",
            remedy="Name a variable of one column.",
        )
    return values.reshape(len(values))


def _lights(variable: xr.DataArray, name: str, target: Target) -> np.ndarray:
    """Return tracked lights scaled to `units`, (time, 2 or 4)."""
    widths = (4,) if target.kind == "heading" else (2, 4)
    if variable.ndim != 2 or variable.shape[1] not in widths:
        one_light = target.kind == "heading" and variable.ndim == 2 and variable.shape[1] == 2
        raise DataError(
            f"{target.source}, target {name}",
            expected=f"tracked lights (time, {' or '.join(map(str, widths))}): x1, y1"
            + (", x2, y2" if target.kind == "heading" else "[, x2, y2]"),
            found=f"shape {variable.shape}" + (": one light, which has no direction" if one_light else ""),
            remedy="Remove the target." if one_light else "Name the lights, or decode it as `kind: value`.",
        )
    return target.scale * in_units(variable)


def _check_known(values: np.ndarray, target: Target, what: str) -> None:
    if not np.isfinite(values).all(axis=1).any():
        raise DataError(
            target.source,
            expected=f"samples in which {what} was tracked",
            found="none",
            remedy=f"Remove the target of kind {target.kind}.",
        )


def _description(target: Target) -> dict[str, object]:
    """Return what scores and axes need: a heading is an angle, and a tone a logarithm."""
    about: dict[str, object] = target.model_dump(include={"kind", "period", "units"})
    if target.kind == "heading":
        return {**about, "kind": "angle"}
    if target.kind == "tone":
        return {**about, "units": f"log10({target.units})", "silence": target.silence}
    return about


def _labels(recording: xr.DataTree, name: str, target: Target, count: int) -> list[str]:
    """Return the label of each column: the names the recording gives to them, or the target's own with a suffix."""
    if target.kind == "circular":
        return [f"{name}_sin", f"{name}_cos"]
    if count == 1:
        return [name]
    if target.kind == "position":
        return [f"{name}_x", f"{name}_y"]
    known = schema.variable(recording, target.source)[1].coords.get("output")
    return [f"{name}_{i}" for i in range(count)] if known is None else [str(label) for label in known.values]
