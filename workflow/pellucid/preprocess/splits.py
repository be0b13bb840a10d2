"""Folds whose training, validation and test rows are separated by a purge gap.

A row is a time, a trial or an image. Test rows are never trimmed: the gap is taken from training and validation rows.
"""

from collections.abc import Mapping

import numpy as np

from pellucid.artifacts import Fold, Rows
from pellucid.errors import DataError
from pellucid.preprocess.settings import Parts, Split


def make(
    rows: Mapping[str, int],
    settings: Split,
    *,
    purge: int = 0,
    groups: Mapping[str, np.ndarray] | None = None,
    subjects: Mapping[str, str] | None = None,
    usable: Mapping[str, np.ndarray] | None = None,
) -> list[Fold]:
    """Return the split table.

    rows      recording -> number of rows
    purge     rows dropped on either side of test and validation rows, unless `settings.purge_rows` says otherwise
    groups    recording -> label of each row, shape (row,); needed by `by: group` (trial or lap) and `stratified`
    subjects  recording -> subject; needed by `by: subject`
    usable    recording -> mask of the rows that count, shape (row,); `by: block` and `by: group` take the share that
              validates from them, so that a long stretch left out cannot be all of it; none: every row counts
    Raises DataError if a part of a fold would be empty or a label is missing.
    """
    gap = purge if settings.purge_rows is None else settings.purge_rows
    if settings.by == "stratified":
        folds = _stratified(_labels(rows, groups, settings), settings, gap)
    elif settings.by == "subject":
        units = _subjects(rows, settings, subjects or {})
        folds = [_fold(units, index, settings, gap, {}) for index in range(settings.folds)]
    else:
        block = settings.by == "block"
        labels = {name: np.arange(n) for name, n in rows.items()} if block else _labels(rows, groups, settings)
        units = {name: _units(label) for name, label in labels.items()}
        folds = [_fold(units, index, settings, gap, usable or {}) for index in range(settings.folds)]
    for index, fold in enumerate(folds):
        check(fold, index, gap)
    return folds


def complete(
    test: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    settings: Parts,
    generator: np.random.Generator,
    *,
    gap: int = 0,
) -> Fold:
    """Return the fold of given test rows; a share of the others, stratified by label, validates.

    test    recording -> mask of its test rows, shape (row,)
    labels  recording -> label of each row, shape (row,)
    gap     rows dropped on either side of test and validation rows
    Of each label of each recording the share is taken to within one row, and of all rows to within half a row.
    """
    left = {name: ~_widen(mask, gap) for name, mask in test.items()}
    order = [(name, row) for name, row in _shuffled(labels, generator) if left[name][row]]
    steps = np.floor(settings.validation * np.arange(len(order) + 1) + 0.5)
    chosen = np.diff(steps) > 0
    chosen[:1] |= not chosen.any()
    validation = {name: np.zeros(len(mask), bool) for name, mask in test.items()}
    for index in np.flatnonzero(chosen):
        name, row = order[index]
        validation[name][row] = True
    train = {name: ~_widen(mask | validation[name], gap) for name, mask in test.items()}
    return Fold(_rows(train), _rows(validation), _rows(test))


def ranges(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return the half-open runs [start, stop) where a boolean mask, shape (row,), is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(mask, bool), [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _units(labels: np.ndarray) -> np.ndarray:
    """Number the runs of equal labels 0, 1, 2 ... in order of time."""
    return np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])


def _rows(masks: Mapping[str, np.ndarray]) -> Rows:
    return {name: ranges(mask) for name, mask in masks.items() if mask.any()}


def _stratified(labels: Mapping[str, np.ndarray], settings: Split, gap: int) -> list[Fold]:
    """Deal the rows, label by label and at random within a label, to the folds in turn."""
    generator = np.random.default_rng(settings.seed)
    dealt = {name: np.empty(len(label), int) for name, label in labels.items()}
    for turn, (name, row) in enumerate(_shuffled(labels, generator)):
        dealt[name][row] = turn % settings.folds
    return [
        complete({name: turn == index for name, turn in dealt.items()}, labels, settings, generator, gap=gap)
        for index in range(settings.folds)
    ]


def _shuffled(labels: Mapping[str, np.ndarray], generator: np.random.Generator) -> list[tuple[str, int]]:
    """Return (recording, row) of all rows by recording and label, at random within a label."""
    order: list[tuple[str, int]] = []
    for name in sorted(labels):
        codes = np.unique(np.asarray(labels[name], object).astype(str), return_inverse=True)[1]
        order += [(name, int(row)) for row in np.lexsort((generator.random(len(codes)), codes))]
    return order


def _labels(
    rows: Mapping[str, int], groups: Mapping[str, np.ndarray] | None, settings: Split
) -> Mapping[str, np.ndarray]:
    for name, count in rows.items():
        found = len(groups[name]) if groups and name in groups else 0
        if not groups or found != count:
            raise DataError(
                f"recording {name}, split by {settings.by}",
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


def _fold(
    units: Mapping[str, np.ndarray], index: int, settings: Split, gap: int, usable: Mapping[str, np.ndarray]
) -> Fold:
    masks: dict[str, dict[str, np.ndarray]] = {"train": {}, "validation": {}, "test": {}}
    for name, unit in units.items():
        if settings.by == "subject":  # the next subject in order validates
            test, validation = unit == index, unit == (index + 1) % settings.folds
        else:
            test, validation = _contiguous(unit, index, settings, gap, usable.get(name))
        train = ~_widen(test | validation, gap)
        masks["train"][name], masks["validation"][name], masks["test"][name] = train, validation, test
    return Fold(**{part: _rows(found) for part, found in masks.items()})


def _contiguous(
    unit: np.ndarray, index: int, settings: Split, gap: int, usable: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Test on the index-th run of units; validate on a share of what the purge leaves, the part that precedes it.

    Precedes cyclically: for the first fold it is the end of the recording. The share is of units with usable rows;
    those between them validate too.
    """
    count = int(unit[-1]) + 1
    borders = np.round(np.linspace(0, count, settings.folds + 1)).astype(int)
    test = (unit >= borders[index]) & (unit < borders[index + 1])
    left = ~_widen(test, gap)
    candidates = np.unique(unit[left if usable is None else left & usable])
    if not len(candidates):
        return test, left & False
    distance = np.sort((borders[index] - 1 - candidates) % count)
    furthest = distance[max(1, round(settings.validation * len(candidates))) - 1]
    return test, left & ((borders[index] - 1 - unit) % count <= furthest)


def _widen(mask: np.ndarray, gap: int) -> np.ndarray:
    out = mask.copy()
    for start, stop in ranges(mask):
        out[max(0, start - gap) : stop + gap] = True
    return out


def check(fold: Fold, index: int = 0, gap: int = 0) -> None:
    """Raise DataError if a part of a fold has no rows.

    index  its place in the split table; gap: rows dropped between parts, for the message
    """
    for part in ("train", "validation", "test"):
        if not fold.rows(part):
            raise DataError(
                f"fold {index}",
                expected=f"{part} rows",
                found=f"none left after a purge of {gap} rows",
                remedy="Use fewer folds, a smaller `split.purge_rows`, or a longer recording.",
            )
