"""Table 1: every model's scores on test images, neuron by neuron, with noise ceiling and null."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import families, panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

MOST_RECORDINGS = 5
CEILING = "noise ceiling"


@dataclass(frozen=True)
class Entry:
    """One row: models that differ in recordings only.

    scores  score -> mean over folds and seeds, (neuron,)
    """

    label: str
    null: bool
    shown: bool
    scores: dict[str, np.ndarray]


def performance(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the scores of every model, a row each and a column per recording, with the mean over neurons."""
    measures = measured(results)
    entries = _entries(results, settings, measures)
    kept, total = _limited(entries, settings, measures[0]), len(entries)
    columns = _columns(results, np.any([np.isfinite(entry.scores[measures[0]]) for entry in entries], axis=0))
    ceiling = shown.of_data(results, "ceiling")
    cells = [(measure, name) for measure in measures for name in columns]
    lines = len(measures) if len(columns) > 1 else 1
    labels = [entry.label for entry in kept] + [CEILING] * bool(np.isfinite(ceiling).any())
    made, axes = style.figure(
        lines,
        len(cells) // lines,
        width=1.6 + 0.055 * max(map(len, labels)) + 1.9 * max(2, len(cells) // lines) * 0.9,
        height=lines * (0.85 + 0.21 * len(labels)),
    )
    rows = []
    for axis, (measure, name) in zip(axes.ravel(), cells):
        bounded = measure == "correlation" or lines == 1
        rows += _panel(
            axis, kept, measure, (name, columns[name]), ceiling if measure == "correlation" else None, settings
        )
        first = axis.get_subplotspec()
        panels.rows(axis, labels if bounded else labels[: len(kept)], named=first is None or first.is_first_col())
    style.save(made, folder, "performance", rows, _caption(results, kept, total, measures), dpi=settings.dpi)


def measured(results: Results) -> list[str]:
    """Return the scores that are shown: the test correlation, and FEV where the truth is known."""
    rows = shown.table(results)
    return [name for name in ("correlation", "fev") if any(row.get(name) is not None for row in rows)]


def _entries(results: Results, settings: Settings, measures: Sequence[str]) -> list[Entry]:
    """Return the rows: models whose settings differ in recordings and what is tuned only share one."""
    about = {fit.model: fit.settings for fit in results.fits}
    restricted = {model for model, own in about.items() if own.get("recordings")}
    together: dict[str, list[str]] = {}
    for row in shown.table(results):
        model = str(row["model"])
        same = families.key(about[model], ("recordings",)) if model in restricted else model
        together.setdefault(same, [])
        if model not in together[same]:
            together[same].append(model)
    found = []
    for models in together.values():
        for part in _disjoint(models, about):
            values = {
                name: shown.mean(np.stack([shown.by_neuron(results, model, name) for model in part]))
                for name in measures
            }
            label = families.common([{"model": model} for model in part])
            if label in about and label not in part:
                label += f" ({', '.join(_recordings(about, part))})"
            found.append(Entry(label, families.permuted(about[part[0]]), settings.model in part, values))
    return found


def _disjoint(models: Sequence[str], about: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return models grouped so that no recording occurs twice in a group."""
    groups: list[tuple[list[str], set[str]]] = []
    for model in models:
        own = set(about[model].get("recordings") or ["all"])
        free = next((group for group in groups if not group[1] & own), None)
        if free is None:
            groups.append(([model], own))
        else:
            free[0].append(model)
            free[1].update(own)
    return [names for names, _ in groups]


def _recordings(about: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> list[str]:
    return sorted({name for model in models for name in about[model].get("recordings") or ["all"]})


def _limited(entries: Sequence[Entry], settings: Settings, measure: str) -> list[Entry]:
    """Return at most so many entries, in their order: the shown model, nulls, then those with the highest score."""
    score = [float(shown.mean(entry.scores[measure])) for entry in entries]
    order = sorted(
        range(len(entries)),
        key=lambda i: (not entries[i].shown, not entries[i].null, -np.nan_to_num(score[i], nan=-np.inf)),
    )
    return [entries[i] for i in sorted(order[: settings.models])]


def _columns(results: Results, scored: np.ndarray) -> dict[str, np.ndarray]:
    """Return the neurons of each column: of all recordings, and of each where there are a few.

    scored  (neuron,) whether any model has a score; recordings without one have no column
    """
    sizes = {name: results.features.group(name).sizes["neuron"] for name in sorted(results.features.stores)}
    starts = np.cumsum([0, *sizes.values()])
    own = {name: np.arange(start, start + size) for (name, size), start in zip(sizes.items(), starts)}
    known = {name: neurons[scored[neurons]] for name, neurons in own.items() if scored[neurons].any()}
    every = {"all neurons": np.flatnonzero(scored)}
    return known | every if 1 < len(known) <= MOST_RECORDINGS else every


def _panel(
    axis: Axes, entries: Sequence[Entry], measure: str, column: tuple[str, np.ndarray], top: np.ndarray | None,
    settings: Settings,
) -> list[dict[str, Any]]:  # fmt: skip
    """Draw one score of one column's neurons; return the numbers."""
    name, neurons = column
    table = []
    for place, entry in enumerate(entries):
        values = entry.scores[measure][neurons]
        colour = style.GREY if entry.null else shown.colour(1 if entry.shown else 0)
        table.append(_row(axis, place, values, colour, settings) | {"model": entry.label})
        if entry.null and np.isfinite(table[-1]["mean"]):
            axis.axvline(table[-1]["mean"], color=style.GREY, linestyle=":", linewidth=0.9, zorder=0)
    if top is not None and np.isfinite(top[neurons]).any():
        table.append(_row(axis, len(entries), top[neurons], "black", settings) | {"model": CEILING})
        axis.axvline(table[-1]["mean"], color="black", linestyle="--", linewidth=0.8, zorder=0)
    every = np.concatenate([entry.scores[measure] for entry in entries] + ([] if top is None else [top]))
    every = every[np.isfinite(every)]
    low, high = np.quantile(every, [0.01, 1.0]) if len(every) else (0.0, 1.0)
    axis.set_xlim(max(min(float(low), 0) - 0.03, -0.6), float(high) + 0.03)
    axis.axvline(0, color="0.85", linewidth=0.6, zorder=0)
    style.label(axis, shown.NAMES[measure], "", f"{shown.short(name, 20)} (n = {_count(entries, measure, neurons)})")
    first = {"score": measure, "neurons": name}
    return [first | row for row in table]


def _row(axis: Axes, place: int, values: np.ndarray, colour: str, settings: Settings) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    panels.strip(axis, place, values, "0.6", settings.points)
    average = float(known.mean()) if len(known) else float("nan")
    half = float(stats.t.ppf(0.975, len(known) - 1) * stats.sem(known)) if len(known) > 1 else float("nan")
    low, high = average - half, average + half
    axis.plot([low, high], [place, place], color=colour, linewidth=2)
    axis.plot(average, place, "o", color=colour, markersize=4.5)
    return {"mean": average, "low": low, "high": high, "n": len(known)}


def _count(entries: Sequence[Entry], measure: str, neurons: np.ndarray) -> int:
    return max(int(np.isfinite(entry.scores[measure][neurons]).sum()) for entry in entries)


def _caption(results: Results, kept: Sequence[Entry], total: int, measures: Sequence[str]) -> str:
    rows = shown.table(results)
    folds, seeds = len({row["fold"] for row in rows}), len({row["seed"] for row in rows})
    text = (
        f"Scores on test images, {len(kept)} of {total} models"
        + (" (the shown one, nulls and the best others)" if len(kept) < total else "")
        + f"; no unit. Grey dots: neurons, mean over up to {folds} folds and {seeds} seeds (of many neurons evenly "
        "spaced quantiles); coloured dot and bar: mean over neurons and its 95 % interval (t, over "
        "neurons); n: neurons with a score. A model that was fitted to each recording by itself has "
        "one row. Test correlation: with the mean over repeats, limited by noise. "
    )
    if "fev" in measures:
        text += "FEV: 1 - squared error / variance of the noise-free simulated responses; scores below the axis "
        text += "are cut off. "
    if np.isfinite(shown.of_data(results, "ceiling")).any():
        text += "Noise ceiling (dashed): the correlation of a perfect model with the mean over repeats. "
    else:
        text += "No image was repeated, so that no noise ceiling is known. "
    if any(entry.null for entry in kept):
        return text + "Null (grey, dotted): the same model fitted to responses permuted over images."
    return text + "Null: 0, which a constant prediction reaches; no model with permuted responses was fitted."
