"""What the figures share: models by what they are for, true and decoded behaviour, groups of the attribution."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Fit, Results, row_indices
from pellucid.plotting.words import plural as plural
from pellucid.plotting.words import short as short
from pellucid.preprocess import behaviour as behaviours
from pellucid.systems.deepinsight.figures.settings import Settings

Rows = list[dict[str, Any]]
Target = tuple[str, float | None, str, np.ndarray]
"""Label, period if circular, units, values (row,)."""

TRUE = "#767676"
DECODED = "#D55E00"
"""Colours of true and decoded behaviour."""


def models(results: Results) -> list[str]:
    """Return the fitted models, in the order of the fits."""
    return list(dict.fromkeys(fit.model for fit in results.fits))


def first_fits(results: Results) -> dict[str, Fit]:
    """Return the first fit of every model, which stands for its settings."""
    found: dict[str, Fit] = {}
    for fit in results.fits:
        found.setdefault(fit.model, fit)
    return found


def is_shifted(fit: Fit) -> bool:
    """Tell whether a model was trained on behaviour shifted in time: chance, not a decoder."""
    return fit.settings.get("shift_s") is not None


def is_one_band(fit: Fit) -> bool:
    """Tell whether a model was asked to see a single band."""
    bands = fit.settings.get("bands") or {}
    return len(bands.get("only_hz") or ()) == 1


def is_limited(fit: Fit) -> bool:
    """Tell whether a model sees some of the bands, more than one of them chosen."""
    bands = fit.settings.get("bands") or {}
    return any(bands.get(key) is not None for key in ("above_hz", "below_hz", "only_hz")) and not is_one_band(fit)


def decoders(results: Results) -> list[str]:
    """Return the models that stand for themselves: neither chance by retraining nor networks of one band."""
    return [name for name, fit in first_fits(results).items() if not is_shifted(fit) and not is_one_band(fit)]


def left_out(results: Results, drawn: Sequence[str]) -> str:
    """Return the sentence of a caption on the models that are not drawn, "" where all are."""
    fits = {name: fit for name, fit in first_fits(results).items() if name not in drawn}
    shifted, single = (sum(map(test, fits.values())) for test in (is_shifted, is_one_band))
    counts = {
        "of one band": single,
        "trained on shifted behaviour": shifted,
        "more": len(fits) - shifted - single,
    }
    said = [f"{count} {what}" for what, count in counts.items() if count]
    return f" Models not shown: {', '.join(said)}." if said else ""


def has(results: Results, name: str, *variables: str) -> bool:
    """Tell whether the attribution has a group, and variables in it."""
    children = results.attribution.children
    return name in children and all(variable in children[name].dataset for variable in variables)


def group(results: Results, name: str) -> xr.Dataset:
    """Return a group of the attribution."""
    return schema.group(results.attribution, name, "attribution")


def explained(results: Results, settings: Settings) -> str:
    """Return the name of the model that was attributed."""
    return str(results.attribution.attrs.get("model", settings.model))


def row_s(results: Results) -> float:
    """Return the length of a row in seconds."""
    return float(np.median(np.diff(results.features.first()["time"].values[:1000])))


def prediction(
    results: Results, name: str, rows: slice | np.ndarray, model: str, fold: int | None = None, seed: int | None = None
) -> np.ndarray:
    """Return the predictions of a model at rows of a recording, shape (row, output); none: its first fold and seed."""
    found = schema.group(results.predictions, name)["prediction"].sel(model=model)
    found = found.isel(fold=0 if fold is None else list(found.fold.values).index(fold))
    return np.asarray(found.isel(seed=0 if seed is None else list(found.seed.values).index(seed))[rows].values)


def targets(
    results: Results,
    name: str,
    rows: slice | np.ndarray,
    model: str | None = None,
    fold: int | None = None,
    seed: int | None = None,
) -> Iterator[Target]:
    """Yield (label, period if circular, units, values (row,)) of true behaviour, or of a model's prediction."""
    group = results.features.group(name)
    described = json.loads(group.attrs["targets"])
    labels, names = list(group["label"].values), list(group["target"].values)
    values = group["behaviour"][rows].values if model is None else prediction(results, name, rows, model, fold, seed)
    for target in dict.fromkeys(names):
        columns, about = [i for i, other in enumerate(names) if other == target], described[target]
        if about["kind"] == "circular":
            yield target, about["period"], about["units"], behaviours.decircular(values[:, columns], about["period"])
            continue
        for column in columns:
            period = 2 * np.pi if about["kind"] == "angle" else None
            yield labels[column], period, "rad" if period else about["units"], values[:, column]


def distance(true: np.ndarray, guess: np.ndarray, period: float | None) -> np.ndarray:
    """Return the absolute difference, the shorter way round where values are circular."""
    return np.abs(true - guess) if period is None else behaviours.circular_error(true, guess, period)


def test_parts(results: Results, models: Sequence[str]) -> Iterator[tuple[str, np.ndarray, str, int, int]]:
    """Yield recording, test rows, model, fold and seed of every fit of the models, in their order."""
    fits = {(fit.model, fit.fold, fit.seed) for fit in results.fits if fit.model in models}
    for model, fold, seed in sorted(fits, key=lambda key: (models.index(key[0]), *key[1:])):
        for name, rows in results.features.folds[fold].test.items():
            yield name, row_indices(rows), model, fold, seed


def stretch(results: Results, settings: Settings, recording: str | None = None) -> tuple[str, slice, int] | None:
    """Return a recording, a stretch of the longest test part of the first fold that is predicted there, and the fold.

    recording  none: the first one of the fold
    None if the shown model predicts nothing there
    """
    own = sorted({fit.fold for fit in results.fits if fit.model == settings.model})
    for fold in own:
        for name, rows in results.features.folds[fold].test.items():
            if recording not in (None, name) or not rows:
                continue
            found = _part(results, settings, name, max(rows, key=lambda part: part[1] - part[0]))
            if np.isfinite(prediction(results, name, found, settings.model, fold)).any():
                return name, found, fold
    return None


def anywhere(results: Results, settings: Settings) -> tuple[str, slice, int]:
    """Return a recording, a stretch of the longest test part of the first fold, and that fold, predicted or not."""
    name, rows = next(iter(results.features.folds[0].test.items()))
    return name, _part(results, settings, name, max(rows, key=lambda part: part[1] - part[0])), 0


def _part(results: Results, settings: Settings, name: str, rows: tuple[int, int]) -> slice:
    """Return up to settings.seconds of rows; they start 10 s late where the part is long enough."""
    time = results.features.group(name)["time"].values
    start, stop = rows
    last = int(np.searchsorted(time, time[start] + settings.seconds + 10))
    first = int(np.searchsorted(time, time[start] + 10)) if last < stop else start
    return slice(first, min(stop, last))


def noted(found: xr.Dataset, names: Iterable[str]) -> Mapping[str, np.ndarray]:
    """Return variables of a group as arrays."""
    return {name: np.asarray(found[name].values) for name in names}


def chance_said(results: Results) -> str:
    """Return what chance is, after "when"."""
    if results.metrics.get("chance") == "trials":
        return "behaviour is exchanged between whole trials"
    return "behaviour is shifted circularly"


def p_value(value: float) -> str:
    """Return a p-value as text, "< 0.001" where it is smaller."""
    return "undefined p" if not np.isfinite(value) else "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def fits_said(results: Results, model: str) -> str:
    """Return "5 folds x 2 seeds" of a model."""
    own = [fit for fit in results.fits if fit.model == model]
    folds, seeds = len({fit.fold for fit in own}), len({fit.seed for fit in own})
    return f"{plural(folds, 'fold')} x {plural(seeds, 'seed')}"
