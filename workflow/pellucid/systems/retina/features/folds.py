"""Rows that train, validate and test: contiguous, apart by the longest history, and never across a block border."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from pellucid.artifacts import Fold, Rows
from pellucid.errors import DataError
from pellucid.preprocess.splits import ranges
from pellucid.systems.retina.features.frames import TEST, TRAIN
from pellucid.systems.retina.features.settings import Settings

Marks = tuple[np.ndarray, np.ndarray, np.ndarray]
"""block (time,), test (time,), and whether any cell was recorded (time,)."""


def make(recordings: Mapping[str, Marks], settings: Settings) -> list[Fold]:
    """Return the split table; every recording has rows in every part.

    recordings  recording -> its marks
    The first `history_frames` rows of a block are in no part. Rows that may be fitted are at least `history_frames`
    from rows of the test, of validation, and from those left out of both, in their block. With `frozen`, the first
    `history_frames` - 1 rows of the showing do not test: their windows reach to what was shown before, which differs
    from showing to showing. Raises DataError if a part would be empty.
    """
    fitted, test = {}, {}
    for name, (block, mark, known) in recordings.items():
        seen = _seen_only(block, settings.history_frames)
        fitted[name] = ~seen & ~widened(mark != TRAIN, block, settings.history_frames) & known
        test[name] = (mark == TEST) & ~seen & known
        if settings.frozen is not None:
            test[name] &= ~_beginnings(mark == TEST, settings.history_frames - 1)
    folds = []
    for index in range(settings.split.folds):
        validation = {name: _validation(mask, index, settings) for name, mask in fitted.items()}
        train = {
            name: mask & ~widened(validation[name], recordings[name][0], settings.history_frames)
            for name, mask in fitted.items()
        }
        folds.append(Fold(_rows(train), _rows(validation), _rows(test)))
        _check(folds[-1], recordings, index, settings)
    return folds


def widened(mask: np.ndarray, block: np.ndarray, gap: int) -> np.ndarray:
    """Return a mask, (time,), with `gap` rows more on either side of what is true, within the blocks (time,)."""
    borders = np.flatnonzero(np.diff(block)) + 1
    begins, ends = np.append(0, borders), np.append(borders, len(block))
    out = mask.copy()
    for begin, end in zip(begins, ends):
        for start, stop in ranges(mask[begin:end]):
            out[max(begin, begin + start - gap) : min(end, begin + stop + gap)] = True
    return out


def _seen_only(block: np.ndarray, history: int) -> np.ndarray:
    """Return the first rows of each block, (time,): there is not enough history to predict them."""
    out = np.zeros(len(block), bool)
    for begin in np.append(0, np.flatnonzero(np.diff(block)) + 1):
        out[begin : begin + history] = True
    return out


def _beginnings(mask: np.ndarray, count: int) -> np.ndarray:
    """Return the first rows of each run of a mask, (time,)."""
    out = np.zeros(len(mask), bool)
    for start, stop in ranges(mask):
        out[start : min(stop, start + count)] = True
    return out


def _validation(fitted: np.ndarray, index: int, settings: Settings) -> np.ndarray:
    """Return the validation rows of one fold, (time,).

    The rows that may be fitted are cut into `pieces` equal stretches; in each, the validation rows are a run of the
    share asked for: the last of the stretch in fold 0, further to its beginning in each following fold.
    """
    split = settings.split
    rows = np.flatnonzero(fitted)
    out = np.zeros(len(fitted), bool)
    borders = np.round(np.linspace(0, len(rows), split.pieces + 1)).astype(int)
    for start, stop in pairwise(borders):
        count = round(split.validation * (stop - start))
        last = 1 - index / (split.folds - 1) if split.folds > 1 else 1.0
        first = start + round(last * (stop - start - count))
        out[rows[first : first + count]] = True
    return out


def _rows(masks: Mapping[str, np.ndarray]) -> Rows:
    return {name: ranges(mask) for name, mask in masks.items() if mask.any()}


def _check(fold: Fold, names: Iterable[str], index: int, settings: Settings) -> None:
    for part in ("train", "validation", "test"):
        for name in names:
            if name not in fold.rows(part):
                raise DataError(
                    f"fold {index}, recording {name}",
                    expected=f"{part} rows",
                    found=f"none: parts are {settings.history_frames} rows apart",
                    remedy="Give test rows by the recording, `frozen` or `test_s`; use fewer `split.pieces`, a smaller "
                    "`history_frames` or a longer recording.",
                )
