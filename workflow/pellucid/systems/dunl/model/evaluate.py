"""Score every fit on the same test trials, against comparators, simulated truth and each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid import artifacts
from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.dunl.model import follow, recovery, scores, selection, truth
from pellucid.systems.dunl.model.fit import part
from pellucid.systems.dunl.model.kernels import learnt
from pellucid.systems.dunl.model.matching import match
from pellucid.systems.dunl.model.predict import Predicted, predict
from pellucid.systems.dunl.model.settings import Evaluate, Settings
from pellucid.systems.dunl.model.traces import ABSENT


@dataclass(frozen=True)
class _Scored:
    """One fit with its predictions and losses; truth where it is known."""

    fit: Fit
    settings: Settings
    predicted: Predicted
    lost: np.ndarray
    truth: truth.Truth | None

    @property
    def said(self) -> dict[str, Any]:
        return {"model": self.fit.model, "fold": self.fit.fold, "seed": self.fit.seed}

    @property
    def names(self) -> list[str]:
        return list(self.settings.kernels)


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics and the held-out expectations, one group per recording.

    truth  simulated truth by the name of its raw folder, which has to be that of the recording
    Every restart (seed) is scored; headline numbers are those of the restart of least validation loss in each fold.
    """
    best = selection.best_restarts(fits)
    scored = [_score(fit, features, settings, truth) for fit in fits]
    table = [row for one in scored for row in scores.rows_of(one.said, one.predicted, one.lost)]
    found = [row for one in scored for row in _kernel_rows(one)]
    coded = [row for one in scored for row in _code_rows(one)]
    detected = [
        row for one in scored if best[one.fit.model, one.fit.fold] is one.fit for row in _detections(one, settings)
    ]
    models = list(dict.fromkeys(fit.model for fit in fits))
    chosen = {model: [one for one in scored if best[model, one.fit.fold] is one.fit] for model in models}
    chosen = {model: [one for one in listed if one.fit.model == model] for model, listed in chosen.items()}
    headline = [
        scores.headline(model, [(one.predicted.traces, one.lost) for one in chosen[model]], settings)
        for model in models
    ]
    headline += _recovered(found, coded, detected, best, settings)
    metrics = {
        "headline": headline,
        "table": table,
        "kernels": found,
        "codes": coded,
        "follow": [row for one in scored for row in follow.rows(one.said, one.predicted, features, one.names)],
        "detection": detected,
        "selection": selection.rows(fits, settings.select),
        "convergence": [_convergence(one) for one in scored if one.settings.kind == "dunl"],
    }
    return metrics, _tree(features, scored)


def _score(fit: Fit, features: Features, settings: Evaluate, known: Mapping[str, xr.DataTree]) -> _Scored:
    own = Settings.model_validate(fit.settings)
    predicted = predict(fit, features, settings.chunk_bins)
    train = part(features, fit.fold, "train", own, fit.seed)
    constant = scores.constant_of(train, predicted.traces, own)
    lost = scores.losses(predicted, constant, own)
    found = truth.of(predicted.traces, features, known, own.lag_bins) if known and own.kind == "dunl" else None
    return _Scored(fit, own, predicted, lost, found)


def _kernel_rows(one: _Scored) -> list[dict[str, Any]]:
    if one.truth is None:
        return []
    about = {
        "train_trials": one.fit.notes["training_trials"],
        "bin_s": one.fit.notes["bin_s"],
        "recording": ", ".join(one.settings.recordings or ["all"]),
    }
    rows = recovery.kernels(one.said, one.truth, learnt(one.predicted.weights), one.names)
    return [{**row, **about} for row in rows]


def _code_rows(one: _Scored) -> list[dict[str, Any]]:
    if one.truth is None:
        return []
    matching = match(one.truth.kernels, np.median(learnt(one.predicted.weights), axis=0))
    return recovery.codes(one.said, one.truth, one.predicted, matching)


def _detections(one: _Scored, settings: Evaluate) -> list[dict[str, Any]]:
    """Score codes at unknown times against the truth, or against events that were kept from the model."""
    free = [i for i, kernel in enumerate(one.settings.kernels.values()) if kernel.event is None]
    if one.predicted.found is None or not free:
        return []
    true, kernel_of = _events(one, settings, free)
    rows = recovery.detections(one.said, true, one.predicted, kernel_of, settings)
    return rows + recovery.smoothing(one.said, true, one.predicted, settings)


def _events(
    one: _Scored, settings: Evaluate, free: Sequence[int]
) -> tuple[dict[str, list[np.ndarray]], dict[str, Sequence[int]]]:
    if one.truth is not None:
        matching = match(one.truth.kernels, np.median(learnt(one.predicted.weights), axis=0))
        names = enumerate(one.truth.names)
        partner = {name: (k, int(matching.partner[k])) for k, name in names if matching.partner[k] in {-1, *free}}
        each = {name: one.truth.times(k) for name, (k, own) in partner.items() if own in free}
        partners: dict[str, Sequence[int]] = {name: [own] for name, (_, own) in partner.items() if own in free}
        every = one.truth.times(*(k for k, _ in partner.values()))
        return {**each, "any kernel": every}, {**partners, "any kernel": free}
    traces = one.predicted.traces
    true: dict[str, list[np.ndarray]] = {}
    used: dict[str, Sequence[int]] = {}
    for kernel, event in settings.detect.items():
        if event not in traces.events or kernel not in one.names:
            raise DataError(
                f"evaluate.detect.{kernel}",
                expected=f"a kernel among {', '.join(one.names)} and an event among {', '.join(traces.events)}",
                found=f"{kernel}: {event}",
                remedy="Correct `evaluate.detect`.",
            )
        here = (traces.event_kind == traces.events.index(event)) & (traces.onset != ABSENT)
        seconds = traces.start_s + traces.onset * traces.bin_s
        true[kernel] = [np.sort(row[keep]) for row, keep in zip(seconds, here)]
        used[kernel] = [one.names.index(kernel)]
    return true, used


def _recovered(
    found: Sequence[dict[str, Any]],
    coded: Sequence[dict[str, Any]],
    detected: Sequence[dict[str, Any]],
    best: Mapping[tuple[str, int], Fit],
    settings: Evaluate,
) -> list[dict[str, Any]]:
    """Return headline rows of recovery: the mean over folds of the best restarts, with the range over folds."""

    def chosen(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if best[row["model"], row["fold"]].seed == row["seed"]]

    headline = []
    for label, rows, key in (
        ("kernel error", chosen(found), "error"),
        ("correlation of codes with the truth", chosen(coded), "correlation"),
    ):
        for model, kernel in dict.fromkeys((row["model"], row["kernel"]) for row in rows):
            values = [row[key] for row in rows if (row["model"], row["kernel"]) == (model, kernel)]
            headline.append(_ranged(f"{label}: {kernel}", values, model))
    found_ones = [
        row for row in detected if row["detector"] == "codes" and row["tolerance_s"] == settings.tolerances_s[-1]
    ]
    for model, kernel in dict.fromkeys((row["model"], row["kernel"]) for row in found_ones):
        own = [row for row in found_ones if (row["model"], row["kernel"]) == (model, kernel)]
        mean = {
            key: float(np.mean([row[key] for row in own])) for key in ("hit", "false", "hit_chance", "false_chance")
        }
        name = f"hit rate within {settings.tolerances_s[-1] * 1e3:g} ms: {kernel}"
        note = f"false {mean['false']:.2f}; at random times {mean['hit_chance']:.2f}, false {mean['false_chance']:.2f}"
        headline.append(artifacts.headline_row(name, mean["hit"], model=model, note=note))
    return headline


def _ranged(name: str, values: Sequence[float], model: str) -> dict[str, Any]:
    note = "" if len(values) == 1 else f"{len(values)} folds: {min(values):.3g} to {max(values):.3g}"
    return artifacts.headline_row(name, float(np.mean(values)), model=model, note=note)


def _convergence(one: _Scored) -> dict[str, Any]:
    kkt = one.predicted.found.kkt if one.predicted.found is not None else np.zeros(1)
    largest, median = float(kkt.max(initial=0)), float(np.median(kkt))
    training = one.fit.notes["kkt"]
    return {**one.said, "kkt": largest, "kkt_median": median, "kkt_training": training["largest"]}


def _tree(features: Features, scored: Sequence[_Scored]) -> xr.DataTree:
    """Return held-out expectations per recording; models with coarser bins have none here."""
    models, folds, seeds = (
        list(dict.fromkeys(key)) for key in zip(*((one.fit.model, one.fit.fold, one.fit.seed) for one in scored))
    )
    groups = {}
    for index, name in enumerate(features.stores):
        group = features.group(name)
        sizes = tuple(group.sizes[axis] for axis in ("trial", "time", "neuron"))
        values = np.full((len(models), len(folds), len(seeds), *sizes), np.nan, np.float32)
        for one in scored:
            if one.settings.coarsen == 1:
                place = models.index(one.fit.model), folds.index(one.fit.fold), seeds.index(one.fit.seed)
                _fill(values[place], one.predicted, index)
        groups[f"/{name}"] = xr.Dataset(
            {
                "rate": (
                    ("model", "fold", "seed", "trial", "time", "neuron"),
                    values,
                    {"units": group["signal"].attrs["units"]},
                )
            },
            coords={
                "model": np.array(models, object),
                "fold": folds,
                "seed": seeds,
                "time": ("time", group["time"].values, {"units": "s"}),
                "neuron": group["neuron"].values.astype(object),
            },
        )
    return xr.DataTree.from_dict(groups)


def _fill(values: np.ndarray, predicted: Predicted, recording: int) -> None:
    """Put the expectations of one recording's traces into (trial, time, neuron)."""
    traces = predicted.traces
    own = traces.recording == recording
    if not own.any():
        return
    first = min(i for i, name in enumerate(traces.neurons) if name.startswith(f"{traces.recordings[recording]}/"))
    held = np.where(traces.valid, predicted.held, np.nan)[own, : values.shape[1]]
    values[traces.row[own], :, traces.neuron[own] - first] = held
