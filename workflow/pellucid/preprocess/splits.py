"""Folds whose training, validation and test rows are separated by a purge gap.

A row is a time, a trial or an image. Test rows are never trimmed: the gap is taken from training and validation rows.
"""

from collections.abc import Mapping

import numpy as np

from pellucid.artifacts import Fold, Rows
from pellucid.errors import DataError
from pellucid.preprocess.settings import Split


def make(
    rows: Mapping[str, int],
    settings: Split,
    *,
    purge: int = 0,
    groups: Mapping[str, np.ndarray] | None = None,
    subjects: Mapping[str, str] | None = None,
) -> list[Fold]:
    """Return the split table.

    rows      recording -> number of rows
    purge     rows dropped on either side of test and validation rows, unless `settings.purge_rows` says otherwise
    groups    recording -> label of each row (trial or lap), shape (row,); needed by `by: group`
    subjects  recording -> subject; needed by `by: subject`
    Raises DataError if a part of a fold would be empty or a label is missing.
    """
    gap = purge if settings.purge_rows is None else settings.purge_rows
    if settings.by == "subject":
        units = _subjects(rows, settings, subjects or {})
    else:
        labels = {name: np.arange(n) for name, n in rows.items()} if settings.by == "block" else _labels(rows, groups)
        units = {name: _units(label) for name, label in labels.items()}
    folds = [_fold(units, index, settings, gap) for index in range(settings.folds)]
    for index, fold in enumerate(folds):
        _check(fold, index, gap)
    return folds


def ranges(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the half-open runs [start, stop) where a boolean mask, shape (row,), is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(mask, bool), [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _units(labels: np.ndarray) -> np.ndarray:
    """Number the runs of equal labels 0, 1, 2 ... in order of time."""
    return np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])


def _labels(rows: Mapping[str, int], groups: Mapping[str, np.ndarray] | None) -> Mapping[str, np.ndarray]:
    for name, count in rows.items():
        found = len(groups[name]) if groups and name in groups else 0
        if not groups or found != count:
            raise DataError(
                f"recording {name}, split by group",
                expected=f"a group label for each of {count} rows",
                found=str(found),
                remedy="Name the variable that labels laps or trials in `preprocess`, or split by block.",
            )
    return groups or {}


def _subjects(rows: Mapping[str, int], settings: Split, subjects: Mapping[str, str]) -> dict[str, np.ndarray]:
    order = sorted({subjects[name] for name in rows})
    if len(order) != settings.folds:
        raise DataError(
            "split by subject",
            expected=f"as many subjects as folds ({settings.folds})",
            found=f"{len(order)}: {', '.join(order)}",
            remedy="Set `split.folds` to the number of subjects.",
        )
    return {name: np.full(count, order.index(subjects[name])) for name, count in rows.items()}


def _fold(units: Mapping[str, np.ndarray], index: int, settings: Split, gap: int) -> Fold:
    parts: dict[str, Rows] = {"train": {}, "validation": {}, "test": {}}
    for name, unit in units.items():
        if settings.by == "subject":  # the next subject in order validates
            test, validation = unit == index, unit == (index + 1) % settings.folds
        else:
            test, validation = _contiguous(unit, index, settings, gap)
        train = ~_widen(test | validation, gap)
        for part, mask in (("train", train), ("validation", validation), ("test", test)):
            if mask.any():
                parts[part][name] = ranges(mask)
    return Fold(**parts)


def _contiguous(unit: np.ndarray, index: int, settings: Split, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Test on the index-th run of units; validate on a share of what the purge leaves, the part that precedes it.

    Precedes cyclically: for the first fold it is the end of the recording.
    """
    count = int(unit[-1]) + 1
    borders = np.round(np.linspace(0, count, settings.folds + 1)).astype(int)
    test = (unit >= borders[index]) & (unit < borders[index + 1])
    left = ~_widen(test, gap)
    candidates = np.unique(unit[left])
    order = np.argsort((borders[index] - 1 - candidates) % count)
    held = candidates[order[: max(1, round(settings.validation * len(candidates)))]]
    return test, left & np.isin(unit, held)


def _widen(mask: np.ndarray, gap: int) -> np.ndarray:
    out = mask.copy()
    for start, stop in ranges(mask):
        out[max(0, start - gap) : stop + gap] = True
    return out


def _check(fold: Fold, index: int, gap: int) -> None:
    for part in ("train", "validation", "test"):
        if not fold.rows(part):
            raise DataError(
                f"fold {index}",
                expected=f"{part} rows",
                found=f"none left after a purge of {gap} rows",
                remedy="Use fewer folds, a smaller `split.purge_rows`, or a longer recording.",
            )
