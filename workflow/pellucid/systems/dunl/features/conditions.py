"""What a trial was: its condition, its covariates, and whether it is used."""

import sys

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.dunl.features import onsets, variables
from pellucid.systems.dunl.features.settings import Settings
from pellucid.systems.dunl.features.trials import Cut

ALL = "all"
"""The label of every trial where there are no conditions."""


def trial_types(recording: xr.DataTree, settings: Settings, cut: Cut) -> np.ndarray:
    """Return the label of each trial as text, shape (trial,)."""
    if settings.trial_type is None:
        return np.full(len(cut.source), ALL, object)
    found = schema.variable(recording, settings.trial_type)[1]
    return cut.each(found, variables.labels(found.values), settings.trial_type)


def covariates(
    recording: xr.DataTree, settings: Settings, cut: Cut, used: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Return the covariates of the trials used, and how many of their values were infinite.

    used  mask of these trials, shape (trial,)
    A value is mapped, then transformed; an infinite one, such as the logarithm of 0, is reported and becomes NaN.
    """
    values: dict[str, np.ndarray] = {}
    infinite: dict[str, int] = {}
    for name, covariate in settings.covariates.items():
        found = schema.variable(recording, covariate.source)[1]
        if covariate.map is not None:
            known = covariate.map
            mapped = [known.get(label, np.nan) for label in variables.labels(found.values).ravel()]
            numbers = np.array(mapped, float).reshape(found.shape)
        else:
            numbers = np.asarray(variables.numbers(found, covariate.source), float)
        own = cut.each(found, numbers, covariate.source)[used]
        if covariate.transform == "log":
            own = _log(own, name)
        infinite[name] = int(np.isinf(own).sum())
        values[name] = np.where(np.isinf(own), np.nan, own)
    infinite = {name: count for name, count in infinite.items() if count}
    for name, count in infinite.items():
        print(f"covariate {name}: {count} infinite values count as missing", file=sys.stderr)
    return values, infinite


def used(
    recording: xr.DataTree, settings: Settings, cut: Cut, types: np.ndarray, signal: np.ndarray
) -> tuple[np.ndarray, dict[str, int]]:
    """Return which trials are used, shape (trial,), and why how many others are not, each counted once.

    types   (trial,) labels; signal: (trial, time, neuron) after masks
    Raises DataError if no trial is left.
    """
    everywhere = np.ones(len(types), bool)
    reasons = {
        "of another kind": everywhere if settings.keep is None else onsets.of_trials(recording, settings.keep, cut),
        "without a label": (types != "nan") | (not settings.drop.nan),
        "of a type left out": ~np.isin(types.astype(str), settings.drop.trial_type),
        "without a valid bin": np.isfinite(signal).any(axis=(1, 2)),
        "without a spike": (signal > 0).any(axis=(1, 2)) | (not settings.drop.silent),
    }
    left, dropped = everywhere, {}
    for why, fine in reasons.items():
        if (left & ~fine).any():
            dropped[why] = int((left & ~fine).sum())
        left = left & fine
    if not left.any():
        raise DataError(
            f"{settings.source}, trials",
            expected="trials to use",
            found=f"none left of {len(types)}: {dropped}",
            remedy="Correct `keep`, `drop` or `inside`.",
        )
    return left, dropped


def _log(values: np.ndarray, name: str) -> np.ndarray:
    """Return natural logarithms; -inf for 0. Raises DataError for negative values."""
    if (values < 0).any():
        raise DataError(
            f"covariates.{name}",
            expected="values from 0 for `transform: log`",
            found=f"{np.nanmin(values):g}",
            remedy="Correct `map`, or set `transform: none`.",
        )
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))
