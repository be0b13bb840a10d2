"""Influence of bands, channels and groups on every output of a trained network.

Frey et al. 2021, Methods, "influence": inputs are permuted in time on test rows, without retraining. The ratio of means
is reported first; the published mean of per-sample ratios, which is heavy-tailed, stands beside it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid import schema
from pellucid.artifacts import Features, Fit
from pellucid.attribution.shuffling import Influence, influence
from pellucid.errors import DataError
from pellucid.learning.intervals import resampled_weights
from pellucid.systems.deepinsight.attribute import inputs, recovery
from pellucid.systems.deepinsight.attribute.inputs import Input
from pellucid.systems.deepinsight.attribute.scoring import Losses, score
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import decoded


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return one group per kind of input (band, channel, group) with influence and losses, and the faithfulness check.

    truth  simulated truth, against which the influences of simulated recordings are scored
    Raises DataError if `settings.model` is not a trained network.
    """
    chosen = _explained(fits, settings)
    group = features.first()
    terms = [t for target in decoded(features, ModelSettings.model_validate(chosen[0].settings)) for t in target.terms]
    several = group.sizes["frequency"] > 1
    kinds = {
        "band": inputs.bands(group) if several else [],
        "channel": inputs.channels(group) if settings.channels or not several else [],
        "group": [inputs.group(name, block, group) for name, block in settings.groups.items()],
    }
    every = [one for listed in kinds.values() for one in listed]
    shown = tqdm(chosen, desc="influence", unit="fit", disable=None)
    losses = [score(fit, features, every, settings, repeats=settings.repeats) for fit in shown]
    groups, start = {}, 0
    for kind, listed in kinds.items():
        if listed:
            own = slice(start, start + len(listed))
            groups[f"/{kind}"] = _group(kind, listed, own, losses, chosen, terms, group, settings)
        start += len(listed)
    if several:
        groups["/deletion"] = _deletion(groups["/band"]["influence"].values, chosen, features, terms, settings)
    rows = [row | {"model": settings.model} for row in _recovered(groups, terms, truth)]
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"headline": json.dumps(rows), "model": settings.model}), **groups}
    )


def _explained(fits: Sequence[Fit], settings: Settings) -> list[Fit]:
    chosen = [fit for fit in fits if fit.model == settings.model and fit.settings["kind"] == "cnn"]
    if not chosen:
        networks = sorted({fit.model for fit in fits if fit.settings["kind"] == "cnn"})
        raise DataError(
            "attribute.model",
            expected=f"a network of `fit.models`: {', '.join(networks) or 'none'}",
            found=settings.model,
            remedy="Name the model whose influence is wanted.",
        )
    return chosen


def _grid(values: Sequence[np.ndarray], fits: Sequence[Fit]) -> np.ndarray:
    """Arrange one array per fit as (fold, seed, ...)."""
    folds, seeds = sorted({fit.fold for fit in fits}), sorted({fit.seed for fit in fits})
    table = {(fit.fold, fit.seed): value for fit, value in zip(fits, values)}
    return np.stack([np.stack([table[fold, seed] for seed in seeds]) for fold in folds])


def _influence(base: np.ndarray, shuffled: np.ndarray, settings: Settings) -> Influence:
    weights = resampled_weights(
        *base.shape[:3], resamples=settings.bootstrap, generator=np.random.default_rng(settings.seed)
    )
    return influence(base, shuffled, weights)


def _group(
    kind: str,
    listed: Sequence[Input],
    own: slice,
    losses: Sequence[Losses],
    fits: Sequence[Fit],
    terms: Sequence[str],
    features: xr.Dataset,
    settings: Settings,
) -> xr.Dataset:
    base = _grid([one.base for one in losses], fits)
    shuffled = _grid([one.shuffled[:, :, own] for one in losses], fits)
    found = _influence(base, shuffled, settings)
    null = _grid([one.null for one in losses], fits).mean((0, 1))
    null = null[:, 1:][:, own] / null[:, :1] - 1
    axis = {"band": "frequency", "channel": "channel", "group": "feature"}[kind]
    coordinate = features.coords[axis].values if kind != "group" else np.array([one.name for one in listed], object)
    flat, one = (axis, "output"), {"units": "1"}
    return xr.Dataset(
        {
            "influence": (flat, found.value, one),
            "low": (flat, found.low, one),
            "high": (flat, found.high, one),
            "repeat_sd": (flat, found.repeat_sd, one),
            "sample_ratio": (flat, _grid([x.sample_ratio[own] for x in losses], fits).mean((0, 1)), one),
            "null_high": ("output", np.quantile(null.max(axis=1), 0.95, axis=0), one),
            "loss": (("fold", "seed", "window", "output"), base, {"units": "summed loss"}),
            "shuffled_loss": (("fold", "seed", "repeat", "window", *flat), shuffled, {"units": "summed loss"}),
        },
        coords={
            axis: (axis, coordinate, {"units": "Hz"} if kind == "band" else {}),
            "output": np.array(list(terms), object),
            "fold": sorted({fit.fold for fit in fits}),
            "seed": sorted({fit.seed for fit in fits}),
        },
    )


def _deletion(
    influences: np.ndarray, fits: Sequence[Fit], features: Features, terms: Sequence[str], settings: Settings
) -> xr.Dataset:
    """Shuffle the k most and the k least influential bands together: faithful influences hurt more from the top."""
    order = np.argsort(-influences.mean(1))
    counts = sorted({min(k, len(order) // 2) for k in settings.deletion})
    most = [Input(f"most {k}", sorted(order[:k].tolist()), None) for k in counts]
    least = [Input(f"least {k}", sorted(order[-k:].tolist()), None) for k in counts]
    losses = [score(fit, features, [*most, *least], settings, repeats=1) for fit in fits]
    base = sum(one.base.sum(0) for one in losses)
    ratio = sum(one.shuffled[0].sum(0) for one in losses) / base - 1
    flat = ("feature", "output")
    return xr.Dataset(
        {
            "most": (flat, ratio[: len(counts)], {"units": "1"}),
            "least": (flat, ratio[len(counts) :], {"units": "1"}),
        },
        coords={"feature": counts, "output": np.array(list(terms), object)},
    )


def _recovered(
    groups: Mapping[str, xr.Dataset], terms: Sequence[str], truth: Mapping[str, xr.DataTree]
) -> list[dict[str, Any]]:
    rows = []
    for tree in truth.values():
        known = schema.group(tree, "truth")
        if "/band" in groups:
            band = groups["/band"]
            influences, low = band["influence"].values, band["low"].values
            rows += recovery.bands(influences, low, band["frequency"].values, known, terms)
        if "/channel" in groups:
            rows += recovery.channels(groups["/channel"]["influence"].values, known, terms)
    return rows
