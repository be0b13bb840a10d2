"""Families of fits that differ in nothing but the amount of data, the penalties and the training schedule."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.artifacts import Results
from pellucid.systems.whatwhere.figures import shown

Rows = list[dict[str, Any]]

TUNING = ("preset", "penalties", "training", "device", "select")
"""Settings that are tuned rather than chosen: fits that differ in them are of one family."""


@dataclass(frozen=True)
class Family:
    """Fits of one kind of model on different amounts of data.

    label  kind of readout and number of layers, and whatever tells it from other families
    rows   of the table of scores
    """

    label: str
    kind: str
    null: bool
    rows: Rows

    @property
    def network(self) -> bool:
        """Tell whether it is a network, not a regression."""
        return self.kind == "network"


def of(results: Results, free: Sequence[str]) -> list[Family]:
    """Return the families of all fits, in the order of the fits.

    free  settings that may differ within a family besides those that are tuned: "images", "neurons", "recordings"
    """
    settings = {fit.model: fit.settings for fit in results.fits}
    members: dict[str, Rows] = {}
    for row in shown.table(results):
        members.setdefault(key(settings[row["model"]], free), []).append(row)
    labels = [_label(rows[0], settings[rows[0]["model"]]) for rows in members.values()]
    return [
        Family(
            label if labels.count(label) == 1 else f"{label} ({common(rows)})",
            str(rows[0]["kind"]),
            permuted(settings[rows[0]["model"]]),
            rows,
        )
        for label, rows in zip(labels, members.values())
    ]


def key(settings: Mapping[str, Any], free: Sequence[str]) -> str:
    """Return what the fits of a family have in common, as text."""
    kept = {name: value for name, value in settings.items() if name not in (*TUNING, *free)}
    if "neurons" in free:  # neurons that share a core are what counts as fitted together
        kept["core"] = {name: value for name, value in (kept.get("core") or {}).items() if name != "shared_by"}
    if settings.get("kind", "network") == "network":
        kept.pop("regression", None)
    else:  # a regression uses its position and window only
        used = {name: value for name, value in (settings.get("regression") or {}).items() if name != "penalties"}
        kept = {name: kept.get(name) for name in ("kind", "permute", "images", "neurons", "recordings") if name in kept}
        kept["regression"] = used
    return json.dumps(kept, sort_keys=True, default=str)


def permuted(settings: Mapping[str, Any]) -> bool:
    """Tell whether a fit is a null: its training responses were permuted over images."""
    return bool(settings.get("permute"))


def common(rows: Rows) -> str:
    """Return what the names of the models of some rows begin with, or the first of them."""
    names = list(dict.fromkeys(str(row["model"]) for row in rows))
    if len(names) == 1:
        return names[0]
    shared = 0
    while shared < min(map(len, names)) and len({name[shared] for name in names}) == 1:
        shared += 1
    return names[0][:shared].rstrip("_-0123456789") or names[0]


def selected(rows: Rows, by: str, score: str) -> dict[float, np.ndarray]:
    """Return the scores of the fits at each value of a column, {value: (fit,)}, sorted.

    Where several models have the same value, the one with the lowest mean validation loss is taken.
    """
    values = sorted({float(row[by]) for row in rows if row[by] is not None})
    found = {value: _best([row for row in rows if row[by] == value], score) for value in values}
    return {value: own for value, own in found.items() if len(own)}


def _best(rows: Rows, score: str) -> np.ndarray:
    models: dict[str, Rows] = {}
    for row in rows:
        if row.get(score) is not None:
            models.setdefault(row["model"], []).append(row)
    if not models:
        return np.empty(0)
    loss = {
        model: float(shown.mean(np.array([shown.number(row.get("validation")) for row in own])))
        for model, own in models.items()
    }
    chosen = min(models, key=lambda model: (not np.isfinite(loss[model]), loss[model]))
    return np.array([float(row[score]) for row in models[chosen]])


def _label(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    text = str(row["readout"])
    if row["kind"] == "network":
        layers = int(row["layers"] or 0)
        text += f", {layers} layer{'' if layers == 1 else 's'}"
    if (settings.get("core") or {}).get("known") and row["kind"] == "network":
        text += ", kernel known"
    if settings.get("recordings"):
        text += f", {', '.join(settings['recordings'])}"
    return f"{text}, permuted" if permuted(settings) else text
