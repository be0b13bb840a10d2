"""Influence of bands, channels and groups on every output of a trained network, and what is derived from it.

Frey et al. 2021, Methods, "influence": inputs are permuted in time on test rows, without retraining. The ratio of means
is reported first; the published mean of per-sample ratios, which is heavy-tailed, stands beside it. Pairs of bands and
the spikes of a class of units are further inputs, changed and scored in the same way.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.attribute import (
    classes,
    deletion,
    elimination,
    headline,
    inputs,
    one_band,
    pairs,
    profiles,
    recovery,
    spikes,
    tabulate,
)
from pellucid.systems.deepinsight.attribute.scoring import Scorer, networks, score
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import bands_of, decoded

Groups = dict[str, xr.Dataset]


@dataclass(frozen=True)
class Explained:
    """The attributed model.

    fits     one per fold and seed
    group    features of the first recording, the model's bands only
    targets  what it decodes
    """

    features: Features
    fits: Sequence[Fit]
    group: xr.Dataset
    targets: Sequence[Target]

    @property
    def terms(self) -> list[str]:
        """Names of the terms of the loss."""
        return [term for target in self.targets for term in target.terms]


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return one group per analysis: band, channel, group, deletion, pairs, profiles, one_band, elimination, classes.

    truth  simulated truth, against which the influences of simulated recordings are scored
    Raises DataError if `settings.model` is not a trained network, or if what an analysis needs is not there.
    """
    model = _explained(features, fits, settings)
    _check(model, fits, settings)
    shown = tqdm(model.fits, desc="test rows", unit="fit", disable=None)
    scorers = [Scorer.load(fit, features, settings) for fit in shown]
    groups = _influences(model, scorers, settings)
    if "/band" in groups:
        groups |= _of_bands(model, scorers, groups["/band"], fits, settings, truth)
    if settings.elimination:
        groups["/elimination"] = _elimination(model, scorers, settings)
    rows = headline.rows(groups, model.targets, settings, truth)
    rows = [row | {"model": row["model"] or settings.model} for row in rows]
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"headline": json.dumps(rows), "model": settings.model}), **groups}
    )


def _explained(features: Features, fits: Sequence[Fit], settings: Settings) -> Explained:
    chosen = networks(fits, settings.model, "attribute.model")
    model = ModelSettings.model_validate(chosen[0].settings)
    group = features.first().isel(frequency=bands_of(features, model))
    return Explained(features, chosen, group, decoded(features, model))


def _check(model: Explained, fits: Sequence[Fit], settings: Settings) -> None:
    """Raise DataError for what is missing before anything is scored."""
    if settings.elimination:
        elimination.units(model.features, settings)
    if settings.classes:
        spikes.units(model.features, "attribute.classes")
    for name in settings.profiles:
        networks(fits, name, "attribute.profiles")


def _influences(model: Explained, scorers: Sequence[Scorer], settings: Settings) -> Groups:
    """Return /band, /channel and /group; a single band is no input of its own, its channels are."""
    several = model.group.sizes["frequency"] > 1
    kinds = {
        "band": inputs.bands(model.group) if several else [],
        "channel": inputs.channels(model.group) if settings.channels or not several else [],
        "group": [inputs.group(name, block, model.group) for name, block in settings.groups.items()],
    }
    every = [one for listed in kinds.values() for one in listed]
    shown = tqdm(scorers, desc="influence", unit="fit", disable=None)
    losses = [score(scorer, every, settings, repeats=settings.repeats) for scorer in shown]
    groups, start = {}, 0
    for kind, listed in kinds.items():
        if listed:
            axis = {"band": "frequency", "channel": "channel", "group": "feature"}[kind]
            names = np.array([one.name for one in listed], object) if kind == "group" else model.group[axis].values
            own = slice(start, start + len(listed))
            groups[f"/{kind}"] = tabulate.group(axis, names, own, losses, model.fits, model.terms, settings)
        start += len(listed)
    return groups


def _of_bands(
    model: Explained,
    scorers: Sequence[Scorer],
    band: xr.Dataset,
    fits: Sequence[Fit],
    settings: Settings,
    truth: Mapping[str, xr.DataTree],
) -> Groups:
    """Return the analyses that need the influence of several bands."""
    groups = {"/deletion": deletion.group(band["influence"].values, scorers, model.terms, settings)}
    if settings.pairs:
        shown = tqdm(scorers, desc="pairs of bands", unit="fit", disable=None)
        losses = [pairs.score(scorer, model.group, settings) for scorer in shown]
        groups["/pairs"] = pairs.group(losses, model.group, model.fits, model.terms, settings)
    if settings.profiles:
        every = model.features.first()["frequency"].values
        known = recovery.joined(truth, every, model.targets)
        groups["/profiles"] = profiles.group(model.features, fits, band, known, settings)
    singles = one_band.networks(model.features, fits)
    if singles:
        groups["/one_band"] = one_band.group(model.features, singles, band, settings)
    if settings.classes:
        groups["/classes"] = classes.group(model.features, model.fits, band)
    return groups


def _elimination(model: Explained, scorers: Sequence[Scorer], settings: Settings) -> xr.Dataset:
    units = elimination.units(model.features, settings)
    shown = tqdm(scorers, desc="elimination at spikes", unit="fit", disable=None)
    scored = [elimination.score_classes(scorer, model.group, units, settings) for scorer in shown]
    return elimination.group(scored, model.fits, model.terms, settings)
