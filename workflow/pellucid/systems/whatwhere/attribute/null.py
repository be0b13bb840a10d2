"""The same positions and types from a network that has learnt nothing of the stimulus: what to expect by chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from pellucid.systems.whatwhere.attribute import types, what, where
from pellucid.systems.whatwhere.attribute.fields import Shown
from pellucid.systems.whatwhere.attribute.grid import Grid
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model import location
from pellucid.systems.whatwhere.model.network import Network, Start
from pellucid.systems.whatwhere.model.restore import Fitted

PX, ONE = {"units": "px"}, {"units": "1"}


def group(shown: Shown, named: Grid | None, settings: Settings, clusters: int, known: np.ndarray | None) -> xr.Dataset:
    """Return concentration of masks, distances of positions from averages, and silhouettes, of the null and the model.

    named     fits of the model that is the null; None: the network untrained
    clusters  number of types of the model in this fold
    known     (neuron, 2) true positions, px, or None
    confidence      (neuron,) share of a null mask within 2 px of its peak; NaN for point readouts
    distance        (neuron,) px from the null's position to where the squared spike-triggered average is largest
    model_distance  (neuron,) the same of the model. A model that begins there may just have stayed
    error           (neuron,) px from the null's position to the true one, if known
    Attribute source: the model that is the null, or `untrained`: begun at random, not where the neurons were located.
    """
    null = untrained(shown.fitted, shown.data.shape, settings.seed)
    if named is not None:
        fold = shown.fitted.fit.fold
        null = named.best_of(fold if fold in named.folds else named.folds[0])
    count = len(shown.data.names)
    average = _located(shown)
    place = {name: _all(fit, where.positions(fit), count) for name, fit in (("null", null), ("model", shown.fitted))}
    masks = null.masks()
    confidence = np.full(len(null.neurons), np.nan) if masks is None else where.concentration(masks)
    variables: dict[str, Any] = {
        "confidence": ("neuron", _all(null, confidence, count), ONE),
        "distance": ("neuron", where.distance(place["null"], average), PX),
        "model_distance": ("neuron", where.distance(place["model"], average), PX),
    }
    if known is not None:
        variables["error"] = ("neuron", where.distance(place["null"], known), PX)
    attrs = {
        "source": "untrained" if named is None else named.model,
        "clusters": clusters,
        "silhouette": types.silhouette(what.codes(null), clusters, settings),
        "model_silhouette": types.silhouette(what.codes(shown.fitted), clusters, settings),
    }
    return xr.Dataset(variables, attrs=attrs)


def untrained(fitted: Fitted, image: Sequence[int], seed: int) -> Fitted:
    """Return a fit's network as it begins without data: random kernels, masks, positions and weights.

    image  (channel, height, width)
    """
    readout = fitted.settings.readout.model_copy(update={"start": "random"})
    settings = fitted.settings.model_copy(update={"readout": readout})
    count = len(fitted.neurons)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(settings, image, Start.blank(count)).eval()
    return Fitted(fitted.fit, settings, network, fitted.neurons, {0: network}, np.zeros(count, int), {})


def _located(shown: Shown) -> np.ndarray:
    """Return where training responses locate each neuron, (neuron, 2) px, NaN for neurons without responses."""
    train = shown.data.rows["train"]
    readout, offset = shown.fitted.settings.readout, shown.fitted.offset()
    maps = location.squared_average(
        shown.data.images[train],
        shown.data.responses[train],
        smoothing_px=readout.smoothing_px,
        statistic=readout.statistic,
    )
    place, confidence = location.locate(maps, margins=(int(offset[0]), int(offset[1])))
    return np.where(np.isfinite(confidence)[:, None], place, np.nan)


def _all(fit: Fitted, values: np.ndarray, count: int) -> np.ndarray:
    """Return values of a fit's neurons among all neurons, NaN elsewhere."""
    out = np.full((count, *values.shape[1:]), np.nan)
    out[fit.neurons] = values
    return out
