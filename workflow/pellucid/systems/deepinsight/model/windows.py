"""Windows of normalised features with their behaviour, always inside one contiguous range of one part of a fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pellucid.artifacts import Features, PartName
from pellucid.errors import DataError
from pellucid.systems.deepinsight.model.losses import Target, targets
from pellucid.systems.deepinsight.model.settings import Settings

OUTPUT_ROWS = 16
"""One output every 16 rows of a window, at rows 15, 31, 47, 63."""


@dataclass(frozen=True)
class Stretch:
    """One contiguous range of rows of one recording, normalised with its fold's training statistics.

    power      (time, frequency, channel), scaled (x - median) / MAD
    behaviour  (time, output)
    scored     (time,), the rows that count
    start      first row, in the recording
    """

    recording: str
    start: int
    power: Tensor
    behaviour: Tensor
    scored: Tensor

    def ends(self, window: int) -> np.ndarray:
        """Return the scored rows that have a whole window behind them, counted from the stretch's start."""
        rows = np.flatnonzero(self.scored.numpy())
        return rows[rows >= window - 1]


def stretches(features: Features, fold: int, part: PartName, source: Literal["power", "spikes"]) -> list[Stretch]:
    """Load the rows of one part of one fold: normalised power, or spike counts as (time, 1, neuron).

    Raises DataError if spikes are asked for and the features hold none.
    """
    found = []
    for name, rows in features.folds[fold].rows(part).items():
        group = features.group(name)
        for start, stop in rows:
            behaviour = np.nan_to_num(group["behaviour"][start:stop].values)  # a missing row is not scored
            found.append(
                Stretch(
                    name,
                    start,
                    torch.from_numpy(_inputs(features, group, fold, slice(start, stop), source)),
                    torch.from_numpy(behaviour),
                    torch.from_numpy(group["scored"][start:stop].values.astype(bool)),
                )
            )
    return found


def _inputs(features: Features, group: xr.Dataset, fold: int, rows: slice, source: str) -> np.ndarray:
    if source == "power":
        median, mad = (features.statistics[name].values[fold] for name in ("median", "mad"))
        return np.ascontiguousarray((group["power"][rows].values - median) / mad, np.float32)
    if "spikes" not in group:
        raise DataError(
            "fit, input: spikes",
            expected="spike counts in the features",
            found="none",
            remedy="Name them with `preprocess.spikes`, or remove the model.",
        )
    return np.ascontiguousarray(group["spikes"][rows].values[:, None, :], np.float32)


def decoded(features: Features, settings: Settings) -> list[Target]:
    """Return the decoded targets of a dataset. Raises DataError if settings name one that is not there."""
    group = features.first()
    found = targets(list(group["target"].values), list(group["label"].values), settings.outputs)
    unknown = set(settings.outputs) - {target.name for target in found}
    if unknown:
        raise DataError(
            "fit, outputs",
            expected=f"targets of `preprocess`: {', '.join(target.name for target in found)}",
            found=", ".join(sorted(unknown)),
            remedy="Correct the name in `fit.shared.outputs` or `fit.models`.",
        )
    return found


class Windows:
    """Windows of a fixed length over several stretches, drawn at random with replacement or all in order."""

    def __init__(self, found: Sequence[Stretch], window: int, where: str = "windows") -> None:
        """found: stretches of one part; window: rows. Raises DataError if none is long enough."""
        self.stretches, self.window = list(found), window
        self._ends = [(s, end) for s, stretch in enumerate(found) for end in stretch.ends(window)]
        if not self._ends:
            raise DataError(
                where,
                expected=f"a stretch of at least {window} rows ending in a scored one",
                found=f"stretches of {[len(s.power) for s in found]} rows",
                remedy="Use a shorter window, fewer folds or a longer recording.",
            )

    def __len__(self) -> int:
        """Return how many windows there are, one per scored row with a whole window behind it."""
        return len(self._ends)

    def draw(self, generator: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw windows uniformly with replacement: (B, C, T, F), behaviour (B, T', output), scored (B, T')."""
        return self.take(generator.integers(0, len(self), count))

    def take(self, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return the windows of the given numbers, as `draw` does."""
        step = min(OUTPUT_ROWS, self.window)
        power, behaviour, scored = [], [], []
        for index in indices:
            s, end = self._ends[index]
            rows = slice(end - self.window + 1, end + 1)
            stretch = self.stretches[s]
            power.append(stretch.power[rows])
            behaviour.append(stretch.behaviour[rows][step - 1 :: step])
            scored.append(stretch.scored[rows][step - 1 :: step])
        return torch.stack(power).permute(0, 3, 1, 2), torch.stack(behaviour), torch.stack(scored).float()

    def last_behaviour(self) -> np.ndarray:
        """Return the behaviour at the last row of every window in order, shape (window, output)."""
        return np.stack([self.stretches[s].behaviour[end].numpy() for s, end in self._ends])

    def flat(self, indices: np.ndarray) -> np.ndarray:
        """Return windows flattened for a linear model, shape (window, T F C), float32."""
        rows = [self._ends[index] for index in indices]
        return np.stack([self.stretches[s].power[e - self.window + 1 : e + 1].numpy().ravel() for s, e in rows])
