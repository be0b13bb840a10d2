"""Behaviour as a place: which target is drawn in space, and its true and decoded values on test rows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Results, row_indices
from pellucid.errors import DataError
from pellucid.preprocess import behaviour as behaviours
from pellucid.systems.deepinsight.figures import shown
from pellucid.systems.deepinsight.figures.settings import Settings

KINDS, NAME = ("position", "circular"), "position"
"""A target of one of these kinds, or of this name whatever its kind, is a place."""


@dataclass(frozen=True)
class Place:
    """A target that is a place.

    columns  its columns among the outputs; labels: a name for each axis of space
    period   of a circular track, else None
    """

    name: str
    columns: list[int]
    labels: list[str]
    period: float | None
    units: str

    @property
    def plane(self) -> bool:
        """Tell whether the place is one of an arena, not of a track."""
        return self.period is None and len(self.columns) == 2

    def values(self, behaviour: np.ndarray) -> np.ndarray:
        """Return places (row, axis) in their units, of behaviour or predictions (row, output)."""
        own = behaviour[:, self.columns]
        return own if self.period is None else behaviours.decircular(own, self.period)[:, None]

    def error(self, true: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """Return the distance (row,) between places (row, axis), the shorter way round a circular track."""
        if self.period is None:
            return np.asarray(np.linalg.norm(true - guess, axis=1))
        return shown.distance(true[:, 0], guess[:, 0], self.period)


@dataclass(frozen=True)
class Decoded:
    """Test rows of one recording, all folds and seeds of the shown model one after the other.

    true, guess, chance  (row, axis); chance: true places shifted circularly by half of each test part
    fits                 how many fits they come from
    """

    true: np.ndarray
    guess: np.ndarray
    chance: np.ndarray
    fits: int


def place(results: Results, settings: Settings) -> Place | None:
    """Return the target that is drawn in space, None without one.

    Raises DataError if settings.position is not a target of one or two dimensions.
    """
    group = results.features.first()
    described = json.loads(group.attrs["targets"])
    names = [str(name) for name in group["target"].values]
    spatial = [name for name, about in described.items() if about["kind"] in KINDS or name == NAME]
    name = settings.position or next(iter(spatial), None)
    if name is None:
        return None
    columns = [column for column, other in enumerate(names) if other == name]
    if not 1 <= len(columns) <= 2:
        raise DataError(
            f"{results.analysis}, figures.position",
            expected=f"a target of one or two dimensions among {', '.join(described)}",
            found=f"{name!r}, {shown.plural(len(columns), 'dimension')}",
            remedy="Correct `position` in the block `figures`, or leave it out.",
        )
    about = described[name]
    circular = about["kind"] == "circular"
    labels = [name] if circular else [str(group["label"].values[column]) for column in columns]
    return Place(name, columns, labels, about["period"] if circular else None, about["units"])


def recordings(results: Results, settings: Settings) -> list[str]:
    """Return at most settings.recordings recordings on whose test rows the shown model predicts a place."""
    found = place(results, settings)
    if found is None:
        return []
    kept: list[str] = []
    for name in results.features.stores:
        if len(kept) < settings.recordings and any(True for _ in _parts(results, settings, name, found)):
            kept.append(name)
    return kept


def decoded(results: Results, settings: Settings, name: str, found: Place) -> Decoded:
    """Return true and decoded places on the test rows of one recording."""
    parts = list(_parts(results, settings, name, found))
    true, guess, chance = (np.concatenate(values) for values in zip(*parts))
    return Decoded(true, guess, chance, len(parts))


def _parts(
    results: Results, settings: Settings, name: str, found: Place
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield true, decoded and shifted places of every fit of the shown model on a recording."""
    for fit in results.fits:
        rows = row_indices(results.features.folds[fit.fold].test.get(name, []))
        if fit.model != settings.model or not len(rows):
            continue
        true = found.values(results.features.group(name)["behaviour"][rows].values)
        guess = found.values(shown.prediction(results, name, rows, fit.model, fit.fold, fit.seed))
        known = np.isfinite(true).all(axis=1) & np.isfinite(guess).all(axis=1)
        if known.any():
            true, guess = true[known], guess[known]
            yield true, guess, np.roll(true, len(true) // 2, axis=0)


def said(names: Sequence[str], results: Results) -> str:
    """Return "recording a" or "2 of 5 recordings" for a caption."""
    count = len(results.features.stores)
    if count == 1:
        return f"recording {names[0]}"
    return f"{len(names)} of {count} recordings" if len(names) < count else f"{count} recordings"
