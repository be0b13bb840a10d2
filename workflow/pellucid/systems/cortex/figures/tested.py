"""Test mice, or blocks of one mouse: whom each fold tested, and means with intervals over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from pellucid.artifacts import Results
from pellucid.systems.cortex.figures import shown

MOST_NAMED = len(shown.PALETTE)
"""More mice or blocks have colours from dark to light, and no legend."""


def names(results: Results) -> list[str]:
    """Return the test mice by name, or the blocks in the order of the folds."""
    found = list(dict.fromkeys(of_folds(results).values()))
    return found if blocks(results) else sorted(found)


def of_folds(results: Results) -> dict[int, str]:
    """Return the test mouse, or block, of each fold."""
    found = {int(row["fold"]): str(row["test"]) for row in shown.table(results)}
    return {fold: found[fold] for fold in sorted(found)}


def blocks(results: Results) -> bool:
    """Tell whether folds test blocks of sessions and not whole mice."""
    rows = shown.table(results)
    return bool(rows) and all(row["unit"] == "block" for row in rows)


def noun(results: Results, count: int = 2) -> str:
    """Return what folds test: "mouse" or "block", in the singular or plural."""
    one, many = ("block", "blocks") if blocks(results) else ("mouse", "mice")
    return one if count == 1 else many


def counted(results: Results) -> str:
    """Return how many mice or blocks were tested, in words."""
    count = len(names(results))
    return f"{count} test {noun(results, count)}"


def grouped(rows: Sequence[dict[str, Any]], score: str) -> dict[str, np.ndarray]:
    """Return the finite scores of the fits tested on each mouse or block, {test: (fit,)}."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = shown.number(row.get(score))
        if np.isfinite(value):
            found.setdefault(str(row["test"]), []).append(value)
    return {test: np.array(values) for test, values in found.items()}


def by_test(results: Results, values: xr.DataArray) -> tuple[list[str], np.ndarray]:
    """Return the names and the mean of each test mouse or block, (unit, ...), of an array (fold[, seed], ...)."""
    array = np.asarray(values.values, float)
    folds = values["fold"].values.tolist() if "fold" in values.coords else list(range(len(array)))
    if "seed" in values.dims:
        array = shown.mean(array, axis=values.dims.index("seed"))
    known = of_folds(results)
    units = [known.get(int(fold), f"fold {fold}") for fold in folds]
    unique = list(dict.fromkeys(units))
    own = [shown.mean(array[[i for i, unit in enumerate(units) if unit == name]]) for name in unique]
    return unique, np.stack(own)


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and 95 % t interval over the first axis (mice or blocks); no interval of fewer than two values.

    values  (unit, ...), NaN left out
    """
    known = np.isfinite(values)
    count = known.sum(0)
    middle = shown.mean(values)
    squares = np.where(known, (np.where(known, values, 0) - np.nan_to_num(middle)) ** 2, 0).sum(0)
    degrees = np.maximum(count - 1, 1)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(squares / degrees / np.maximum(count, 1))
    half = np.where(count > 1, half, np.nan)
    return middle, middle - half, middle + half


def said(results: Results, how: str = "t") -> str:
    """Return the words of a caption for an interval over mice or blocks.

    how  "t", or "models" for the intervals of metrics.json (t over mice, bootstrap over blocks)
    """
    if len(names(results)) < 2:
        return f"there is no interval, as one {noun(results, 1)} was tested"
    if not blocks(results):
        return f"95 % interval (t, over {counted(results)})"
    kind = "bootstrap" if how == "models" else "t"
    return f"95 % interval ({kind}, over {counted(results)} of the same recordings; it says nothing of other animals)"
