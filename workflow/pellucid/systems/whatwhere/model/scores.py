"""Scores of predictions per neuron, what noise allows at best, and intervals of their mean over neurons.

Observed responses and predictions are (image, neuron), repeats are (repeat, image, neuron), all in one unit; NaN where
an image was not shown (that often). Every score is (neuron,), and NaN where it is undefined: no signal to predict, a
silent or constant neuron, or a noise estimate without a second repeat.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.learning import intervals, metrics

FLAT = 1e-5  # a prediction whose s.d. is below this share of the observed one counts as constant


def correlation(observed: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation over images of the repeat average and the prediction, shape (neuron,).

    observed    (image, neuron) mean over repeats, NaN where there is none
    prediction  (image, neuron)
    0 for a constant prediction, NaN for a constant observation. Biased towards 0 by the noise that is left in the
    average: the expectation is `ceiling` times the correlation with the noise-free response.
    Klindt et al. 2017, reference code: 0 where either s.d. is below 1e-5; here that limit scales with the observed s.d.
    """
    return _per_neuron(_pearson, observed, prediction)


def single_trial(repeats: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation over all presentations and the prediction, shape (neuron,).

    repeats     (repeat, image, neuron), NaN where not shown
    prediction  (image, neuron), the same for every repeat
    Biased towards 0 by the noise of single presentations, by the factor sqrt(`explainable`). 0 for a constant
    prediction, NaN for a constant neuron.
    """
    repeated = np.broadcast_to(prediction, repeats.shape)
    return correlation(repeats.reshape(-1, repeats.shape[2]), repeated.reshape(-1, repeats.shape[2]))


def fev(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return FEV = 1 - mean (prediction - truth)^2 / var(truth) over images, shape (neuron,); NaN if var(truth) = 0.

    truth       (image, neuron) noise-free responses of a simulation, NaN where there is none
    prediction  (image, neuron)
    Unbiased by noise, as the truth has none; population variance; not clipped, so a bad model goes below 0.
    Klindt et al. 2017, Figs. 3 to 5.
    """
    return _per_neuron(_explained, truth, prediction)


def feve(repeats: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the fraction of explainable variance explained, FEVE = (V - E) / (V - N), shape (neuron,).

    repeats     (repeat, image, neuron), NaN where not shown
    prediction  (image, neuron)
    V is the unbiased variance over images of the repeat average, E the mean squared error against that average, N the
    mean over images of (unbiased variance over repeats) / (number of repeats): the noise in the average. Numerator
    and denominator are unbiased, the ratio is not: where the signal V - N is close to 0 it takes any size and sign,
    so read it beside `explainable`. NaN where V <= N or no image has two repeats; not clipped.
    Klindt et al. 2017, reference code ("EVE", with the same warning).
    """
    found = _moments(repeats)
    known = np.isfinite(found.average) & np.isfinite(prediction)
    residual = np.where(known, found.average - np.where(known, prediction, 0), 0)
    error = (residual**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return _ratio(found.variance - error, found.signal)


def noise_power(repeats: np.ndarray) -> np.ndarray:
    """Return the normalised noise power: mean over images of the variance over repeats / total variance, (neuron,).

    repeats  (repeat, image, neuron), NaN where not shown
    The variance over repeats is unbiased, the total one is the population variance over all presentations, so the
    ratio is biased upwards by about 1 / (number of presentations), and noise alone scatters around 1.
    Klindt et al. 2017, reference code ("NNP").
    """
    flat = repeats.reshape(-1, repeats.shape[2])
    return _ratio(_moments(repeats).noise, _variance(flat, 0))


def explainable(repeats: np.ndarray) -> np.ndarray:
    """Return the share of the single-presentation variance that images explain, S / (S + n), shape (neuron,).

    repeats  (repeat, image, neuron), NaN where not shown
    n is the unbiased variance over repeats, S = V - N as in `feve`. S is unbiased and can be negative, so noise alone
    scatters around 0; the ratio is slightly biased downwards. Not clipped.
    """
    found = _moments(repeats)
    return _ratio(found.signal, found.signal + found.noise)


def ceiling(repeats: np.ndarray) -> np.ndarray:
    """Return the highest correlation with the repeat average that noise allows, sqrt((V - N) / V), shape (neuron,).

    repeats  (repeat, image, neuron), NaN where not shown
    V and N as in `feve`; with R repeats of every image N = n / R. 0 where V <= N: this clipping biases neurons
    without signal upwards, the concave root biases the others slightly downwards.
    """
    found = _moments(repeats)
    return np.asarray(np.sqrt(np.maximum(_ratio(found.signal, found.variance), 0)))


def oracle(repeats: np.ndarray) -> np.ndarray:
    """Return the correlation of each presentation with the mean of the other repeats of its image, shape (neuron,).

    repeats  (repeat, image, neuron), NaN where not shown; images shown once do not count
    Jackknife over repeats, one correlation over all presentations. Biased downwards as an estimate of what a perfect
    model reaches in `single_trial`: the mean of R - 1 repeats is itself noisy. NaN with a single repeat.
    Idea as in the oracle score of neuralpredictors (sinzlab).
    """
    known = np.isfinite(repeats)
    values = np.where(known, repeats, 0).astype(float)
    others = known.sum(axis=0) - known  # number of other repeats
    total = values.sum(axis=0) - values
    mean = np.divide(total, others, out=np.full(repeats.shape, np.nan), where=known & (others > 0))
    neurons = repeats.shape[2]
    return _per_neuron(_pearson, np.where(others > 0, repeats, np.nan).reshape(-1, neurons), mean.reshape(-1, neurons))


def interval(scores: np.ndarray, *, resamples: int = 1000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the mean score over neurons, (low, high).

    scores  (neuron,): neurons are drawn with replacement; or (draw, neuron) on images drawn with replacement: in each
            resample one draw of images is taken as well. Neurons whose score is NaN do not count; (NaN, NaN) without
            any other.
    The interval speaks of other neurons (and images) of the same recording and fit, not of other fits or animals.
    """
    generator = np.random.default_rng(seed)
    table = np.atleast_2d(scores)
    table = table[:, np.isfinite(table).any(axis=0)]
    if not table.size:
        return float("nan"), float("nan")
    neurons = table.shape[1]
    weights = intervals.resampled_weights(1, 1, neurons, resamples=resamples, generator=generator)[:, 0, 0]
    drawn = table[generator.integers(0, len(table), resamples)]
    known = np.isfinite(drawn)
    total = (weights * np.where(known, drawn, 0)).sum(axis=1)
    low, high = intervals.pointwise(_ratio(total, (weights * known).sum(axis=1)), level)
    return float(low), float(high)


@dataclass
class _Moments:
    """What repeats say of signal and noise, in squared units of the responses, NaN where undefined."""

    average: np.ndarray  # (image, neuron), mean over repeats
    variance: np.ndarray  # (neuron,), V: unbiased, over images, of the average
    noise: np.ndarray  # (neuron,), n: unbiased variance over repeats, mean over images
    signal: np.ndarray  # (neuron,), S = V - N with N the noise of the average


def _moments(repeats: np.ndarray) -> _Moments:
    """Return the moments of repeats; an image shown once takes the mean variance of the others."""
    varies = _variance(repeats.reshape(-1, repeats.shape[2]), 0) > 0
    values = np.where(varies, repeats.astype(float), np.nan)
    count = np.isfinite(values).sum(axis=0)
    average = _ratio(np.nansum(values, axis=0), count)
    within = _ratio(np.nansum((values - average) ** 2, axis=0), count - 1)  # variance over repeats of each image
    noise = _ratio(np.nansum(within, axis=0), np.isfinite(within).sum(axis=0))
    left = np.nansum(_ratio(np.where(np.isfinite(within), within, noise), count), axis=0)
    variance = _variance(average, 1)
    signal = variance - _ratio(left, (count > 0).sum(axis=0))
    return _Moments(average, variance, noise, np.where(np.isfinite(noise), signal, np.nan))


def _variance(values: np.ndarray, lost: int) -> np.ndarray:
    """Return the variance over rows with `lost` degrees of freedom taken, NaN ignored, exactly 0 for equal values."""
    values, known = values.astype(float), np.isfinite(values)
    count = known.sum(axis=0)
    mean = _ratio(np.where(known, values, 0).sum(axis=0), count)
    squares = (np.where(known, values - mean, 0) ** 2).sum(axis=0)
    lowest = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    highest = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(highest > lowest, _ratio(squares, count - lost), np.where(count > lost, 0, np.nan))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below, NaN where `below` is not positive."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0))


def _pearson(observed: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    observed_sd, prediction_sd = np.sqrt(_variance(observed, 0)), np.sqrt(_variance(prediction, 0))
    found = np.where(prediction_sd < FLAT * observed_sd, 0, metrics.pearson(observed, prediction))
    return np.where(observed_sd > 0, found, np.nan)


def _explained(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.where(_variance(truth, 0) > 0, metrics.explained(truth, prediction), np.nan)


def _per_neuron(score: metrics.Score, observed: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return a score of (image, neuron) arrays over the images where both are known, shape (neuron,)."""
    observed, prediction = np.asarray(observed, float), np.asarray(prediction, float)
    known = np.isfinite(observed) & np.isfinite(prediction)
    whole = known.all(axis=0)
    found = np.full(observed.shape[1], np.nan)
    if len(observed) > 1:
        found[whole] = score(observed[:, whole], prediction[:, whole])
    for neuron in np.flatnonzero(~whole & (known.sum(axis=0) > 1)):
        rows = known[:, neuron]
        found[neuron] = score(observed[rows, neuron, None], prediction[rows, neuron, None])[0]
    return found
