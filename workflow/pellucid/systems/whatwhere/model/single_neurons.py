"""Each neuron's test correlation with an interval over images, for populations small enough to be read one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.systems.whatwhere.model.dataset import mean_known
from pellucid.systems.whatwhere.model.settings import Evaluate

MOST = 24
"""Neurons up to which each gets a row; larger populations have their scores in predictions.zarr."""


def rows(
    model: str, names: Sequence[str], tested: Sequence[tuple[np.ndarray, np.ndarray]], settings: Evaluate
) -> list[dict[str, Any]]:
    """Return one row per neuron: its mean correlation over fits, and the interval of that mean over test images.

    tested  (observed, prediction) of each fit, both (image, neuron); NaN where a neuron was not recorded or fitted
    In each resample the test images of every fit are drawn with replacement.
    """
    generator = np.random.default_rng(settings.seed)
    draws = mean_known(np.stack([resampled(*pair, settings.bootstrap, generator) for pair in tested]))
    whole = mean_known(np.stack([weighted(*pair, np.ones((1, len(pair[0]))))[0] for pair in tested]))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return [
        {"model": model, "neuron": name, "correlation": r, "low": a, "high": b, "fits": len(tested)}
        for name, r, a, b in zip(names, whole, low, high)
        if np.isfinite(r)
    ]


def resampled(
    observed: np.ndarray, prediction: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the correlation on images drawn with replacement, (resample, neuron)."""
    count = len(observed)
    counts = generator.multinomial(count, np.full(count, 1 / count), resamples)
    return weighted(observed, prediction, counts)


def weighted(observed: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation with weighted images, (draw, neuron), NaN where either is constant or unknown.

    observed, prediction  (image, neuron)
    weights               (draw, image), how often each image counts
    """
    known = np.isfinite(observed) & np.isfinite(prediction)
    total = np.maximum(weights @ known, 1)
    centred = []
    for values in (observed, prediction):
        filled = np.where(known, values, 0).astype(float)
        centred.append(np.where(known, filled - filled.sum(0) / np.maximum(known.sum(0), 1), 0))
    y, p = centred
    mean_y, mean_p = weights @ y / total, weights @ p / total
    covariance = weights @ (y * p) / total - mean_y * mean_p
    product = (weights @ y**2 / total - mean_y**2) * (weights @ p**2 / total - mean_p**2)
    return np.asarray(
        np.divide(covariance, np.sqrt(np.maximum(product, 0)), out=np.full(total.shape, np.nan), where=product > 1e-20)
    )
