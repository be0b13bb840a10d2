"""The groups of a decoder of traces: importance with its nulls, single traces, and the deletion curve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.systems.cortex.attribute import deletion, recovery
from pellucid.systems.cortex.attribute.grid import Grid, Key
from pellucid.systems.cortex.attribute.importance import Importance, importance, shares, untrained
from pellucid.systems.cortex.attribute.settings import Settings
from pellucid.systems.cortex.attribute.univariate import univariate
from pellucid.systems.cortex.model.restore import Decoder

ONE = {"units": "1"}
FITS = ("fold", "seed")
TABLE = (*FITS, "lag", "roi")


def groups(
    features: Features, grid: Grid, null: Grid | None, settings: Settings, known: recovery.Known | None
) -> dict[str, xr.Dataset]:
    """Return the groups of a model of traces.

    null   fits of the model with null labels, or None
    known  the simulated truth, or None
    /importance  magnitude, signed (fold, seed, lag, roi), share (fold, seed, roi), profile (fold, seed, lag): sum over
                 ROIs; completeness, completeness_mean, saturated (fold, seed); with a truth, driving (roi) and found
                 (fold, seed): driving ROIs among as many of largest share
    /null, /untrained  magnitude and share, of the null and of random weights
    /univariate  correlation, auc (fold, roi)
    /deletion    auc, random, random_sd (fold, seed, output), count (output); output: share of ROIs replaced
    Raises DataError if fits differ in ROIs or lags, or the null shares no fold and seed with the model.
    """
    if null is not None and not set(null.fits) & set(grid.fits):
        raise DataError(
            "attribute.null_model",
            expected=f"a fit of the same fold and seed as one of {grid.model}",
            found=f"none among the {len(null.fits)} fits of {null.model}",
            remedy="Fit the null on the same folds with the same seeds.",
        )
    found = _each(features, grid, settings)
    axes = found.axes
    made = {
        "/importance": _importance(grid, found.own, settings, known, axes),
        "/untrained": _magnitude(grid, found.blank, settings, axes, "random weights"),
        "/univariate": _univariate(grid, found.alone, axes),
        "/deletion": _deletion(grid, found.curves, len(axes["roi"][1])),
    }
    if null is not None:
        made["/null"] = _magnitude(grid, _null(features, null, settings, axes), settings, axes, null.model)
    return made


@dataclass(frozen=True)
class _Found:
    """What every fit says, its untrained copy and its deletion curve; single traces by fold; coordinates."""

    own: dict[Key, Importance] = field(default_factory=dict)
    blank: dict[Key, Importance] = field(default_factory=dict)
    curves: dict[Key, deletion.Curve] = field(default_factory=dict)
    alone: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    axes: dict[str, Any] = field(default_factory=dict)


def _each(features: Features, grid: Grid, settings: Settings) -> _Found:
    found = _Found()
    for key, decoder in grid.restored(features, "importance"):
        if not found.axes:
            found.axes.update(_axes(features, grid, decoder))
        _check(found.axes, decoder)
        found.own[key] = importance(decoder, settings)
        found.blank[key] = importance(decoder, settings, untrained(decoder, _seed(settings, key)))
        found.curves[key] = deletion.curve(decoder, shares(found.own[key].magnitude), settings)
        if key[0] not in found.alone:
            found.alone[key[0]] = univariate(decoder)
    return found


def _axes(features: Features, grid: Grid, decoder: Decoder) -> dict[str, Any]:
    """Return the coordinates of lags and ROIs."""
    group = features.first(grid.input)
    places = [[str(roi) for roi in group["roi"].values].index(str(roi)) for roi in decoder.rois]
    area = [str(name) for name in group["area"].values[places]] if "area" in group.coords else [""] * len(places)
    unknown = np.full(group.sizes["roi"], np.nan)
    row, column = (group[name].values if name in group.coords else unknown for name in ("row", "column"))
    return {
        "lag": ("lag", np.asarray(decoder.lag_s, float), {"units": "s"}),
        "roi": ("roi", np.array([str(roi) for roi in decoder.rois], object)),
        "row": ("roi", row[places], ONE),
        "column": ("roi", column[places], ONE),
        "area": ("roi", np.array(area, object)),
    }


def _check(axes: Mapping[str, Any], decoder: Decoder) -> None:
    same = [str(roi) for roi in decoder.rois] == list(axes["roi"][1]) and np.array_equal(decoder.lag_s, axes["lag"][1])
    if not same:
        raise DataError(
            f"attribution, fit {decoder.fit.model}, fold {decoder.fit.fold}, seed {decoder.fit.seed}",
            expected=f"the {len(axes['roi'][1])} ROIs and {len(axes['lag'][1])} lags of the explained model",
            found=f"{len(decoder.rois)} ROIs and {len(decoder.lag_s)} lags, or others",
            remedy="Name a null model that differs in its labels only.",
        )


def _null(features: Features, null: Grid, settings: Settings, axes: Mapping[str, Any]) -> dict[Key, Importance]:
    """Return the importance of the null's fits; their labels are other ones, everything else must be the same."""
    found = {}
    for key, decoder in null.restored(features, "importance"):
        _check(axes, decoder)
        found[key] = importance(decoder, settings)
    return found


def _importance(
    grid: Grid,
    own: Mapping[Key, Importance],
    settings: Settings,
    known: recovery.Known | None,
    axes: Mapping[str, Any],
) -> xr.Dataset:
    made = _magnitude(grid, own, settings, axes, "trained weights")
    numbers = {
        "completeness": grid.full({key: one.completeness for key, one in own.items()}),
        "completeness_mean": grid.full({key: one.typical for key, one in own.items()}),
        "saturated": grid.full({key: one.saturated for key, one in own.items()}),
    }
    made = made.assign({name: (FITS, values, ONE) for name, values in numbers.items()})
    signed = grid.full({key: one.signed for key, one in own.items()}).astype(np.float32)
    made["signed"] = (TABLE, signed, {"units": settings.explain})
    made["profile"] = ((*FITS, "lag"), made["magnitude"].values.sum(-1), {"units": settings.explain})
    driving = None if known is None else known.among(list(axes["roi"][1]))
    if driving is not None:
        made["driving"] = ("roi", driving.astype(np.int8), ONE)
        made["found"] = (FITS, recovery.found(made["share"].values, driving), {"units": "ROIs"})
    return made


def _magnitude(
    grid: Grid, found: Mapping[Key, Importance], settings: Settings, axes: Mapping[str, Any], source: str
) -> xr.Dataset:
    magnitude = grid.full({key: one.magnitude for key, one in found.items()})
    return xr.Dataset(
        {
            "magnitude": (TABLE, magnitude.astype(np.float32), {"units": settings.explain}),
            "share": ((*FITS, "roi"), shares(magnitude), ONE),
        },
        coords={"fold": list(grid.folds), "seed": list(grid.seeds), **axes},
        attrs={"explained": settings.explain, "background": settings.background, "source": source},
    )


def _univariate(grid: Grid, alone: Mapping[int, tuple[np.ndarray, np.ndarray]], axes: Mapping[str, Any]) -> xr.Dataset:
    correlation, area = (np.stack([alone[fold][place] for fold in grid.folds]) for place in (0, 1))
    return xr.Dataset(
        {"correlation": (("fold", "roi"), correlation, ONE), "auc": (("fold", "roi"), area, ONE)},
        coords={"fold": list(grid.folds), **{name: values for name, values in axes.items() if name != "lag"}},
    )


def _deletion(grid: Grid, curves: Mapping[Key, deletion.Curve], rois: int) -> xr.Dataset:
    flat = (*FITS, "output")
    variables: dict[str, Any] = {
        name: (flat, grid.full({key: getattr(one, name) for key, one in curves.items()}), ONE)
        for name in ("auc", "random", "random_sd")
    }
    count = deletion.counts(rois)
    variables["count"] = ("output", count, {"units": "ROIs"})
    return xr.Dataset(variables, coords={"fold": list(grid.folds), "seed": list(grid.seeds), "output": count / rois})


def _seed(settings: Settings, key: Key) -> int:
    return int(np.random.SeedSequence([settings.seed, *key]).generate_state(1)[0])
