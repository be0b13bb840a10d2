"""A simulated recording in the raw formats of laboratories, its signal passed on in blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pellucid import store
from pellucid.readers import binary, sorted_units
from pellucid.systems.deepinsight.simulate.settings import Format


@dataclass(frozen=True)
class Trace:
    """One behaviour.

    values    (time,) or (time, output)
    labels    of its outputs, where there are several
    variable  its name in a recording; none: the name of its file
    """

    values: np.ndarray
    units: str
    labels: Sequence[str] = ()
    variable: str | None = None


@dataclass(frozen=True)
class Raw:
    """What a simulated recording holds, whatever the format.

    blocks      (time, channel) int16, one after the other
    samples     of all blocks together
    groups      tetrode of each channel; none: unknown
    spikes      unit -> times in s
    unit_class  unit -> class
    unit_group  unit -> tetrode
    """

    blocks: Iterator[np.ndarray]
    samples: int
    rate_hz: float
    scale_uv: float
    channels: Sequence[str]
    behaviour: Mapping[str, Trace]
    behaviour_rate_hz: float
    groups: Sequence[str] = ()
    spikes: Mapping[str, np.ndarray] = field(default_factory=dict)
    unit_class: Mapping[str, str] = field(default_factory=dict)
    unit_group: Mapping[str, str] = field(default_factory=dict)


def write(raw: Raw, form: Format, folder: Path) -> None:
    """Write a recording in one format; equal recordings give equal bytes."""
    {"binary": _binary, "nwb": _nwb, "open_ephys_nwb1": _open_ephys}[form](raw, folder)


def _binary(raw: Raw, folder: Path) -> None:
    channels = {"channel": (raw.channels, "channel")}
    groups = {"channel_group": (raw.groups, "channel")} if raw.groups else {}
    binary.write(
        folder,
        "signal",
        raw.blocks,
        group="ephys",
        variable="signal",
        dims=("time", "channel"),
        rate_hz=raw.rate_hz,
        units="uV",
        scale=raw.scale_uv,
    )
    _label(folder / "signal.json", channels | groups)
    for name, trace in raw.behaviour.items():
        binary.write(
            folder,
            name,
            trace.values.astype("<f4"),
            group="behaviour",
            variable=trace.variable or name,
            dims=("time", "output")[: trace.values.ndim],
            rate_hz=raw.behaviour_rate_hz,
            units=trace.units,
            coordinates={"output": list(trace.labels)} if trace.labels else {},
        )
    if raw.spikes:
        _binary_spikes(raw, folder)


def _binary_spikes(raw: Raw, folder: Path) -> None:
    """Write times and units of all spikes in order of time, units labelled with class and tetrode."""
    names, spiked = list(raw.spikes), sorted_units.spikes(raw.spikes, {}, "spikes")
    for name, kind in (("spike_time", "<f8"), ("spike_unit", "<i4")):
        values, units = spiked[name].values.astype(kind), spiked[name].attrs["units"]
        binary.write(folder, name, values, group="spikes", variable=name, dims=("spike",), units=units)
    labels = {"neuron": names, "unit_class": [raw.unit_class[name] for name in names]}
    labels["unit_group"] = [raw.unit_group[name] for name in names]
    _label(folder / "spike_unit.json", {name: (values, "neuron") for name, values in labels.items()})


def _label(sidecar: Path, labels: Mapping[str, tuple[Sequence[str], str]]) -> None:
    """Add labels along an axis to a sidecar: name -> (values, axis)."""
    coordinates = {
        name: {"values": list(values)} | ({} if name == axis else {"dims": [axis]})
        for name, (values, axis) in labels.items()
    }
    described = binary.Sidecar.model_validate(store.read_json(sidecar) | {"coordinates": coordinates})
    store.write_json(sidecar, described.model_dump(exclude_defaults=True))


def _nwb(raw: Raw, folder: Path) -> None:
    from pellucid.readers import nwb

    nwb.write(
        folder / "recording.nwb",
        signal_blocks=raw.blocks,
        samples=raw.samples,
        rate_hz=raw.rate_hz,
        scale_uv=raw.scale_uv,
        channels=list(raw.channels),
        groups=list(raw.groups) or ["array"] * len(raw.channels),
        spikes=dict(raw.spikes),
        unit_class=dict(raw.unit_class),
        unit_group=dict(raw.unit_group),
        behaviour={
            trace.variable or name: (raw.behaviour_rate_hz, trace.values.astype("<f4"), trace.units)
            for name, trace in raw.behaviour.items()
        },
        subject="simulated",
        session="1",
    )


def _open_ephys(raw: Raw, folder: Path) -> None:
    """Write the signal and the LEDs; the format holds no sorted spikes."""
    from pellucid.readers import open_ephys

    led = raw.behaviour["led"].values
    open_ephys.write(
        folder / "recording.nwb",
        signal_blocks=raw.blocks,
        samples=raw.samples,
        rate_hz=raw.rate_hz,
        channels=len(raw.channels),
        led=led,
        led_times=np.arange(len(led)) / raw.behaviour_rate_hz,
    )
