"""Events of each trial, on the trial's clock."""

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import events
from pellucid.preprocess.spikes import EDGE
from pellucid.systems.dunl.features import variables
from pellucid.systems.dunl.features.settings import Equals, Event, Settings
from pellucid.systems.dunl.features.trials import Cut


def find(recording: xr.DataTree, settings: Settings, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Return onsets (trial, event), s, and their kinds (trial, event), int16; NaN and -1 where absent.

    Kinds are indices into `settings.kinds`. The events of a trial are in order of time; at least one slot.
    Raises DataError for a kind whose events all lie outside the trials.
    """
    parts = [_inside(_times(recording, event, cut, name), cut, name) for name, event in settings.events.items()]
    onset = np.concatenate([np.full((len(cut.source), 1), np.nan), *parts], axis=1)
    each = [settings.kinds.index(event.kind or name) for name, event in settings.events.items()]
    kinds = np.concatenate([[-1], *(np.full(part.shape[1], kind) for kind, part in zip(each, parts))])
    order = np.argsort(onset, axis=1, kind="stable")  # NaN last
    onset = np.take_along_axis(onset, order, axis=1)
    slots = max(1, int(np.isfinite(onset).sum(axis=1).max()))
    onset = onset[:, :slots]
    return onset, np.where(np.isnan(onset), -1, kinds[order][:, :slots]).astype(np.int16)


def of_trials(recording: xr.DataTree, wanted: Equals, cut: Cut) -> np.ndarray:
    """Return in which trials a variable has one of the values wanted, shape (trial,)."""
    found, here = variables.matches(recording, wanted)
    return cut.each(found, here, wanted.source)


def _times(recording: xr.DataTree, event: Event, cut: Cut, name: str) -> np.ndarray:
    """Return the times of one kind of event on the clock of each trial, shape (trial, event), NaN where absent."""
    if event.source is None:
        times = np.full((len(cut.source), 1), np.nan if event.at_s is None else event.at_s)
        return _only(times, recording, event.when, cut)
    found = schema.variable(recording, event.source)[1]
    times = variables.seconds(recording, event.source) * (-1 if event.backwards else 1) + event.offset_s
    entries = event.when is not None and _same_entries(recording, event.source, event.when.source)
    if event.when is not None and entries:
        times = np.where(variables.matches(recording, event.when)[1], times, np.nan)
    if cut.windows is not None:
        own = events.within(times.ravel(), cut.windows)
        if np.isfinite(times).any() and not own.size:
            raise _outside(name, times, cut.windows.start_s[0], cut.windows.start_s[-1] + cut.windows.length_s)
    else:
        own = cut.each(found.isel(dict.fromkeys(found.dims[1:], 0)), times, event.source)
        own = own.reshape(len(own), -1)
    return own if entries else _only(own, recording, event.when, cut)


def _only(times: np.ndarray, recording: xr.DataTree, when: Equals | None, cut: Cut) -> np.ndarray:
    return times if when is None else np.where(of_trials(recording, when, cut)[:, None], times, np.nan)


def _same_entries(recording: xr.DataTree, one: str, other: str) -> bool:
    """Return whether two variables have the same axes of one group, so that their entries belong together."""
    first, second = (schema.variable(recording, path)[1] for path in (one, other))
    return one.rpartition("/")[0] == other.rpartition("/")[0] and first.dims == second.dims


def _inside(times: np.ndarray, cut: Cut, name: str) -> np.ndarray:
    """Return the times with those outside the trials made NaN. Raises DataError if no time is left."""
    with np.errstate(invalid="ignore"):
        bins = np.floor((times - cut.start_s) / cut.bin_s + EDGE)
        inside = (bins >= 0) & (bins < cut.signal.shape[1])
    present = np.isfinite(times)
    if present.any() and not inside.any():
        raise _outside(name, times, cut.start_s, cut.start_s + cut.signal.shape[1] * cut.bin_s)
    return np.where(inside, times, np.nan)


def _outside(name: str, times: np.ndarray, start: float, stop: float) -> DataError:
    return DataError(
        f"events.{name}",
        expected=f"times inside the trials, from {start:g} to {stop:g} s",
        found=f"{int(np.isfinite(times).sum())} times from {np.nanmin(times):g} to {np.nanmax(times):g} s, all outside",
        remedy="Correct the clock or the units of the events, or the window of the trials.",
    )
