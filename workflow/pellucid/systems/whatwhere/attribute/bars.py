"""The group of functional types: clusters of bar codes in every fold, beside true types."""

import json
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.whatwhere.attribute import types
from pellucid.systems.whatwhere.attribute.grid import Grid
from pellucid.systems.whatwhere.attribute.settings import Settings

ONE = {"units": "1"}


def group(
    grid: Grid, codes: np.ndarray, silent: np.ndarray, settings: Settings, known: np.ndarray | None
) -> xr.Dataset:
    """Return types of all folds: label, order of display, stability, and how their number was chosen.

    codes   (fold, seed, neuron, feature) unit vectors with features in one order, NaN where a fit has no such neuron
    silent  (fold, neuron) neurons whose training responses are constant; they have no type
    known   (neuron,) true types, or None
    Attributes are JSON: selection (rows of all numbers tried), chosen (number of types per fold), stability_from
    ("seeds" or "resampled neurons"), and, with known types, purity and ari_truth per fold.
    """
    label = np.full(silent.shape, types.EXCLUDED, np.int16)
    order, stability = np.zeros(silent.shape, np.int32), np.full(silent.shape, np.nan)
    selection: list[dict[str, Any]] = []
    chosen: list[int] = []
    for row, fold in enumerate(grid.folds):
        own = np.where(silent[row][:, None], np.nan, codes[row])
        found = types.types(own, grid.best_place(fold), settings)
        label[row] = found.label if row == 0 else types.renamed(label[0], found.label)
        order[row] = types.display_order(own[grid.best_place(fold)], label[row])
        stability[row] = found.stability
        chosen.append(found.clusters)
        selection += [{"fold": fold, **_plain(one)} for one in found.rows]
    variables: dict[str, Any] = {
        "label": (("fold", "neuron"), label, ONE),
        "order": (("fold", "neuron"), order, ONE),
        "stability": (("fold", "neuron"), stability, ONE),
    }
    several = any(one["ari_seeds"] is not None for one in selection)
    attrs = {
        "selection": json.dumps(selection),
        "chosen": json.dumps(chosen),
        "stability_from": "seeds" if several else "resampled neurons: there is one seed",
    }
    if known is not None:
        variables["truth"] = ("neuron", known.astype(np.int16), ONE)
        pure, rand = ([measure(one, known) for one in label] for measure in (types.purity, types.rand))
        attrs |= {"purity": json.dumps(_numbers(pure)), "ari_truth": json.dumps(_numbers(rand))}
    return xr.Dataset(variables, coords={"fold": list(grid.folds)}, attrs=attrs)


def chosen_rows(group: xr.Dataset) -> list[dict[str, Any]]:
    """Return the row of `selection` of the number of types chosen, for every fold that has one."""
    chosen = dict(zip(group["fold"].values.tolist(), json.loads(group.attrs["chosen"])))
    return [row for row in json.loads(group.attrs["selection"]) if row["clusters"] == chosen[row["fold"]]]


def _plain(row: dict[str, float]) -> dict[str, float | None]:
    return {key: value if np.isfinite(value) else None for key, value in row.items()}


def _numbers(values: list[float]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values]
