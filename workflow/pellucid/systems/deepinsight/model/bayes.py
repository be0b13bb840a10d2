"""The Poisson decoder on spikes: rate maps over the bins of one target, with or without a continuity prior.

    P(x|k) ~ P(x) prod_i a_i(x)^k_i exp(-T sum_i a_i(x))      Frey et al. 2021, Methods (Bayesian baseline)

x is a bin, k_i the spikes of unit i in the last T rows, a_i its rate map and P(x) the occupancy of the training rows;
bins of the arena that were never visited are left out. Published: 2 cm bins, smoothing of 1.5 (taken as bins, the unit
is not stated), T = 0.5 s, rows faster than 3 cm/s only. The continuity prior multiplies by
exp(-|x - x_(t-T)|^2 / (2 sigma^2)), centred on the previous estimate T earlier, with sigma = v V and v the mean speed
over the steps before (published V = 1 s, 4 steps). Rows closer than T are decoded as T interleaved series.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Features, Trained
from pellucid.errors import DataError
from pellucid.learning import baselines
from pellucid.systems.deepinsight.model import codec
from pellucid.systems.deepinsight.model.losses import Target
from pellucid.systems.deepinsight.model.settings import Bayes, Settings
from pellucid.systems.deepinsight.model.windows import Stretch, Windows, row_rate

MOST_VALUES = 1 << 24
"""Posterior values at once (128 MiB)."""


def only_target(found: Sequence[Target]) -> Target:
    """Return the one target a Bayes decoder works on. Raises DataError if there are more, or more dimensions than 2."""
    if len(found) != 1 or found[0].size > 2:
        raise DataError(
            "model of kind bayes",
            expected="one target: circular, an angle, or of one or two dimensions",
            found=", ".join(f"{target.name} ({target.size} dimensions)" for target in found),
            remedy="Name it in the model's `decode`.",
        )
    return found[0]


def fit(train: Windows, held: Windows, found: Sequence[Target], settings: Settings, features: Features) -> Trained:
    """Fit rate maps on single rows; the rows decoded together, up to the window, are given or chosen on validation."""
    target, options = only_target(found), settings.bayes
    where, counts = codec.coordinates(train.last_behaviour(), target), _counts(train)
    if options.least_speed is not None:
        fast = _speeds(train, target, features) > options.least_speed
        _check_fast(fast, options.least_speed, target)
        where, counts = where[fast], counts[fast]
    weights = _maps(where, counts, target, options)
    truth = codec.coordinates(held.last_behaviour(), target)
    history = []
    for rows in (
        [2**power for power in range(settings.window_rows.bit_length())] if options.rows is None else [options.rows]
    ):
        decoder = Decoder(weights, target, rows, options, features)
        guess = np.concatenate([decoder.coordinates(s, s.ends(held.window)) for s in held.stretches])
        distance = baselines.distances(guess, truth, codec.wraps(target))
        history.append({"rows": float(rows), "validation": float(np.median(distance))})
    best = int(min(history, key=lambda row: row["validation"])["rows"])
    return Trained(weights, history, {"rows": best})


@dataclass(frozen=True)
class Decoder:
    """Rate maps and how they are read out.

    weights  rates (neuron, bin) per row, log_prior (bin,); centres (bin, dimension) and sizes (dimension,) of the bins
             of a target that is not a phase
    rows     T, rows whose spikes are decoded together
    """

    weights: Mapping[str, np.ndarray]
    target: Target
    rows: int
    settings: Bayes
    features: Features

    def decode(self, stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        """Return predictions (window, output) at the rows `ends` of a stretch."""
        return codec.from_coordinates(self.coordinates(stretch, ends), self.target)

    def coordinates(self, stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        """Return the most probable bin's centre at each end, shape (window, dimension)."""
        if self.settings.continuity_s is not None:
            followed = self._followed(stretch, self.settings.continuity_s)
            return np.asarray(followed[ends - self.rows + 1])
        size = max(1, MOST_VALUES // len(self.centres))
        pieces = [ends[start : start + size] for start in range(0, len(ends), size)]
        best = [self._posterior(stretch, piece).argmax(axis=1) for piece in pieces]
        return np.asarray(self.centres[np.concatenate(best).astype(int) if best else np.empty(0, int)])

    @property
    def centres(self) -> np.ndarray:
        """Coordinates of the bins, shape (bin, dimension)."""
        count = len(self.weights["log_prior"])
        return self.weights["centres"] if "centres" in self.weights else ((np.arange(count) + 0.5) / count)[:, None]

    def _posterior(self, stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        counts = codec.summed(stretch, ends, self.rows)
        return baselines.poisson_posterior(counts, self.weights["rates"], self.weights["log_prior"], self.rows)

    def _followed(self, stretch: Stretch, continuity_s: float) -> np.ndarray:
        """Return the estimate at every row of a stretch from row T - 1 on, shape (row - T + 1, dimension)."""
        wraps = codec.wraps(self.target)
        least = 1 / len(self.centres) if wraps else float(self.weights["sizes"].min())
        step_s = self.rows / row_rate(self.features.group(stretch.recording), stretch.recording)

        def posteriors() -> Iterator[np.ndarray]:
            for start in range(self.rows - 1, len(stretch.rows), self.rows):
                yield self._posterior(stretch, np.arange(start, min(start + self.rows, len(stretch.rows))))

        return baselines.follow(
            posteriors(),
            self.centres,
            spread=continuity_s / step_s,
            steps=self.settings.steps,
            least=least,
            wraps=wraps,
        )


def _maps(where: np.ndarray, counts: np.ndarray, target: Target, options: Bayes) -> dict[str, np.ndarray]:
    if codec.wraps(target):
        if options.bin_size is not None:
            raise DataError(
                "model of kind bayes, bayes.bin_size",
                expected="none for a circular target, whose bins share out the circle",
                found=f"{options.bin_size:g} with target {target.name}",
                remedy="Set `bayes.bins`.",
            )
        rates, prior = baselines.rate_maps(counts, where[:, 0], options.bins, options.smoothing_bins)
        return {"rates": rates, "log_prior": prior}
    low, span = where.min(0).astype(float), np.ptp(where, axis=0).astype(float)
    if options.bin_size is None:
        shape = np.full(len(low), options.bins)
        sizes = np.where(span > 0, span, 1.0) / options.bins
    else:
        sizes = np.full(len(low), options.bin_size)
        shape = np.floor(span / sizes).astype(int) + 1
    bins = np.minimum(((where - low) / sizes).astype(int), shape - 1)
    rates, prior, visited = baselines.grid_rate_maps(counts, bins, tuple(shape.tolist()), options.smoothing_bins)
    centres = np.ascontiguousarray(low + (np.argwhere(visited) + 0.5) * sizes)
    return {"rates": rates, "log_prior": prior, "centres": centres, "sizes": sizes}


def _counts(windows: Windows) -> np.ndarray:
    return np.concatenate([codec.summed(s, s.ends(windows.window), 1) for s in windows.stretches])


def _speeds(windows: Windows, target: Target, features: Features) -> np.ndarray:
    """Return the speed at the last row of every window, by central differences, in the target's unit per second."""
    if codec.wraps(target):
        raise DataError(
            "model of kind bayes, bayes.least_speed",
            expected="a position in one or two dimensions",
            found=f"target {target.name}, which is circular",
            remedy="Leave it out, or score fast rows only (`preprocess.scored`).",
        )
    found = []
    for stretch in windows.stretches:
        where = stretch.behaviour.numpy()[:, target.columns].astype(float)
        rate = row_rate(features.group(stretch.recording), stretch.recording)
        speed = np.linalg.norm(np.gradient(where, axis=0), axis=1) * rate if len(where) > 1 else np.zeros(len(where))
        found.append(speed[stretch.ends(windows.window)])
    return np.concatenate(found)


def _check_fast(fast: np.ndarray, least: float, target: Target) -> None:
    if not fast.any():
        raise DataError(
            "model of kind bayes, bayes.least_speed",
            expected=f"training rows faster than {least:g} per second in the unit of {target.name}",
            found="none",
            remedy="Lower it; it is in the unit the target is scaled to.",
        )
