"""What the figures share: rows of scores, groups of the attribution, models with their colours, small statistics."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Fit, Results
from pellucid.plotting.words import plural as plural
from pellucid.plotting.words import short as short
from pellucid.systems.retina.figures.settings import Settings

Rows = list[dict[str, Any]]

MODEL = "#D55E00"
"""Colour of the shown model beside recorded rates."""

OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#009E73", "#0072B2")
"""Colours of the other models, in the order of the fits."""

KINDS = {"cnn": "network", "ln": "LN", "glm": "GLM"}
OUTSIDE = "outside the training range"


def table(results: Results) -> Rows:
    """Return the rows of scores, one per fit and recording."""
    return list(results.metrics.get("table") or [])


def listed(results: Results, name: str) -> Rows:
    """Return the rows of another list of metrics.json, none if it is absent."""
    return list(results.metrics.get(name) or [])


def models(results: Results) -> list[str]:
    """Return the fitted models, in the order of the fits."""
    return list(dict.fromkeys(fit.model for fit in results.fits))


def fits(results: Results, model: str) -> list[Fit]:
    """Return the fits of a model."""
    return [fit for fit in results.fits if fit.model == model]


def has(results: Results, path: str, *variables: str) -> bool:
    """Tell whether the attribution has a group with the given variables."""
    found: Any = results.attribution
    for name in path.split("/"):
        if name not in found.children:
            return False
        found = found.children[name]
    return all(name in found.dataset for name in variables)


def group(results: Results, path: str) -> xr.Dataset:
    """Return a group of the attribution, not yet read."""
    return schema.group(results.attribution, path, "attribution")


def children(results: Results, name: str) -> list[str]:
    """Return the names of the groups below a group of the attribution, as a store lists them in any order."""
    return sorted(results.attribution[name].children) if name in results.attribution.children else []


def phenomena(results: Results) -> list[str]:
    """Return the names of the phenomena: in the order of the summary, others after them."""
    found = children(results, "phenomena")
    known = [str(name) for name in group(results, "summary")["trial"].values] if has(results, "summary") else []
    return [name for name in known if name in found] + [name for name in found if name not in known]


def noted(found: xr.Dataset, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what an attribute of a group holds as JSON, [] without it."""
    text = found.attrs.get(name, "[]")
    return json.loads(text) if isinstance(text, str) else text


def warning(results: Results) -> str:
    """Return the sentence of a caption with what the attribution warns of, "" of nothing."""
    said = str(results.attribution.attrs.get("warning", ""))
    return f"Warning: {said}. " if said else ""


def ordered(results: Results, settings: Settings) -> list[str]:
    """Return the fitted models: the shown one, those that were shown the same stimuli, others, and nulls last."""
    shown_too = {
        str(name).removeprefix("rate_") for one in phenomena(results) for name in group(results, f"phenomena/{one}")
        if str(name).startswith("rate_")
    }  # fmt: skip
    null = nulls(results)
    return sorted(models(results), key=lambda m: (m != settings.model, m in null, m not in shown_too))


def nulls(results: Results) -> list[str]:
    """Return the models fitted to responses that do not belong to the movie."""
    return list(dict.fromkeys(fit.model for fit in results.fits if fit.settings.get("swap")))


def colours(results: Results, settings: Settings) -> dict[str, str]:
    """Return a colour for each model but the shown one; of many models colours repeat."""
    others = ordered(results, settings)[1:]
    return {model: OTHERS[i % len(OTHERS)] for i, model in enumerate(others)}


def seeds(found: xr.Dataset) -> list[int]:
    """Return the seeds of a group."""
    count = found.sizes["seed"]
    return [int(seed) for seed in found["seed"].values] if "seed" in found.coords else list(range(count))


def names(found: xr.Dataset, count: int) -> list[str]:
    """Return the names of the cells of a group."""
    return (
        [str(name) for name in found["neuron"].values] if "neuron" in found.coords else [str(i) for i in range(count)]
    )


def number(value: object) -> float:
    """Return a number of JSON, NaN where it is missing."""
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]


def mean(values: np.ndarray, axis: int | tuple[int, ...] = 0) -> np.ndarray:
    """Return the mean of the finite values along axes, NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.asarray(np.where(count > 0, np.where(known, values, 0).sum(axis) / np.maximum(count, 1), np.nan))


def middle(values: Iterable[object]) -> float:
    """Return the mean of the numbers that are known, NaN of none."""
    known = np.array([number(value) for value in values], float)
    return float(mean(known)) if len(known) else float("nan")


def thinned(count: int, most: int) -> np.ndarray:
    """Return at most so many numbers from 0 to count - 1, evenly spaced, first and last included."""
    if most == 1:
        return np.array([count // 2]) if count else np.arange(0)
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def words(name: str) -> str:
    """Return a name of the settings as words."""
    return name.replace("_", " ")


def part(count: int, total: int, one: str, many: str | None = None) -> str:
    """Return "3 cells", or "3 of 7 cells" where some are left out."""
    return plural(total, one, many) if count == total else f"{count} of {plural(total, one, many)}"


def digits(value: float, places: int = 2) -> str:
    """Return a number with so many digits after the point, never minus zero; "undefined" for NaN."""
    return f"{round(value, places) + 0.0:.{places}f}" if np.isfinite(value) else "undefined"


def said(items: Sequence[str], most: int = 6) -> str:
    """Return names as a list in words, the rest of many counted."""
    kept = list(items[:most]) + ([f"{len(items) - most} more"] if len(items) > most else [])
    return kept[0] if len(kept) == 1 else f"{', '.join(kept[:-1])} and {kept[-1]}" if kept else ""


def kept(results: Results, settings: Settings, have: Sequence[str], level: Mapping[str, float]) -> list[str]:
    """Return at most settings.models models, in their order: the shown one, then those with the highest score."""
    order = sorted(have, key=lambda m: (m != settings.model, -np.nan_to_num(level.get(m, np.nan), nan=-np.inf)))
    chosen = set(order[: settings.models])
    return [model for model in have if model in chosen]


def unit(units: str) -> str:
    """Return the unit of rates in words."""
    return "spikes per bin" if units == "count" else units
