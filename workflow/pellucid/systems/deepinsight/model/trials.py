"""Trials: chance by exchanging the behaviour of whole trials, and choices scored once per trial."""

from collections.abc import Mapping, Sequence

import numpy as np

from pellucid.errors import DataError
from pellucid.learning import metrics
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.predict import Predicted


def members(found: Sequence[Predicted]) -> list[tuple[str, np.ndarray]]:
    """Return (recording, rows) of every trial, rows counted over all stretches in order; below 0 is no trial.

    Raises DataError if the features know no trials.
    """
    if any(stretch.trials is None for stretch in found):
        raise DataError(
            "evaluate, trials",
            expected="the trial of every row in the features",
            found="none",
            remedy="Name the trial numbers with `preprocess.trials`.",
        )
    joined = [(s.recording, float(trial)) for s in found if s.trials is not None for trial in s.trials]
    rows: dict[tuple[str, float], list[int]] = {}
    for row, key in enumerate(joined):
        rows.setdefault(key, []).append(row)
    return [(recording, np.array(own)) for (recording, trial), own in rows.items() if trial >= 0]


def exchanges(
    found: Sequence[Predicted], score: metrics.Score, *, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the chance distribution of a score, shape (count, output), from exchanging behaviour between trials.

    Whole trials are permuted among the trials of one recording with as many scored rows, so that what the time within
    a trial tells of behaviour is part of chance; a trial whose length no other has keeps its behaviour.
    Raises DataError if no two trials are of equal length.
    """
    classes: dict[tuple[str, int], list[np.ndarray]] = {}
    for recording, rows in members(found):
        classes.setdefault((recording, len(rows)), []).append(rows)
    alike = [np.stack(rows) for rows in classes.values() if len(rows) > 1]
    if not alike:
        raise DataError(
            "evaluate.chance: trials",
            expected="test trials of equal length in each fold",
            found=f"trials of {sorted({length for _, length in classes})} rows, no two alike",
            remedy="Use fewer folds, or `chance: shifts`.",
        )
    behaviour = np.concatenate([stretch.behaviour for stretch in found])
    prediction = np.concatenate([stretch.prediction for stretch in found])
    draws = []
    for _ in range(count):
        exchanged = behaviour.copy()
        for rows in alike:
            exchanged[rows] = behaviour[generator.permutation(rows)]
        draws.append(score(exchanged, prediction))
    return np.stack(draws)


def choices(found: Sequence[Predicted], choice: Target) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the true sign and the sign of the mean prediction of every trial, (trial,) each, and its recording."""
    column = choice.columns.start
    behaviour = np.concatenate([stretch.behaviour[:, column] for stretch in found])
    prediction = np.concatenate([stretch.prediction[:, column] for stretch in found])
    listed = members(found)
    true = np.array([np.sign(behaviour[rows].mean()) for _, rows in listed])
    guess = np.array([np.sign(prediction[rows].mean()) for _, rows in listed])
    return true, guess, [recording for recording, _ in listed]


def rows_of(key: Mapping[str, object], found: Sequence[Predicted], choice: Target) -> list[dict[str, object]]:
    """Return the table's row of one fit: the share of trials whose mean prediction has the wrong sign."""
    true, guess, _ = choices(found, choice)
    share = float(np.mean(true != guess))
    return [{**key, "output": choice.name, "metric": "trial error", "value": share, "units": "1"}]


def permuted(true: np.ndarray, recordings: Sequence[str], generator: np.random.Generator) -> np.ndarray:
    """Return the choices of trials, shape (trial,), permuted among the trials of each recording."""
    names, changed = np.array(recordings), true.copy()
    for name in dict.fromkeys(recordings):
        own = np.flatnonzero(names == name)
        changed[own] = true[generator.permutation(own)]
    return changed
