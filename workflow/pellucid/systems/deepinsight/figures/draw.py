"""The figures of one analysis, in the order of the paper: input, training, decoding, errors, influence."""

from collections.abc import Callable
from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting.shown import draw_all
from pellucid.systems.deepinsight.figures import decoding, influence, training
from pellucid.systems.deepinsight.figures.settings import Settings

Draw = Callable[[Results, Settings, Path], None]


def draw(results: Results, settings: Settings, folder: Path) -> None:
    """Draw every figure of an analysis into a folder; those whose kind of input is absent are left out."""
    figures: list[Draw] = [decoding.features, training.curves, decoding.traces, decoding.errors, decoding.scores]
    if "band" in results.attribution.children:
        figures += [influence.spectrum, influence.faithfulness]
    if "channel" in results.attribution.children:
        figures.append(influence.channels)
    draw_all(figures, results, settings, folder)
