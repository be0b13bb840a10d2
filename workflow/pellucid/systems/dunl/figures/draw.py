"""The figures of one analysis, in the order of the paper: data, single trials, kernels, codes, scores, checks."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import check_model, draw_all
from pellucid.systems.dunl.figures import (
    correlations,
    covariates,
    detection,
    events,
    identifiability,
    kernels,
    layers,
    phase,
    plane,
    responses,
    scores,
    selection,
    shown,
    sweeps,
    training,
    trials,
    truth,
)
from pellucid.systems.dunl.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose input is absent are left out.

    Raises DataError if the settings name a model that was not fitted, or not the one that was attributed.
    """
    check_model(results, settings.model)
    draw_all(figures(results, settings), results, settings, folder)


def figures(results: Results, settings: Settings) -> list[Draw]:
    """Return the functions that draw what the results hold."""
    groups, scored = set(results.attribution.children), {name for name, rows in results.metrics.items() if rows}
    detectors = {row["detector"] for row in results.metrics.get("detection") or []}
    has_codes = "codes" in groups
    wanted: list[tuple[Draw, bool]] = [
        (responses.averages, responses.predicted(results, settings)),
        (trials.trials, "components" in groups and trials.with_codes(results)),
        (trials.decomposition, "components" in groups),
        (kernels.kernels, "kernels" in groups),
        (kernels.by_neuron, "kernels" in groups and kernels.several(results)),
        (truth.codes, has_codes and truth.known(results)),
        (covariates.codes, has_codes and "covariates" in groups),
        (correlations.correlations, "covariates" in groups),
        (plane.codes, "plane" in groups),
        (phase.tuning, phase.known(results)),
        (events.found, "detections" in groups and events.any_found(results)),
        (detection.tolerances, "codes" in detectors),
        (detection.curves, {"codes", "smoothing"} <= detectors),
        (scores.headline, scores.with_intervals(results)),
        (scores.by_neuron, "table" in scored),
        (sweeps.errors, "kernels" in scored and sweeps.varies(results, settings)),
        (layers.layers, layers.enough(results)),
        (selection.selection, len(results.metrics.get("selection") or []) > 1),
        (training.curves, shown.fit(results, settings).settings["kind"] == "dunl"),
        (identifiability.matrices, "identifiability" in groups and len(shown.kernels(results)) > 1),
        (identifiability.faithfulness, "faithfulness" in groups),
    ]
    return [one for one, present in wanted if present]
