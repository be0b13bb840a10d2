"""The figures of one analysis, in the order of the paper: input, training, decoding, errors, influence, variants."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import check_model, draw_all
from pellucid.systems.deepinsight.figures import (
    accuracy,
    chance,
    decoding,
    error_map,
    influence,
    interactions,
    limited,
    one_band,
    shown,
    sweeps,
    training,
    trajectory,
    trials,
    unit_classes,
)
from pellucid.systems.deepinsight.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose kind of input is absent are left out.

    Raises DataError if the settings name a model that was not fitted or not the one that was attributed, or a position
    that is none.
    """
    check_model(results, settings.model)
    draw_all(figures(results, settings), results, settings, folder)


def figures(results: Results, settings: Settings) -> list[Draw]:
    """Return the functions that draw what the results hold."""
    band = shown.has(results, "band")
    placed = trajectory.possible(results, settings)
    listed: list[tuple[Draw, bool]] = [
        (decoding.features, True),
        (training.curves, True),
        (decoding.traces, True),
        (trajectory.trajectory, placed),
        (error_map.error_map, placed),
        (trials.trials, bool(trials.decoded(results, settings))),
        (accuracy.errors, True),
        (accuracy.scores, True),
        (chance.retrained, bool(results.metrics.get("retrained"))),
        (limited.limited, bool(limited.models(results))),
        (sweeps.window_length, sweeps.possible(results, settings, sweeps.WINDOW)),
        (sweeps.averaging, sweeps.possible(results, settings, sweeps.AVERAGING, sweeps.AVERAGING_SPAN)),
        (sweeps.amount_error, sweeps.possible(results, settings, sweeps.DATA)),
        (influence.spectrum, band),
        (influence.faithfulness, shown.has(results, "deletion")),
        (influence.channels, shown.has(results, "channel")),
        (interactions.groups, shown.has(results, "group")),
        (interactions.pairs, shown.has(results, "pairs")),
        (one_band.one_band, band and shown.has(results, "one_band")),
        (sweeps.amount, bool(sweeps.profiles(results, settings))),
        (unit_classes.elimination, shown.has(results, "elimination")),
        (unit_classes.classes, band and shown.has(results, "classes")),
    ]
    return [one for one, present in listed if present]
