"""What phenomena are judged by, for every model that is shown them, as flat rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pellucid.learning.metrics import pearson
from pellucid.systems.retina.attribute import fields, phenomena
from pellucid.systems.retina.attribute.phenomena.probe import Measure
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.attribute.tasks import Task
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.restore import Fitted

Row = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """Frames of a model's own test movie, for what is measured on them.

    frames  (time, height, width) standardised
    rows    (row,) first frames of windows
    """

    frames: np.ndarray
    rows: np.ndarray


def rows(
    task: Task,
    fitted: Fitted,
    settings: Settings,
    model: str,
    seed: int,
    rate: np.ndarray,
    extra: dict[str, np.ndarray] | None = None,
) -> list[Row]:
    """Return one row per measure and cell, and one for the mean over cells: neuron "mean".

    fitted  the attributed model, whose rows and cells these are
    model   whose responses they are, or "reduced_2" ...; seed of its fit
    rate    (trial, row, neuron)
    extra   mean gradients and projections, see `gradients`
    Each says model, seed, neuron, name, value (None where undefined), unit and at: the condition's value, None: all.
    """
    extra = extra or {}
    if task.settings is not None:
        unit: Literal["Hz", "count"] = "Hz" if fitted.units == "Hz" else "count"
        found = phenomena.measure(
            task.settings,
            task.conditions,
            rate,
            history=fitted.history,
            lag=fitted.lag,
            rate_hz=fitted.rate_hz,
            pixel_um=settings.pixel_um,
            units=unit,
            kernels=extra.get("kernels"),
            projection=extra.get("projection"),
        )
    else:
        found = against(task.teacher, rate)
    cells = [str(cell) for cell in fitted.neurons]
    return [row for measure in found for row in _flat(measure, cells, model, seed)]


def against(teacher: np.ndarray | None, rate: np.ndarray) -> list[Measure]:
    """Return how a response compares with the teacher's, over all conditions; nothing without a teacher.

    r_teacher        Pearson's correlation over conditions and rows
    peak_difference  bins from the teacher's largest rate to the model's, of largest absolute value over conditions
    teacher, rate  (trial, row, neuron), NaN where unknown
    """
    if teacher is None:
        return []
    sound = np.isfinite(teacher).all(2) & np.isfinite(rate).all(2)
    if sound.sum() < 2:
        return []
    r = pearson(teacher[sound].astype(float), rate[sound].astype(float))
    apart = np.stack([_peak(own, seen) - _peak(true, seen) for own, true, seen in zip(rate, teacher, sound)])
    far = np.take_along_axis(apart, np.abs(apart).argmax(0)[None], axis=0)[0].astype(float)
    known = r[np.isfinite(r)]
    return [
        Measure("r_teacher", "1", r, float(known.mean()) if len(known) else np.nan),
        Measure("peak_difference", "bins", far, float(np.abs(far).max())),
    ]


def gradients(network: Network, task: Task, seen: Seen, frames: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a phenomenon needs besides rates: `kernels` or `projection` of `phenomena.measure`, mostly nothing.

    frames  the task's, in contrasts of the network; all its rows begin where windows do
    seen    for the share of natural frames whose receptive field is reversed
    """
    if task.kind == "contrast_adaptation":
        start, stop, _ = task.conditions.window.indices(task.conditions.rows)
        kernels = np.stack([fields.mean_field(network, one, np.arange(start, stop)) for one in frames])
        return {"kernels": kernels[..., 0, 0] if kernels.shape[3:] == (1, 1) else kernels}
    if task.kind == "polarity_reversal" and len(seen.rows):
        mean = fields.mean_field(network, seen.frames, seen.rows)
        return {"projection": fields.projections(network, seen.frames, seen.rows, mean)}
    return {}


def mean_only(found: Sequence[Row]) -> list[Row]:
    """Return the rows of the mean over cells."""
    return [row for row in found if row["neuron"] == "mean"]


def value(found: Sequence[Row], name: str, model: str, seed: int | None = None, neuron: str = "mean") -> float:
    """Return the mean of the rows of a measure, NaN without one; seed None: over seeds."""
    chosen = [
        row["value"]
        for row in found
        if row["name"] == name
        and row["model"] == model
        and row["neuron"] == neuron
        and seed in (None, row["seed"])
        and row["value"] is not None
    ]
    return float(np.mean(chosen)) if chosen else float("nan")


def _peak(rate: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(seen[:, None], rate, -np.inf).argmax(0))


def _flat(measure: Measure, cells: Sequence[str], model: str, seed: int) -> list[Row]:
    about = {"model": model, "seed": seed, "name": measure.name, "unit": measure.unit, "at": _number(measure.at)}
    values = [*zip(cells, measure.value), ("mean", measure.of_mean)]
    return [about | {"neuron": cell, "value": _number(float(own))} for cell, own in values]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
