"""Tetrode recordings of Open Ephys in the HDF5 layout of its first NWB version, as Frey et al. 2021 deposited them.

Below acquisition/timeseries/RECORDING lie continuous/PROCESSOR/data (time, channel) of whole numbers, 0.195 uV each,
continuous/PROCESSOR/timestamps (time,) in s, and tracking/ProcessedPos with the columns t, x1, y1, x2, y2 of two LEDs;
general/data_collection/Settings/General/badChan is a text of channels to leave out, counted from 0, with commas.
The layout and the scale are those that the published code reads (CYHSM/DeepInsight, util/tetrode.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pellucid.readers import clocks, hdf5_write, layout
from pellucid.readers.assemble import assemble
from pellucid.readers.hdf5 import Datasets, Node, check_shape, opened, wrong
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

SCALE_UV = 0.195
"""uV per count of the Intan amplifiers [code]."""

LEDS = ("x1", "y1", "x2", "y2")
ROOT = "acquisition/timeseries"
BAD = "general/data_collection/Settings/General/badChan"


class Settings(Block):
    """Which recording of a file is read."""

    recording: str | None = Field(None, description="name below acquisition/timeseries, where there are several")
    processor: str | None = Field(None, description="name below continuous, where there are several")
    rate_hz: float | None = Field(None, gt=0, description="expected rate; by default that of the time stamps")
    scale: float = Field(SCALE_UV, gt=0, description="uV per count")
    group_channels: int | None = Field(None, ge=1, description="channels of a tetrode or shank, side by side")
    tracking: bool = Field(True, description="whether the LEDs are read")
    units: str = Field("1", description="units of the LEDs, which the file does not say")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the one .nwb file. Raises MissingError if there is none, DataError if there are several."""
    return [layout.single(files, ".nwb")]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity, its signal streamed.

    files     one .nwb file
    settings  see Settings
    Gives /ephys signal (time, channel), whole numbers with `scale` in uV, bad (channel) bool, channel_group (channel)
    with `group_channels`; /behaviour led (time, output) float32, outputs x1, y1, x2, y2, NaN where lost, without an LED
    that was never seen.
    Raises DataError: damage, links, names that are not there, time stamps off a regular clock by half a sample.
    """
    path = select(files, settings)[0]
    datasets = Datasets(path)
    signal, stamps, recording = _signal(datasets, settings, str(path))
    rate, start = clocks.regular(stamps, settings.rate_hz, f"{path}, timestamps")
    channels = signal.shape[1]
    bad = _bad(path, channels)
    coordinates: dict[str, Any] = {"channel": {"values": [str(channel) for channel in range(channels)]}}
    if settings.group_channels is not None:
        names = [str(channel // settings.group_channels) for channel in range(channels)]
        coordinates["channel_group"] = {"values": names, "dims": ["channel"]}
    variable = {"dims": ["time", "channel"], "units": "uV", "scale": settings.scale}
    groups: dict[str, Any] = {
        "ephys": {"rate_hz": rate, "start_s": start, "variables": {"signal": variable}, "coordinates": coordinates}
    }
    sources: dict[str, Any] = {"signal": signal}
    if settings.tracking:
        sources |= _leds(datasets, f"{ROOT}/{recording}/tracking/ProcessedPos", str(path))
        led = {"dims": ["time", "output"], "units": settings.units}
        labels = {"output": {"values": list(LEDS[: sources["led"].shape[1]])}}
        groups["behaviour"] = {"time": "led_times", "variables": {"led": led}, "coordinates": labels}
    tree = assemble(sources, {name: layout.Group.model_validate(said) for name, said in groups.items()}, str(path))
    tree["ephys"].dataset = tree["ephys"].to_dataset().assign_coords(bad=("channel", bad))
    return tree


def write(
    path: Path,
    *,
    signal_blocks: "Iterable[np.ndarray]",
    samples: int,
    rate_hz: float,
    channels: int,
    led: "np.ndarray",
    led_times: "np.ndarray",
    bad_channels: Sequence[int] = (),
) -> None:
    """Write one recording in this layout, the signal block by block; equal values give equal bytes.

    signal_blocks  int16 (any, channel), in order, `samples` rows in all
    rate_hz        of the signal, from 0 s
    led            (time, 4) of x1, y1, x2, y2; NaN where lost
    led_times      (time,) s
    bad_channels   counted from 0
    Raises DataError unless the blocks hold `samples` rows of all channels.
    """
    import h5py
    import numpy as np

    from pellucid import store

    with store.atomic_file(path) as partial, h5py.File(partial, "w") as file:
        group = file.create_group(f"{ROOT}/recording0")
        shape = (samples, channels)
        data = group.create_dataset("continuous/processor0/data", shape, "int16", chunks=hdf5_write.chunks(*shape))
        hdf5_write.fill(data, signal_blocks, str(path))
        stamps = group.create_dataset("continuous/processor0/timestamps", (samples,), "float64")
        for start in range(0, samples, 1 << 20):
            rows = np.arange(start, min(start + (1 << 20), samples))
            stamps[rows[0] : rows[-1] + 1] = rows / rate_hz
        group["tracking/ProcessedPos"] = np.column_stack([led_times, led])
        file[BAD] = np.bytes_(",".join(str(int(channel)) for channel in bad_channels))


def _signal(datasets: Datasets, settings: Settings, where: str) -> tuple[layout.Array, layout.Array, str]:
    """Return the signal, its time stamps, and the name of the recording they belong to."""
    names = [name.split("/") for name in datasets if name.startswith(f"{ROOT}/")]
    signals = [parts for parts in names if len(parts) == 6 and (parts[3], parts[5]) == ("continuous", "data")]
    found = [(parts[2], parts[4]) for parts in signals]
    recording = _one([name for name, _ in found], settings.recording, "recording", f"{where}, {ROOT}")
    inside = [processor for name, processor in found if name == recording]
    processor = _one(inside, settings.processor, "processor", f"{where}, {ROOT}/{recording}/continuous")
    base = f"{ROOT}/{recording}/continuous/{processor}"
    signal = datasets[f"{base}/data"]
    check_shape(signal, (None, None), f"{where}, {base}/data")
    if signal.dtype.kind not in "iu":
        raise wrong(f"{where}, {base}/data", "whole numbers", f"type {signal.dtype}")
    if f"{base}/timestamps" not in datasets:
        raise wrong(f"{where}, {base}/timestamps", "the time of each sample", "no such dataset")
    check_shape(datasets[f"{base}/timestamps"], (signal.shape[0],), f"{where}, {base}/timestamps")
    return signal, datasets[f"{base}/timestamps"], recording


def _one(names: Sequence[str], wanted: str | None, what: str, where: str) -> str:
    """Return the name that is wanted, or the only one."""
    known = sorted(set(names))
    if wanted in known or (wanted is None and len(known) == 1):
        return wanted or known[0]
    listed = ", ".join(known[:8]) or "no signal"
    raise wrong(where, f"the {what} {wanted!r}" if wanted else f"one {what}", listed, f"Name one of them in `{what}`.")


def _leds(datasets: Datasets, name: str, where: str) -> dict[str, layout.Array]:
    """Return times (time,) s and places (time, 2 or 4) of the LEDs."""
    import numpy as np

    label = f"{where}, {name}"
    if name not in datasets:
        raise wrong(label, "a table of t, x1, y1, x2, y2", "no such dataset", "Set `tracking: false`.")
    table = datasets[name]
    check_shape(table, (None, table.shape[-1] if table.ndim == 2 else None), label)
    if not 3 <= table.shape[1] <= 64:
        raise wrong(label, "the columns t, x1, y1, x2, y2", f"{table.shape[1]} columns")
    values = np.asarray(table[:, : 1 + len(LEDS)], np.float64)
    places = values[:, 1:3] if values.shape[1] < 5 or not np.isfinite(values[:, 3:]).any() else values[:, 1:5]
    with np.errstate(over="ignore"):
        places = places.astype(np.float32)
    return {"led": np.where(np.isfinite(places), places, np.float32(np.nan)), "led_times": values[:, 0]}


def _bad(path: Path, channels: int) -> "np.ndarray":
    """Return which channels the experimenter marked as bad, (channel,) bool."""
    import numpy as np

    label = f"{path}, {BAD}"
    with opened(path) as file:
        said = _text(file, label)
    marked = np.zeros(channels, bool)
    for number in filter(None, (part.strip() for part in said.split(","))):
        if not number.isascii() or not number.isdigit() or int(number) >= channels:
            raise wrong(label, f"channels from 0 to {channels - 1} with commas", repr(said[:80]))
        marked[int(number)] = True
    return marked


def _text(file: Node, label: str) -> str:
    """Return the text of bad channels, empty where there is none."""
    if BAD not in file:
        return ""
    value = file[BAD][()]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise wrong(label, "a text", f"{type(value).__name__}")
