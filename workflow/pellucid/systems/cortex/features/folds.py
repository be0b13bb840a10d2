"""Folds over mice, of which no session is split, and over blocks of sessions with a purge between their parts."""

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from pellucid.artifacts import Fold, Rows
from pellucid.errors import DataError
from pellucid.preprocess import settings as shared
from pellucid.preprocess import splits
from pellucid.systems.cortex.features.settings import Split


def make(
    segments: Mapping[str, np.ndarray], subjects: Mapping[str, str], settings: Split, rate_hz: float
) -> list[Fold]:
    """Return the split table.

    segments  recording -> number of the segment of each frame, (time,)
    subjects  recording -> mouse
    rate_hz   frames per second, for the purge
    Raises DataError if a part of a fold would be empty.
    """
    if settings.by == "subject":
        return _mice({name: len(segment) for name, segment in segments.items()}, subjects, settings)
    gap = int(np.ceil(settings.purge_s * rate_hz - 1e-6)) if settings.purge_rows is None else settings.purge_rows
    whole = all(len(np.unique(segment)) == 1 for segment in segments.values())
    general = shared.Split(
        by="block" if whole else "group",
        folds=settings.folds,
        validation=settings.validation,
        purge_rows=gap if whole else 0,  # windows do not reach from one segment into another
    )
    return splits.make({name: len(segment) for name, segment in segments.items()}, general, groups=segments)


def _mice(rows: Mapping[str, int], subjects: Mapping[str, str], settings: Split) -> list[Fold]:
    """Return folds of whole mice: pairs (validation, test) in the published order, or each mouse and its next one."""
    mice = sorted(set(subjects.values()))
    if len(mice) < 3:
        raise DataError(
            "split by subject",
            expected="three mice or more: one to test, one to validate, the others to train",
            found=f"{len(mice)}: {', '.join(mice)}",
            remedy="Split by block.",
        )
    following = [(mice[(index + 1) % len(mice)], mouse) for index, mouse in enumerate(mice)]
    pairs = list(permutations(mice, 2)) if settings.pairs == "all" else following
    if len(pairs) != settings.folds:
        raise DataError(
            f"split by subject, pairs: {settings.pairs}",
            expected=f"folds: {len(pairs)} for {len(mice)} mice ({', '.join(mice)})",
            found=f"folds: {settings.folds}",
            remedy="Set `split.folds`, which says how many fits there are before the recordings are read.",
        )
    return [_fold(rows, subjects, *pair) for pair in pairs]


def _fold(rows: Mapping[str, int], subjects: Mapping[str, str], validation: str, test: str) -> Fold:
    def of(chosen: set[str]) -> Rows:
        return {name: [(0, count)] for name, count in rows.items() if subjects[name] in chosen}

    return Fold(of(set(subjects.values()) - {validation, test}), of({validation}), of({test}))
