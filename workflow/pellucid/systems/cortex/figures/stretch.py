"""What was predicted of a recording, and the stretch of a test session that the examples show."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Fit, Results, row_indices
from pellucid.systems.cortex.figures import shown
from pellucid.systems.cortex.figures.settings import Settings

STARTS = 200
"""Stretches tried per session, evenly spaced."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames of a test session of one fit."""

    recording: str
    fit: Fit
    start: int
    stop: int
    rate_hz: float
    start_s: float

    def time(self) -> np.ndarray:
        """Return the time of each frame, (time,) s of the session."""
        return self.start_s + np.arange(self.start, self.stop) / self.rate_hz


def predicted(results: Results, recording: str) -> xr.Dataset | None:
    """Return the group of predictions of a recording, or None."""
    return results.predictions[recording].to_dataset() if recording in results.predictions.children else None


def probability(results: Results, recording: str, model: str, fold: int, seed: int) -> np.ndarray | None:
    """Return the decoded probability of state 1 (or speed) of one fit, (time,), NaN where none; None without."""
    found = predicted(results, recording)
    if found is None or model not in found["model"].values.tolist():
        return None
    places = [found["model"].values.tolist().index(model)]
    for name, value in (("fold", fold), ("seed", seed)):
        known = found[name].values.tolist() if name in found.coords else list(range(found.sizes[name]))
        if value not in known:
            return None
        places.append(known.index(value))
    own = found["probability"].isel(model=places[0], fold=places[1], seed=places[2])
    return np.asarray(own.values, float)


def state(results: Results, recording: str, fold: int) -> np.ndarray:
    """Return the true state of a recording as a fold labels it, (time,): 0, 1, or NaN where it is not scored."""
    found = results.predictions[recording].to_dataset()["state"]
    known = found["fold"].values.tolist() if "fold" in found.coords else list(range(found.sizes["fold"]))
    return np.asarray(found.isel(fold=known.index(fold)).values, float)


def chosen(results: Results, settings: Settings) -> Stretch | None:
    """Return the stretch of a test session in which both states are most equally frequent.

    Only the true states choose it, and which frames are predicted; of equal ones the first. Folds are tried in their
    order until one has both states; None if no test frame was predicted.
    """
    spare = None
    for fit in _first_seeds(results, settings):
        if fit.fold >= len(results.features.folds):
            continue
        found = []
        for recording in sorted(results.features.folds[fit.fold].test):
            own = _best(results, fit, recording, settings)
            found += [own] if own is not None else []
        if found:
            score, stretch = min(found, key=lambda one: one[0])
            if score < 0.5:
                return stretch
            spare = spare or stretch
    return spare


def _first_seeds(results: Results, settings: Settings) -> list[Fit]:
    """Return the fit of the lowest seed of each fold of the shown model."""
    ordered = sorted(shown.fits(results, settings.model), key=lambda fit: (fit.fold, fit.seed))
    return [fit for i, fit in enumerate(ordered) if not i or ordered[i - 1].fold != fit.fold]


def _best(results: Results, fit: Fit, recording: str, settings: Settings) -> tuple[float, Stretch] | None:
    """Return the best stretch of a session and how far its share of state 1 is from a half (0.5: one state only)."""
    p = probability(results, recording, fit.model, fit.fold, fit.seed)
    if p is None:
        return None
    rows = row_indices(results.features.folds[fit.fold].test[recording])
    labels = state(results, recording, fit.fold)
    tested = np.zeros(len(p), bool)
    tested[rows] = True
    labels = np.where(np.isfinite(labels).any(), labels, 0)  # a decoder of speed alone: no states to choose by
    known = tested & np.isfinite(p) & np.isfinite(labels)
    if not known.any():
        return None
    first, last = int(np.flatnonzero(known)[0]), int(np.flatnonzero(known)[-1]) + 1
    attrs = results.predictions[recording].attrs
    length = max(2, min(last - first, round(settings.seconds * float(attrs["rate_hz"]))))
    starts = first + shown.thinned(max(1, last - first - length + 1), STARTS)
    ones = np.concatenate([[0], np.cumsum(known & (labels == 1))])
    count = np.concatenate([[0], np.cumsum(known)])
    seen = count[starts + length] - count[starts]
    away = np.abs((ones[starts + length] - ones[starts]) / np.maximum(seen, 1) - 0.5)
    best = int(np.argmin(np.where(seen > 0, away + 0.4 * (1 - seen / seen.max()), np.inf)))
    start = int(starts[best])
    return float(away[best]), Stretch(
        recording, fit, start, start + length, float(attrs["rate_hz"]), float(attrs["start_s"])
    )
