"""Folds over the rows of all recordings, and the scale of every band and channel from training rows only."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Collected, Fold
from pellucid.errors import DataError
from pellucid.preprocess import splits
from pellucid.systems.deepinsight.features.settings import Settings

MOST_VALUES = 1 << 26
"""Above this many training values (256 MiB) every n-th row enters the median; published: every 100th above 1e5 rows."""


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    """Return the split table, and median and MAD per (fold, frequency, channel).

    stores  recording -> features, all with the same frequencies and channels
    The scaling x -> (x - median) / MAD is equation 2 of Frey et al. 2021: no factor 1.4826. Rows left out because of
    missing samples enter neither. Raises DataError if that leaves no training row.
    """
    groups = {name: schema.group(tree, "features", name) for name, tree in stores.items()}
    _check_alike(groups)
    reach = max(int(group.attrs["reach_rows"]) for group in groups.values())
    folds = splits.make(
        {name: group.sizes["time"] for name, group in groups.items()},
        settings.split,
        purge=settings.window_rows + 2 * reach,
        groups={name: group["group"].values for name, group in groups.items() if "group" in group},
        subjects={name: str(tree.attrs.get("subject", name)) for name, tree in stores.items()},
        usable={name: group["scored"].values.astype(bool) for name, group in groups.items() if "intact" in group},
    )
    scales = [_scale(groups, fold, index) for index, fold in enumerate(folds)]
    axes = ("fold", "frequency", "channel")
    return Collected(
        folds,
        {
            "median": xr.DataArray(np.stack([median for median, _ in scales]), dims=axes),
            "mad": xr.DataArray(np.stack([mad for _, mad in scales]), dims=axes),
        },
    )


def _scale(groups: Mapping[str, xr.Dataset], fold: Fold, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return median and MAD over the fold's training rows, each (frequency, channel); MAD of a dead channel is 1."""
    count = sum(stop - start for rows in fold.train.values() for start, stop in rows)
    shape = next(iter(groups.values()))["power"].shape
    step = -(-count * shape[1] * shape[2] // MOST_VALUES)
    train = np.concatenate(
        [_intact(groups[name], slice(start, stop, step)) for name, rows in fold.train.items() for start, stop in rows]
    )
    if not len(train):
        raise DataError(
            f"fold {number}",
            expected="training rows without missing samples",
            found="none",
            remedy="Mask less, raise `missing.most_share`, or use fewer folds.",
        )
    median = np.median(train, axis=0)
    mad = np.median(np.abs(train - median), axis=0)
    return median, np.where(mad > 0, mad, np.float32(1))


def _intact(group: xr.Dataset, rows: slice) -> np.ndarray:
    """Return the power of some rows, (row, frequency, channel), less those left out for missing samples."""
    power = group["power"][rows].values
    return np.asarray(power[group["intact"][rows].values.astype(bool)] if "intact" in group else power)


def _check_alike(groups: Mapping[str, xr.Dataset]) -> None:
    names = list(groups)
    first = groups[names[0]]
    for name in names[1:]:
        for axis in ("frequency", "channel"):
            if groups[name].sizes[axis] != first.sizes[axis]:
                raise DataError(
                    f"features of {name}, axis {axis}",
                    expected=f"{first.sizes[axis]}, as in {names[0]}",
                    found=str(groups[name].sizes[axis]),
                    remedy="Put recordings with other channels or rates into a dataset of their own.",
                )
