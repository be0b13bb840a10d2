"""Sessions written as an Axona DacqUSB system would, for simulators and tests; equal values give equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.readers import axona_files

if TYPE_CHECKING:
    import numpy as np

TICKS_HZ = 96_000
SNIPPET = 50
"""Samples of a spike on each channel."""

CHANNELS = 4
WINDOW = 1022
"""Largest coordinate that is no lost one."""


def write(
    folder: Path,
    name: str,
    *,
    signal: "np.ndarray",
    rate_hz: float,
    gains: Sequence[float],
    electrodes: Sequence[int],
    led: "np.ndarray | None" = None,
    px_per_m: float = 300,
    tetrodes: "Mapping[int, tuple[np.ndarray, np.ndarray]] | None" = None,
) -> None:
    """Write NAME.set and the files of one session, which lasts as long as its signal.

    signal      (time, channel) int8, written as .eeg, .eeg2, ..., or int16, written as .egf, .egf2, ...
    rate_hz     of the signal
    gains       of each channel; full scale is 1500 mV
    electrodes  number from 1 of the electrode each channel is on
    led         (time, 2 or 4) px at 50 Hz: x1, y1[, x2, y2], rounded; NaN where lost
    px_per_m    of the LEDs
    tetrodes    number -> times (spike,) s in order, and their clusters (spike,), 0 the noise; snippets are zeros
    """
    from pellucid import store

    head = ["trial_date Saturday, 1 Jan 2000", "trial_time 00:00:00", "sw_version 1.2.2.14"]
    head.append(f"duration {len(signal) / rate_hz:g}")
    said = [*head, "ADC_fullscale_mv 1500"]
    said += [f"gain_ch_{electrode - 1} {gain:g}" for gain, electrode in zip(gains, electrodes, strict=True)]
    said += [f"tracked_spots {led.shape[1] // 2}"] if led is not None else []
    said += [f"EEG_ch_{number} {electrode}" for number, electrode in enumerate(electrodes, 1)]
    files = {f"{name}.set": _text(said), **_signals(name, head, signal, rate_hz)}
    if led is not None:
        files[f"{name}.pos"] = _positions(head, led, px_per_m, rate_hz)
    for tetrode, (times, clusters) in (tetrodes or {}).items():
        files[f"{name}.{tetrode}"] = _spikes(head, times)
        files[f"{name}_{tetrode}.cut"] = _cut(name, clusters)
    for file, content in files.items():
        with store.atomic_file(folder / file) as partial:
            partial.write_bytes(content)


def _signals(name: str, head: Sequence[str], signal: "np.ndarray", rate_hz: float) -> dict[str, bytes]:
    ending, key = ("eeg", "EEG") if signal.dtype.itemsize == 1 else ("egf", "EGF")
    lines = ["num_chans 1", f"sample_rate {rate_hz:g} hz", f"bytes_per_sample {signal.dtype.itemsize}"]
    lines.append(f"num_{key}_samples {len(signal)}")
    return {
        f"{name}.{ending}{'' if column == 0 else column + 1}": _framed([*head, *lines], values)
        for column, values in enumerate(signal.astype(signal.dtype.newbyteorder("<")).T)
    }


def _positions(head: Sequence[str], led: "np.ndarray", px_per_m: float, rate_hz: float) -> bytes:
    import numpy as np

    places = np.full((len(led), 4), np.nan)
    places[:, : led.shape[1]] = led
    records = np.zeros(len(led), np.dtype([("t", ">u4"), ("led", ">i2", 8)]))
    records["t"] = np.arange(len(led))
    records["led"][:, :4] = np.where(np.isfinite(places), np.round(places), axona_files.LOST)
    lines = [f"window_{end}_{axis} {edge}" for axis in "xy" for end, edge in (("min", 0), ("max", WINDOW))]
    lines += ["timebase 50 hz", "bytes_per_timestamp 4", "sample_rate 50.0 hz"]
    lines += [f"EEG_samples_per_position {rate_hz / 50:g}"] if rate_hz < 1000 else []
    lines += [f"pos_format {axona_files.FORMAT}", "bytes_per_coord 2", f"pixels_per_metre {px_per_m:g}"]
    return _framed([*head, *lines, f"num_pos_samples {len(led)}"], records)


def _spikes(head: Sequence[str], times: "np.ndarray") -> bytes:
    import numpy as np

    records = np.zeros((len(times), CHANNELS), np.dtype([("t", ">u4"), ("snippet", "i1", SNIPPET)]))
    records["t"] = np.round(times * TICKS_HZ)[:, None]
    lines = [f"num_chans {CHANNELS}", f"timebase {TICKS_HZ} hz", "bytes_per_timestamp 4"]
    lines += [f"samples_per_spike {SNIPPET}", "sample_rate 48000 hz", "bytes_per_sample 1"]
    lines += ["spike_format t,ch1,t,ch2,t,ch3,t,ch4"]
    return _framed([*head, *lines, f"num_spikes {len(times)}"], records)


def _cut(name: str, clusters: "np.ndarray") -> bytes:
    said = [f"n_clusters: {int(clusters.max(initial=0)) + 1}", f"n_channels: {CHANNELS}"]
    said += ["", f"Exact_cut_for: {name} spikes: {len(clusters)}", " ".join(map(str, clusters.tolist()))]
    return _text(said)


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _framed(lines: Sequence[str], values: "np.ndarray") -> bytes:
    return _text(lines) + b"data_start" + values.tobytes() + b"\r\ndata_end\r\n"
