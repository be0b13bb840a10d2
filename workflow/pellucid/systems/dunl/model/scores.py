"""Held-out likelihood of every model on the same bins, per neuron and pooled, with intervals over trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import artifacts
from pellucid.systems.dunl.model.comparators import fit_comparator, predict_comparator
from pellucid.systems.dunl.model.heldout import nll
from pellucid.systems.dunl.model.predict import Predicted
from pellucid.systems.dunl.model.settings import Evaluate, Settings
from pellucid.systems.dunl.model.traces import Traces

SCORE = "deviance explained on held-out bins"


def losses(predicted: Predicted, constant: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the summed loss above that of a perfect prediction, (trace, 2): of the model, of the constant rate.

    constant  (trace, time) expected by each neuron's mean rate in training trials
    """
    traces, name = predicted.traces, settings.likelihood
    best = nll(traces.signal, traces.signal, name, traces.most_counts)
    found = [nll(traces.signal, mean, name, traces.most_counts) - best for mean in (predicted.held, constant)]
    return np.stack([np.where(traces.valid, loss, 0).sum(1) for loss in found], axis=1)


def constant_of(train: Traces, test: Traces, settings: Settings) -> np.ndarray:
    """Return what each neuron's mean rate in training trials expects of test bins, (trace, time)."""
    weights, notes = fit_comparator("constant", train, train, settings.comparator, likelihood=settings.likelihood)
    return predict_comparator("constant", weights, notes, test, test.valid)


def rows_of(said: Mapping[str, Any], predicted: Predicted, lost: np.ndarray) -> list[dict[str, Any]]:
    """Return flat rows per neuron: deviance explained, nats per bin above the constant, and R2 (published)."""
    traces, rows = predicted.traces, []
    bins = traces.valid.sum(1)
    error = np.where(traces.valid, (traces.signal - predicted.held) ** 2, 0).sum(1)
    for neuron in np.unique(traces.neuron):
        own = traces.neuron == neuron
        model, constant = lost[own].sum(0)
        signal = traces.signal[own][traces.valid[own]]
        spread = float(signal.var())
        found = {
            SCORE: 1 - model / constant if constant > 0 else np.nan,
            "nats per bin above the constant": (constant - model) / max(1, bins[own].sum()),
            "R2": 1 - error[own].sum() / max(1, bins[own].sum()) / spread if spread > 0 else np.nan,
        }
        recording, _, unit = traces.neurons[neuron].partition("/")
        rows += [
            {**said, "recording": recording, "neuron": unit, "metric": metric, "value": float(value)}
            for metric, value in found.items()
        ]
    return rows


def explained(parts: Sequence[tuple[Traces, np.ndarray]], settings: Evaluate) -> tuple[float, float, float]:
    """Return the deviance explained over all test trials of all folds, with its 95 % interval.

    parts  traces and their losses (trace, 2), one per fold
    Trials are resampled within recordings, and recordings too where there are at least four.
    """
    recording = np.concatenate([traces.recording for traces, _ in parts])
    trial = np.concatenate([traces.trial for traces, _ in parts])
    sums, owner = by_trial(recording, trial, np.concatenate([lost for _, lost in parts]))
    draws = np.array([sums[rows].sum(0) for rows in resampled(owner, settings.bootstrap, settings.seed)])
    total = sums.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value, replicates = 1 - total[0] / total[1], 1 - draws[:, 0] / draws[:, 1]
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    return float(value), float(low), float(high)


def by_trial(recording: np.ndarray, trial: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (trace, ...) summed over the neurons of each trial, (trial, ...), and each trial's recording."""
    numbers, member = np.unique(trial, return_inverse=True)
    sums = np.zeros((len(numbers), *values.shape[1:]))
    np.add.at(sums, member, values)
    owner = np.zeros(len(numbers), int)
    owner[member] = recording
    return sums, owner


def resampled(owner: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Return `count` draws of trials with replacement: within each recording, and of recordings if there are four."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(owner == name) for name in np.unique(owner)]
    draws = []
    for _ in range(count):
        chosen = generator.integers(0, len(groups), len(groups)) if len(groups) >= 4 else np.arange(len(groups))
        draws.append(np.concatenate([generator.choice(groups[g], len(groups[g])) for g in chosen]))
    return draws


def headline(model: str, parts: Sequence[tuple[Traces, np.ndarray]], settings: Evaluate) -> dict[str, Any]:
    """Return the headline row of a model: 0 is the constant rate, 1 a perfect prediction."""
    value, low, high = explained(parts, settings)
    row = artifacts.headline_row(SCORE, value, model=model, note="0: each neuron's mean rate")
    return row | {"low": low, "high": high}
