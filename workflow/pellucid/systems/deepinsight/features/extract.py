"""From one recording to one store of features: power and behaviour on one clock, not normalised."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.preprocess import behaviour
from pellucid.systems.deepinsight.features.settings import Settings, Target

Read = Callable[[int, int], np.ndarray]


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/features` with power (time, frequency, channel), behaviour (time, output), scored and group (time).

    Bounded memory: the signal is read, transformed and written in segments, whatever its length.
    Raises MissingError or DataError naming the variable, and leaves nothing half-written.
    """
    group, signal = schema.variable(recording, settings.signal)
    kept = _good_channels(signal, settings)
    times, frequencies, attributes = _clock(group, signal, settings)
    template = xr.Dataset(
        {
            "power": (
                ("time", "frequency", "channel"),
                store.placeholder((len(times), len(frequencies), len(kept))),
                {"units": _units(signal, settings)},
            ),
            **_behaviour(recording, settings, times),
        },
        coords={
            "time": ("time", times, {"units": "s"}),
            "frequency": ("frequency", frequencies, {"units": "Hz"}),
            "channel": signal.coords["channel"].values[kept] if "channel" in signal.coords else kept,
        },
        attrs={**attributes, "targets": _described(settings)},
    )
    identity = {key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=identity), "/features": template})
    with store.Writer(output, tree) as writer, tqdm(total=len(times), desc="features", unit="row", disable=None) as bar:
        for block in _blocks(group, signal, kept, settings):
            writer.append("/features/power", block)
            bar.update(len(block))


def _blocks(group: xr.Dataset, signal: xr.DataArray, kept: np.ndarray, settings: Settings) -> Iterator[np.ndarray]:
    scale = float(signal.attrs.get("scale", 1.0))

    def read(start: int, stop: int) -> np.ndarray:
        part = signal[start:stop].values[..., kept]
        return part if scale == 1.0 else part * np.float32(scale)

    if settings.transform == "wavelets":
        from pellucid.preprocess import wavelets

        yield from wavelets.stream_block_power(read, len(signal), _rate(group, settings), settings.wavelets)
        return
    rows = store.layout(signal)[1][0]
    for start in range(0, len(signal), rows):
        part = np.asarray(read(start, start + rows), np.float32)
        yield part[:, None, :] if part.ndim == 2 else part


def _clock(
    group: xr.Dataset, signal: xr.DataArray, settings: Settings
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Return the row times (s), the frequencies (Hz; one NaN-free placeholder without a transform) and attributes."""
    if settings.transform == "none":
        frequencies = signal.coords["frequency"].values if "frequency" in signal.dims else np.zeros(1)
        return schema.sample_times(group), np.asarray(frequencies, float), {"reach_rows": 0}
    from pellucid.preprocess import wavelet_bank, wavelets

    rate, block = _rate(group, settings), settings.wavelets.block_samples
    frequencies = wavelets.frequencies(rate, len(signal), settings.wavelets)
    start = float(schema.sample_times(group, 0, 1)[0])
    reach = wavelet_bank.row_reach(wavelet_bank.scale_s(frequencies.min()) * rate, block)
    times = start + wavelets.row_times(len(signal), rate, settings.wavelets)
    return times, frequencies, {"reach_rows": int(np.ceil(reach / block))}


def _behaviour(recording: xr.DataTree, settings: Settings, times: np.ndarray) -> dict[str, tuple[object, ...]]:
    columns, labels, names = [], [], []
    for name, target in settings.targets.items():
        values = _target(recording, target, times)
        columns.append(values)
        labels += _labels(recording, name, target, values.shape[1])
        names += [name] * values.shape[1]
    found = np.concatenate(columns, axis=1).astype(np.float32)
    scored = np.isfinite(found).all(axis=1)
    if settings.scored is not None:
        scored &= _on_rows(recording, settings.scored.source, times)[:, 0] > settings.scored.threshold
    variables: dict[str, tuple[object, ...]] = {
        "behaviour": (("time", "output"), found, {"units": "see target"}),
        "label": ("output", np.array(labels, object)),
        "target": ("output", np.array(names, object)),
        "scored": ("time", scored),
    }
    if settings.laps is not None:
        position = _on_rows(recording, settings.laps.source, times)[:, 0]
        variables["group"] = ("time", behaviour.laps(position, settings.laps.period), {"units": "1"})
    if settings.spikes is not None:
        group, spikes = schema.variable(recording, settings.spikes)
        if len(spikes) != len(times) or not np.allclose(schema.sample_times(group), times):
            raise DataError(
                settings.spikes,
                expected=f"counts on the {len(times)} rows of the features",
                found=f"{len(spikes)} rows on another clock",
                remedy="Bin the spikes on the clock of the features.",
            )
        variables["spikes"] = (("time", "neuron"), spikes.values.astype(np.int32), {"units": "count"})
    return variables


def _target(recording: xr.DataTree, target: Target, times: np.ndarray) -> np.ndarray:
    if target.kind != "circular":
        return target.scale * _on_rows(recording, target.source, times, angular=target.kind == "angle")
    group, variable = schema.variable(recording, target.source)
    values = target.scale * np.asarray(variable.values, float).reshape(len(variable))
    encoded = behaviour.circular(values, target.period)
    return behaviour.resample(schema.sample_times(group), encoded, times)


def _described(settings: Settings) -> str:
    """Return kind, period and units of every target as JSON, for scores and axes."""
    kept = {"kind", "period", "units"}
    return json.dumps({name: target.model_dump(include=kept) for name, target in settings.targets.items()})


def _labels(recording: xr.DataTree, name: str, target: Target, count: int) -> list[str]:
    """Return the label of each column: the names the recording gives to them, or the target's own with a suffix."""
    if target.kind == "circular":
        return [f"{name}_sin", f"{name}_cos"]
    if count == 1:
        return [name]
    known = schema.variable(recording, target.source)[1].coords.get("output")
    return [f"{name}_{i}" for i in range(count)] if known is None else [str(label) for label in known.values]


def _on_rows(recording: xr.DataTree, source: str, times: np.ndarray, *, angular: bool = False) -> np.ndarray:
    group, variable = schema.variable(recording, source)
    return behaviour.resample(schema.sample_times(group), variable.values, times, angular=angular)


def _rate(group: xr.Dataset, settings: Settings) -> float:
    if "rate_hz" not in group.attrs:
        raise DataError(
            settings.signal,
            expected="a regular clock with attribute rate_hz",
            found="irregular times",
            remedy="Resample the signal before wavelets, or give its rate to the reader.",
        )
    return float(group.attrs["rate_hz"])


def _good_channels(signal: xr.DataArray, settings: Settings) -> np.ndarray:
    if signal.dims[0] != "time" or signal.dims[-1] != "channel":
        raise DataError(
            settings.signal,
            expected="axes (time, ..., channel)",
            found=str(signal.dims),
            remedy="Correct `dims` in the reader's options.",
        )
    ids = [str(c) for c in (signal.coords["channel"].values if "channel" in signal.coords else range(signal.shape[-1]))]
    unknown = sorted(set(settings.bad_channels) - set(ids))
    if unknown:
        raise DataError(
            f"{settings.signal}, bad_channels",
            expected=f"channels among {', '.join(ids)}",
            found=", ".join(unknown),
            remedy="Correct `bad_channels`.",
        )
    return np.array([index for index, name in enumerate(ids) if name not in settings.bad_channels])


def _units(signal: xr.DataArray, settings: Settings) -> str:
    units = str(signal.attrs.get("units", "1"))
    return f"({units})^2" if settings.transform == "wavelets" else units
