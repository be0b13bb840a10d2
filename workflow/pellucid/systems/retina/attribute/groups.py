"""The groups of phenomena in the tree: responses, contributions, circuits and measures of all seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.retina.attribute.measures import Row
from pellucid.systems.retina.attribute.phenomenon import Explained
from pellucid.systems.retina.attribute.reduction import Circuit
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.attribute.tasks import Task
from pellucid.systems.retina.model.restore import Fitted

ONE = {"units": "1"}
CELLS = ("trial", "time", "neuron")
BARS = ("anticipation", "reversal")
"""Phenomena whose stimulus is shown as the position of a bar."""


@dataclass
class Found:
    """Everything that was found for one phenomenon.

    explained     seed -> the attributed model
    labels        seed -> labels of its channels
    teacher       the simulated teacher, attributed in the same way, with the labels of its channels; None without
    others        baseline -> seed -> (trial, row, neuron) rate
    measures      rows, see measures.rows; distribution: rows of the share of rows outside the range of training
    lags          seed -> (lag, neuron) mean |A| of the frames of a window; only of the test movie
    """

    task: Task
    explained: dict[int, Explained] = field(default_factory=dict)
    labels: dict[int, Sequence[str]] = field(default_factory=dict)
    teacher: Explained | None = None
    teacher_labels: Sequence[str] = ()
    others: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    measures: list[Row] = field(default_factory=list)
    distribution: list[Row] = field(default_factory=list)
    lags: dict[int, np.ndarray] = field(default_factory=dict)


def group(found: Found, fitted: Fitted, settings: Settings) -> xr.Dataset:
    """Return one phenomenon.

    stimulus (trial, time) contrast, or position of a bar in px; control (trial); rate (seed, trial, time, neuron) and
    rate_BASELINE; contribution (seed, trial, time, neuron, feature), residual and error (seed, trial, time, neuron),
    zero (seed, neuron); truncated, lesioned (seed, trial, time, neuron, output); importance, order (seed, feature);
    teacher (trial, time, neuron), teacher_contribution (trial, time, neuron, kernel); lag_contribution (seed, lag,
    neuron)
    circuit      JSON: one row per seed and size of `settings.sizes`; circuit_labels: of whole labels, all sizes
    smallest     JSON: the smallest sufficient circuits by channel and label, by truncation and lesion
    measures, distribution  JSON, see `Found`; window: first and last row (exclusive) in which channels are ranked
    silent       seeds that do not respond, which have no circuits
    completeness, accuracy, converged  largest residual and estimated error as shares of max |r - r(0)|; share within
                 the tolerance
    """
    task, conditions = found.task, found.task.conditions
    seeds = list(found.explained)
    unit = {"units": fitted.units}
    variables: dict[str, Any] = {
        "stimulus": (CELLS[:2], conditions.shown.astype(np.float32), {"units": "px" if task.kind in BARS else "1"}),
        "control": ("trial", np.isin(np.arange(len(conditions.values)), conditions.control).astype(np.int8), ONE),
    }
    variables |= _stacked(found, unit) | _rates(found, seeds, unit) | _teacher(found, unit)
    if found.lags:
        variables["lag_contribution"] = (("seed", "lag", "neuron"), _stack(list(found.lags.values())), unit)
    coords: dict[str, Any] = {
        "seed": seeds,
        "trial": ("trial", conditions.values.astype(float), {"units": conditions.unit}),
        "label": ("trial", np.array(conditions.labels, object)),
        "time": ("time", conditions.time_s.astype(float), {"units": "s"}),
        "neuron": np.array([str(cell) for cell in fitted.neurons], object),
        "output": settings.sizes,
    }
    if found.teacher is not None:
        coords["kernel"] = np.array(found.teacher_labels, object)
    if found.lags:
        late = np.arange(fitted.history)[::-1] + fitted.lag
        coords["lag"] = ("lag", -1e3 * late / fitted.rate_hz, {"units": "ms"})
    return xr.Dataset(variables, coords=coords, attrs=_attributes(found, settings))


def _stacked(found: Found, unit: Mapping[str, str]) -> dict[str, Any]:
    """Return the variables of the attributed model, seeds along the first axis."""
    axes = {
        "rate": CELLS, "contribution": (*CELLS, "feature"), "residual": CELLS, "error": CELLS, "zero": ("neuron",),
        "truncated": (*CELLS, "output"), "lesioned": (*CELLS, "output"), "importance": ("feature",),
    }  # fmt: skip
    made: dict[str, Any] = {
        name: (("seed", *rest), _stack([getattr(one, name) for one in found.explained.values()]), unit)
        for name, rest in axes.items()
    }
    order = np.stack([one.order for one in found.explained.values()]).astype(np.int32)
    return made | {"order": (("seed", "feature"), order, ONE)}


def _rates(found: Found, seeds: Sequence[int], unit: Mapping[str, str]) -> dict[str, Any]:
    """Return the baselines' responses; those of a seed that is no seed of the attributed model come first, else NaN."""
    made = {}
    for name, own in found.others.items():
        empty = np.full(next(iter(own.values())).shape, np.nan)
        placed = [own.get(seed, empty) for seed in seeds]
        if not set(own) & set(seeds):
            placed[0] = next(iter(own.values()))
        made[f"rate_{name}"] = (("seed", *CELLS), _stack(placed), unit)
    return made


def _teacher(found: Found, unit: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if found.task.teacher is not None:
        made["teacher"] = (CELLS, found.task.teacher.astype(np.float32), unit)
    if found.teacher is not None:
        made["teacher_contribution"] = ((*CELLS, "kernel"), found.teacher.contribution.astype(np.float32), unit)
    return made


def _stack(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(values).astype(np.float32)


def _attributes(found: Found, settings: Settings) -> dict[str, Any]:
    conditions, own = found.task.conditions, found.explained
    window = next(iter(own.values())).window
    rows = [
        row
        for seed, one in own.items()
        for row in circuit_rows(one.circuits, seed, found.labels[seed], settings)
        if row["size"] in settings.sizes
    ]
    labelled = [
        row for seed, one in own.items() for row in circuit_rows(one.by_label, seed, found.labels[seed], settings)
    ]
    attrs: dict[str, Any] = {
        "kind": found.task.kind,
        "unit": conditions.unit,
        "window": [window.start, window.stop],
        "completeness": max(one.completeness for one in own.values()),
        "accuracy": max(one.accuracy for one in own.values()),
        "converged": min(one.converged for one in own.values()),
        "tolerance": settings.tolerance,
        "silent": [seed for seed, one in own.items() if one.silent],
    }
    lists = {
        "circuit": rows,
        "circuit_labels": labelled,
        "smallest": smallest(found, settings),
        "measures": found.measures,
        "distribution": found.distribution,
    }
    return attrs | {name: json.dumps(values, separators=(",", ":")) for name, values in lists.items()}


def circuit_rows(circuits: Sequence[Circuit], seed: int, labels: Sequence[str], settings: Settings) -> list[Row]:
    """Return one row per circuit: its channels and labels, what it explains, and whether it is sufficient."""
    limits = settings.sufficiency
    return [
        {
            "seed": seed,
            "size": one.size,
            "channels": list(one.channels),
            "labels": [labels[channel] for channel in one.channels],
            "groups": list(one.groups),
            "explained": _number(one.explained),
            "peak_shift_bins": _number(one.peak_shift_bins),
            "explained_lesion": _number(one.explained_lesion),
            "peak_shift_lesion_bins": _number(one.peak_shift_lesion_bins),
            "disagreement": _number(one.disagreement),
            "sufficient": one.suffices(limits.explained, limits.shift_bins),
        }
        for one in circuits
    ]


def smallest(found: Found, settings: Settings) -> list[Row]:
    """Return rows of the smallest sufficient circuits, and the teacher's: model, seed, by, lesion, size, labels."""
    every = [(settings.model, seed, one, found.labels[seed]) for seed, one in found.explained.items()]
    if found.teacher is not None:
        every.append(("teacher", 0, found.teacher, found.teacher_labels))
    made = []
    for model, seed, one, labels in every:
        for by in ("channel", "label"):
            for lesion in (False, True):
                best = one.smallest(settings, labels=by == "label", lesion=lesion)
                about = {"model": model, "seed": seed, "by": by, "lesion": lesion}
                row = circuit_rows([best], seed, labels, settings)[0]
                keys = ("size", "channels", "labels", "groups", "explained", "explained_lesion", "disagreement")
                made.append(about | {key: row[key] for key in keys})
    return made


def summary(found: Mapping[str, Found]) -> xr.Dataset:
    """Return each channel's share of the contributions to each phenomenon, and its sign.

    share (seed, trial, feature): sum of |A| over the response window, tested conditions and cells, over that of all
    channels; signed: the same sum of A. trial: names of phenomena.
    """
    shares: list[np.ndarray] = []
    signs: list[np.ndarray] = []
    for one in found.values():
        tested = list(one.task.conditions.tested)
        parts = [own.contribution[tested][:, own.window].astype(float) for own in one.explained.values()]
        size = np.stack([np.abs(part).sum((0, 1, 2)) for part in parts])
        whole = size.sum(1, keepdims=True)
        for made, values in ((shares, size), (signs, np.stack([part.sum((0, 1, 2)) for part in parts]))):
            made.append(np.divide(values, whole, out=np.full(values.shape, np.nan), where=whole > 0))
    dims = ("seed", "trial", "feature")
    return xr.Dataset(
        {"share": (dims, np.stack(shares, 1), ONE), "signed": (dims, np.stack(signs, 1), ONE)},
        coords={"seed": list(next(iter(found.values())).explained), "trial": np.array(list(found), object)},
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
