"""How near predictions come to what noise allows, neuron by neuron."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

MOST_NAMED = 12


def ceiling(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the test correlation of each neuron against its noise ceiling and its explainable variance."""
    score = shown.by_neuron(results, settings.model, "correlation")
    top, explainable = shown.of_data(results, "ceiling"), shown.of_data(results, "explainable")
    made, axes = style.figure(1, 2, width=6.0, height=2.9)
    for axis, x, name in zip(axes[0], (top, explainable), ("noise ceiling", "explainable share of variance")):
        axis.plot(x, score, "o", color=shown.colour(0), markersize=3.2, alpha=0.55, markeredgewidth=0)
        style.label(axis, name, f"{shown.NAMES['correlation']}, model {shown.short(settings.model, 16)}")
    panels.unity(axes[0, 0], *panels.span(top, score))
    axes[0, 1].axhline(0, color="0.85", linewidth=0.7, zorder=0)
    both = np.isfinite(top) & np.isfinite(score) & (top > 0)
    share = float(score[both].mean() / top[both].mean()) if both.any() else float("nan")
    axes[0, 0].set_title(f"{100 * share:.0f} % of the ceiling on average")
    table = [
        {"neuron": name, "correlation": a, "ceiling": b, "explainable": c}
        for name, a, b, c in zip(shown.names(results), score, top, explainable)
    ]
    caption = (
        f"Correlation of model {settings.model} with the mean over repeats on test images, mean over folds and seeds, "
        f"against the highest one that noise allows (left; line: equality; n = {int(both.sum())} neurons) and the "
        "share of the variance of single presentations that images explain (right). No unit. In the title: mean "
        f"correlation over mean ceiling. {silent(results)}No interval. Null: a correlation of 0."
    )
    style.save(made, folder, "ceiling", table, caption, dpi=settings.dpi)


def known(results: Results, settings: Settings) -> bool:
    """Tell whether images were repeated, so that a ceiling is known."""
    score = shown.by_neuron(results, settings.model, "correlation")
    return bool((np.isfinite(shown.of_data(results, "ceiling")) & np.isfinite(score)).any())


def silent(results: Results) -> str:
    """Return the sentence of a caption that lists neurons that never responded on test images, or whose score fails."""
    response = shown.of_data(results, "response_mean")
    top = shown.of_data(results, "ceiling")
    quiet = np.flatnonzero((response == 0) | (np.isfinite(response) & np.isnan(top)))
    if not len(quiet):
        return "No neuron is silent. "
    names = shown.names(results)
    said = ", ".join(names[n] for n in quiet[:MOST_NAMED])
    more = f" and {len(quiet) - MOST_NAMED} more" if len(quiet) > MOST_NAMED else ""
    return f"Silent or constant on test images, left out: {said}{more}. "
