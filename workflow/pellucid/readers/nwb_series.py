"""Time series of NWB files: their clocks, and those of behaviour as the group /behaviour."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pellucid.readers import layout, nwb_session
from pellucid.readers.assemble import assemble
from pellucid.readers.hdf5 import Node, Stored, wrong
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


class Track(Block):
    """One variable of behaviour."""

    source: str = Field(min_length=1, description="path of the series in the file, processing/behavior/Position/led")
    outputs: list[str] | None = Field(None, min_length=1, description="names of its columns, by default 1, 2, ...")
    units: str | None = Field(None, description="by default those of the file")


@dataclass(frozen=True)
class Clock:
    """When samples were taken: at a rate in Hz from a start in s, or at time stamps."""

    name: str
    rate_hz: float
    start_s: float
    stamps: Stored | None


@dataclass(frozen=True)
class Variable:
    """A variable of behaviour."""

    data: Stored
    clock: Clock
    units: str
    scale: float
    outputs: list[str] | None


def series(content: Node) -> dict[str, Node]:
    """Return the time series of a file with their data in it, by the path of the group."""
    from pynwb import TimeSeries

    found = {}
    for container in content.objects.values():
        data = getattr(container, "data", None) if isinstance(container, TimeSeries) else None
        name = getattr(data, "name", None)
        if isinstance(name, str) and name.endswith("/data"):
            found[name.removesuffix("/data").strip("/")] = container
    return found


def clock_of(series: Node, name: str, path: Path) -> Clock:
    """Return the clock of a series. Raises DataError for a rate or stamps that do not fit its samples."""
    rows, label = int(series.data.shape[0]) if series.data.shape else 0, f"{path}, {name}"
    if series.rate is None:
        stamps = nwb_session.stored(path, series.timestamps, f"{label}/timestamps")
        if stamps.shape != (rows,):
            raise wrong(f"{label}/timestamps", f"as many as samples, ({rows},)", f"shape {stamps.shape}")
        return Clock(name, 0.0, 0.0, stamps)
    rate, start = float(series.rate), float(series.starting_time or 0.0)
    if not (math.isfinite(rate) and rate > 0 and math.isfinite(start)):
        raise wrong(label, "a positive rate and a start", f"{rate:g} Hz from {start:g} s")
    return Clock(name, rate, start, None)


def find(known: Mapping[str, Node], name: str, label: str, option: str) -> Node:
    """Return the series of a path. Raises DataError, naming those there are and the option to correct."""
    if name.strip("/") not in known:
        listed = ", ".join(list(known)[:12]) or "no series"
        raise wrong(label, f"a series {name!r}", listed, f"Correct `{option}`.")
    return known[name.strip("/")]


def variable(known: Mapping[str, Node], name: str, said: str | Track, path: Path) -> Variable:
    """Return a variable of behaviour as it is in the file, not read. Raises DataError for what is no such series."""
    track = Track(source=said) if isinstance(said, str) else said
    series, label = find(known, track.source, f"{path}, behaviour {name}", "behaviour"), f"{path}, {track.source}"
    data = nwb_session.stored(path, series.data, label)
    if data.ndim not in (1, 2) or 0 in data.shape:
        raise wrong(label, "axes time, or time and output", f"shape {data.shape}")
    if float(series.offset or 0.0) != 0:
        raise wrong(label, "an offset of 0", f"{series.offset}", "Save the values with their offset added.")
    columns = 1 if data.ndim == 1 else data.shape[1]
    outputs = track.outputs or [str(column + 1) for column in range(columns)]
    if len(outputs) != columns:
        raise wrong(label, f"{columns} names of columns", f"{len(outputs)}", "Correct `outputs`.")
    clock = clock_of(series, track.source.strip("/"), path)
    units = series.unit if track.units is None else track.units
    return Variable(data, clock, str(units), float(series.conversion), outputs if columns > 1 else None)


def behaviour(tracks: Mapping[str, Variable], label: str) -> "xr.Dataset":
    """Return the variables of behaviour, (time,) or (time, output), not loaded.

    tracks  name -> variable
    label   what messages call the file
    Raises DataError unless all are on one clock, and those of several columns have the same.
    """
    import numpy as np

    first = next(iter(tracks.values()))
    stamps = None if first.clock.stamps is None else np.asarray(first.clock.stamps[:], np.float64)
    outputs = next((track.outputs for track in tracks.values() if track.outputs is not None), None)
    variables = {}
    for name, track in tracks.items():
        where, leave = f"{label}, {track.clock.name}", "Leave one of them out."
        if not _is_clock(track.clock, first.clock, stamps):
            raise wrong(where, f"the clock of {first.clock.name}", "another", leave)
        if track.outputs not in (None, outputs):
            raise wrong(where, f"the columns {outputs}", f"{track.outputs}", leave)
        dims = ["time"] if track.outputs is None else ["time", "output"]
        variables[name] = {"dims": dims, "units": track.units, **({} if track.scale == 1 else {"scale": track.scale})}
    sources: dict[str, Any] = {name: track.data for name, track in tracks.items()}
    when: dict[str, Any] = {"rate_hz": first.clock.rate_hz, "start_s": first.clock.start_s}
    if stamps is not None:
        sources["time of the series"] = stamps
        when = {"time": "time of the series"}
    labels = {} if outputs is None else {"output": {"values": outputs}}
    group = layout.Group.model_validate({**when, "variables": variables, "coordinates": labels})
    return assemble(sources, {"behaviour": group}, label)["behaviour"].to_dataset()


def _is_clock(clock: Clock, first: Clock, stamps: "np.ndarray | None") -> bool:
    """Return whether a clock is that of the first variable."""
    import numpy as np

    if clock.stamps is None or stamps is None:
        same = (clock.rate_hz, clock.start_s) == (first.rate_hz, first.start_s)
        return same and clock.stamps is None and stamps is None
    return clock.stamps.shape == stamps.shape and np.array_equal(np.asarray(clock.stamps[:], np.float64), stamps)
