"""Small sessions of electrophysiology in the formats that say themselves what they hold, and what is in them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from pellucid.readers import axona, nwb, open_ephys

CHANNELS = ["a1", "a2", "a3", "a4", "b1"]
GROUPS = ["a", "a", "a", "a", "b"]
SPIKES = {"u7": np.array([0.5, 1.25, 0.125]), "silent": np.zeros(0), "u2": np.array([0.125, 2.0])}
TRACK = {"source": "/processing/behavior/led", "outputs": ["x1", "y1", "x2", "y2"]}


def counts(dtype: str = "int16", rows: int = 1003, channels: int = 5) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(11).integers(limits.min, limits.max + 1, (rows, channels)).astype(dtype)


def places(rows: int = 61) -> np.ndarray:
    """Return two LEDs in whole px, each lost now and then."""
    led = np.random.default_rng(12).integers(0, 700, (rows, 4)).astype(float)
    led[5:9, :2] = np.nan
    led[[0, 7], 2:] = np.nan
    return led


def spikes_dataset(**labels: list[str]) -> xr.Dataset:
    """Return SPIKES in the order of time, those of one time in the order of units."""
    known = {name: ("neuron", np.array(values, object)) for name, values in labels.items()}
    time = ("spike", np.array([0.125, 0.125, 0.5, 1.25, 2.0]), {"units": "s"})
    unit = ("spike", np.array([0, 2, 0, 0, 2], np.int32), {"units": "1"})
    return xr.Dataset(
        {"spike_time": time, "spike_unit": unit, **known}, {"neuron": np.array(["u7", "silent", "u2"], object)}
    )


def write_nwb(path: Path, **changes: object) -> None:
    said = {
        "signal_blocks": iter(np.array_split(counts(), 4)),
        "samples": 1003,
        "rate_hz": 2000.0,
        "scale_uv": 0.195,
        "channels": CHANNELS,
        "groups": GROUPS,
        "spikes": SPIKES,
        "unit_class": {"u7": "place", "u2": "interneuron"},
        "unit_group": {"u7": "a"},
        "behaviour": {
            "led": (np.cumsum(np.full(61, 0.0625)) + 0.01, places(), "px"),
            "speed": (50.0, np.arange(7.0), "m/s"),
        },
        "subject": "rat1",
        "session": "s1",
    }
    nwb.write(path, **(said | changes))


@cache
def nwb_bytes() -> bytes:
    with TemporaryDirectory() as folder:
        write_nwb(Path(folder, "session.nwb"))
        return Path(folder, "session.nwb").read_bytes()


def save_nwb(folder: Path) -> None:
    (folder / "session.nwb").write_bytes(nwb_bytes())


def nwb_tree() -> xr.DataTree:
    ephys = xr.Dataset(
        {"signal": (("time", "channel"), counts(), {"units": "uV", "scale": 0.195})},
        {"channel": np.array(CHANNELS, object), "channel_group": ("channel", np.array(GROUPS, object))},
        {"rate_hz": 2000.0, "start_s": 0.0},
    )
    behaviour = xr.Dataset(
        {"led": (("time", "output"), places(), {"units": "px"})},
        {
            "time": ("time", np.cumsum(np.full(61, 0.0625)) + 0.01, {"units": "s"}),
            "output": np.array(TRACK["outputs"], object),
        },
    )
    spikes = spikes_dataset(unit_class=["place", "", "interneuron"], unit_group=["a", "", ""])
    return xr.DataTree.from_dict({"/ephys": ephys, "/spikes": spikes, "/behaviour": behaviour})


def save_open_ephys(folder: Path) -> None:
    open_ephys.write(
        folder / "rat.nwb",
        signal_blocks=iter(np.array_split(counts(), 3)),
        samples=1003,
        rate_hz=30_000.0,
        channels=5,
        led=places(),
        led_times=np.arange(61) / 32,
        bad_channels=[1, 4],
    )


def open_ephys_tree() -> xr.DataTree:
    ephys = xr.Dataset(
        {"signal": (("time", "channel"), counts(), {"units": "uV", "scale": 0.195})},
        {
            "channel": np.array(list("01234"), object),
            "channel_group": ("channel", np.array(list("00001"), object)),
            "bad": ("channel", np.array([False, True, False, False, True])),
        },
        {"rate_hz": 30_000.0, "start_s": 0.0},
    )
    behaviour = xr.Dataset(
        {"led": (("time", "output"), places().astype(np.float32), {"units": "px"})},
        {
            "time": ("time", np.arange(61) / 32, {"units": "s"}),
            "output": np.array(["x1", "y1", "x2", "y2"], object),
        },
    )
    return xr.DataTree.from_dict({"/ephys": ephys, "/behaviour": behaviour})


def tetrodes() -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return times in s, whole ticks of 96 kHz, and clusters of two tetrodes."""
    first = np.array([96, 960, 960, 48_000, 60_000]) / 96_000, np.array([0, 2, 1, 2, 1])
    return {3: first, 12: (np.array([4800, 9600]) / 96_000, np.array([0, 4]))}


def write_axona(folder: Path, signal: np.ndarray, **changes: object) -> None:
    said = {
        "rate_hz": 250.0 if signal.dtype == np.int8 else 4800.0,
        "gains": [5000.0] * signal.shape[1],
        "electrodes": [2 + 4 * column for column in range(signal.shape[1])],
        "led": places(50 * len(signal) // (250 if signal.dtype == np.int8 else 4800)),
        "tetrodes": tetrodes(),
    }
    axona.write(folder, "day1", signal=signal, **(said | changes))


def save_eeg(folder: Path) -> None:
    write_axona(folder, counts("int8", 500, 3))


def save_egf(folder: Path) -> None:
    signal = counts("int16", 4800, 2)
    write_axona(folder, signal, gains=[5000.0, 2000.0], led=places(50)[:, :2])


def axona_tree(signal: np.ndarray, rate_hz: float, coordinates: dict[str, object], **scale: float) -> xr.DataTree:
    ephys = xr.Dataset(
        {"signal": (("time", "channel"), signal, {"units": "uV", **scale})},
        coordinates,
        {"rate_hz": rate_hz, "start_s": 0.0},
    )
    return xr.DataTree.from_dict({"/ephys": ephys})


def led_dataset(led: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {"led": (("time", "output"), led.astype(np.float32), {"units": "px"})},
        {"output": np.array(["x1", "y1", "x2", "y2"][: led.shape[1]], object)},
        {"px_per_m": 300.0, "rate_hz": 50.0, "start_s": 0.0},
    )


def eeg_tree() -> xr.DataTree:
    names = {"channel": np.array(["eeg", "eeg2", "eeg3"], object)}
    groups = {"channel_group": ("channel", np.array(["1", "2", "3"], object))}
    tree = axona_tree(counts("int8", 500, 3), 250.0, names | groups, scale=1500 * 1000 / 5000 / 128)
    tree["behaviour"] = led_dataset(places(100))
    time = np.array([960, 960, 9600, 48_000, 60_000]) / 96_000
    tree["spikes"] = xr.Dataset(
        {
            "spike_time": ("spike", time, {"units": "s"}),
            "spike_unit": ("spike", np.array([0, 1, 2, 1, 0], np.int32), {"units": "1"}),
            "unit_group": ("neuron", np.array(["3", "3", "12"], object)),
        },
        {"neuron": np.array(["3_1", "3_2", "12_4"], object)},
    )
    return tree


def egf_tree() -> xr.DataTree:
    coordinates = {
        "channel": np.array(["egf", "egf2"], object),
        "channel_group": ("channel", np.array(["1", "2"], object)),
        "scale": ("channel", 1500 * 1000 / np.array([5000.0, 2000.0]) / 32768, {"units": "uV"}),
    }
    tree = axona_tree(counts("int16", 4800, 2), 4800.0, coordinates)
    tree["behaviour"] = led_dataset(places(50)[:, :2])
    return tree
