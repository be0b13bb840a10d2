"""Where and what a network's neurons read: masks, bar codes, types and fields, with nulls and faithfulness.

Klindt et al. 2017: masks say where, feature weights say what, and neurons with like weights are of one type. Positions
and types of all seeds are compared, as those of a single fit say little; fields follow from the network by gradients.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.whatwhere.attribute import bars, faithfulness, fields, headline, kernels, null, what, where
from pellucid.systems.whatwhere.attribute.fields import Shown
from pellucid.systems.whatwhere.attribute.grid import Grid, grid
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model import dataset
from pellucid.systems.whatwhere.model import truth as simulated
from pellucid.systems.whatwhere.model.restore import Fitted


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return positions, bar codes, types, fields, faithfulness and null of one model, and kernels of all networks.

    truth  simulated truth by the name of its raw folder, against which positions and types are scored
    Fields, faithfulness and null are of the best seed of the first fold. Raises DataError if `settings.model` or
    `settings.null_model` is not a network with masks or positions and feature weights.
    """
    found = grid(features, fits, settings.model)
    null_model = settings.null_model
    named = None if null_model is None else grid(features, fits, null_model, where="attribute.null_model")
    known = simulated.of(features, truth) if truth else None
    place = None if known is None else known.position
    shown = _shown(features, found.best_of(found.folds[0]))
    weights = what.group(found)
    silent = _silent(features, found)
    codes = weights["weight"].values.astype(float)
    kinds = bars.group(found, codes, silent, settings, None if known is None else _true_types(known))
    clusters = json.loads(kinds.attrs["chosen"])[0]
    made: dict[str, xr.Dataset] = {
        "/where": where.group(found, place),
        "/what": weights,
        "/types": kinds,
        "/fields": fields.group(shown, settings, None if known is None else known.filters),
        "/faithfulness": faithfulness.group(shown, settings),
        "/null": null.group(shown, named, settings, clusters, place),
    }
    made = {path: _labelled(group, found, shown.data.names) for path, group in made.items()}
    rows = headline.rows(made, [found.best_place(fold) for fold in found.folds], settings)
    made |= kernels.groups(features, fits, None if known is None else known.kernels)
    attrs = {"headline": json.dumps(rows), "model": settings.model, "warning": _warning(found)}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **made})


def _shown(features: Features, fitted: Fitted) -> Shown:
    data = dataset.load(features, fitted.fit.fold, ("train", "test"), fitted.settings.recordings)
    mean = data.images[data.rows["train"]].mean(0, dtype=np.float64).astype(np.float32)
    return Shown(fitted, data, mean)


def _true_types(known: simulated.Truth) -> np.ndarray:
    """Return the number of each neuron's true type, (neuron,): ON and OFF cells of one type are two."""
    return np.unique(2 * known.kind + (known.sign < 0), return_inverse=True)[1]


def _silent(features: Features, found: Grid) -> np.ndarray:
    """Return which neurons have constant training responses, (fold, neuron)."""
    spread = features.statistics["response_sd"].values[list(found.folds)]
    return np.asarray(~(spread > 0))


def _warning(found: Grid) -> str:
    """Return what a reader of types has to know, empty if nothing."""
    single = [fold for fold in found.folds if sum(key[0] == fold for key in found.fits) == 1]
    if not single:
        return ""
    return (
        f"one seed in fold {', '.join(map(str, single))}: types of a single fit, stability from resampled neurons only"
    )


def _labelled(group: xr.Dataset, found: Grid, names: Sequence[str]) -> xr.Dataset:
    """Return a group with the names of its neurons, folds and seeds."""
    labels: dict[str, Any] = {"fold": list(found.folds), "seed": list(found.seeds)}
    labels["neuron"] = np.array(names[: group.sizes.get("neuron", 0)], object)
    return group.assign_coords({axis: values for axis, values in labels.items() if axis in group.dims})
