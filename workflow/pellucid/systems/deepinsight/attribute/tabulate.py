"""Losses of several folds and seeds as influences with intervals, and as groups of the attribution store."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Fit
from pellucid.attribution.shuffling import Influence, influence
from pellucid.learning.intervals import resampled_weights
from pellucid.systems.deepinsight.attribute.scoring import Losses
from pellucid.systems.deepinsight.attribute.settings import Settings

ONE = {"units": "1"}


def grid(values: Sequence[np.ndarray], fits: Sequence[Fit]) -> np.ndarray:
    """Arrange one array per fit as (fold, seed, ...)."""
    folds, seeds = sorted({fit.fold for fit in fits}), sorted({fit.seed for fit in fits})
    table = {(fit.fold, fit.seed): value for fit, value in zip(fits, values)}
    return np.stack([np.stack([table[fold, seed] for seed in seeds]) for fold in folds])


def weights(base: np.ndarray, settings: Settings) -> np.ndarray:
    """Return how often each (fold, seed, block) of losses (fold, seed, block, ...) is drawn in each resample."""
    generator = np.random.default_rng(settings.seed)
    return resampled_weights(*base.shape[:3], resamples=settings.bootstrap, generator=generator)


def influences(losses: Sequence[Losses], fits: Sequence[Fit], own: slice, settings: Settings) -> Influence:
    """Return the influence of some inputs, pooled over folds, seeds and blocks."""
    base = grid([one.base for one in losses], fits)
    return influence(base, grid([one.shuffled[:, :, own] for one in losses], fits), weights(base, settings))


def group(
    axis: str,
    names: np.ndarray,
    own: slice,
    losses: Sequence[Losses],
    fits: Sequence[Fit],
    terms: Sequence[str],
    settings: Settings,
) -> xr.Dataset:
    """Return the influences of one kind of input with intervals, null and the losses they were made of.

    axis   frequency, channel or feature, along which the inputs lie
    names  (input,) its coordinate
    own    which of the scored inputs these are
    """
    found = influences(losses, fits, own, settings)
    null = grid([one.null for one in losses], fits).mean((0, 1))
    null = null[:, 1:][:, own] / null[:, :1] - 1
    flat, summed = (axis, "output"), {"units": "summed loss"}
    return xr.Dataset(
        {
            "influence": (flat, found.value, ONE),
            "low": (flat, found.low, ONE),
            "high": (flat, found.high, ONE),
            "repeat_sd": (flat, found.repeat_sd, ONE),
            "sample_ratio": (flat, grid([x.sample_ratio[own] for x in losses], fits).mean((0, 1)), ONE),
            "null_high": ("output", np.quantile(null.max(axis=1), 0.95, axis=0), ONE),
            "loss": (("fold", "seed", "window", "output"), grid([x.base for x in losses], fits), summed),
            "shuffled_loss": (
                ("fold", "seed", "repeat", "window", *flat),
                grid([x.shuffled[:, :, own] for x in losses], fits),
                summed,
            ),
        },
        coords={
            axis: (axis, names, {"units": "Hz"} if axis == "frequency" else {}),
            "output": np.array(list(terms), object),
            "fold": sorted({fit.fold for fit in fits}),
            "seed": sorted({fit.seed for fit in fits}),
        },
    )
