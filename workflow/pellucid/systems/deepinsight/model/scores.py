"""Scores of predictions per output, fold and seed, with chance from shifts or trials and intervals over test blocks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Features
from pellucid.learning import intervals, metrics
from pellucid.preprocess import behaviour as behaviours
from pellucid.systems.deepinsight.model import trials
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.predict import Predicted
from pellucid.systems.deepinsight.model.settings import Evaluate, Settings

Stretches = Sequence[Predicted]
Fits = Mapping[tuple[int, int], Stretches]
"""(fold, seed) -> predictions."""


@dataclass(frozen=True)
class Error:
    """One error in the unit of the behaviour: of a whole target, or of one of its dimensions."""

    name: str
    units: str
    columns: slice
    period: float | None  # of a circular variable
    encoded: bool  # as (sin, cos)
    target: str

    def of(self, behaviour: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the error of every row, shape (row,)."""
        b, p = behaviour[:, self.columns], prediction[:, self.columns]
        if self.period is None:
            return np.asarray(np.linalg.norm(b - p, axis=1))
        if self.encoded:
            b, p = behaviours.decircular(b, self.period)[:, None], behaviours.decircular(p, self.period)[:, None]
        return behaviours.circular_error(b, p, self.period)[:, 0]


@dataclass(frozen=True)
class Model:
    """One model with what it decodes and its predictions.

    columns  where its outputs stand among all outputs of the features, shape (output,)
    """

    name: str
    settings: Settings
    found: Sequence[Target]
    columns: np.ndarray
    errors: Sequence[Error]
    fits: Fits


def errors(features: Features, found: Sequence[Target]) -> list[Error]:
    """Return the errors in which a dataset's targets are scored."""
    described = json.loads(features.first().attrs["targets"])
    listed = []
    for target in found:
        about = described[target.name]
        name, units = target.name, about["units"]
        if about["kind"] == "circular":
            listed.append(Error(name, units, target.columns, about["period"], True, name))
        elif about["kind"] == "angle" or target.output.loss == "cyclic":
            listed.append(Error(name, "rad", target.columns, 2 * np.pi, False, name))
        elif target.output.loss == "euclidean":
            listed.append(Error(name, units, target.columns, None, False, name))
        else:
            first = target.columns.start
            one = [slice(first + i, first + i + 1) for i in range(target.size)]
            listed += [Error(label, units, c, None, False, name) for label, c in zip(target.labels, one)]
    return listed


def rows_of(
    key: Mapping[str, object], found: Stretches, labels: Sequence[str], listed: Sequence[Error]
) -> list[dict[str, object]]:
    """Return the flat table of one fit: correlation, rank correlation, R2 per output and errors per target."""
    b, p = _joined(found)
    table = []
    for name, score in (("pearson", metrics.pearson), ("spearman", metrics.spearman), ("R2", metrics.explained)):
        values = score(b, p)
        table += [
            {**key, "output": label, "metric": name, "value": v, "units": "1"} for label, v in zip(labels, values)
        ]
    for error in listed:
        values = error.of(b, p)
        for name, value in (("median error", np.median(values)), ("mean error", np.mean(values))):
            table.append({**key, "output": error.name, "metric": name, "value": float(value), "units": error.units})
    return table


def headline(model: Model, settings: Evaluate) -> list[dict[str, object]]:
    """Return the headline rows of one model but for its name: correlation, then an error of every target."""
    choices = {target.name: target for target in model.found if target.kind == "choice"}
    rows = [correlation(model.fits, settings)]
    rows += [median_error(model.fits, error, settings) for error in model.errors if error.target not in choices]
    return rows + [trial_error(model.fits, choice, settings) for choice in choices.values()]


def correlation(fits: Fits, settings: Evaluate) -> dict[str, object]:
    """Return Pearson's r, mean over outputs, folds and seeds, with its interval and the 95 % band of chance.

    fits  (fold, seed) -> predictions
    """
    moments = np.stack([[_moments(fits[key], settings.blocks) for key in row] for row in _grid(fits)])
    weights = _weights(fits, settings)

    def statistic(weight: np.ndarray) -> np.ndarray:
        r = _pearson(np.einsum("rfsb,fsbom->rfsom", weight, moments)).mean(-1)
        share = weight.sum(3)
        return np.asarray((r * share).sum((1, 2)) / share.sum((1, 2)))

    low, high = intervals.pointwise(statistic(weights))
    value = statistic(np.ones((1, *weights.shape[1:])))[0]
    chance = _chance(fits, metrics.pearson, settings).mean(1)
    return _headline("Pearson r, mean over outputs and folds", value, low, high, chance, "1")


def median_error(fits: Fits, error: Error, settings: Evaluate) -> dict[str, object]:
    """Return the median error over all test rows, with its interval and the 95 % band of chance."""
    values, blocks = [], []
    weights = _weights(fits, settings)
    for f, row in enumerate(_grid(fits)):
        for s, key in enumerate(row):
            found = error.of(*_joined(fits[key]))
            values.append(found)
            blocks.append(weights[:, f, s, intervals.block_numbers(len(found), settings.blocks)])
    joined = np.concatenate(values)
    order = np.argsort(joined)
    replicates = [_weighted_median(joined[order], np.concatenate(w)[order]) for w in zip(*blocks)]
    low, high = intervals.pointwise(np.array(replicates))

    def score(b: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.array([np.median(error.of(b, p))])

    chance = _chance(fits, score, settings)[:, 0]
    return _headline(f"{error.name}: median error", float(np.median(joined)), low, high, chance, error.units)


def trial_error(fits: Fits, choice: Target, settings: Evaluate) -> dict[str, object]:
    """Return the share of trials whose mean prediction has the wrong sign, with interval (blocks of trials) and chance.

    Chance permutes the choices of whole trials within each recording and fold.
    """
    weights = _weights(fits, settings)
    errors, drawn, chance = [], [], []
    for f, row in enumerate(_grid(fits)):
        for s, key in enumerate(row):
            true, guess, recordings = trials.choices(fits[key], choice)
            errors.append(true != guess)
            drawn.append(weights[:, f, s, intervals.block_numbers(len(true), settings.blocks)])
            generator = _generator(settings, key)
            chance.append([trials.permuted(true, recordings, generator) != guess for _ in range(settings.shifts)])
    joined, counts = np.concatenate(errors), np.concatenate(drawn, axis=1)
    low, high = intervals.pointwise((counts * joined).sum(1) / np.maximum(1, counts.sum(1)))
    band = np.concatenate(chance, axis=1).mean(1)
    return _headline(f"{choice.name}: trial error", float(joined.mean()), low, high, band, "1")


def _headline(
    name: str, value: float, low: np.ndarray, high: np.ndarray, chance: np.ndarray, units: str
) -> dict[str, object]:
    band = np.quantile(chance, [0.025, 0.5, 0.975])
    return {
        "name": name,
        "value": float(value),
        "low": float(low),
        "high": float(high),
        "chance": float(band[1]),
        "chance_low": float(band[0]),
        "chance_high": float(band[2]),
        "unit": units,
        "note": "inside chance" if band[0] <= value <= band[2] else "outside chance",
    }


def _chance(fits: Fits, score: metrics.Score, settings: Evaluate) -> np.ndarray:
    if settings.chance == "trials":
        exchanged = [
            trials.exchanges(found, score, count=settings.shifts, generator=_generator(settings, key))
            for key, found in fits.items()
        ]
        return np.asarray(np.mean(exchanged, axis=0))
    generator = np.random.default_rng(settings.seed)
    draws = [
        metrics.circular_shifts(
            [stretch.behaviour for stretch in found],
            [stretch.prediction for stretch in found],
            score,
            count=settings.shifts,
            least=settings.least_shift_rows,
            generator=generator,
        )
        for found in fits.values()
    ]
    return np.asarray(np.mean(draws, axis=0))


def _generator(settings: Evaluate, key: tuple[int, int]) -> np.random.Generator:
    """Return a fold's own generator: all its seeds are scored on the same trials, so they see the same exchanges."""
    return np.random.default_rng([settings.seed, key[0]])


def _weights(fits: Fits, settings: Evaluate) -> np.ndarray:
    grid = _grid(fits)
    generator = np.random.default_rng(settings.seed)
    return intervals.resampled_weights(
        len(grid), len(grid[0]), settings.blocks, resamples=settings.bootstrap, generator=generator
    )


def _grid(fits: Fits) -> list[list[tuple[int, int]]]:
    folds, seeds = (sorted({key[i] for key in fits}) for i in range(2))
    return [[(fold, seed) for seed in seeds] for fold in folds]


def _joined(found: Stretches) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([s.behaviour for s in found]), np.concatenate([s.prediction for s in found])


def _moments(found: Stretches, blocks: int) -> np.ndarray:
    """Return n, sums, squares and products per block and output, shape (block, output, 6)."""
    b, p = (part.astype(float) for part in _joined(found))
    each = np.stack([np.ones_like(b), b, p, b * b, p * p, b * p], axis=-1)
    number = intervals.block_numbers(len(b), blocks)
    return np.stack([each[number == block].sum(0) for block in range(blocks)])


def _pearson(moments: np.ndarray) -> np.ndarray:
    n, b, p, bb, pp, bp = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):  # a fold that was not drawn has weight 0 and n = 0
        r = (n * bp - b * p) / np.sqrt((n * bb - b * b) * (n * pp - p * p))
    return np.asarray(np.nan_to_num(r))


def _weighted_median(ordered: np.ndarray, weight: np.ndarray) -> float:
    cumulated = np.cumsum(weight)
    return float(ordered[np.searchsorted(cumulated, cumulated[-1] / 2)])
