"""Spikes on the rows of the features, the class of each unit and the channels it was sorted on."""

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess.spikes import bin_rows
from pellucid.systems.deepinsight.features.clock import Clock


def variables(recording: xr.DataTree, source: str, rows: Clock, groups: np.ndarray, kept: np.ndarray) -> xr.Dataset:
    """Return spikes (time, neuron) int32; of a group of spike times also unit_class and unit_channels.

    source  /group/variable of counts on the rows, or /group of spike times
    groups  (channel,) name of the group of each channel of the signal, "" where it has none
    kept    (channel,) numbers of the channels that the features keep
    Raises MissingError, or DataError for another clock, units that there are not, or spikes outside the recording.
    """
    if "/" in source.strip("/"):
        return xr.Dataset({"spikes": (("time", "neuron"), _counts(recording, source, rows), {"units": "count"})})
    neurons, counts = counted(recording, source, rows)
    group = schema.group(recording, source)
    channels = _channels(f"/{source.strip('/')}", _names(group, "unit_group"), groups)[kept]
    return xr.Dataset(
        {
            "spikes": (("time", "neuron"), counts.astype(np.int32), {"units": "count"}),
            "unit_class": ("neuron", _names(group, "unit_class")),
            "unit_channels": (("channel", "neuron"), channels),
        },
        coords={"neuron": neurons},
    )


def counted(recording: xr.DataTree, source: str, rows: Clock) -> tuple[np.ndarray, np.ndarray]:
    """Return the names of the units of a group of spike times and their counts in the rows, (row, neuron).

    Raises MissingError, or DataError for units that there are not, or spikes outside the recording.
    """
    path = f"/{source.strip('/')}"
    times = np.asarray(schema.variable(recording, f"{path}/spike_time")[1].values, float)
    units = np.asarray(schema.variable(recording, f"{path}/spike_unit")[1].values)
    neurons = np.array([str(name) for name in schema.variable(recording, f"{path}/neuron")[1].values], object)
    _check(path, times, units, len(neurons), rows)
    counts = bin_rows(times, units, rows.starts, rows.stops, neurons=len(neurons), where=f"{path}/spike_time")
    return neurons, counts


def _counts(recording: xr.DataTree, source: str, rows: Clock) -> np.ndarray:
    group, spikes = schema.variable(recording, source)
    if len(spikes) != len(rows) or not np.allclose(schema.sample_times(group), rows.times):
        raise DataError(
            source,
            expected=f"counts on the {len(rows)} rows of the features",
            found=f"{len(spikes)} rows on another clock",
            remedy="Bin the spikes on the clock of the features.",
        )
    return np.asarray(spikes.values.astype(np.int32))


def _names(group: xr.Dataset, name: str) -> np.ndarray:
    if name not in group.variables:
        return np.full(group.sizes["neuron"], "", object)
    return np.array([str(found) for found in group[name].values], object)


def _channels(path: str, unit_groups: np.ndarray, channel_groups: np.ndarray) -> np.ndarray:
    """Return which channels each unit was sorted on, (channel, neuron): all where its group or theirs is unknown."""
    unknown = sorted(set(unit_groups) - set(channel_groups) - {""})
    if unknown and (channel_groups != "").any():
        raise DataError(
            f"{path}/unit_group",
            expected=f"groups of channels: {', '.join(sorted(set(channel_groups) - {''}))}",
            found=", ".join(unknown),
            remedy="Give units and channels the same names of groups.",
        )
    same = channel_groups[:, None] == unit_groups[None, :]
    anywhere = (unit_groups == "") | np.isin(unit_groups, unknown)
    return np.asarray(same | anywhere[None, :])


def _check(path: str, times: np.ndarray, units: np.ndarray, neurons: int, rows: Clock) -> None:
    """Raise DataError for a unit that is not there, or a spike more than a row outside the recording."""
    wrong = (units < 0) | (units >= neurons)
    if wrong.any():
        raise DataError(
            f"{path}/spike_unit",
            expected=f"numbers of the {neurons} units, 0 to {neurons - 1}",
            found=f"{units[int(np.argmax(wrong))]}",
            remedy="Correct the coordinate `neuron`, or the numbers of the spikes.",
        )
    row = float(np.max(rows.stops - rows.starts))
    outside = (times < rows.starts[0] - row) | (times > rows.stop_s + row)
    if outside.any():
        first = times[int(np.argmax(outside))]
        raise DataError(
            f"{path}/spike_time",
            expected=f"s within the recording, {rows.starts[0]:g} to {rows.stop_s:g} s",
            found=f"{int(outside.sum())} of {len(times)} spikes outside, the first at {first:g} s",
            remedy="Bring the spikes onto the clock of the signal, in s.",
        )
