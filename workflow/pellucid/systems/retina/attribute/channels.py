"""The channels of the first layer and the receptive fields of the cells, of every fit of the attributed model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features
from pellucid.systems.retina.attribute import fields, labels
from pellucid.systems.retina.attribute.evidence import held_out
from pellucid.systems.retina.attribute.labels import Labels
from pellucid.systems.retina.attribute.measures import Seen
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.model.restore import Fitted

ONE, MS = {"units": "1"}, {"units": "ms"}
FITS = ("fold", "seed")
Key = tuple[int, int]
"""Fold and seed."""


def of(fitted: Fitted, settings: Settings) -> Labels:
    """Return the labels of a network's channels, weighted by how strongly they act on what follows."""
    assert fitted.network is not None
    with torch.no_grad():
        kernels = fitted.network.kernels().numpy()
    return labels.labels(
        kernels,
        lag=fitted.lag,
        rate_hz=fitted.rate_hz,
        fast_ms=settings.fast_ms,
        strength=labels.strength(fitted.network),
    )


def group(found: Mapping[Key, Labels], fitted: Fitted) -> xr.Dataset:
    """Return the labels of all fits, NaN where there is no fit.

    temporal, component (fold, seed, lag, feature), spatial (fold, seed, feature, height, width), separability,
    polarity, peak_ms, fast, strength (fold, seed, feature); threshold_ms (fold, seed) between fast and slow. lag: ms
    before the response, negative.
    """
    axes = {
        "temporal": ("lag",), "component": ("lag",), "spatial": ("height", "width"), "separability": (),
        "polarity": (), "peak_ms": (), "fast": (), "strength": (),
    }  # fmt: skip
    variables: dict[str, Any] = {}
    for name, rest in axes.items():
        values = full({key: np.asarray(getattr(one, name), float) for key, one in found.items()})
        whole = name in ("polarity", "fast") and bool(np.isfinite(values).all())
        values = values.astype(np.int8) if whole else values.astype(np.float32)
        variables[name] = ((*FITS, "feature", *rest), values, MS if name == "peak_ms" else ONE)
    threshold = full({key: np.asarray(one.threshold_ms, float) for key, one in found.items()})
    variables["threshold_ms"] = (FITS, threshold, MS)
    return ordered(xr.Dataset(variables, coords=coordinates(found, fitted), attrs={"threshold": _origin(found)}))


def seen(features: Features, fitted: Fitted, most: int) -> Seen:
    """Return the first windows of the test movie of the first recording a model was fitted to, at most so many."""
    name = fitted.recordings[0]
    rows = held_out(features, fitted, name)[:most]
    late = fitted.lag + fitted.history - 1
    if not len(rows):
        return Seen(np.zeros((0, *fitted.shape), np.float32), rows)
    start = int(rows[0]) - late
    movie = features.group(name, "stimulus")["movie"][start : int(rows[-1]) - fitted.lag + 1]
    return Seen(fitted.standardise(movie.values), rows - late - start)


def receptive_fields(found: Mapping[Key, Fitted], shown: Mapping[Key, Seen]) -> xr.Dataset:
    """Return mean gradients of rates with respect to the test movie, and their courses in space and time.

    sta (fold, seed, lag, neuron, height, width) rate per s.d. of the stimulus, averaged over the windows; spatial
    (fold, seed, neuron, height, width) of norm 1, temporal (fold, seed, lag, neuron) and separability (fold, seed,
    neuron), by SVD
    """
    means, first = {}, next(iter(found.values()))
    for key, fitted in found.items():
        assert fitted.network is not None
        means[key] = fields.mean_field(fitted.network, shown[key].frames, shown[key].rows)
    parts = {key: labels.separated(mean) for key, mean in means.items()}
    each = (*FITS, "neuron")
    variables: dict[str, Any] = {
        "sta": ((*each, "lag", "height", "width"), full(means).astype(np.float32), {"units": first.units}),
        "spatial": ((*each, "height", "width"), full({k: one[0] for k, one in parts.items()}), ONE),
        "temporal": ((*each, "lag"), full({k: one[1] for k, one in parts.items()}), {"units": first.units}),
        "separability": (each, full({k: one[2] for k, one in parts.items()}), ONE),
    }
    cells = {"neuron": np.array([str(cell) for cell in first.neurons], object)}
    rows = len(next(iter(shown.values())).rows)
    attrs = {"rows": rows, "recording": first.recordings[0], "uniform": int(first.shape == (1, 1))}
    return ordered(xr.Dataset(variables, coords=coordinates(found, first) | cells, attrs=attrs))


def ordered(group: xr.Dataset) -> xr.Dataset:
    """Return a group with the axes of its arrays in the order of the array contract."""
    return group.transpose(*[axis for axis in schema.DIMENSIONS if axis in group.dims])


def full(values: Mapping[Key, np.ndarray]) -> np.ndarray:
    """Return values of every fit as (fold, seed, ...), NaN where there is no fit."""
    folds, seeds = _axes(values)
    out = np.full((len(folds), len(seeds), *next(iter(values.values())).shape), np.nan)
    for (fold, seed), value in values.items():
        out[folds.index(fold), seeds.index(seed)] = value
    return out


def coordinates(found: Mapping[Key, object], fitted: Fitted) -> dict[str, Any]:
    """Return the coordinates fold, seed and lag, ms before the response (negative), oldest frame first."""
    folds, seeds = _axes(found)
    late = np.arange(fitted.history)[::-1] + fitted.lag
    return {"fold": folds, "seed": seeds, "lag": ("lag", -1e3 * late / fitted.rate_hz, MS)}


def _axes(found: Mapping[Key, object]) -> tuple[list[int], list[int]]:
    return sorted({fold for fold, _ in found}), sorted({seed for _, seed in found})


def _origin(found: Mapping[Key, Labels]) -> str:
    origins: Sequence[str] = sorted({one.threshold for one in found.values()})
    return ", ".join(origins)
