"""Predicted against observed responses of example neurons, image by image."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

COLOUR = shown.colour(1)


def predictions(results: Results, settings: Settings, folder: Path) -> None:
    """Draw observed responses to test images, sorted by the prediction, for example neurons."""
    group = schema.group(results.predictions, "test", "predictions")
    chosen, names = shown.examples(results, settings, settings.fields), shown.names(results)
    score = shown.by_neuron(results, settings.model, shown.main_score(results))
    made, axes = panels.grid(len(chosen), columns=3, width=2.3, height=1.9, extra=1.3)
    table = []
    for index, (axis, neuron) in enumerate(zip(axes, chosen)):
        predicted, observed, truth = _of(group, settings.model, int(neuron))
        order = np.argsort(predicted, kind="stable")
        rank = shown.thinned(np.arange(len(order)), settings.points)
        _draw(axis, rank, *(values[order][rank] for values in (predicted, observed, truth)))
        place = axis.get_subplotspec()
        below = place is None or place.is_last_row() or index + 3 >= len(chosen)
        left = place is None or place.is_first_col()
        title = f"{shown.short(names[neuron], 16)}: {shown.digits(score[neuron])}"
        style.label(axis, "test image, by prediction" if below else "", "response" if left else "", title)
        table += [
            {"neuron": names[neuron], "rank": r, "predicted": predicted[order][r], "observed": observed[order][r],
             "truth": truth[order][r]}
            for r in rank
        ]  # fmt: skip
    known = "truth" in group
    entries = {"predicted": panels.line(COLOUR), "observed": panels.line("0.55", linestyle="", marker=".")}
    panels.legend(
        made, entries | ({"true, noise-free": panels.line("black", linestyle="", marker=".")} if known else {})
    )
    units = _units(results)
    caption = (
        f"Responses ({units}) to test images of the first fold that has the neuron, by model {settings.model}, first "
        "seed. Images are sorted by the prediction, so that a flat cloud is no relation (the null), and a cloud that "
        f"follows the line is a calibrated one; of many images {settings.points} evenly spaced ones are drawn. "
        "Observed: mean over repeats. "
        + ("True: noise-free response of the simulation. " if known else "")
        + f"In the titles: {shown.NAMES[shown.main_score(results)]}, mean over folds and seeds. "
        + shown.evenly(results, settings, len(chosen))
        + "Axes span 98 % of the observed responses."
    )
    style.save(made, folder, "predictions", table, caption, dpi=settings.dpi)


def kept(results: Results, settings: Settings) -> bool:
    """Tell whether predictions of the shown model were stored and some neuron has a score."""
    if "test" not in results.predictions.children or not len(shown.examples(results, settings, 1)):
        return False
    group = schema.group(results.predictions, "test", "predictions")
    return "prediction" in group and settings.model in group["model"].values.tolist()


def _of(group: xr.Dataset, model: str, neuron: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predicted, observed and true responses of one neuron in the first fit that has it, (image,) each."""
    index = group["model"].values.tolist().index(model)
    own = group["prediction"].values[index, ..., neuron]  # (fold, seed, image)
    fold, seed = next((i, j) for i, j in np.ndindex(own.shape[:2]) if np.isfinite(own[i, j]).any())
    observed = group["observed"].values[fold, :, neuron]
    truth = group["truth"].values[fold, :, neuron] if "truth" in group else np.full(len(observed), np.nan)
    known = np.isfinite(own[fold, seed]) & (np.isfinite(observed) | np.isfinite(truth))
    return own[fold, seed][known], observed[known], truth[known]


def _draw(axis: Axes, rank: np.ndarray, predicted: np.ndarray, observed: np.ndarray, truth: np.ndarray) -> None:
    axis.plot(rank, observed, ".", color="0.55", markersize=4, markeredgewidth=0)
    axis.plot(rank, truth, ".", color="black", markersize=3, markeredgewidth=0)
    axis.plot(rank, predicted, color=COLOUR, linewidth=1.4)
    every = np.concatenate([observed, truth])
    every = every[np.isfinite(every)]
    low, high = np.quantile(every, [0.01, 0.99])
    low, high = panels.span(np.array([low, high]), predicted)
    axis.set_ylim(low, high)


def _units(results: Results) -> str:
    units = str(results.features.first()["responses"].attrs.get("units", "1"))
    return "unit of the recording" if units in ("", "1") else units
