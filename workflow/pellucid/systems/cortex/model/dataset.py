"""Sessions of a fold with the input, normalisation and labels of one fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, PartName, row_indices
from pellucid.errors import DataError
from pellucid.systems.cortex.model import labels, movie
from pellucid.systems.cortex.model.settings import Normalise, Settings
from pellucid.systems.cortex.model.windows import Reach, Session, Windows


@dataclass(frozen=True)
class Data:
    """What one fit sees of a fold.

    sessions  those with rows in the parts that were asked for
    rows      part -> for each session its rows
    rois      (roi,) ids of the traces, empty for a movie
    """

    sessions: Sequence[Session]
    rows: dict[PartName, list[np.ndarray]]
    reach: Reach
    rois: np.ndarray

    def windows(self, part: PartName) -> Windows:
        """Return the windows of one part. Raises DataError if there is none."""
        kept = [index for index, rows in enumerate(self.rows[part]) if len(rows)]
        found = Windows.make([self.sessions[i] for i in kept], [self.rows[part][i] for i in kept], self.reach)
        if not found.count:
            raise DataError(
                f"{part} part",
                expected=f"labelled frames with {self.reach.before} frames before and {self.reach.after} after them",
                found="none",
                remedy="Use a shorter `window_s` or `lag_s`, or other parts.",
            )
        return found


def load(features: Features, fold: int, settings: Settings, seed: int, parts: Sequence[PartName]) -> Data:
    """Return the sessions of some parts of a fold; frames of other sessions are not read.

    seed  of the labels of a null
    Raises DataError if a training window reaches into the test rows of its session, or an id is unknown.
    """
    ranges = {part: features.folds[fold].rows(part) for part in ("train", "validation", "test")}
    names = sorted({name for part in parts for name in ranges[part]})
    targets = _targets(features, fold, settings, seed)
    rate = _rate(features)
    margin = settings.backbone.frames // 2 if settings.of_movie else 0
    reach = Reach.of(rate, settings.window_s, settings.lag_s, margin)
    held = not settings.of_movie or movie.size_mb(features, names, settings.input) <= settings.memory_mb
    chosen = np.empty(0, int)
    rois = np.empty(0, object)
    if not settings.of_movie:
        chosen, rois = select(features.first(settings.input), settings)
    sessions = []
    for name in names:
        group = features.group(name, "behaviour")
        if settings.of_movie:
            signal: np.ndarray | movie.Movie = movie.load(
                features, fold, name, settings.input, settings.normalise, held=held
            )
        else:
            signal = _traces(features, fold, name, settings, rate)[:, chosen]
        subject = str(features.stores[name].attrs["subject"])
        sessions.append(Session(name, subject, rate, signal, targets[name], group["segment"].values))
    rows = {part: [row_indices(ranges[part].get(name, [])) for name in names] for part in parts}
    _check_apart(names, ranges, reach)
    return Data(sessions, rows, reach, rois)


def select(group: xr.Dataset, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return places and ids of the ROIs a fit uses, both (roi,). Raises DataError for an unknown id or area."""
    if group.attrs["kind"] == "movie":
        ids = np.arange(group["mean"].size).astype(str).astype(object)
    else:
        ids = np.array([str(roi) for roi in group["roi"].values], object)
    areas = np.array([str(area) for area in group["area"].values], object) if "area" in group.coords else ids
    known = set(ids) | set(areas) - {""}
    wrong = [name for name in [*(settings.rois or []), *settings.without_rois] if name not in known]
    if wrong:
        raise DataError(
            f"fit, rois of input {settings.input!r}",
            expected=f"ids or areas among {', '.join(sorted(known)[:60])}",
            found=wrong[0],
            remedy="Correct `rois` or `without_rois`.",
        )
    wanted = np.isin(ids, settings.rois) | np.isin(areas, settings.rois) if settings.rois else np.ones(len(ids), bool)
    wanted &= ~(np.isin(ids, settings.without_rois) | np.isin(areas, settings.without_rois))
    return np.flatnonzero(wanted), ids[wanted]


def scaled(signal: np.ndarray, normalise: Normalise, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return (x - low) / (high - low) or (x - mean) / s.d., as the settings say; a constant trace becomes 0.

    signal     (time, roi)
    low, high  (roi,) minimum and maximum, or mean and s.d.
    """
    width = high - low if normalise.kind == "minmax" else high
    return np.ascontiguousarray((signal - low) / np.where(width > 0, width, np.inf), np.float32)


def _traces(features: Features, fold: int, name: str, settings: Settings, rate: float) -> np.ndarray:
    """Return the normalised traces of a session, (time, roi) float32; the pixels of a movie are traces, too."""
    if features.group(name, settings.input).attrs["kind"] == "movie":
        return movie.load(features, fold, name, settings.input, settings.normalise, held=True).flat()
    signal = features.group(name, settings.input)["signal"].values.astype(np.float32)
    normalise = settings.normalise
    if normalise.kind == "none":
        return signal
    if normalise.kind == "scalar":
        raise DataError(
            f"fit, normalise of input {settings.input!r}",
            expected="kind: minmax, zscore or none for traces",
            found="kind: scalar",
            remedy="Correct `normalise.kind`.",
        )
    bounds = ("minimum", "maximum") if normalise.kind == "minmax" else ("mean", "sd")
    if normalise.over == "training":
        low, high = (features.statistics[f"{settings.input}/{name}/{bound}"].values[fold] for bound in bounds)
        return scaled(signal, normalise, low, high)
    stop = len(signal) if normalise.over == "session" else max(2, round(normalise.first_s * rate))
    head = signal[:stop].astype(np.float64)
    low, high = (head.min(0), head.max(0)) if normalise.kind == "minmax" else (head.mean(0), head.std(0))
    return scaled(signal, normalise, low, high)


def _targets(features: Features, fold: int, settings: Settings, seed: int) -> dict[str, np.ndarray]:
    if settings.target == "speed":
        missing = [name for name in features.stores if "speed" not in features.group(name, "behaviour")]
        if missing:
            raise DataError(
                f"recording {missing[0]}, target: speed",
                expected="a speed in its features",
                found="none",
                remedy="Name it in `preprocess.speed`.",
            )
        return {name: features.group(name, "behaviour")["speed"].values for name in sorted(features.stores)}
    found = labels.states(features, fold)
    if settings.swap is None:
        return found
    subjects = {name: str(features.stores[name].attrs["subject"]) for name in found}
    segments = {name: features.group(name, "behaviour")["segment"].values for name in found}
    return labels.swapped(found, segments, subjects, settings.swap, seed)


def _rate(features: Features) -> float:
    rates = {name: float(features.group(name, "behaviour").attrs["rate_hz"]) for name in sorted(features.stores)}
    if len(set(rates.values())) > 1:
        raise DataError(
            "sessions of one dataset",
            expected="one frame rate",
            found=", ".join(f"{name}: {rate:g} Hz" for name, rate in rates.items()),
            remedy="Put sessions of another rate into a dataset of their own.",
        )
    return next(iter(rates.values()))


def _check_apart(names: Sequence[str], ranges: dict[str, dict[str, list[tuple[int, int]]]], reach: Reach) -> None:
    """Raise DataError if a window of a training or validation row holds a test row of the same session."""
    for name in names:
        test = ranges["test"].get(name, [])
        for part in ("train", "validation"):
            for start, stop in ranges[part].get(name, []):
                near = [t for t in test if start - max(reach.before, 0) < t[1] and t[0] < stop + max(reach.after, 0)]
                if near:
                    raise DataError(
                        f"recording {name}, {part} frames {start} to {stop - 1}",
                        expected=f"a gap of {max(reach.before, reach.after)} frames or more to test frames",
                        found=f"test frames {near[0][0]} to {near[0][1] - 1}",
                        remedy="Raise the purge of `preprocess.split`, or shorten `window_s` and `lag_s`.",
                    )
