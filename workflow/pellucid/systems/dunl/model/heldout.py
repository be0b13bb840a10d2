"""Held-out bins inside trials, and scores of expected values on them, the same for every model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from pellucid.errors import DataError
from pellucid.systems.dunl.model.comparator_settings import LikelihoodName
from pellucid.systems.dunl.model.traces import Traces


def nll(
    signal: np.ndarray,
    mean: np.ndarray,
    likelihood: LikelihoodName,
    most_counts: int,
    variance: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return the negative log likelihood of every bin in nats, shape (trace, time), from means instead of drives.

    gaussian  (y - m)^2 / 2, or the full density (y - m)^2 / 2v + log(2 pi v) / 2 where a variance v is given
    poisson   m - y log m
    binomial  -y log(m / N) - (N - y) log(1 - m / N), which is N (softplus(z) - (y / N) z) of the drive z

    signal       (trace, time) counts or values y
    mean         (trace, time) expected count or value m of a bin; inside the support, see `Scoring.bounded`
    most_counts  N; used by the binomial only
    variance     broadcast to (trace, time), squared units of the signal; used by the gaussian only
    """
    if likelihood == "gaussian":
        squared = (signal - mean) ** 2
        if variance is None:
            return np.asarray(squared / 2)
        return np.asarray(squared / (2 * np.asarray(variance)) + np.log(2 * np.pi * np.asarray(variance)) / 2)
    if likelihood == "poisson":
        return np.asarray(mean - xlogy(signal, mean))
    share = mean / most_counts
    return np.asarray(-xlogy(signal, share) - xlogy(most_counts - signal, 1 - share))


def deviance_explained(
    signal: np.ndarray,
    mean: np.ndarray,
    constant: np.ndarray,
    scored: np.ndarray,
    likelihood: LikelihoodName,
    most_counts: int,
) -> float:
    """Return D2 = 1 - D(mean) / D(constant), with D the summed loss above that of m = y; NaN where D(constant) is 0.

    signal, mean  (trace, time) counts or values, and what the model expects
    constant      broadcast to (trace, time): what the model of constant rate expects, fitted to training trials
    scored        (trace, time) bool: the bins that count; pass the rows of one neuron for its own score
    For the gaussian this is R2 against the training mean. It is not bounded from below.
    """
    best = nll(signal, signal, likelihood, most_counts)
    over = [
        float((nll(signal, np.broadcast_to(m, signal.shape), likelihood, most_counts) - best)[scored].sum())
        for m in (mean, constant)
    ]
    return 1 - over[0] / over[1] if over[1] > 0 else float("nan")


def halves(traces: Traces, seed: int, *, chunk: int = 2, by_trial: bool = True) -> np.ndarray:
    """Return the observed bins, shape (trace, time) bool; `traces.valid & ~observed` is the half that is scored.

    A trial is cut into chunks of `chunk` bins from its bin 0; a random half of the chunks that have valid bins is
    observed (of an odd number, one more or fewer at random). Score both halves in turn by exchanging them.

    seed      the bins of a trial depend on it, the trial's number and its valid bins, not on other trials or padding
    by_trial  the same chunks for all neurons of a trial, so that no neuron shows what another one hides;
              otherwise each neuron of a trial has its own
    """
    keys = traces.trial if by_trial else traces.trial * len(traces.neurons) + traces.neuron
    groups, member = np.unique(keys, return_inverse=True)
    bins, chunks = traces.bins, -(-traces.bins // chunk)
    usable = np.zeros((len(groups), chunks * chunk), bool)
    for column in range(bins):
        usable[:, column] = np.bincount(member, weights=traces.valid[:, column], minlength=len(groups)) > 0
    usable = np.asarray(usable.reshape(-1, chunks, chunk).any(axis=2))
    drawn = np.array([np.random.default_rng([seed, key]).random(chunks + 1) for key in groups]).reshape(-1, chunks + 1)
    rank = np.where(usable, drawn[:, 1:], np.inf).argsort(axis=1).argsort(axis=1)
    count = (usable.sum(axis=1) + (drawn[:, 0] < 0.5)) // 2
    observed = np.repeat(rank < count[:, None], chunk, axis=1)[:, :bins]
    return np.asarray(observed[member] & traces.valid)


@dataclass(frozen=True)
class Scoring:
    """How a comparator is scored while its settings are chosen on validation trials.

    floor        smallest mean, counts per bin; the binomial's largest is N - floor
    most_counts  N, the largest possible count of a bin
    chunk_bins   bins of a chunk; seed: of the chunks, see `halves`
    """

    likelihood: LikelihoodName
    floor: float
    most_counts: int
    chunk_bins: int
    seed: int

    def bounded(self, mean: np.ndarray) -> np.ndarray:
        """Return means that keep every loss finite, shape of mean; values are left as they are."""
        if self.likelihood == "gaussian":
            return mean
        most = self.most_counts - self.floor if self.likelihood == "binomial" else np.inf
        return np.asarray(np.clip(mean, self.floor, most))

    def loss(self, predict: Callable[[Traces], np.ndarray], traces: Traces) -> float:
        """Return the mean loss per bin, nats, with each half of the bins predicted from the other one.

        predict  maps traces of which only the observed bins are valid to means of all bins, shape (trace, time)
        Raises DataError if no bin is valid.
        """
        if not traces.valid.any():
            raise DataError(
                "validation trials",
                expected="bins that settings can be chosen on",
                found="none",
                remedy="Give each fold validation trials in `preprocess.split`.",
            )
        first = halves(traces, self.seed, chunk=self.chunk_bins)
        total = 0.0
        for observed in (first, traces.valid & ~first):
            mean = self.bounded(predict(traces.observed(observed)))
            total += float(nll(traces.signal, mean, self.likelihood, self.most_counts)[traces.valid & ~observed].sum())
        return total / int(traces.valid.sum())


def choose(candidates: Sequence[float], loss: Callable[[float], float]) -> tuple[float, dict[str, float]]:
    """Return the candidate of least loss, the first of equals, and the loss of each by its text."""
    found = {candidate: loss(candidate) for candidate in candidates}
    return min(found, key=lambda candidate: found[candidate]), {f"{key:g}": value for key, value in found.items()}
