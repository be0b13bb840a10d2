"""Images and responses of the rows a fit may see, standardised with the statistics of its fold's training rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, PartName, row_indices
from pellucid.errors import DataError

_FLAT = 1e-8
"""Standard deviation of a single image below which it counts as uniform."""


@dataclass(frozen=True)
class Data:
    """Rows of one fold; recordings follow each other, neurons of one recording are NaN in the rows of another.

    images    (image, channel, height, width) standardised, float32
    repeats   (repeat, image, neuron) responses, NaN where an image was not shown
    rows      part -> places of its images along `image`
    source    (image,) number of each image in its recording
    recording (image,) name of its recording
    names     neurons, as RECORDING/ID where there are several recordings
    position  (neuron, 2) known centre of the receptive field, row and column in px, NaN where unknown
    """

    images: np.ndarray
    repeats: np.ndarray
    rows: dict[PartName, np.ndarray]
    source: np.ndarray
    recording: np.ndarray
    names: tuple[str, ...]
    position: np.ndarray

    @property
    def responses(self) -> np.ndarray:
        """Mean over repeats, (image, neuron), NaN where there is none."""
        return mean_known(self.repeats)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an image, (channel, height, width)."""
        return self.images.shape[1:]


def mean_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is not NaN, NaN where everything is."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(0), known.sum(0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan, total.dtype), where=count > 0))


def load(features: Features, fold: int, parts: Sequence[PartName], recordings: Sequence[str] | None = None) -> Data:
    """Return the rows of some parts of a fold; no other row is read. Neurons are those of the whole dataset.

    recordings  whose rows; None: all. Raises DataError for one that the dataset does not have
    Pixels are standardised as features.json says: (x - mean) / s.d. of training rows, or each image by itself.
    """
    names = sorted(features.stores)
    groups = {name: features.group(name) for name in names}
    neurons = [groups[name].sizes["neuron"] for name in names]
    first = np.concatenate([[0], np.cumsum(neurons)])
    repeats = max(group.sizes["repeat"] for group in groups.values())
    used = names if recordings is None else _known(recordings, names)
    images, responses, sources, owners = [], [], [], []
    rows: dict[PartName, list[np.ndarray]] = {part: [] for part in parts}
    start = 0
    for name in used:
        index = names.index(name)
        for part in parts:
            chosen = row_indices(features.folds[fold].rows(part).get(name, []))
            images.append(_take(groups[name]["images"], chosen))
            held = np.full((repeats, len(chosen), first[-1]), np.nan, np.float32)
            own = _take(groups[name]["responses"], chosen)
            held[: len(own), :, first[index] : first[index + 1]] = own
            responses.append(held)
            rows[part].append(start + np.arange(len(chosen)))
            sources.append(chosen)
            owners.append(np.full(len(chosen), name, object))
            start += len(chosen)
    return Data(
        images=_standardised(np.concatenate(images), features, fold),
        repeats=np.concatenate(responses, axis=1),
        rows={part: np.concatenate(places) for part, places in rows.items()},
        source=np.concatenate(sources),
        recording=np.concatenate(owners),
        names=tuple(_names(groups)),
        position=np.concatenate([_positions(group) for group in groups.values()]),
    )


def neurons_of(features: Features, recordings: Sequence[str] | None) -> np.ndarray:
    """Return the numbers of the neurons of some recordings among all of the dataset, shape (neuron,)."""
    owner = np.concatenate(
        [np.full(features.group(name).sizes["neuron"], name, object) for name in sorted(features.stores)]
    )
    return np.flatnonzero(np.isin(owner, list(recordings or features.stores)))


def _known(recordings: Sequence[str], names: Sequence[str]) -> list[str]:
    wrong = [name for name in recordings if name not in names]
    if wrong:
        raise DataError(
            "fit.models, recordings",
            expected=f"recordings of the dataset ({', '.join(names)})",
            found=wrong[0],
            remedy="Correct the name, or leave `recordings` out to use all.",
        )
    return sorted(set(recordings))


def _take(array: xr.DataArray, rows: np.ndarray) -> np.ndarray:
    """Read rows of `image`; those between the first and the last wanted are read in one go."""
    if not len(rows):
        return array.isel(image=slice(0, 0)).values
    axis = array.get_axis_num("image")
    held = array.isel(image=slice(int(rows.min()), int(rows.max()) + 1)).values
    return held if len(rows) == held.shape[axis] else np.take(held, rows - rows.min(), axis=axis)


def _standardised(images: np.ndarray, features: Features, fold: int) -> np.ndarray:
    mean, sd = (features.statistics[name].values[fold].astype(np.float32) for name in ("pixel_mean", "pixel_sd"))
    images = (images - mean) / sd
    if json.loads(features.first().attrs["processing"])["pixels"] == "image":
        images -= images.mean((1, 2, 3), keepdims=True)
        spread = images.std((1, 2, 3), keepdims=True)
        images /= np.where(spread > _FLAT, spread, 1)
    return np.ascontiguousarray(images, np.float32)


def _names(groups: dict[str, xr.Dataset]) -> list[str]:
    several = len(groups) > 1
    return [f"{name}/{i}" if several else str(i) for name, group in groups.items() for i in group["neuron"].values]


def _positions(group: xr.Dataset) -> np.ndarray:
    return np.stack([group["row"].values, group["column"].values], axis=1).astype(np.float64)
