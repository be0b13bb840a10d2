"""NWB 2 files: a wide-band signal with its electrodes, sorted units, and behaviour; the signal is streamed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from pellucid.readers import clocks, layout, nwb_series, nwb_session, sorted_units
from pellucid.readers.assemble import assemble
from pellucid.readers.hdf5 import Node, Stored, wrong
from pellucid.readers.nwb_series import Track
from pellucid.readers.nwb_write import write
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

__all__ = ["Settings", "Track", "read", "select", "write"]


class Settings(Block):
    """What of a file is read."""

    series: str | None = Field(
        None, description="path of the ElectricalSeries, acquisition/NAME; by default the only one in acquisition"
    )
    rate_hz: float | None = Field(None, gt=0, description="expected rate of a signal with time stamps")
    channel: str | None = Field(
        None, description="column of the electrodes that names channels; by default channel_name, else their id"
    )
    channel_group: str = Field("group_name", description="column of the electrodes that names tetrode or shank")
    spikes: bool = Field(True, description="whether the table of units is read, where there is one")
    unit: str | None = Field(None, description="column that names units; by default unit_name, else their id")
    unit_class: str | None = Field(None, description="column with the class of a unit; by default unit_class, if any")
    unit_group: str | None = Field(
        None, description="column with the group of channels it was sorted on; by default unit_group, if any"
    )
    behaviour: dict[str, str | Track] = Field(
        default_factory=dict, description="name -> path of its series; all on one clock"
    )

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if {"time", "output"} & set(self.behaviour):
            raise ValueError("names of `behaviour` other than time and output, which are axes")
        return self


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the one .nwb file. Raises MissingError if there is none, DataError if there are several."""
    return [layout.single(files, ".nwb")]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity, its signal streamed.

    files     one .nwb file
    settings  see Settings
    Gives /ephys signal (time, channel) with its numbers as they are stored and `scale` in uV (a coordinate of each
    channel where they differ), `offset` in uV where it is not 0, and channel_group (channel); /spikes as sorted_units;
    /behaviour the variables named, (time,) or (time, output).
    Raises DataError: damage, links out of the file, names that are not there, time stamps off a regular clock by half a
    sample, an offset of behaviour, or behaviour on several clocks.
    """
    import xarray as xr

    path = select(files, settings)[0]
    with nwb_session.session(path) as content:
        known = nwb_series.series(content)
        signal = _signal(content, known, settings, path)
        units = _units(content, settings, path)
        tracks = {name: nwb_series.variable(known, name, said, path) for name, said in settings.behaviour.items()}
    groups: dict[str, xr.Dataset | xr.DataTree] = {}
    if signal is not None:
        groups["/ephys"] = _ephys(signal, settings, f"{path}, {signal.clock.name}")
    if units is not None:
        groups["/spikes"] = units
    if tracks:
        groups["/behaviour"] = nwb_series.behaviour(tracks, str(path))
    if not groups:
        listed = ", ".join(known) or "no series"
        raise wrong(str(path), "a signal, units or behaviour", listed, "Name them in `series` or `behaviour`.")
    return xr.DataTree.from_dict(groups)


@dataclass(frozen=True)
class _Signal:
    """A signal and its channels."""

    data: Stored
    clock: nwb_series.Clock
    scale: list[float]
    offset: float
    channels: list[str]
    groups: list[str] | None


def _signal(content: Node, known: Mapping[str, Node], settings: Settings, path: Path) -> _Signal | None:
    """Return the signal that is asked for, or the only one, or None where there is none."""
    from pynwb.ecephys import ElectricalSeries

    electrical = {name: series for name, series in known.items() if isinstance(series, ElectricalSeries)}
    wanted = settings.series
    if wanted is None:
        names = [name for name in electrical if name.startswith("acquisition/")]
        if len(names) > 1:
            raise wrong(str(path), "one ElectricalSeries in acquisition", ", ".join(names[:8]), "Name it in `series`.")
        if not names:
            return None
        wanted = names[0]
    series, label = nwb_series.find(electrical, wanted, str(path), "series"), f"{path}, {wanted}"
    data = nwb_session.stored(path, series.data, label)
    if data.ndim not in (1, 2) or 0 in data.shape:
        raise wrong(label, "axes time, channel", f"shape {data.shape}")
    rows = [int(row) for row in series.electrodes.data[:]]
    if len(rows) != (data.shape[1] if data.ndim == 2 else 1):
        raise wrong(label, f"an electrode for each channel of {data.shape}", f"{len(rows)} electrodes")
    table = series.electrodes.table
    channels = _names(table, settings.channel, "channel_name", rows, f"{path}, electrodes")
    groups = _column(table, settings.channel_group, rows, f"{path}, electrodes")
    scale, offset = _scale(series, len(rows), label)
    return _Signal(data, nwb_series.clock_of(series, wanted.strip("/"), path), scale, offset, channels, groups)


def _scale(series: Node, channels: int, label: str) -> tuple[list[float], float]:
    """Return uV per step of each channel, and the offset in uV."""
    import numpy as np

    each = np.ones(channels) if series.channel_conversion is None else np.asarray(series.channel_conversion[:], float)
    scale, offset = float(series.conversion) * each * 1e6, float(series.offset or 0.0) * 1e6
    if each.shape != (channels,) or not np.isfinite(scale).all() or (scale == 0).any() or not np.isfinite(offset):
        raise wrong(label, f"a conversion to V for each of {channels} channels", f"{scale[:8]} and offset {offset:g}")
    return [float(f"{one:.12g}") for one in scale], offset  # 1.95e-7 V are 0.195 uV, not 0.19499999999999998


def _names(table: Node, wanted: str | None, usual: str, rows: Any, label: str) -> list[str]:  # noqa: ANN401
    """Return the names of rows of a table, by a column or by their id. Raises DataError unless they differ."""
    names = _column(table, wanted or usual, rows, label, must=wanted is not None)
    if names is None:
        names = nwb_session.texts(table.id, rows, label)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong(label, "different names", f"{twice!r} twice", "Name another column.")
    return names


def _column(table: Node, name: str, rows: Any, label: str, *, must: bool = False) -> list[str] | None:  # noqa: ANN401
    if name in table.colnames:
        return nwb_session.texts(table[name], rows, f"{label}, {name}")
    if must:
        raise wrong(label, f"a column {name!r}", ", ".join(table.colnames), "Correct the name of the column.")
    return None


def _units(content: Node, settings: Settings, path: Path) -> "xr.Dataset | None":
    table = content.units
    if not settings.spikes or table is None or "spike_times" not in table.colnames:
        return None
    label = f"{path}, units"
    times = nwb_session.ragged(table, label)
    names = _names(table, settings.unit, "unit_name", slice(None), label)
    labels = {}
    for usual, wanted in (("unit_class", settings.unit_class), ("unit_group", settings.unit_group)):
        found = _column(table, wanted or usual, slice(None), label, must=wanted is not None)
        if found is not None:
            labels[usual] = found
    return sorted_units.spikes(dict(zip(names, times, strict=True)), labels, label)


def _ephys(signal: _Signal, settings: Settings, label: str) -> "xr.Dataset":
    rate, start = signal.clock.rate_hz, signal.clock.start_s
    if signal.clock.stamps is not None:
        rate, start = clocks.regular(signal.clock.stamps, settings.rate_hz, f"{label}/timestamps")
    elif settings.rate_hz is not None and settings.rate_hz != rate:
        raise wrong(label, f"{settings.rate_hz:g} Hz (`rate_hz`)", f"{rate:g} Hz", "Correct `rate_hz`.")
    coordinates: dict[str, Any] = {"channel": {"values": signal.channels}}
    if signal.groups is not None:
        coordinates["channel_group"] = {"values": signal.groups, "dims": ["channel"]}
    variable: dict[str, Any] = {"dims": ["time", "channel"], "units": "uV"}
    if len(set(signal.scale)) == 1:
        variable["scale"] = signal.scale[0]
    else:
        coordinates["scale"] = {"values": signal.scale, "dims": ["channel"], "units": "uV"}
    group = {"rate_hz": rate, "start_s": start, "variables": {"signal": variable}, "coordinates": coordinates}
    data = signal.data if signal.data.ndim == 2 else _Column(signal.data)
    found = assemble({"signal": data}, {"ephys": layout.Group.model_validate(group)}, label)["ephys"].to_dataset()
    if signal.offset:
        found["signal"].attrs["offset"] = signal.offset
    return found


class _Column:
    """A signal of one channel, (time,), shown as (time, 1)."""

    def __init__(self, data: Stored) -> None:
        self._data, self.shape, self.dtype, self.ndim = data, (*data.shape, 1), data.dtype, 2

    def __getitem__(self, index: tuple[Any, ...]) -> "np.ndarray":
        return self._data[index[0]][:, None][:, index[1]]
