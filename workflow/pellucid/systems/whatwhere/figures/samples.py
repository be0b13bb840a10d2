"""Scores against the amount of data (Klindt et al. 2017, Figs. 3b, 5b) and the number of types (Fig. 5e)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import families, panels, shown
from pellucid.systems.whatwhere.figures.families import Family
from pellucid.systems.whatwhere.figures.settings import Settings

MARKERS = "osD^vP*X"
MOST_LINES = 20
FLOOR = -0.1


@dataclass(frozen=True)
class Line:
    """A line of a figure: what it is, how many neurons its fits had, and their scores {x: (fit,)}."""

    family: Family
    neurons: int | None
    points: dict[float, np.ndarray]


def samples(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the score against the images used, a line per kind of model and number of neurons."""
    lines = sample_lines(results)
    kept = sorted(lines, key=lambda line: -len(line.points))[:MOST_LINES]
    made, axes = style.figure(1, 1, width=6.6, height=max(3.2, 0.6 + 0.17 * len(kept)))
    table = _draw(axes[0, 0], [line for line in lines if line in kept], shown.main_score(results))
    panels.powers(axes[0, 0], [row["x"] for row in table])
    style.label(axes[0, 0], "images used to fit (training and validation)", shown.NAMES[shown.main_score(results)])
    panels.legend(made, _entries([line for line in lines if line in kept]))
    caption = (
        f"Score on test images against the number of images used, {len(kept)} of {len(lines)} kinds of model and "
        "numbers of neurons N. " + _fits(table, results)
    )
    rows = [{"images" if key == "x" else key: value for key, value in row.items()} for row in table]
    style.save(made, folder, "samples", rows, caption, dpi=settings.dpi)


def sample_lines(results: Results) -> list[Line]:
    """Return the lines of fits that differ in the number of images, two points each at least."""
    found = []
    for family in families.of(results, ("images", "neurons")):
        for neurons in sorted({int(row["neurons"]) for row in family.rows}, reverse=True):
            rows = [row for row in family.rows if row["neurons"] == neurons]
            points = families.selected(rows, "images", shown.main_score(results))
            found.append(Line(family, neurons, points))
    return [line for line in found if len(line.points) > 1]


def type_count(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the score against the number of true types, a line per readout."""
    lines = type_lines(results)[:MOST_LINES]
    made, axes = style.figure(1, 1, width=5.2, height=3.0)
    table = _draw(axes[0, 0], lines, shown.main_score(results))
    panels.powers(axes[0, 0], [row["x"] for row in table])
    style.label(axes[0, 0], "true types in the population", shown.NAMES[shown.main_score(results)])
    panels.legend(made, _entries(lines))
    caption = (
        "Score on test images against the number of types of the simulated population, by kind of model, at equally "
        "many images each. " + _fits(table, results)
    )
    rows = [{"types" if key == "x" else key: value for key, value in row.items()} for row in table]
    style.save(made, folder, "type_count", rows, caption, dpi=settings.dpi)


def type_lines(results: Results) -> list[Line]:
    """Return the lines of fits of whole populations that differ in their number of types.

    Where fits are restricted to one recording each, those of all recordings together are left out.
    """
    settings = {fit.model: fit.settings for fit in results.fits}
    members: dict[tuple[Any, ...], families.Rows] = {}
    for row in shown.table(results):
        own = settings[row["model"]]
        whole = own.get("neurons") is None and (own.get("core") or {}).get("shared_by") is None
        if whole and row.get("types") is not None:
            about = (row["readout"], row["layers"], row["kind"], families.permuted(own), own.get("images"))
            members.setdefault(about, []).append(row)
    if any(row["recordings"] != "all" for rows in members.values() for row in rows):
        members = {about: [row for row in rows if row["recordings"] != "all"] for about, rows in members.items()}
    found = []
    for (readout, layers, kind, null, images), rows in members.items():
        label = f"{readout}{f', {layers} layer' + 's' * (layers > 1) if layers else ''}{', permuted' if null else ''}"
        label += f", {images} images" if images else ""
        points = families.selected(rows, "types", shown.main_score(results))
        found.append(Line(Family(label, kind, null, rows), None, points))
    return [line for line in found if len(line.points) > 1]


def _draw(axis: Axes, lines: Sequence[Line], score: str) -> list[dict[str, Any]]:
    """Draw mean and range over fits of every line; return the numbers."""
    table = []
    for line in lines:
        how = _look(line, lines)
        x = np.array(list(line.points))
        middle, low, high = (np.array([f(v) for v in line.points.values()]) for f in (np.mean, np.min, np.max))
        axis.fill_between(x, low, high, color=how["color"], alpha=0.13, linewidth=0)
        axis.plot(x, middle, **how)
        table += [
            {"model": line.family.label, "neurons": line.neurons, "x": a, "score": score, "mean": b, "low": c,
             "high": d, "fits": len(values)}
            for a, b, c, d, values in zip(x, middle, low, high, line.points.values())
        ]  # fmt: skip
    middle = np.array([row["mean"] for row in table])
    axis.set_ylim(max(FLOOR, min(0.0, float(middle.min())) - 0.03), min(1.03, float(middle.max()) + 0.08))
    axis.axhline(0, color="0.8", linewidth=0.7, zorder=0)
    axis.grid(axis="y", color="0.93", linewidth=0.6)
    return table


def _look(line: Line, lines: Sequence[Line]) -> dict[str, Any]:
    """Return colour (kind of model), lightness and marker (number of neurons) of a line; comparators are dashed."""
    kinds = shown.colours([other.family.label for other in lines])
    counts = sorted({other.neurons or 0 for other in lines}, reverse=True)
    place = counts.index(line.neurons or 0)
    colour = style.GREY if line.family.null else kinds[line.family.label]
    return {
        "color": colour,
        "alpha": 1 - 0.6 * place / max(1, len(counts) - 1),
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4,
        "linestyle": "-" if line.family.network and not line.family.null else "--",
        "linewidth": 1.4,
    }


def _entries(lines: Sequence[Line]) -> Mapping[str, Artist]:
    entries: dict[str, Artist] = {}
    for line in lines:
        label = line.family.label + ("" if line.neurons is None else f", N = {line.neurons}")
        entries[label] = Line2D([], [], **_look(line, lines))
    return entries


def _fits(table: Sequence[Mapping[str, Any]], results: Results) -> str:
    counts = sorted({row["fits"] for row in table})
    fits = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    below = sum(row["mean"] < FLOOR for row in table)
    score = shown.main_score(results)
    return (
        f"Points: mean over folds and seeds ({fits} fits each) of the mean over neurons; shaded: their range. Where "
        "several models differ in penalties or training only, the one with the lowest validation loss is drawn. "
        "Dashed: regressions and fits to permuted responses. "
        + (f"{below} points below {FLOOR:g} lie outside the axis. " if below else "")
        + (
            "FEV is against noise-free responses (1: perfect). "
            if score == "fev"
            else "The correlation is with the mean over repeats and limited by noise. "
        )
        + "Null: 0, which the mean response reaches."
    )
