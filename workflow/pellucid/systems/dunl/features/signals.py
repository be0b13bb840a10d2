"""Reading what is binned: rasters and signals of trials block by block, continuous signals corrected and normalised."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.errors import DataError
from pellucid.preprocess import photometry, spikes
from pellucid.systems.dunl.features import variables
from pellucid.systems.dunl.features.settings import Fibre, Settings

BLOCK_VALUES = 1 << 24
"""Samples of a raster that are held at once; a raster of 1000 neurons at 1 ms is far larger than its bins."""

NEURONS = ("neuron", "roi", "channel")
"""Axes that become `neuron`."""


@dataclass(frozen=True)
class Block:
    """The part of trials that is kept: index of its first sample, number of bins, samples per bin."""

    first: int
    bins: int
    factor: int


def given(
    recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray, block: Block
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and binned signal (trial, time, neuron), float32, of trials that are cut already.

    Rasters are read some bins of all trials at a time, as a store keeps them; values to normalise are read whole.
    """
    names, kept = _neurons(recording, settings, group, found, ("trial", "time"))
    whole = None
    if settings.normalise != "none":
        whole = normalise(_values(found, kept, settings), settings.normalise)
    binned_signal = np.empty((len(found), block.bins, len(kept)), np.float32)
    step = max(1, BLOCK_VALUES // max(1, len(found) * len(names) * block.factor))
    for bin_ in range(0, block.bins, step):
        count = min(step, block.bins - bin_)
        start = block.first + bin_ * block.factor
        part = slice(start, start + count * block.factor)
        values = _values(found[:, part], kept, settings) if whole is None else whole[:, part]
        binned_signal[:, bin_ : bin_ + count] = binned(values, block.factor, settings)
    return names[kept], binned_signal


def continuous(
    recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and samples (time, neuron) of a continuous recording, corrected and normalised, held in memory."""
    if settings.photometry is not None:
        if settings.neurons is not None:
            raise DataError(
                "neurons", expected="fibres named in `photometry`", found="`neurons`", remedy="Remove `neurons`."
            )
        names, values = _fibres(settings, group, found)
    else:
        all_names, kept = _neurons(recording, settings, group, found, ("time",))
        names, values = all_names[kept], _values(found, kept, settings)
    return names, normalise(values, settings.normalise)


def binned(values: np.ndarray, factor: int, settings: Settings) -> np.ndarray:
    """Return counts summed or values averaged over bins, (trial, time, neuron) -> (trial, time // factor, neuron).

    A bin with a missing sample is missing; a rest that fills no bin is dropped.
    """
    if settings.kind == "counts":
        return spikes.bin_raster(values, factor, settings.source)
    bins = values.shape[1] // factor
    return np.asarray(values[:, : bins * factor].reshape(len(values), bins, factor, values.shape[2]).mean(axis=2))


def normalise(values: np.ndarray, how: str) -> np.ndarray:
    """Return values (..., neuron) scaled neuron by neuron over all other axes, missing ones left out.

    zscore          (v - mean) / sd
    minmax_centred  (v - min) / (max - min), minus its mean (published)
    A neuron that never changes becomes 0.
    """
    if how == "none":
        return values
    scaled = np.array(values, float)
    for neuron in np.moveaxis(scaled, -1, 0):
        known = neuron[np.isfinite(neuron)]
        if known.size:
            spread = known.std() if how == "zscore" else known.max() - known.min()
            neuron[...] = (neuron - known.mean()) / (spread if spread > 0 else 1)
    return scaled


def notes(settings: Settings) -> tuple[str, ...]:
    """Return what was fitted to the whole recording, test trials included: transductive, though without labels."""
    found = ["photometry: bleaching and motion"] if settings.photometry is not None else []
    return tuple(found + ([f"normalise: {settings.normalise}"] if settings.normalise != "none" else []))


def _neurons(
    recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray, before: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return all ids and the indices of those to keep. Raises DataError if the axes are others."""
    axes = tuple(map(str, found.dims))
    if axes[: len(before)] != before or len(axes) > len(before) + 1 or not set(axes[len(before) :]) <= set(NEURONS):
        raise DataError(
            settings.source,
            expected=f"axes ({', '.join(before)}) and at most one of {', '.join(NEURONS)}",
            found=str(axes),
            remedy="Correct `dims` in the reader's options.",
        )
    single = len(axes) == len(before)
    names = np.array(["0"], object) if single else variables.ids(group, axes[-1], found.shape[-1])
    return names, variables.chosen(recording, settings.neurons, names)


def _values(found: xr.DataArray, kept: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the samples of the neurons to keep, the axis neuron last. Raises DataError for infinite values."""
    values = variables.numbers(found, settings.source)
    values = values[..., None] if found.dims[-1] == "time" else values
    values = values if len(kept) == values.shape[-1] else values[..., kept]
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise DataError(
            settings.source,
            expected="finite values, NaN where there are none",
            found=f"{int(np.isinf(values).sum())} infinite ones",
            remedy="Correct them in the raw file.",
        )
    return values


def _fibres(settings: Settings, group: xr.Dataset, found: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Return names and corrected signals (time, neuron) of the fibres."""
    columns = _values(found, np.arange(found.shape[-1] if found.ndim > 1 else 1), settings)
    axis = str(found.dims[-1])
    known = list(variables.ids(group, axis, columns.shape[1]) if found.ndim > 1 else ["0"])
    correction = settings.photometry
    if correction is None:
        return np.array(known, object), columns
    second = known[1] if len(known) > 1 else None
    fibres = correction.fibres or {known[0]: Fibre(signal=known[0], second=second)}
    corrected = []
    for name, fibre in fibres.items():
        pair = [None if which is None else columns[:, _column(which, known)] for which in (fibre.signal, fibre.second)]
        rate = variables.clock(group, settings.source)[0]
        where = f"{settings.source}, fibre {name}"
        corrected.append(photometry.correct(np.asarray(pair[0]), pair[1], rate, correction, where).signal)
    return np.array(list(fibres), object), np.stack(corrected, axis=1)


def _column(name: str, known: list[str]) -> int:
    if name not in known:
        raise DataError(
            "photometry.fibres",
            expected=f"ids among {', '.join(known)}",
            found=name,
            remedy="Correct the ids of the fibre.",
        )
    return known.index(name)
