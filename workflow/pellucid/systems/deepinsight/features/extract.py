"""From one recording to one store of features: power and behaviour on one clock, not normalised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.preprocess.gaps import Read
from pellucid.systems.deepinsight.features import clock, missing, template
from pellucid.systems.deepinsight.features.phase import components
from pellucid.systems.deepinsight.features.settings import Settings


@dataclass(frozen=True)
class Plan:
    """What the features of a recording will be, before their power is computed.

    template  `/features` complete but for power, which is a placeholder (time, frequency, channel)
    rows      rows of the whole recording
    stream    (start, stop) -> power of these rows in pieces (row, frequency, channel), in order
    """

    template: xr.DataTree
    rows: int
    stream: Callable[[int, int], Iterator[np.ndarray]]

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Yield the power of rows [start, stop) in pieces (row, frequency, channel), in order."""
        return self.stream(start, self.rows if stop is None else stop)


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/features` with power (time, frequency, channel), behaviour (time, output), scored and group (time).

    Bounded memory: the signal is read, transformed and written in segments, whatever its length.
    Raises MissingError or DataError naming the variable, and leaves nothing half-written.
    """
    planned = plan(recording, settings)
    with (
        store.Writer(output, planned.template) as writer,
        tqdm(total=planned.rows, desc="features", unit="row", disable=None) as bar,
    ):
        for block in planned.blocks():
            writer.append("/features/power", block)
            bar.update(len(block))


def plan(recording: xr.DataTree, settings: Settings) -> Plan:
    """Return all of `/features` but the power, and the way to compute that.

    With `missing` the signal is read once from end to end, to find what is missing.
    Raises MissingError or DataError naming the variable.
    """
    group, signal = schema.variable(recording, settings.signal)
    if settings.phase is not None:
        signal = components(signal, schema.variable(recording, settings.phase)[1], settings.phase)
    kept = _good_channels(signal, settings)
    rows = clock.clock(group, signal, settings)

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(signal[start:stop].values[..., kept])

    found = None if settings.missing is None else missing.filled(group, signal, read, rows, settings)
    features = template.template(recording, signal, kept, settings, rows, None if found is None else found.share)
    identity = {key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=identity), "/features": features})
    whole = read if found is None else found.read
    return Plan(tree, len(rows), lambda start, stop: _blocks(group, signal, kept, whole, settings, start, stop))


def _blocks(
    group: xr.Dataset, signal: xr.DataArray, kept: np.ndarray, stored: Read, settings: Settings, first: int, last: int
) -> Iterator[np.ndarray]:
    scale = _scale(signal, kept)

    def read(start: int, stop: int) -> np.ndarray:
        part = stored(start, stop)
        return part if (scale == 1).all() else part * scale

    if settings.transform == "wavelets":
        from pellucid.preprocess import wavelets

        rate, wanted = clock.rate_hz(group, settings), (first, last)
        yield from wavelets.stream_block_power(read, len(signal), rate, settings.wavelets, rows=wanted)
        return
    rows = store.layout(signal)[1][0]
    for start in range(first, last, rows):
        part = np.asarray(read(start, min(start + rows, last)), np.float32)
        yield part[:, None, :] if part.ndim == 2 else part


def _scale(signal: xr.DataArray, kept: np.ndarray) -> np.ndarray:
    """Return the units per step of a stored number, () float32, or (channel,) where the gains of channels differ."""
    if "scale" in signal.coords:
        return np.asarray(signal.coords["scale"].values[kept], np.float32)
    return np.asarray(signal.attrs.get("scale", 1.0), np.float32)


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
