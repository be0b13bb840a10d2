"""The figures of one analysis, in the order of the paper: examples, training, scores, windows, where, controls."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import check_model, draw_all
from pellucid.systems.cortex.figures import (
    agreement,
    areas,
    calibration,
    controls,
    decoders,
    deletion,
    examples,
    importance,
    mice,
    occlusion,
    rates,
    sessions,
    stretch,
    sweeps,
    training,
)
from pellucid.systems.cortex.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose input is absent are left out.

    Raises DataError if the settings name a model that was not fitted, or not the one that was attributed.
    """
    check_model(results, settings.model)
    draw_all(figures(results, settings), results, settings, folder)


def figures(results: Results, settings: Settings) -> list[Draw]:
    """Return the functions that draw what the results hold."""
    scored = bool(decoders.possible(results))
    wanted: list[tuple[Draw, bool]] = [
        (examples.examples, stretch.chosen(results, settings) is not None),
        (training.training, training.possible(results, settings)),
        (decoders.decoders, scored),
        (mice.mice, scored),
        (sessions.sessions, sessions.possible(results, settings)),
        (calibration.calibration, calibration.possible(results, settings)),
        (rates.latency, rates.has_latency(results)),
        (rates.speed, rates.has_speed(results)),
        (sweeps.window, sweeps.possible(results, settings, sweeps.WINDOW)),
        (sweeps.lag, sweeps.possible(results, settings, sweeps.LAG)),
        (importance.importance, importance.possible(results)),
        (deletion.deletion, deletion.possible(results)),
        (agreement.agreement, agreement.possible(results)),
        (areas.areas, bool(areas.possible(results, settings))),
        (occlusion.occlusion, occlusion.possible(results)),
        (controls.controls, controls.possible(results)),
    ]
    return [one for one, present in wanted if present]
