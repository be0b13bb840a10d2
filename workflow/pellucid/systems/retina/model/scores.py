"""Scores of predicted rates, cell by cell; rates and responses are (row, neuron), NaN responses count for nothing."""

import numpy as np

FLOOR = 1e-4
"""Least predicted rate in a likelihood, as a share of the mean training rate."""


def correlation(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each cell, (neuron,); 0 for a constant prediction, NaN for a constant response."""
    found = []
    for y, x in _known(observed, predicted):
        total = np.sqrt((x @ x) * (y @ y))
        found.append(np.nan if not y @ y > 0 else float(x @ y / total) if total > 0 else 0.0)
    return np.array(found)


def slope(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the calibration slope of each cell, (neuron,): of the response's regression on the prediction."""
    return np.array([float(x @ y / (x @ x)) if x @ x > 0 else np.nan for y, x in _known(observed, predicted)])


def fraction_explained(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return 1 - MSE / variance of the response, (neuron,), not bounded below."""
    known = np.isfinite(observed)
    error = np.where(known, observed - predicted, 0).astype(float)
    variance = np.nanvar(np.where(known, observed, np.nan), axis=0)
    return np.asarray(1 - _divided((error**2).sum(0) / np.maximum(known.sum(0), 1), variance))


def rmse(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the root of the mean squared error, (neuron,), in the unit of the response."""
    return np.asarray(np.sqrt(np.nanmean((observed - predicted).astype(float) ** 2, axis=0)))


def gained_bits(single: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood gained over a constant rate, bits, and the response, both (row, neuron).

    single     (repeat, row, neuron) single presentations
    predicted  (row, neuron); mean: (neuron,) training response, the constant rate
    sum over repeats of y log2(p / m) - (p - m) / ln 2: Poisson. Its sum over rows, divided by that of the responses, is
    in bits per spike whatever the unit of rates. NaN responses add 0.
    """
    mean = np.maximum(mean, 1e-12)
    rate = np.maximum(predicted, FLOOR * mean).astype(float)
    known = np.isfinite(single)
    seen = np.where(known, single, 0).astype(float)
    gain = seen.sum(0) * np.log2(rate / mean) - known.sum(0) * (rate - mean) / np.log(2)
    return np.asarray(gain), np.asarray(seen.sum(0))


def per_spike(gain: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """Return bits per spike, (neuron,), from sums over rows; NaN without spikes."""
    return _divided(gain.sum(0), spikes.sum(0))


def blocks_interval(
    gain: np.ndarray, spikes: np.ndarray, length: int, *, resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval of the mean over cells of bits per spike, from blocks of rows drawn with replacement.

    gain, spikes  (row, neuron); length: rows of a block
    """
    count = max(1, len(gain) // max(1, length))
    number = np.minimum(np.arange(len(gain)) // max(1, length), count - 1)
    sums = np.stack([[np.bincount(number, column, count) for column in array.T] for array in (gain, spikes)])
    if count < 2:
        return float("nan"), float("nan")
    drawn = generator.multinomial(count, np.full(count, 1 / count), resamples)
    gained, fired = (part @ drawn.T for part in sums)
    low, high = np.nanquantile(np.nanmean(_divided(gained, fired), axis=0), [0.025, 0.975])
    return float(low), float(high)


def cells_interval(values: np.ndarray, *, resamples: int, generator: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of a mean over cells, from cells drawn with replacement; values (neuron,)."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    means = known[generator.integers(0, len(known), (resamples, len(known)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _known(observed: np.ndarray, predicted: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return response and prediction of each cell less their means, (row,), over known responses."""
    out = []
    for y, x in zip(observed.T.astype(float), predicted.T.astype(float)):
        known = np.isfinite(y)
        y, x = y[known], x[known]
        varied = len(x) > 0 and np.ptp(x) > 1e-9 * max(1e-12, np.abs(x).max())
        out.append((y - y.mean() if len(y) else y, x - x.mean() if varied else np.zeros_like(x)))
    return out


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))
