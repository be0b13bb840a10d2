"""Movies and responses of the recordings a model is fitted to; windows are cut out when a batch needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, PartName, row_indices
from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.model.settings import Settings

PARTS: tuple[PartName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Scale:
    """One mean and s.d. of all pixels and frames that train."""

    mean: float
    sd: float

    def standardise(self, frames: np.ndarray) -> np.ndarray:
        """Return (frames - mean) / s.d. as float32, in their shape."""
        return ((frames.astype(np.float32) - np.float32(self.mean)) / np.float32(self.sd)).astype(np.float32)


@dataclass(frozen=True)
class Recording:
    """One recording.

    frames    (time, height, width) as recorded, held once
    block     (time,) number of the continuous block of each frame
    response  (time, neuron) NaN where not recorded
    """

    name: str
    frames: np.ndarray
    block: np.ndarray
    response: np.ndarray

    def windows(self, rows: np.ndarray, history: int, lag: int, scale: Scale) -> Tensor:
        """Return what rows see, (row, lag, height, width) float32, standardised, oldest frame first."""
        first = rows - lag - history + 1
        return torch.from_numpy(scale.standardise(self.frames[first[:, None] + np.arange(history)]))


@dataclass(frozen=True)
class Data:
    """Recordings of one retina and the rows of a fold.

    rows     part -> (row, 2) number of the recording and row
    neurons  (neuron,) ids; centre: (neuron, 2) row and column of receptive fields in px, NaN unknown
    mean, sd (neuron,) of the training responses
    """

    recordings: Sequence[Recording]
    rows: Mapping[PartName, np.ndarray]
    scale: Scale
    neurons: np.ndarray
    centre: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    history: int
    lag: int
    units: str
    rate_hz: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the movies."""
        height, width = self.recordings[0].frames.shape[1:]
        return int(height), int(width)

    def windows(self, rows: np.ndarray) -> Tensor:
        """Return windows, (row, lag, height, width); rows (row, 2)."""
        out = torch.empty((len(rows), self.history, *self.shape))
        for index, recording in enumerate(self.recordings):
            of = np.flatnonzero(rows[:, 0] == index)
            out[torch.from_numpy(of)] = recording.windows(rows[of, 1], self.history, self.lag, self.scale)
        return out

    def responses(self, rows: np.ndarray) -> np.ndarray:
        """Return responses, (row, neuron) float32; rows (row, 2)."""
        out = np.empty((len(rows), len(self.neurons)), np.float32)
        for index, recording in enumerate(self.recordings):
            of = rows[:, 0] == index
            out[of] = recording.response[rows[of, 1]]
        return out

    def joined(self) -> np.ndarray:
        """Return all movies one behind the other, (time, height, width) float32, standardised."""
        return np.concatenate([self.scale.standardise(recording.frames) for recording in self.recordings])

    def ordered(self, part: PartName) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of a part as numbers of frames of `joined`, (row,) ascending, and their responses."""
        lengths = [len(recording.frames) for recording in self.recordings]
        rows = self.rows[part]
        return rows[:, 1] + np.cumsum([0, *lengths])[rows[:, 0]], self.responses(rows)


def load(features: Features, fold: int, settings: Settings) -> Data:
    """Return the recordings a model is fitted to, with the rows of a fold.

    Raises ConfigError for an unknown recording, DataError for recordings of other cells, or if a window crosses a
    border of its block or a training window reaches test rows.
    """
    names = chosen(features, settings.recordings)
    groups = [features.group(name, "responses") for name in names]
    neurons = _same([np.array([str(i) for i in group["neuron"].values], object) for group in groups], names)
    recordings = [recording(features, name) for name in names]
    if settings.swap:
        recordings = [_shifted(found, features, fold) for found in recordings]
    rows = {part: _rows(features, fold, names, part) for part in PARTS}
    _check_windows(recordings, rows, settings)
    train = np.concatenate([r.response[rows["train"][rows["train"][:, 0] == i, 1]] for i, r in enumerate(recordings)])
    first = groups[0]
    known = "row" in first.coords
    centre = np.stack([first["row"].values, first["column"].values], 1) if known else np.full((len(neurons), 2), np.nan)
    with np.errstate(invalid="ignore"):
        mean, sd = np.nanmean(train, 0), np.nanstd(train, 0)
    return Data(
        recordings, rows, scale(features, fold, names), neurons, centre.astype(float), mean, sd,
        settings.history, settings.lag, str(first["response"].attrs["units"]), float(first.attrs["rate_hz"]),
    )  # fmt: skip


def chosen(features: Features, names: Sequence[str]) -> list[str]:
    """Return recordings by name, none given: all of ganglion cells. Raises ConfigError for an unknown one."""
    known = [name for name in features.stores if "responses" in features.stores[name].children]
    wrong = [name for name in names if name not in known]
    if wrong or not known:
        raise ConfigError(
            "fit, recordings",
            expected=f"recordings of ganglion cells among {', '.join(known) or 'none'}",
            found=wrong[0] if wrong else "a dataset without ganglion cells",
            remedy="Correct `recordings`.",
        )
    return list(names) or known


def recording(features: Features, name: str) -> Recording:
    """Return one recording in memory, its movie in the type it is stored in."""
    stimulus = features.group(name, "stimulus")
    response = features.group(name, "responses")["response"].values.astype(np.float32)
    return Recording(name, stimulus["movie"].values, stimulus["block"].values, response)


def scale(features: Features, fold: int, names: Sequence[str]) -> Scale:
    """Return the mean and s.d. of the training frames of several recordings together."""
    weights, means, squares = [], [], []
    for name in names:
        mean, sd = (float(features.statistics[f"{name}/stimulus_{key}"].values[fold]) for key in ("mean", "sd"))
        weights.append(float(len(row_indices(features.folds[fold].train.get(name, [])))))
        means.append(mean)
        squares.append(sd**2 + mean**2)
    mean = float(np.average(means, weights=weights))
    sd = float(np.sqrt(max(np.average(squares, weights=weights) - mean**2, 0)))
    if not sd > 0:
        raise DataError(
            f"movies of {', '.join(names)}",
            expected="frames that differ",
            found="the same value in every pixel of every training frame",
            remedy="Correct the reader's options.",
        )
    return Scale(mean, sd)


def _rows(features: Features, fold: int, names: Sequence[str], part: PartName) -> np.ndarray:
    """Return (row, 2): number of the recording and row, of one part."""
    found = [row_indices(features.folds[fold].rows(part).get(name, [])) for name in names]
    return np.concatenate([np.stack([np.full(len(rows), index), rows], 1) for index, rows in enumerate(found)])


def _same(ids: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    for found, name in zip(ids, names):
        if list(found) != list(ids[0]):
            raise DataError(
                f"fit, recordings {', '.join(names)}",
                expected=f"the {len(ids[0])} cells of {names[0]}",
                found=f"{len(found)} cells in {name}: {', '.join(found[:4])}, ...",
                remedy="Name recordings of the same cells in `recordings`.",
            )
    return ids[0]


def _shifted(found: Recording, features: Features, fold: int) -> Recording:
    """Return a recording with responses shifted in a circle by a third of the rows of each part that trains it."""
    response = found.response.copy()
    for part in PARTS[:2]:
        rows = row_indices(features.folds[fold].rows(part).get(found.name, []))
        response[rows] = np.roll(response[rows], len(rows) // 3, axis=0)
    return Recording(found.name, found.frames, found.block, response)


def _check_windows(recordings: Sequence[Recording], rows: Mapping[PartName, np.ndarray], settings: Settings) -> None:
    """Raise DataError if a window crosses a border of its block, or one of training holds a row of another part."""
    reach = settings.history + settings.lag - 1
    for index, found in enumerate(recordings):
        of = {part: rows[part][rows[part][:, 0] == index, 1] for part in PARTS}
        every = np.concatenate(list(of.values()))
        crossing = (every < reach) | (found.block[np.maximum(every - reach, 0)] != found.block[every])
        held = np.zeros(len(found.block) + 1, int)
        held[np.concatenate([of["validation"], of["test"]]) + 1] = 1
        held = np.cumsum(held)
        mixed = held[of["train"] + 1] - held[np.maximum(of["train"] - reach, 0)]
        if crossing.any() or mixed.any():
            raise DataError(
                f"fit, windows of {reach + 1} frames in {found.name}",
                expected="windows inside one block and, of training rows, without rows of validation and test",
                found=f"{int(crossing.sum())} that cross a border, {int((mixed > 0).sum())} that hold such rows",
                remedy=f"Set `preprocess.history_frames` to {reach} or more.",
            )
