"""Folds over the images of all recordings, and the scale of pixels and responses from training images only."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Collected, Fold, row_indices
from pellucid.errors import DataError
from pellucid.systems.whatwhere.features import folds, pixels
from pellucid.systems.whatwhere.features.moments import Moments
from pellucid.systems.whatwhere.features.settings import Settings

PIXELS = ("fold", "feature", "height", "width")


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    """Return the split table, and mean and s.d. of pixels and responses.

    stores  recording -> features, all with images of one size
    pixel_mean, pixel_sd (fold, feature, height, width) are in units of the images; response_mean, response_sd (fold,
    neuron) are of single presentations, NaN ignored. All are from training images only, not from those that validate;
    the reference code (data.py) used both. Images of all recordings count together; neurons follow each other in the
    sorted order of recordings. The s.d. divides by the number of values; of a pixel that never varies it is 1, of a
    constant neuron 0.
    Raises DataError, naming the neuron, if one has no response to a training image.
    """
    groups = {name: schema.group(stores[name], "features", name) for name in sorted(stores)}
    _check_alike(groups)
    made = folds.make(_across(groups), {name: group["set"].values for name, group in groups.items()}, settings.split)
    mean, sd = _pixels(groups, made, settings)
    responses = [_responses(group, name, made) for name, group in groups.items()]
    statistics = {"pixel_mean": xr.DataArray(mean, dims=PIXELS), "pixel_sd": xr.DataArray(sd, dims=PIXELS)}
    for index, name in enumerate(("response_mean", "response_sd")):
        joined = np.concatenate([found[index] for found in responses], axis=1)
        statistics[name] = xr.DataArray(joined, dims=("fold", "neuron"))
    return Collected(made, statistics)


def _across(groups: Mapping[str, xr.Dataset]) -> dict[str, np.ndarray]:
    """Number the groups of identical images over all recordings, recording -> shape (image,)."""
    lengths = [group.sizes["image"] for group in groups.values()]
    code = pixels.groups(np.concatenate([group["fingerprint"].values for group in groups.values()]))
    return dict(zip(groups, np.split(code, np.cumsum(lengths)[:-1])))


def _pixels(groups: Mapping[str, xr.Dataset], made: list[Fold], settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and s.d. of every pixel over the training images of each fold, (fold, feature, height, width).

    `global`: one mean and one s.d. for all pixels of a fold; `image`: 0 and 1, since each image has its own.
    """
    size = next(iter(groups.values()))["images"].shape[1:]
    if settings.pixels == "image":
        return np.zeros((len(made), *size)), np.ones((len(made), *size))
    found = [Moments(size) for _ in made]
    for name, group in groups.items():
        _accumulate(group["images"], found, [_mask(fold, name, group) for fold in made])
    mean, sd = np.stack([one.mean for one in found]), np.stack([one.sd for one in found])
    if settings.pixels == "global":
        sd = np.sqrt((sd**2).mean(axis=(1, 2, 3)) + mean.var(axis=(1, 2, 3)))
        whole = (slice(None), *(None,) * 3)
        mean, sd = (np.broadcast_to(values[whole], (len(made), *size)) for values in (mean.mean(axis=(1, 2, 3)), sd))
    return mean, np.where(sd > 0, sd, 1.0)


def _responses(group: xr.Dataset, name: str, made: list[Fold]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and s.d. of single presentations of training images, each (fold, neuron)."""
    responses = group["responses"].transpose("image", "repeat", "neuron")
    found = [Moments(responses.shape[2:]) for _ in made]
    _accumulate(responses, found, [_mask(fold, name, group) for fold in made])
    for index, one in enumerate(found):
        if not one.count.all():
            missing = group["neuron"].values[one.count == 0]
            raise DataError(
                f"fold {index}, recording {name}, responses",
                expected="a response of every neuron to a training image",
                found=f"none of {', '.join(map(str, missing[:10]))}",
                remedy="Leave these neurons out by `neurons`, or split otherwise.",
            )
    return np.stack([one.mean for one in found]), np.stack([one.sd for one in found])


def _accumulate(values: xr.DataArray, found: list[Moments], masks: list[np.ndarray]) -> None:
    """Add the rows of each mask to the moments beside it, block by block.

    values  (image, ...); axes between the image and those of the moments are pooled
    """
    rows = pixels.rows_at_once(values.size // len(values))
    for start in range(0, len(values), rows):
        block = values[start : start + rows].values.astype(np.float64)
        for one, mask in zip(found, masks):
            one.add(block[mask[start : start + rows]].reshape(-1, *one.mean.shape))


def _mask(fold: Fold, name: str, group: xr.Dataset) -> np.ndarray:
    """Return which images of a recording train, shape (image,)."""
    mask = np.zeros(group.sizes["image"], bool)
    mask[row_indices(fold.train.get(name, []))] = True
    return mask


def _check_alike(groups: Mapping[str, xr.Dataset]) -> None:
    names = list(groups)
    first = groups[names[0]]["images"].shape[1:]
    for name in names[1:]:
        found = groups[name]["images"].shape[1:]
        if found != first:
            raise DataError(
                f"features of {name}, images",
                expected=f"(feature, height, width) of {first}, as in {names[0]}",
                found=str(found),
                remedy="Crop all images of a dataset to one size by `crop_px`, or make two datasets of them.",
            )
