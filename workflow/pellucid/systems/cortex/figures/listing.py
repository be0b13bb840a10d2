"""Scores of models as rows: every fit a dot coloured by the mouse it was tested on, and the mean over mice."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, shown, tested

COMPARED = ("difference", "p_mice", "p_ranksum", "p_holm")


def height(count: int) -> float:
    """Return the height of a figure with so many rows, inches."""
    return max(2.0, 0.85 + 0.21 * count)


def draw(axis: Axes, results: Results, models: Sequence[str], score: str) -> shown.Rows:
    """Draw a score of the given models, a row each; return the numbers: every fit, and the mean of every model."""
    colours = shown.colours(tested.names(results))
    nulls = shown.nulls(results)
    table: shown.Rows = []
    for place, model in enumerate(models):
        rows = [row for row in shown.table(results) if row["model"] == model]
        found = tested.grouped(rows, score)
        panels.fits(axis, place, found, colours)
        middle, low, high = means(results, model, score)
        panels.average(axis, place, middle, low, high, style.GREY if model in nulls else "black")
        table += [_row(model, "fit", score, shown.number(row.get(score)), row) for row in rows]
        table.append(
            _row(model, "mean", score, middle, {}) | {"low": low, "high": high, "n": len(found)}
            | {name: shown.number(_comparison(results, model).get(name)) for name in COMPARED if score in ("auc", "r")}
        )  # fmt: skip
    panels.rows(axis, models)
    axis.grid(axis="x", color="0.93", linewidth=0.6)
    axis.set_axisbelow(True)
    return table


def means(results: Results, model: str, score: str) -> tuple[float, float, float]:
    """Return the mean over mice of a score and its interval: AUC as evaluated, others by t over mice."""
    if score == "auc":
        row = shown.average(results, model)
        return shown.number(row.get("auc")), shown.number(row.get("low")), shown.number(row.get("high"))
    found = tested.grouped([row for row in shown.table(results) if row["model"] == model], score)
    if not found:
        return float("nan"), float("nan"), float("nan")
    middle, low, high = tested.interval(np.array([values.mean() for values in found.values()]))
    return float(middle), float(low), float(high)


def values(table: shown.Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return all scores and means among the numbers of a figure, and the ends of all intervals, (value,) each."""
    points = np.array([row["value"] for row in table], float)
    return points, np.array([row[key] for row in table for key in ("low", "high")], float)


def remarks(table: shown.Rows, axis_range: tuple[float, float]) -> str:
    """Return the sentences of a caption about fits without a score, and about intervals that leave the axis."""
    fits = [row for row in table if row["entry"] == "fit"]
    lost = sum(not np.isfinite(row["value"]) for row in fits)
    said = f"{lost} of {len(fits)} fits have no defined score and no dot. " if lost else ""
    return said + panels.cut(axis_range, values(table)[1])


def _comparison(results: Results, model: str) -> dict[str, object]:
    return next((row for row in shown.listed(results, "comparisons") if row["model"] == model), {})


def _row(model: str, entry: str, score: str, value: float, row: dict[str, object]) -> dict[str, object]:
    about = {key: row.get(key, "") for key in ("fold", "seed", "test", "validation_mouse")}
    empty = {"low": np.nan, "high": np.nan, "n": ""} | dict.fromkeys(COMPARED, np.nan)
    return {"model": model, "score": score, "entry": entry, **about, "value": value, **empty}
