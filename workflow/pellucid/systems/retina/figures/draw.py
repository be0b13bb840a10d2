"""The figures of one analysis, in the order of the papers: scores, filters, phenomena with their circuits, checks."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import check_model, draw_all
from pellucid.systems.retina.figures import (
    agreement,
    circuits,
    completeness,
    distribution,
    fields,
    filters,
    interneurons,
    lags,
    performance,
    phenomenon,
    recovery,
    responses,
    summary,
    traces,
    training,
)
from pellucid.systems.retina.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose input is absent are left out.

    Raises DataError if the settings name a model that was not fitted, or not the one that was attributed.
    """
    check_model(results, settings.model)
    draw_all(figures(results, settings), results, settings, folder)


def figures(results: Results, settings: Settings) -> list[Draw]:
    """Return the functions that draw what the results hold."""
    scores: list[tuple[Draw, bool]] = [
        (performance.performance, bool(performance.known(results))),
        (traces.traces, traces.possible(results, settings)),
        (training.training, training.possible(results, settings)),
        (filters.filters, filters.possible(results)),
        (fields.fields, fields.possible(results)),
        (lags.lags, lags.possible(results)),
    ]
    found: list[tuple[Draw, bool]] = [(phenomenon.drawer(name), True) for name in responses.names(results)]
    checks: list[tuple[Draw, bool]] = [
        (summary.summary, summary.possible(results)),
        (circuits.circuits, circuits.possible(results)),
        (agreement.agreement, agreement.possible(results)),
        (recovery.recovery, recovery.possible(results)),
        (interneurons.interneurons, interneurons.possible(results)),
        (distribution.distribution, distribution.possible(results)),
        (completeness.completeness, completeness.possible(results)),
    ]
    return [one for one, present in scores + found + checks if present]
