"""How well every model predicts the test movies: cell by cell, with the noise ceiling and the null."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

SCORES = {
    "r": ("correlation r", ("r_low", "r_high")),
    "bits_per_spike": ("bits per spike", ("bits_low", "bits_high")),
    "r_noiseless": ("r with the noiseless rate", ("", "")),
}
"""Scores with their names on axes and the bounds of their intervals."""

MOST_STIMULI = 4
MOST_FITS = 10
MOST_COMPARED = 6
CUT = -0.5
"""Scores below are drawn there: a bad fit would hide all others."""


def performance(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the scores of every model, a row each, a line of panels per test stimulus and a column per score."""
    scores = known(results)
    stimuli = list(dict.fromkeys(str(row["stimulus"]) for row in shown.table(results)))[:MOST_STIMULI]
    level = {
        model: shown.middle(row["r"] for row in shown.table(results) if row["model"] == model)
        for model in shown.models(results)
    }
    models = shown.kept(
        results, settings, [m for m in shown.ordered(results, settings) if np.isfinite(level[m])], level
    )
    tall = 0.75 + 0.27 * len(models)
    made, axes = style.figure(
        len(stimuli), len(scores), width=1.9 + 2.3 * len(scores), height=0.5 + tall * len(stimuli)
    )
    table: shown.Rows = []
    for line, stimulus in zip(axes, stimuli):
        for axis, score in zip(line, scores):
            table += _panel(axis, results, settings, models, stimulus, score)
            panels.rows(axis, models, named=axis is line[0])
    panels.legend(made, _legend(results, scores))
    style.save(made, folder, "performance", table, _caption(results, models, stimuli, table), dpi=settings.dpi)


def known(results: Results) -> list[str]:
    """Return the scores that any fit has."""
    rows = shown.table(results)
    return [name for name in SCORES if any(np.isfinite(shown.number(row.get(name))) for row in rows)]


def _panel(
    axis: Axes, results: Results, settings: Settings, models: Sequence[str], stimulus: str, score: str
) -> shown.Rows:
    """Draw one score on one test stimulus: cells as grey dots, each fit a diamond with its interval."""
    colours, table = shown.colours(results, settings), []
    for place, model in enumerate(models):
        own = [row for row in shown.table(results) if (row["model"], str(row["stimulus"])) == (model, stimulus)]
        null = model in shown.nulls(results)
        colour = style.GREY if null else shown.MODEL if model == settings.model else colours[model]
        cells = _cells(results, own, score)
        _strip(axis, place, np.array(list(cells.values())))
        for i, row in enumerate(own[:MOST_FITS]):
            table.append(_fit(axis, place + _offset(i, min(len(own), MOST_FITS)), row, score, colour))
        table += [_row(model, stimulus, score, "cell", value) | {"neuron": name} for name, value in cells.items()]
    if score == "r":
        ceiling = shown.middle(r.get("ceiling") for r in shown.table(results) if str(r["stimulus"]) == stimulus)
        if np.isfinite(ceiling):
            axis.axvline(ceiling, color="black", linestyle="--", linewidth=0.9, zorder=0)
            table.append(_row("noise ceiling", stimulus, score, "mean", ceiling))
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    values = np.array([row[key] for row in table for key in ("value", "low", "high")], float)
    low, high = panels.span(np.maximum(values[np.isfinite(values)], CUT), np.zeros(1))
    axis.set_xlim(low, min(high, 1.04) if score != "bits_per_spike" else high)
    cells_count = len({row["neuron"] for row in table if row["entry"] == "cell"})
    style.label(axis, SCORES[score][0], "", f"test: {shown.short(stimulus, 20)} ({shown.plural(cells_count, 'cell')})")
    return table


def _fit(axis: Axes, place: float, row: dict[str, object], score: str, colour: str) -> dict[str, object]:
    """Draw one fit, filled if it was fitted to this recording."""
    bounds = [shown.number(row.get(name)) for name in SCORES[score][1]]
    value = shown.number(row.get(score))
    axis.plot(np.maximum(bounds, CUT), [place, place], color=colour, linewidth=1.4, zorder=3)
    face = colour if row.get("trained") else "white"
    axis.plot(max(value, CUT) if np.isfinite(value) else value, place, "D", color=colour, markersize=4,
              markerfacecolor=face, zorder=4)  # fmt: skip
    found = _row(str(row["model"]), str(row["stimulus"]), score, "fit", value)
    about = {key: row.get(key, "") for key in ("fold", "seed", "recording", "trained")}
    return found | about | {"low": bounds[0], "high": bounds[1]}


def _cells(results: Results, own: Sequence[dict[str, object]], score: str) -> dict[str, float]:
    """Return the score of each cell, mean over fits; cells of several recordings are named with them."""
    keys = {(row["model"], row["fold"], row["seed"], row["recording"]) for row in own}
    rows = [
        row for row in shown.listed(results, "cells")
        if (row["model"], row["fold"], row["seed"], row["recording"]) in keys
    ]  # fmt: skip
    several = len({row["recording"] for row in rows}) > 1
    values: dict[str, list[object]] = {}
    for row in rows:
        name = f"{row['recording']}/{row['neuron']}" if several else str(row["neuron"])
        values.setdefault(name, []).append(row.get(score))
    means = {name: shown.middle(found) for name, found in values.items()}
    return {name: value for name, value in means.items() if np.isfinite(value)}


def _strip(axis: Axes, place: float, values: np.ndarray) -> None:
    spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5
    axis.plot(np.maximum(values, CUT), place + spread, ".", color="0.6", markersize=4, markeredgewidth=0, zorder=1)


def _offset(number: int, count: int) -> float:
    return 0.0 if count == 1 else 0.56 * (number / (count - 1) - 0.5)


def _row(model: str, stimulus: str, score: str, entry: str, value: float) -> dict[str, object]:
    empty = {"fold": "", "seed": "", "recording": "", "trained": "", "neuron": ""}
    first = {"model": model, "stimulus": stimulus, "score": score, "entry": entry}
    return first | empty | {"value": value, "low": np.nan, "high": np.nan}


def _legend(results: Results, scores: Sequence[str]) -> dict[str, Artist]:
    entries: dict[str, Artist] = {
        "a fit, fitted to\nthis recording": panels.line("0.2", linestyle="", marker="D"),
        "a fit, fitted to\nanother one": panels.line("0.2", linestyle="", marker="D", markerfacecolor="white"),
        "a cell": panels.line("0.6", linestyle="", marker="."),
    }
    if all(row.get("trained") for row in shown.table(results)):
        entries.pop("a fit, fitted to\nanother one")
    if "r" in scores and np.isfinite(shown.middle(row.get("ceiling") for row in shown.table(results))):
        entries["noise ceiling"] = panels.line("black", linestyle="--")
    return entries


def _caption(results: Results, models: Sequence[str], stimuli: Sequence[str], table: shown.Rows) -> str:
    rows, total = shown.table(results), len(shown.models(results))
    seeds = len({row["seed"] for row in rows})
    text = (
        f"Scores on test rows of {shown.plural(len(models), 'model')}"
        + (f" of {total} (the shown one and the best others)" if len(models) < total else "")
        + f", {'up to ' * (seeds > 1)}{shown.plural(seeds, 'seed')}. Diamonds: each fit, mean over cells, with the "
        "95 % bootstrap interval over cells (r) or over blocks of test rows (bits per spike); grey dots: cells, mean "
        "over fits. "
        "r: Pearson correlation with the mean over repeats, or with the single response where there are none. "
    )
    every = {str(row["stimulus"]) for row in rows}
    text += f"{len(stimuli)} of {len(every)} test stimuli. " if len(stimuli) < len(every) else ""
    if any(row["model"] == "noise ceiling" for row in table):
        text += "Dashed: noise ceiling of r, mean over cells. "
    if "bits_per_spike" in known(results):
        text += "Bits per spike: log-likelihood minus that of the constant training rate. "
    if "r_noiseless" in known(results):
        text += "Noiseless rate: known as the recording is simulated. "
    text += _compared(results, models)
    cut = sum(row["value"] < CUT for row in table)
    text += f"{cut} scores below {CUT:g} are drawn there. " if cut else ""
    null = [model for model in models if model in shown.nulls(results)]
    if null:
        return text + f"Null: 0; {shown.said(null)} (grey) was fitted to responses shifted in time."
    return text + "Null: 0, which a constant rate reaches; no model was fitted to shifted responses."


def _compared(results: Results, models: Sequence[str]) -> str:
    """Return the sentence of a caption with the differences in r between models, of the same cells."""
    rows = [row for row in shown.listed(results, "comparisons") if row["score"] == "r" and row["model"] in models]
    said = [
        f"r of {row['reference']} minus that of {row['model']} {shown.digits(shown.number(row['difference']))} "
        f"({shown.digits(shown.number(row['low']))} to {shown.digits(shown.number(row['high']))}, recording "
        f"{row['recording']})"
        for row in rows[:MOST_COMPARED]
    ]
    return f"Differences over the same cells, 95 % bootstrap interval: {'; '.join(said)}. " if said else ""
