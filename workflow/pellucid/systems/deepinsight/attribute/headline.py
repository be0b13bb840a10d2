"""The numbers of the attribution that the report shows first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import headline_row
from pellucid.systems.deepinsight.attribute import recovery
from pellucid.systems.deepinsight.attribute.inputs import nearest
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.losses import Target

Rows = list[dict[str, Any]]
SIGNIFICANT = 0.05


def rows(
    groups: Mapping[str, xr.Dataset], targets: Sequence[Target], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> Rows:
    """Return the headline rows of all groups; those without a model belong to the attributed one."""
    found: Rows = []
    for known in recovery.truth_groups(truth):
        found += _against_truth(groups, targets, settings, known)
    if "/elimination" in groups:
        found += _elimination(groups["/elimination"])
        for known in recovery.truth_groups(truth, "units"):
            found += recovery.elimination(groups["/elimination"], known, targets)
    for name, describe in (("/pairs", _pairs), ("/profiles", _profiles), ("/one_band", _one_band)):
        if name in groups:
            found += describe(groups[name])
    if "/classes" in groups:
        found += _classes(groups["/classes"])
    return found


def _against_truth(
    groups: Mapping[str, xr.Dataset], targets: Sequence[Target], settings: Settings, known: xr.Dataset
) -> Rows:
    found: Rows = []
    if "/band" in groups:
        band = groups["/band"]
        frequencies = band["frequency"].values
        found += recovery.bands(band["influence"].values, band["low"].values, frequencies, known, targets)
        true = recovery.carried(known, frequencies, targets)
        for name, block in settings.groups.items():
            if block.channels is None:
                found += recovery.redundant(name, groups["/group"], band, nearest(block.bands_hz, band), true)
        if "/pairs" in groups:
            found += recovery.redundant_pairs(groups["/pairs"], true)
    if "/channel" in groups:
        found += recovery.channels(groups["/channel"]["influence"].values, known, targets)
    return found


def _elimination(group: xr.Dataset) -> Rows:
    found = []
    for name in group["feature"].values:
        for term in group["output"].values:
            one = group.sel(feature=name, output=term)
            row = headline_row(f"elimination of {name}: influence on {term}", float(one["influence"]), model="")
            bounds = {"low": "low", "high": "high", "chance": "control"}
            bounds |= {"chance_low": "control_low", "chance_high": "control_high"}
            found.append(row | {key: float(one[variable]) for key, variable in bounds.items()})
    return found


def _pairs(group: xr.Dataset) -> Rows:
    found = []
    for term in group["output"].values:
        one = group.sel(output=term)
        significant = int(((one["p_holm"] < SIGNIFICANT) & (one["interaction"] > 0)).sum())
        note = f"of {group.sizes['feature']} pairs, p_holm < {SIGNIFICANT:g}"
        found.append(
            headline_row(f"pairs of bands with a positive interaction: {term}", significant, model="", note=note)
        )
    return found


def _profiles(group: xr.Dataset) -> Rows:
    """Return the mean correlation of every profile with the attributed one, and the worst rank of a true band."""
    found = []
    for name in group["model"].values:
        one = group.sel(model=name)
        r, ranks = one["pearson"].values, one["rank"].values
        if np.isfinite(r).any():
            mean = float(r[np.isfinite(r)].mean())
            found.append(headline_row("influence profile: Pearson r, mean over outputs", mean, model=str(name)))
        if np.isfinite(ranks).any():
            worst = float(ranks[np.isfinite(ranks)].max())
            note = "1 if the truth is recovered"
            found.append(
                headline_row("influence profile: worst rank of a true band", worst, model=str(name), note=note)
            )
    return found


def _one_band(group: xr.Dataset) -> Rows:
    return [
        headline_row(
            f"one-band networks: Spearman of 1/loss with influence, {term}",
            float(group["spearman"].sel(output=term)),
            model="",
            note=f"n = {group.attrs['n']} bands, p = {float(group['p'].sel(output=term)):.2g}",
        )
        for term in group["output"].values
        if np.isfinite(group["spearman"].sel(output=term))
    ]


def _classes(group: xr.Dataset) -> Rows:
    return [
        headline_row(
            f"spikes of {name}: Spearman of their bands with influence on {term}",
            float(group["spearman"].sel(feature=name, output=term)),
            model="",
            note=f"p = {float(group['p'].sel(feature=name, output=term)):.2g}",
        )
        for name in group["feature"].values
        for term in group["output"].values
        if np.isfinite(group["spearman"].sel(feature=name, output=term))
    ]
