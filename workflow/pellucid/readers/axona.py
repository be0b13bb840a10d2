"""Axona DacqUSB sessions: LFP (.eeg, .egf) with the gains of the .set, LEDs (.pos), tetrodes cut into clusters."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from pellucid.errors import MissingError
from pellucid.readers import axona_files, layout, sorted_units
from pellucid.readers.assemble import assemble
from pellucid.readers.axona_write import write
from pellucid.readers.hdf5 import wrong
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

__all__ = ["Settings", "read", "select", "write"]

COUNTS = {"eeg": "num_EEG_samples", "egf": "num_EGF_samples"}
OUTPUTS = ("x1", "y1", "x2", "y2")

CHANNELS = 4
"""Channels of a tetrode."""


class Settings(Block):
    """What of a session is read."""

    session: str | None = Field(None, description="name of the .set without its ending, where there are several")
    signal: Literal["eeg", "egf"] = Field("eeg", description="eeg: about 250 Hz, int8; egf: about 4800 Hz, int16")
    channels: list[str] | None = Field(
        None, min_length=1, description="endings of the files, [eeg, eeg2]; by default all there are"
    )
    position: bool = Field(True, description="whether the LEDs are read from the .pos")
    tetrodes: list[int] = Field(
        default_factory=list, description="whose spikes are read, from NAME.N with their clusters in NAME_N.cut"
    )

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        for names in (self.channels or [], self.tetrodes):
            if len(set(names)) < len(names):
                raise ValueError("different `channels` and `tetrodes`")
        return self


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if one is missing, DataError for several sessions."""
    header = _header(files, settings)
    named = {path.name: path for path in files if path.parent == header.parent}
    wanted = [f"{header.stem}.{channel}" for channel in _channels(named, header.stem, settings)]
    wanted += [f"{header.stem}.pos"] if settings.position else []
    for tetrode in settings.tetrodes:
        wanted += [f"{header.stem}.{tetrode}", f"{header.stem}_{tetrode}.cut"]
    for name in wanted:
        if name not in named or not named[name].is_file():
            listed = ", ".join(sorted(named)[:12])
            raise MissingError(str(header.parent), expected=name, found=listed, remedy="Correct `raw` or the options.")
    return [header, *(named[name] for name in dict.fromkeys(wanted))]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity, its signal streamed.

    files     the files of one session, NAME.set, NAME.eeg, ...
    settings  see Settings
    Gives /ephys signal (time, channel) int8 or int16 with `scale` in uV (a coordinate of each channel where gains
    differ; units "as stored" where the .set does not say them) and channel_group (channel) the tetrode; /behaviour led
    (time, output) float32 in px of the LEDs that are tracked, NaN where lost, px_per_m; /spikes as sorted_units, units
    TETRODE_CLUSTER without cluster 0, the noise.
    Raises DataError: a truncated file, counts and headers that contradict each other, another variant of the format.
    """
    named = {path.name: path for path in select(files, settings)}
    header = next(path for name, path in named.items() if name.endswith(".set"))
    said, stem = axona_files.settings(header), header.stem
    channels = _channels(named, stem, settings)
    sources: dict[str, layout.Array] = {}
    groups = {"ephys": _ephys([named[f"{stem}.{channel}"] for channel in channels], said, settings, sources)}
    if settings.position:
        groups["behaviour"] = _behaviour(named[f"{stem}.pos"], said, groups["ephys"]["rate_hz"], settings, sources)
    tree = assemble(sources, {name: layout.Group.model_validate(group) for name, group in groups.items()}, str(header))
    if settings.tetrodes:
        tree["spikes"] = _spikes(named, stem, settings)
    return tree


def _header(files: Sequence[Path], settings: Settings) -> Path:
    """Return the .set of the session."""
    wanted = [path for path in files if settings.session in (None, path.stem)]
    return layout.single(wanted, ".set", remedy="Name one of them in `session`.")


def _channels(named: "dict[str, Path]", stem: str, settings: Settings) -> list[str]:
    """Return the endings of the files of the signal, eeg, eeg2, ..., in the order of their numbers."""
    if settings.channels is not None:
        return settings.channels
    endings = [settings.signal, *(f"{settings.signal}{number}" for number in range(2, 129))]
    return [ending for ending in endings if f"{stem}.{ending}" in named] or [settings.signal]


def _ephys(
    paths: Sequence[Path], said: axona_files.Header, settings: Settings, sources: dict[str, layout.Array]
) -> dict[str, Any]:
    """Put the signal into the sources and return its group. Raises DataError unless all channels are of one clock."""
    electrodes = [_electrode(path, said, settings.signal) for path in paths]
    files = [axona_files.samples(path, COUNTS[settings.signal]) for path in paths]
    for file in files[1:]:
        if (file.rate_hz, file.count) != (files[0].rate_hz, files[0].count):
            first = f"{files[0].count} samples at {files[0].rate_hz:g} Hz, as in {files[0].path.name}"
            found = f"{file.count} at {file.rate_hz:g} Hz"
            raise wrong(str(file.path), first, found, "Name fewer `channels`.")
    sources["signal"] = axona_files.Channels(files)
    scales = [_scale(said, electrode, int(file.dtype[-1])) for electrode, file in zip(electrodes, files, strict=True)]
    coordinates: dict[str, Any] = {"channel": {"values": [path.suffix[1:] for path in paths]}}
    if any(electrodes):
        names = ["" if electrode is None else str((electrode - 1) // CHANNELS + 1) for electrode in electrodes]
        coordinates["channel_group"] = {"values": names, "dims": ["channel"]}
    variable: dict[str, Any] = {"dims": ["time", "channel"], "units": "as stored" if None in scales else "uV"}
    if None not in scales and len(set(scales)) == 1:
        variable["scale"] = scales[0]
    elif None not in scales:
        coordinates["scale"] = {"values": scales, "dims": ["channel"], "units": "uV"}
    return {"rate_hz": files[0].rate_hz, "variables": {"signal": variable}, "coordinates": coordinates}


def _electrode(path: Path, said: axona_files.Header, signal: str) -> int | None:
    """Return the number from 1 of the electrode that a file of the signal was recorded from, where the .set says it."""
    ending = path.suffix[1:]
    number = ending.removeprefix(signal) or "1"
    if not ending.startswith(signal) or not number.isdecimal():
        raise wrong(str(path), f"a file of {signal}", ending, "Correct `channels`.")
    key = f"EEG_ch_{number}"
    return said.count(key) if key in said.values else None


def _scale(said: axona_files.Header, electrode: int | None, width: int) -> float | None:
    """Return uV per step of an electrode (from 1): full scale / gain / 2^(bits - 1), or None where it is not said."""
    if electrode is None or not {"ADC_fullscale_mv", f"gain_ch_{electrode - 1}"} <= set(said.values):
        return None
    return said.number("ADC_fullscale_mv") * 1000 / said.number(f"gain_ch_{electrode - 1}") / (1 << (8 * width - 1))


def _behaviour(
    path: Path, said: axona_files.Header, eeg_hz: float, settings: Settings, sources: dict[str, layout.Array]
) -> dict[str, Any]:
    """Put the LEDs that are tracked into the sources and return their group."""
    led, rate, start, head = axona_files.positions(path)
    if settings.signal == "eeg" and "EEG_samples_per_position" in head.values:
        expected = head.number("EEG_samples_per_position") * rate
        if expected != eeg_hz:
            raise wrong(f"{path}, EEG_samples_per_position", f"{eeg_hz:g} Hz of the .eeg", f"{expected:g} Hz")
    columns = 2 * _tracked(led, said)
    sources["led"] = led[:, :columns]
    return {
        "rate_hz": rate,
        "start_s": start,
        "variables": {"led": {"dims": ["time", "output"], "units": "px"}},
        "coordinates": {"output": {"values": list(OUTPUTS[:columns])}},
        "attributes": {"px_per_m": head.number("pixels_per_metre")},
    }


def _tracked(led: "np.ndarray", said: axona_files.Header) -> int:
    """Return how many LEDs are tracked: what the .set says, else those ever seen."""
    import numpy as np

    if "tracked_spots" in said.values:
        return min(said.count("tracked_spots"), 2)
    return 2 if np.isfinite(led[:, 2:]).any() else 1


def _spikes(named: dict[str, Path], stem: str, settings: Settings) -> "xr.Dataset":
    units, groups = {}, []
    for tetrode in settings.tetrodes:
        times = axona_files.spike_times(named[f"{stem}.{tetrode}"])
        cut = named[f"{stem}_{tetrode}.cut"]
        cluster = axona_files.clusters(cut)
        if len(cluster) != len(times):
            raise wrong(str(cut), f"{len(times)} spikes, as in {stem}.{tetrode}", f"{len(cluster)}")
        for number in sorted(set(cluster.tolist()) - {0}):
            units[f"{tetrode}_{number}"] = times[cluster == number]
            groups.append(str(tetrode))
    return sorted_units.spikes(units, {"unit_group": groups}, stem)
