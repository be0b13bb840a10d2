"""The figures of one analysis, in the order of the paper: scores, data needed, kernels, where, what, fields, checks."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import check_model, draw_all
from pellucid.systems.whatwhere.figures import (
    bar_codes,
    budget,
    ceiling,
    faithfulness,
    fields,
    kernels,
    masks,
    neurons,
    performance,
    predictions,
    samples,
    shown,
    training,
)
from pellucid.systems.whatwhere.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose input is absent are left out.

    Raises DataError if the settings name a model that was not fitted, or not the one that was attributed.
    """
    check_model(results, settings.model)
    draw_all(figures(results, settings), results, settings, folder)


def figures(results: Results, settings: Settings) -> list[Draw]:
    """Return the functions that draw what the results hold."""
    scored = len(shown.examples(results, settings, 1)) > 0
    has_where = shown.has(results, "where")
    wanted: list[tuple[Draw, bool]] = [
        (performance.performance, bool(performance.measured(results))),
        (neurons.neurons, neurons.possible(results)),
        (samples.samples, bool(samples.sample_lines(results))),
        (budget.budget, budget.enough(results, settings)),
        (samples.type_count, bool(samples.type_lines(results))),
        (kernels.kernels, bool(kernels.available(results))),
        (masks.masks, scored and has_where and "mask" in shown.group(results, "where")),
        (masks.locations, has_where),
        (bar_codes.bar_codes, has_where and bar_codes.possible(results)),
        (fields.fields, fields.possible(results, settings)),
        (ceiling.ceiling, ceiling.known(results, settings)),
        (predictions.predictions, predictions.kept(results, settings)),
        (faithfulness.faithfulness, faithfulness.possible(results)),
        (training.training, training.possible(results, settings)),
    ]
    return [one for one, present in wanted if present]
