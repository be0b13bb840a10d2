"""Scores of models: from the headline, with interval and chance, or as mean and range of their fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style

CORRELATION = "Pearson r, mean over outputs and folds"
RETRAINED = "chance by retraining"
"""Headline of models trained on shifted behaviour, which are drawn apart."""

MEASURES = ("median error", "trial error")
"""Metrics of the table that are shown where a model has no headline."""


NUMBERS = ("value", "low", "high", "chance_low", "chance_high")


@dataclass(frozen=True)
class Score:
    """One score of one model.

    low, high               95 % interval, or the range of fits where `whole` is False
    chance_low, chance_high 95 % band of chance, NaN if unknown
    """

    value: float
    low: float
    high: float
    chance_low: float
    chance_high: float
    unit: str
    whole: bool

    def row(self) -> dict[str, float]:
        """Return the numbers for the table behind a figure."""
        return {name: getattr(self, name) for name in NUMBERS}


def scores(results: Results, models: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Return the scores of models by name and model, in the order of the headline."""
    found: dict[str, dict[str, Score]] = {}
    for row in results.metrics["headline"]:
        if row["model"] in models and row["value"] is not None and row["name"] != RETRAINED:
            value, low, high, below, above = (_number(row[key]) for key in NUMBERS)
            score = Score(value, low, high, below, above, row["unit"], True)
            found.setdefault(row["name"], {})[row["model"]] = score
    for name, own in _tabled(results, models).items():
        known = found.setdefault(name, {})
        found[name] = known | {model: score for model, score in own.items() if model not in known}
    return found


def ordered(names: Sequence[str]) -> list[str]:
    """Return names of scores, errors first."""
    return sorted(names, key=lambda name: name.startswith("Pearson"))


def title(name: str) -> str:
    """Return the name of a score as the title of a panel."""
    return name.partition(", mean")[0]


def axis(name: str, unit: str) -> str:
    """Return the label of the axis of a score, with its unit."""
    return style.with_units("error" if name.endswith("error") else "score", unit)


def said(found: Sequence[Score]) -> str:
    """Return what bars and shading of scores are, for a caption."""
    whole = "Bars: 95 % intervals over folds, seeds and blocks of test time"
    if all(score.whole for score in found):
        return whole + "."
    rest = (
        "the range of fits"
        if not any(score.whole for score in found)
        else "the range of fits where there is no headline"
    )
    return f"Bars: {rest}." if not any(score.whole for score in found) else f"{whole}, or {rest}."


def _tabled(results: Results, models: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Return mean and range over fits of what the table of scores holds."""
    values: dict[tuple[str, str], list[float]] = {}
    units: dict[str, str] = {}
    correlations: dict[tuple[str, int, int], list[float]] = {}
    for row in results.metrics.get("table") or []:
        value = _number(row["value"])
        if row["model"] not in models or not np.isfinite(value):
            continue
        if row["metric"] in MEASURES:
            name = f"{row['output']}: {row['metric']}"
            values.setdefault((name, row["model"]), []).append(value)
            units[name] = row["units"]
        if row["metric"] == "pearson":
            correlations.setdefault((row["model"], row["fold"], row["seed"]), []).append(value)
    for (model, *_), one in correlations.items():
        values.setdefault((CORRELATION, model), []).append(float(np.mean(one)))
    found: dict[str, dict[str, Score]] = {}
    for (name, model), each in values.items():
        score = Score(float(np.mean(each)), min(each), max(each), np.nan, np.nan, units.get(name, "1"), False)
        found.setdefault(name, {})[model] = score
    return found


def _number(value: object) -> float:
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
