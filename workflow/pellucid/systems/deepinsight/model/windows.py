"""Windows of normalised features with their behaviour, always inside one contiguous range of one part of a fold."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pellucid import schema
from pellucid.artifacts import Features, PartName
from pellucid.errors import DataError
from pellucid.systems.deepinsight.model.losses import Target, targets
from pellucid.systems.deepinsight.model.settings import Settings

OUTPUT_ROWS = 16
"""One output every 16 rows of a window, at rows 15, 31, 47, 63."""


@dataclass(frozen=True)
class Stretch:
    """Rows of one contiguous range of one recording, normalised with its fold's training statistics.

    A model that averages n rows sees a range as n stretches, one per phase, whose rows stand n apart; each of their
    rows holds the mean of the n rows of the recording that end there.

    rows       (row,) number of each row in the recording
    power      (row, frequency, channel), scaled (x - median) / MAD; the model's bands only
    behaviour  (row, output), the model's targets only
    scored     (row,), the rows that count
    start      first row of the range, in the recording
    """

    recording: str
    rows: np.ndarray
    power: Tensor
    behaviour: Tensor
    scored: Tensor
    start: int

    def ends(self, window: int, history: int = 0) -> np.ndarray:
        """Return the scored rows that have a whole window behind them, counted from the stretch's first.

        window   rows of the stretch
        history  rows of the range that must lie behind an end, itself included
        """
        rows = np.flatnonzero(self.scored.numpy())
        return rows[(rows >= window - 1) & (self.rows[rows] - self.start >= history - 1)]


def stretches(features: Features, fold: int, part: PartName, settings: Settings) -> list[Stretch]:
    """Load the rows of one part of one fold as a model sees them.

    Spike counts are (row, 1, neuron). Raises DataError if spikes are asked for and the features hold none.
    """
    columns, bands, found = columns_of(features, settings), bands_of(features, settings), []
    known = {name: _behaviour(features.group(name), columns, settings, name) for name in features.stores}
    for name, start, stop in _ranges(features, fold, part, settings):
        behaviour, scored = (torch.from_numpy(values[start:stop]) for values in known[name])
        power = _inputs(features, features.group(name), fold, slice(start, stop), settings.input, bands)
        whole = Stretch(name, np.arange(start, stop), torch.from_numpy(power), behaviour, scored, start)
        found += [whole] if settings.average_rows == 1 else _phases(whole, settings.average_rows)
    return found


def _ranges(features: Features, fold: int, part: PartName, settings: Settings) -> Iterator[tuple[str, int, int]]:
    """Yield (recording, start, stop) of a part; of the training rows no more than the first `train_s` seconds."""
    left = settings.train_s if part == "train" else None
    for name, rows in features.folds[fold].rows(part).items():
        rate = 0.0 if left is None else row_rate(features.group(name), name)
        for start, stop in rows:
            last = stop if left is None else min(stop, start + round(left * rate))
            if last > start:
                yield name, start, last
            left = None if left is None else left - (last - start) / rate


def _behaviour(group: xr.Dataset, columns: np.ndarray, settings: Settings, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return behaviour (time, output), 0 where missing, and scored (time,) of a whole recording.

    With `shift_s` both are rolled; a row then counts where it counted before and after, since what makes a row count
    may lie in its signal or in its behaviour.
    """
    behaviour, scored = group["behaviour"].values[:, columns], group["scored"].values.astype(bool)
    if settings.shift_s is not None:
        shift = round(settings.shift_s * row_rate(group, name))
        behaviour, scored = np.roll(behaviour, shift, axis=0), scored & np.roll(scored, shift)
    return np.nan_to_num(behaviour), scored


def _phases(whole: Stretch, count: int) -> list[Stretch]:
    """Return the stretches of every `count`-th row, each a mean over the `count` rows that end there."""
    found = []
    for phase in range(min(count, len(whole.rows) - count + 1)):
        last = slice(phase + count - 1, None, count)
        rows = whole.rows[last]
        power = whole.power[phase : phase + len(rows) * count].reshape(len(rows), count, *whole.power.shape[1:]).mean(1)
        behaviour, scored = whole.behaviour[last], whole.scored[last]
        found.append(replace(whole, rows=rows, power=power, behaviour=behaviour, scored=scored))
    return found


def _inputs(
    features: Features, group: xr.Dataset, fold: int, rows: slice, source: str, bands: np.ndarray
) -> np.ndarray:
    if source == "power":
        median, mad = (features.statistics[name].values[fold] for name in ("median", "mad"))
        scaled = (group["power"][rows].values - median) / mad
        return np.ascontiguousarray(scaled if len(bands) == scaled.shape[1] else scaled[:, bands], np.float32)
    if "spikes" not in group:
        raise DataError(
            "fit, input: spikes",
            expected="spike counts in the features",
            found="none",
            remedy="Name them with `preprocess.spikes`, or remove the model.",
        )
    return np.ascontiguousarray(group["spikes"][rows].values[:, None, :], np.float32)


def row_rate(group: xr.Dataset, name: str) -> float:
    """Return rows per second. Raises DataError if the rows do not lie on a regular clock."""
    if "rate_hz" in group.attrs:
        return float(group.attrs["rate_hz"])
    steps = np.diff(schema.sample_times(group))
    if not len(steps) or steps.max() - steps.min() > 0.01 * np.median(steps):
        raise DataError(
            f"features of {name}, /features/time",
            expected="rows at one rate, for what is given in seconds",
            found="irregular times",
            remedy="Leave out `train_s`, `shift_s` and the speeds of `bayes` for this recording.",
        )
    return float(1 / np.median(steps))


def bands_of(features: Features, settings: Settings) -> np.ndarray:
    """Return the numbers of the bands a model sees, increasing, shape (band,). Raises DataError if there are none."""
    grid = np.asarray(features.first()["frequency"].values, float)
    chosen = settings.bands
    if chosen is None:
        return np.arange(len(grid))
    if chosen.only_hz is not None:
        return np.unique([int(np.argmin(np.abs(grid - hz))) for hz in chosen.only_hz])
    low, high = chosen.above_hz, chosen.below_hz
    found = np.flatnonzero((grid > (-np.inf if low is None else low)) & (grid < (np.inf if high is None else high)))
    if not len(found):
        raise DataError(
            "fit, bands",
            expected=f"an interval that holds one of {', '.join(f'{hz:.4g}' for hz in grid)} Hz",
            found=f"above_hz: {low}, below_hz: {high}",
            remedy="Widen the interval, or name the bands with `only_hz`.",
        )
    return found


def decoded(features: Features, settings: Settings) -> list[Target]:
    """Return the targets a model decodes; their columns count the model's own outputs.

    Raises DataError if settings name a target that is not there.
    """
    return _chosen(features, settings)[0]


def columns_of(features: Features, settings: Settings) -> np.ndarray:
    """Return where a model's outputs stand among all outputs of the features, shape (output,)."""
    return _chosen(features, settings)[1]


def _chosen(features: Features, settings: Settings) -> tuple[list[Target], np.ndarray]:
    group = features.first()
    described = json.loads(group.attrs["targets"])
    known = targets(list(group["target"].values), list(group["label"].values), settings.outputs)
    names = [target.name for target in known]
    for key, asked in (("outputs", settings.outputs), ("decode", settings.decode or ())):
        unknown = sorted(set(asked) - set(names))
        if unknown:
            raise DataError(
                f"fit, {key}",
                expected=f"targets of `preprocess`: {', '.join(names)}",
                found=", ".join(unknown),
                remedy=f"Correct the name in `fit.shared.{key}` or `fit.models`.",
            )
    found: list[Target] = []
    columns: list[int] = []
    for target in known:
        if settings.decode is None or target.name in settings.decode:
            own = slice(len(columns), len(columns) + target.size)
            found.append(replace(target, columns=own, kind=described[target.name]["kind"]))
            columns += range(target.columns.start, target.columns.stop)
    return found, np.array(columns)


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
