"""Folds over the trials of all recordings; no statistics, since kernels and baselines are fitted to the data itself."""

from collections.abc import Mapping

import xarray as xr

from pellucid import schema
from pellucid.artifacts import Collected
from pellucid.preprocess import settings as shared
from pellucid.preprocess import splits
from pellucid.systems.dunl.features import folds
from pellucid.systems.dunl.features.settings import Settings


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    """Return the split table of the trials, without statistics.

    stores  recording -> features
    Trial types are the labels that are stratified and the runs of `by: group`. Blocks of windows that follow each
    other without a gap are one window apart, unless `split.purge_rows` says otherwise.
    """
    groups = {name: schema.group(tree, "features", name) for name, tree in stores.items()}
    labels = {name: group["trial_type"].values.astype(object) for name, group in groups.items()}
    split = settings.split
    if split.by == "published_order":
        return Collected(folds.published_order(labels, split))
    if split.test is not None:
        chosen = {name: schema.group(tree, "trials", name)[split.test.covariate] for name, tree in stores.items()}
        return Collected(folds.by_covariate({name: found.values for name, found in chosen.items()}, labels, split))
    made = splits.make(
        {name: group.sizes["trial"] for name, group in groups.items()},
        shared.Split.model_validate(split.model_dump(exclude={"test", "test_share"})),
        purge=int(split.by == "block" and settings.trials.every_s is not None),
        groups=labels,
        subjects={name: str(tree.attrs.get("subject", name)) for name, tree in stores.items()},
    )
    return Collected(made)
