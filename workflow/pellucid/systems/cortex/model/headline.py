"""The numbers to read first: each model's score over mice with its chance, comparisons, and flagged controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.artifacts import headline_row
from pellucid.systems.cortex.model.statistics import Rows, of_model

Row = dict[str, Any]

_SCORES = {"auc": "AUC", "r": "Pearson r of speed"}
_UNITS = {"mouse": "mice", "block": "blocks"}


def rows(table: Rows, models: Rows, comparisons: Rows, controls: Rows, *, animals: int) -> list[Row]:
    """Return the headline rows.

    table        rows of fits
    models       rows of `statistics.models`
    comparisons  rows of `statistics.comparisons`
    controls     rows of `controls.rows`
    animals      mice of the dataset
    Chance is the mean AUC of the first model with null labels, with its interval, or .5; 0 for a correlation.
    """
    chance = next((row for row in models if row["null"] and row["auc"] is not None and np.isfinite(row["auc"])), None)
    found = [_model(row, of_model(table, row["model"]), chance, animals) for row in models]
    said = {row["model"]: row for row in controls}
    found += [_comparison(row, said.get(row["model"])) for row in comparisons if row["model"] not in said]
    return found + [_comparison(row, said[row["model"]]) for row in comparisons if row["model"] in said]


def _model(row: Mapping[str, Any], fits: Rows, chance: Mapping[str, Any] | None, animals: int) -> Row:
    score = "r" if row["target"] == "speed" else "auc"
    notes = [
        f"{_counted(row['mice'], row['unit'])}, {row['fits']} fit{'s' if row['fits'] > 1 else ''}",
        *_of_speed(row),
        *_null(row, chance),
        *_undefined(row, fits),
        *_validity(row, fits, animals),
    ]
    found = headline_row(
        f"{_SCORES[score]}, mean over {_UNITS[row['unit']]}", row[score], model=row["model"], note="; ".join(notes)
    )
    found |= {"low": _finite(row["low"]), "high": _finite(row["high"]), "value": _finite(row[score])}
    if score == "r":
        return found | {"chance": 0.0}
    if chance is None or row["null"]:
        return found | {"chance": 0.5}
    band = {"chance_low": _finite(chance["low"]), "chance_high": _finite(chance["high"])}
    return found | {"chance": float(chance["auc"])} | band


def _of_speed(row: Mapping[str, Any]) -> list[str]:
    return [f"R2 {row['r2']:.3f}"] if row["r2"] is not None and np.isfinite(row["r2"]) else []


def _null(row: Mapping[str, Any], chance: Mapping[str, Any] | None) -> list[str]:
    if row["null"]:
        return [f"null labels ({row['null']}), scored on its own null labels of the test sessions"]
    if chance is not None and row["target"] != "speed":
        return [f"chance: {chance['model']}"]
    return []


def _undefined(row: Mapping[str, Any], fits: Rows) -> list[str]:
    """Return how many fits and sessions have no AUC, as one state never occurs."""
    notes = []
    if row["undefined"]:
        notes.append(f"undefined for {row['undefined']} of {row['fits']} fits, whose test windows show one state only")
    lost, total = (sum(fit[key] for fit in fits) for key in ("undefined", "sessions"))
    if lost:
        notes.append(f"{lost} of {total} tested sessions show one state only: no AUC of their own, pooled with others")
    return notes


def _validity(row: Mapping[str, Any], fits: Rows, animals: int) -> list[str]:
    notes = []
    if row["unit"] == "block":
        one = "blocks of one animal: no claim beyond it"
        notes.append(one if animals == 1 else f"blocks of {animals} animals that are trained on: no claim beyond them")
    elif row["mice"] == 1:
        notes.append("one test mouse: no interval")
    if any(fit["transductive"] for fit in fits):
        notes.append("transductive: statistics of whole test sessions were used")
    return notes


def _comparison(row: Mapping[str, Any], control: Mapping[str, Any] | None) -> Row:
    label = _SCORES[row["score"]]
    name = f"{'control: ' if control else ''}{label} minus that of {row['reference']}"
    tests = f"p {_p(row['p_mice'])} by sign flips over {_counted(row['mice'], row['unit'])}"
    tests += f" (smallest possible {_p(row['p_least'])})" if row["mice"] else ""
    tests += f"; published test over fits: rank-sum p {_p(row['p_ranksum'])}, Holm {_p(row['p_holm'])}"
    note = tests if control is None else f"{'FLAGGED: ' if control['flagged'] else ''}{control['said']}; {tests}"
    found = headline_row(name, row["difference"], model=row["model"], note=note)
    bounds = {key: _finite(row[key]) for key in ("low", "high")}
    return found | bounds | {"value": _finite(row["difference"]), "chance": 0.0}


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit if count == 1 else _UNITS[unit]}"


def _p(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "undefined"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
