"""Which covariates of a trial its codes follow: Spearman's rho per neuron and kernel, beside that of raw counts.

Sheet §6.2. The trial code is the sum over time of x_k. Its rank correlation with a covariate (reward size, say) is
compared with that of the spike count in one window, and of counts from windows whose start slides to the same end, the
usual device for skipping an early response. Ties share their mean rank; a trial whose value or covariate is not finite
is left out of the correlations it would enter; a constant input has no rank correlation (NaN).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pellucid.errors import DataError
from pellucid.learning import intervals


@dataclass(frozen=True)
class Rho:
    """Rank correlations, one per column of the values.

    value      (...) Spearman's rho, NaN where undefined
    trials     (...) int, trials whose value and covariate are both known
    undefined  number of columns without a rank correlation: constant input, or fewer than two trials
    """

    value: np.ndarray
    trials: np.ndarray
    undefined: int


@dataclass(frozen=True)
class Pairs:
    """Values as a table against one covariate.

    values     (trial, column); covariate (trial,)
    known      (trial, column) bool: value and covariate are both finite
    shape      of the columns before they were flattened
    """

    values: np.ndarray
    covariate: np.ndarray
    known: np.ndarray
    shape: tuple[int, ...]

    def patterns(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the trials (trial,) that a set of columns is known in, and the indices of these columns."""
        found, member = np.unique(self.known, axis=1, return_inverse=True)
        for index, kept in enumerate(found.T):
            yield kept, np.flatnonzero(np.ravel(member) == index)


def pairs(values: np.ndarray, covariate: np.ndarray, axis: int = 0) -> Pairs:
    """Return values and covariate trial by trial.

    values     any shape with trials along `axis`; covariate (trial,)
    Raises DataError if their numbers of trials differ.
    """
    table = np.moveaxis(np.asarray(values, float), axis, 0)
    column = np.asarray(covariate, float)
    if column.shape != table.shape[:1]:
        raise DataError(
            "attribute, covariate",
            expected=f"one value for each of {len(table)} trials",
            found=f"shape {column.shape}",
            remedy="Take covariate and codes from the same trials.",
        )
    flat = table.reshape(len(table), int(np.prod(table.shape[1:])))
    return Pairs(flat, column, np.isfinite(flat) & np.isfinite(column)[:, None], table.shape[1:])


def unit_ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return centred ranks of unit norm along the first axis, 0 where not known, NaN in constant columns.

    values, known  (trial, column); the product of two such columns, summed, is Spearman's rho
    """
    ranks = stats.rankdata(np.where(known, values, np.nan), axis=0, nan_policy="omit")
    mean = np.where(known, ranks, 0).sum(0) / np.maximum(known.sum(0), 1)
    centred = np.where(known, ranks - mean, 0)
    norm = np.sqrt((centred**2).sum(0))
    return np.asarray(np.divide(centred, norm, out=np.full(centred.shape, np.nan), where=norm > 0))


def rank_correlation(values: np.ndarray, covariate: np.ndarray, axis: int = 0) -> Rho:
    """Return Spearman's rho of every column of the values with a covariate.

    values     codes (trial, neuron, kernel), counts (trial, neuron), or sliding counts (lag, trial, neuron) with axis=1
    covariate  (trial,) in its own units
    Shapes of the result are those of the values without their axis of trials.
    """
    table = pairs(values, covariate, axis)
    other = np.broadcast_to(table.covariate[:, None], table.values.shape)
    trials = table.known.sum(0)
    product = unit_ranks(table.values, table.known) * unit_ranks(other, table.known)
    rho = np.where(trials > 1, product.sum(0), np.nan)
    return Rho(rho.reshape(table.shape), trials.reshape(table.shape), int(np.isnan(rho).sum()))


def bootstrap(
    values: np.ndarray,
    covariate: np.ndarray,
    axis: int = 0,
    *,
    resamples: int,
    generator: np.random.Generator,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of every rho over trials drawn with replacement, the same ones for all columns.

    values, covariate  as in `rank_correlation`; codes are taken as they are, the encoder is not run again
    Resamples in which a column is constant do not count; a column without any other has NaN.
    """
    table = pairs(values, covariate, axis)
    count = len(table.covariate)
    rho = np.full((resamples, table.values.shape[1]), np.nan)
    drawn = generator.multinomial(count, np.full(max(count, 1), 1 / max(count, 1)), resamples).T.astype(float)
    for kept, columns in table.patterns():
        if kept.sum() < 2:
            continue
        times = drawn[kept]
        other = _repeated_ranks(table.covariate[kept], times)
        for column in columns:
            rho[:, column] = _correlation(_repeated_ranks(table.values[kept, column], times), other, times)
    low, high = np.full((2, rho.shape[1]), np.nan)
    defined = np.isfinite(rho).any(0)
    if defined.any():
        low[defined], high[defined] = intervals.pointwise(rho[:, defined], level)
    return low.reshape(table.shape), high.reshape(table.shape)


def _repeated_ranks(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return mean ranks of values (trial,) of which each occurs `times`, less their mean, both (trial, resample)."""
    _, member = np.unique(values, return_inverse=True)
    order = np.argsort(member, kind="stable")
    starts = np.flatnonzero(np.diff(member[order], prepend=-1))
    total = np.add.reduceat(times[order], starts, axis=0)
    upto = np.cumsum(total, axis=0)
    return np.asarray((upto - total / 2 - upto[-1] / 2)[member])  # ranks of n trials have the mean (n + 1) / 2


def _correlation(first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the correlation of centred ranks of trials that occur `times`, (resample,), NaN where one is constant."""
    weighted = times * first
    norm = np.sqrt((weighted * first).sum(0) * (times * second**2).sum(0))
    found = (weighted * second).sum(0)
    return np.asarray(np.divide(found, norm, out=np.full(norm.shape, np.nan), where=norm > 0))


def summed(code: np.ndarray, kernels: Sequence[int]) -> np.ndarray:
    """Return the summed codes of some kernels (reward I + reward II), (trial, neuron), from (trial, neuron, kernel)."""
    return np.asarray(code[..., list(kernels)].sum(-1))


def sliding_counts(signal: np.ndarray, onset_bin: np.ndarray, width: int, starts: Sequence[int]) -> np.ndarray:
    """Return counts from `onset + start` up to, not including, `onset + width`, for every start.

    signal     (trial, time, neuron) counts or values per bin, NaN where there are none
    onset_bin  (trial,) bin of the event, negative where a trial has none
    width      bins from the event to the end of every window; published 24 bins of 25 ms, 600 ms
    starts     bins from the event to the start of each window; published 0 to 15, that is to 375 ms
    Returns (start, trial, neuron), NaN where the window leaves the valid bins. Raises DataError for an empty window.
    """
    if not len(starts) or max(starts) >= width:
        raise DataError(
            "attribute, sliding windows",
            expected=f"starts before the end of the windows, {width} bins after the event",
            found=", ".join(str(start) for start in starts) or "no start",
            remedy="Shorten the range of starts or lengthen the window.",
        )
    known = np.isfinite(signal)
    bins = signal.shape[1]
    edge = [(0, 0), (1, 0), (0, 0)]
    total = np.pad(np.cumsum(np.where(known, signal, 0), axis=1, dtype=float), edge)
    missing = np.pad(np.cumsum(~known, axis=1), edge)
    first = np.asarray(onset_bin)[None] + np.asarray(starts)[:, None]  # (start, trial)
    stop = np.asarray(onset_bin) + width
    inside = (first >= 0) & (stop <= bins) & (np.asarray(onset_bin) >= 0)
    rows = np.arange(len(signal))
    low, high = np.where(inside, first, 0), np.where(inside, stop, 0)
    counts = total[rows, high] - total[rows, low]
    whole = inside[..., None] & (missing[rows, high] == missing[rows, low])
    return np.where(whole, counts, np.nan)
