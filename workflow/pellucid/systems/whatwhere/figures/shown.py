"""What the figures share: scores of each neuron, the main score, example neurons, colours and small statistics."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex

from pellucid import schema
from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.plotting.words import short as short
from pellucid.systems.whatwhere.figures.settings import Settings

PALETTE = tuple(colour for colour in style.COLOURS if colour not in ("#000000", "#F0E442"))
"""Colours of models and types; black is truth, and yellow is too pale for lines."""

NAMES = {
    "correlation": "test correlation",
    "fev": "FEV (noise-free)",
    "feve": "FEVE",
    "location_error": "location error (px)",
}
"""Names of scores on axes; all but the error have no unit."""


def has(results: Results, path: str) -> bool:
    """Tell whether the attribution has a group."""
    found: Any = results.attribution
    for name in path.split("/"):
        if name not in found.children:
            return False
        found = found.children[name]
    return True


def group(results: Results, path: str) -> xr.Dataset:
    """Return a group of the attribution."""
    return schema.group(results.attribution, path, "attribution")


def scores(results: Results) -> xr.Dataset:
    """Return the scores of each neuron."""
    return schema.group(results.predictions, "scores", "predictions")


def table(results: Results) -> list[dict[str, Any]]:
    """Return the rows of the table of scores, one per fit."""
    return list(results.metrics.get("table") or [])


def fits(results: Results, model: str) -> list[Fit]:
    """Return the fits of a model."""
    return [fit for fit in results.fits if fit.model == model]


def names(results: Results) -> list[str]:
    """Return the names of all neurons."""
    return [str(name) for name in scores(results)["neuron"].values]


def main_score(results: Results) -> str:
    """Return the score that figures are about: FEV where the truth is known, else the test correlation."""
    return "fev" if any(row.get("fev") is not None for row in table(results)) else "correlation"


def by_neuron(results: Results, model: str, score: str) -> np.ndarray:
    """Return a score of each neuron, mean over the folds and seeds that have it, (neuron,); NaN without."""
    found = scores(results)
    if score not in found or model not in found["model"].values.tolist():
        return np.full(found.sizes["neuron"], np.nan)
    own = found[score].values[found["model"].values.tolist().index(model)]
    return mean(own.reshape(-1, own.shape[-1]).astype(float))


def of_data(results: Results, score: str) -> np.ndarray:
    """Return what the data say of each neuron (ceiling ...), mean over folds, (neuron,)."""
    found = scores(results)
    values = found[score].values if score in found else np.full((1, found.sizes["neuron"]), np.nan)
    return mean(values.astype(float))


def examples(results: Results, settings: Settings, count: int) -> np.ndarray:
    """Return the numbers of example neurons, best first, evenly over the ranking of the shown model by score."""
    score = _scores(results, settings)
    known = np.flatnonzero(np.isfinite(score))
    ranking = known[np.argsort(-score[known], kind="stable")]
    return thinned(ranking, count)


def _scores(results: Results, settings: Settings) -> np.ndarray:
    """Return the scores of the neurons that can be examples, (neuron,): those of the best fit of the first fold."""
    score = by_neuron(results, settings.model, main_score(results))
    if not has(results, "where"):
        return score
    placed = np.isfinite(group(results, "where")["row"].values[0, best(results, settings)[0]])
    return np.where(placed, score, np.nan)


def evenly(results: Results, settings: Settings, count: int) -> str:
    """Return the sentence of a caption that says how example neurons were chosen."""
    score = main_score(results)
    total = int(np.isfinite(_scores(results, settings)).sum())
    return (
        f"Neurons ({count} of {total} that model {settings.model} predicts) are evenly spaced over their ranking "
        f"by {NAMES[score]}, best first. "
    )


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of the given rows, evenly spaced, first and last included."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the mean of the finite values along an axis, NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.asarray(np.where(count > 0, np.where(known, values, 0).sum(axis) / np.maximum(count, 1), np.nan))


def colour(index: int) -> str:
    """Return the colour of a model, type or feature of few."""
    return PALETTE[index % len(PALETTE)]


def shade(index: int, count: int) -> str:
    """Return the colour of one of several ordered levels, from dark to light."""
    return to_hex(colormaps["viridis"](0.92 * index / max(1, count - 1)))


def colours(items: Sequence[Any]) -> dict[Any, str]:
    """Return a colour for each item, of the palette as long as it has enough."""
    unique = list(dict.fromkeys(items))
    few = len(unique) <= len(PALETTE)
    return {item: colour(index) if few else shade(index, len(unique)) for index, item in enumerate(unique)}


def digits(value: float) -> str:
    """Return a number with two digits after the point, never minus zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def number(value: object) -> float:
    """Return a number of metrics.json, NaN where it is missing."""
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]


def attribute(attrs: Mapping[Any, Any], name: str) -> Any:  # noqa: ANN401 - any JSON
    """Return an attribute that may be JSON text, or None."""
    value = attrs.get(name)
    return json.loads(value) if isinstance(value, str) else value


def best(results: Results, settings: Settings) -> list[int]:
    """Return the place along the axis `seed` of the fit with the lowest validation loss, for each fold."""
    where = group(results, "where")
    seeds = where["seed"].values.tolist() if "seed" in where.coords else None
    seeds = seeds or sorted({fit.seed for fit in fits(results, settings.model)})
    return [seeds.index(seed) for seed in attribute(where.attrs, "best")]
