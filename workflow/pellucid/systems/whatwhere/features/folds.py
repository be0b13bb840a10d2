"""Folds over images: identical images never train in one part and validate or test in another."""

import logging
from collections.abc import Mapping

import numpy as np

from pellucid.artifacts import Fold
from pellucid.errors import DataError
from pellucid.preprocess import splits
from pellucid.systems.whatwhere.features.settings import Ranges, Split

Masks = dict[str, np.ndarray]
"""Recording -> mask of its images, shape (image,)."""

_log = logging.getLogger(__name__)


def make(groups: Mapping[str, np.ndarray], sets: Mapping[str, np.ndarray], settings: Split) -> list[Fold]:
    """Return the split table.

    groups  recording -> number of the group of identical images, shape (image,), counted over all recordings
    sets    recording -> "train" or "test", shape (image,); used with `by: set`
    Test images are those asked for. An image identical to one of them neither trains nor validates; with `by: index`
    an image identical to a validation image does not train; how many these are is logged.
    Raises DataError if a part of a recording would be empty.
    """
    names = sorted(groups)
    made = []
    if settings.by == "index":
        pairs = [_index(groups, names, ranges) for ranges in settings.ranges]
        made = [_complete(groups, names, *pair, where=f"fold {index}") for index, pair in enumerate(pairs)]
    else:
        generator = np.random.default_rng(settings.seed)
        if settings.by == "set":
            tests = [{name: np.asarray(sets[name]) == "test" for name in names}] * settings.folds
        else:
            tests = _deal(groups, names, settings.folds, generator)
        for index, test in enumerate(tests):
            validation = _draw(groups, names, test, settings.validation, generator)
            left = {name: ~test[name] & ~validation[name] for name in names}
            made.append(_complete(groups, names, test, validation, left, where=f"fold {index}"))
    return made


def _complete(
    groups: Mapping[str, np.ndarray], names: list[str], test: Masks, validation: Masks, train: Masks, *, where: str
) -> Fold:
    """Return a fold without images in validation or training that are identical to ones of a part held back."""
    tested = _members(groups, test)
    kept = {name: validation[name] & ~np.isin(groups[name], tested) for name in names}
    held = np.union1d(tested, _members(groups, kept))
    trained = {name: train[name] & ~np.isin(groups[name], held) for name in names}
    for part, asked, left in (("validation", validation, kept), ("train", train, trained)):
        lost = sum(int(asked[name].sum() - left[name].sum()) for name in names)
        if lost:
            _log.warning("%s: %d images of %s are identical to ones held back and left out", where, lost, part)
    _check({"train": trained, "validation": kept, "test": test}, names, where)
    return Fold(*({name: splits.ranges(part[name]) for name in names} for part in (trained, kept, test)))


def _index(groups: Mapping[str, np.ndarray], names: list[str], ranges: Ranges) -> tuple[Masks, Masks, Masks]:
    """Return the masks of test, validation and training images by their numbers, alike in all recordings."""
    last = max(stop for _, stop in (ranges.train, ranges.validation, ranges.test))
    for name in names:
        if last > len(groups[name]):
            raise DataError(
                f"recording {name}, split.ranges",
                expected=f"ranges within {len(groups[name])} images",
                found=f"up to {last}",
                remedy="Correct `split.ranges`.",
            )
    numbers = {name: np.arange(len(groups[name])) for name in names}
    test, validation, train = (
        {name: (number >= start) & (number < stop) for name, number in numbers.items()}
        for start, stop in (ranges.test, ranges.validation, ranges.train)
    )
    return test, validation, train


def _deal(
    groups: Mapping[str, np.ndarray], names: list[str], folds: int, generator: np.random.Generator
) -> list[Masks]:
    """Return the test images of each fold, dealt to the folds by groups.

    Of each recording's groups, the larger first and otherwise at random, each goes to the fold with the fewest images.
    """
    dealt = np.zeros(1 + max(int(group.max()) for group in groups.values()), int)
    for units, sizes in _units(groups, names, None):
        order = generator.permutation(len(units))
        order = order[np.argsort(-sizes[order], kind="stable")]
        counts = np.zeros(folds, int)
        for unit in order:
            fold = int(np.argmin(counts))
            dealt[units[unit]] = fold
            counts[fold] += sizes[unit]
    return [{name: dealt[groups[name]] == fold for name in names} for fold in range(folds)]


def _draw(
    groups: Mapping[str, np.ndarray], names: list[str], test: Masks, share: float, generator: np.random.Generator
) -> Masks:
    """Return validation images: of each recording's groups that do not test, at random, as many as fit the share."""
    chosen: list[int] = []
    for units, sizes in _units(groups, names, _members(groups, test)):
        wanted, count = max(1, round(share * int(sizes.sum()))), 0
        for unit in generator.permutation(len(units)):
            if count + sizes[unit] <= wanted:
                chosen.append(int(units[unit]))
                count += int(sizes[unit])
    return {name: np.isin(groups[name], chosen) & ~test[name] for name in names}


def _units(
    groups: Mapping[str, np.ndarray], names: list[str], without: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each recording, the groups that occur in it and in no recording before, and their sizes there.

    without  groups left out
    """
    found, known = [], np.empty(0, int) if without is None else without
    for name in names:
        units, sizes = np.unique(groups[name], return_counts=True)
        new = ~np.isin(units, known)
        found.append((units[new], sizes[new]))
        known = np.union1d(known, units)
    return found


def _members(groups: Mapping[str, np.ndarray], masks: Masks) -> np.ndarray:
    """Return the groups that have an image in a part, sorted."""
    return np.unique(np.concatenate([groups[name][mask] for name, mask in masks.items()]))


def _check(parts: Mapping[str, Masks], names: list[str], where: str) -> None:
    for part, masks in parts.items():
        for name in names:
            if not masks[name].any():
                raise DataError(
                    f"{where}, recording {name}",
                    expected=f"{part} images",
                    found="none",
                    remedy="Use fewer folds, another share of validation, or `split.by` another rule.",
                )
