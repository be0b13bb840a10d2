"""Sessions written as NWB 2 files, for simulators and tests: signal, sorted units and behaviour; equal bytes each time.

The signal is acquisition/signal, behaviour is processing/behavior/NAME, and the tables of electrodes and units have the
columns channel_name, unit_name, unit_class and unit_group beside those that NWB asks for.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pellucid.readers import hdf5_write

if TYPE_CHECKING:
    import numpy as np

SIGNAL = "signal"
"""Name of the ElectricalSeries."""

STARTED = datetime(2000, 1, 1, tzinfo=UTC)
"""When a simulated session began, which NWB asks for."""

Node: TypeAlias = Any
"""An object of pynwb."""

Clocked: TypeAlias = "tuple[np.ndarray | float, np.ndarray, str]"
"""Times of the samples in s, or their rate in Hz from 0 s; values (time[, output]); units."""


def write(
    path: Path,
    *,
    signal_blocks: "Iterable[np.ndarray]",
    samples: int,
    rate_hz: float,
    scale_uv: float,
    channels: Sequence[str],
    groups: Sequence[str],
    spikes: "Mapping[str, np.ndarray]",
    unit_class: Mapping[str, str],
    unit_group: Mapping[str, str],
    behaviour: Mapping[str, Clocked],
    subject: str,
    session: str,
) -> None:
    """Write one session, the signal block by block.

    signal_blocks  int16 (any, channel), in order, `samples` rows in all
    samples        rows of the signal
    rate_hz        of the signal, from 0 s
    scale_uv       uV per count
    channels       name of each channel
    groups         tetrode or shank of each channel
    spikes         unit -> its spike times in s; no unit: no table of units
    unit_class     unit -> its class; "" where it is not named
    unit_group     unit -> the group it was sorted on; "" where it is not named
    behaviour      name -> (times in s or rate in Hz, values (time[, output]), units)
    subject        name of the animal
    session        name of the session
    Raises DataError unless the blocks hold `samples` rows of all channels.
    """
    import h5py
    from pynwb import NWBHDF5IO

    from pellucid import store

    content = _session(subject, session)
    _add_signal(content, samples, rate_hz, scale_uv, channels, groups)
    _add_units(content, spikes, unit_class, unit_group)
    for name, clocked in behaviour.items():
        _add_behaviour(content, name, clocked)
    _name(content, f"{subject}/{session}")
    with store.atomic_file(path) as partial, h5py.File(partial, "w") as file:
        NWBHDF5IO(file=file, mode="w").write(content, cache_spec=False)
        hdf5_write.fill(file[f"acquisition/{SIGNAL}/data"], signal_blocks, str(path))


def _session(subject: str, session: str) -> Node:
    from pynwb import NWBFile
    from pynwb.file import Subject

    content = NWBFile(
        session_description=session,
        identifier=f"{subject}/{session}",
        session_start_time=STARTED,
        file_create_date=[STARTED],
        session_id=session,
    )
    content.subject = Subject(subject_id=subject, species="simulated", description="simulated")
    return content


def _add_signal(
    content: Node, samples: int, rate_hz: float, scale_uv: float, channels: Sequence[str], groups: Sequence[str]
) -> None:
    """Add the electrodes and a signal of the right shape, its samples still to be written."""
    import numpy as np
    from pynwb import H5DataIO
    from pynwb.ecephys import ElectricalSeries

    device = content.create_device(name="probe")
    made = {}
    for group in dict.fromkeys(groups):
        made[group] = content.create_electrode_group(
            name=group, description="channels side by side", location="unknown", device=device
        )
    content.add_electrode_column(name="channel_name", description="name of the channel")
    for index, (channel, group) in enumerate(zip(channels, groups, strict=True)):
        content.add_electrode(id=index, location="unknown", group=made[group], channel_name=channel)
    region = content.create_electrode_table_region(list(range(len(channels))), "all channels")
    shape = (samples, len(channels))
    data = H5DataIO(shape=shape, dtype=np.dtype("int16"), chunks=hdf5_write.chunks(*shape))
    clock = {"rate": float(rate_hz), "starting_time": 0.0}
    signal = ElectricalSeries(name=SIGNAL, data=data, electrodes=region, conversion=scale_uv * 1e-6, **clock)
    content.add_acquisition(signal)


def _add_units(
    content: Node, spikes: "Mapping[str, np.ndarray]", unit_class: Mapping[str, str], unit_group: Mapping[str, str]
) -> None:
    if not spikes:
        return
    content.add_unit_column(name="unit_name", description="name of the unit")
    content.add_unit_column(name="unit_class", description="class of the unit, empty where it is unknown")
    content.add_unit_column(name="unit_group", description="group of channels it was sorted on")
    for index, (unit, times) in enumerate(spikes.items()):
        said = {"unit_class": unit_class.get(unit, ""), "unit_group": unit_group.get(unit, "")}
        content.add_unit(id=index, spike_times=times, unit_name=unit, **said)


def _add_behaviour(content: Node, name: str, clocked: Clocked) -> None:
    import numpy as np
    from pynwb import TimeSeries

    clock, values, units = clocked
    when = {"timestamps": clock} if isinstance(clock, np.ndarray) else {"rate": float(clock), "starting_time": 0.0}
    if "behavior" not in content.processing:
        content.create_processing_module(name="behavior", description="what the animal did")
    content.processing["behavior"].add(TimeSeries(name=name, data=values, unit=units, **when))


def _name(content: Node, seed: str) -> None:
    """Give each object of a session the same id whenever it is written; pynwb draws them at random."""
    for container in list(content.objects.values()):
        names, above = [container.name], container.parent
        while above is not None:
            names.append(above.name)
            above = above.parent
        said = "/".join([seed, type(container).__name__, *reversed(names)])
        container._AbstractContainer__object_id = str(uuid.uuid5(uuid.NAMESPACE_URL, said))
