"""Values of covariates as a few ordered levels: each value, or bins with equal numbers of trials."""

import json

import numpy as np

from pellucid.artifacts import Results
from pellucid.systems.dunl.figures.settings import Settings

FEW = 4
"""Bins of a covariate with many values where every bin is a line over time."""


def units(results: Results, name: str) -> str:
    """Return the units of a covariate."""
    return str(json.loads(results.features.first().attrs.get("covariates", "{}")).get(name, "1"))


def discrete(values: np.ndarray, settings: Settings) -> bool:
    """Tell whether a covariate has few enough values to be shown value by value."""
    return len(np.unique(values[np.isfinite(values)])) <= settings.levels


def binned(values: np.ndarray, settings: Settings, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the level of each value, -1 where it is missing, and the centre of each level.

    values  (trial,) of a covariate; the centre of a level is its value, or the median of its bin
    most    bins of a covariate with many values, `quantiles` of the settings if None
    """
    known = np.isfinite(values)
    if discrete(values, settings):
        centres = np.unique(values[known])
        return np.where(known, np.searchsorted(centres, values), -1), centres
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, (most or settings.quantiles) + 1)))
    level = np.where(known, np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2), -1)
    filled = np.unique(level[known])
    centres = np.array([np.median(values[level == one]) for one in filled])
    return np.where(known, np.searchsorted(filled, level), -1), centres


def of_trials(results: Results, settings: Settings) -> dict[str, np.ndarray]:
    """Return name -> label of every trial of the predicted recordings (trial,), for covariates that vary.

    With no such covariate the conditions of the trials are used, if there are several.
    """
    names = [name for name in results.features.stores if name in results.predictions.children]
    found = {}
    for name in json.loads(results.features.first().attrs.get("covariates", "{}")):
        values = np.concatenate([results.features.group(one, "trials")[name].values for one in names]).astype(float)
        labels = _labels(values, settings)
        if len(ordered(labels)) > 1:
            found[f"{name}, {units(results, name)}" if units(results, name) != "1" else name] = labels
    types = (
        np.concatenate([results.features.group(one)["trial_type"].values for one in names]).astype(object).astype(str)
    )
    if 1 < len(set(types)) <= settings.levels and not found:
        found["condition"] = types
    return found


def ordered(labels: np.ndarray) -> list[str]:
    """Return the labels that occur, by their first number, then by name; missing ones ("") are left out."""
    return sorted({str(label) for label in labels} - {""}, key=lambda label: (_number(label), label))


def _labels(values: np.ndarray, settings: Settings) -> np.ndarray:
    if not np.isfinite(values).any():
        return np.full(len(values), "", object)
    level, centres = binned(values, settings, FEW)
    if discrete(values, settings):
        names = [f"{centre:g}" for centre in centres]
    else:
        parts = [values[level == one] for one in range(len(centres))]
        names = [f"{part.min():.3g} to {part.max():.3g}" for part in parts]
    return np.array([names[one] if one >= 0 else "" for one in level], object)


def _number(label: str) -> float:
    try:
        return float(label.split(" to ")[0])
    except ValueError:
        return float("inf")
