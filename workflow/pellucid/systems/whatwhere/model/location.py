"""Where a neuron's receptive field (RF) is, from its squared, smoothed spike-triggered average (STA).

The average is squared before it is smoothed. A smoothed signed average of a centre-surround RF cancels at its centre
and has its largest value some pixels off; squares of ON and OFF regions add.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.linalg import solve
from scipy.ndimage import gaussian_filter

Statistic = Literal["average", "energy", "both"]

# the squared profile of an RF of 5 to 10 px has an s.d. of 1 to 3 px; between 1.5 and 3 px accuracy hardly changes
SMOOTHING_PX = 2.0
MAD_TO_SD = 1.4826  # s.d. of a normal variable over its median absolute deviation
BLOCK = 1024  # images per matrix product


def squared_average(
    images: np.ndarray,
    responses: np.ndarray,
    *,
    smoothing_px: float = SMOOTHING_PX,
    statistic: Statistic = "average",
    decorrelate: bool = False,
) -> np.ndarray:
    """Return a map of where pixels drive each neuron, shape (neuron, height, width) float32, without unit.

    images        (image, channel, height, width) standardised pixels
    responses     (image, neuron), any unit; NaN where there is none
    smoothing_px  s.d. of the Gaussian that smooths the map
    statistic     "average": c = the STA over its sampling s.d. for an unrelated neuron, sqrt(D / v) / sd(y) mean
                  (y - mean y) x, over the D images with a response, v the mean variance of pixels; "energy": the same
                  with the squared pixel, which sees phase-invariant cells whose STA is flat; "both": see below
    decorrelate   whether the average becomes (I + C / v)^-1 c, C the covariance of pixels: ridge regression with
                  alpha = D v, for images whose pixels are correlated or of unequal variance, which draw the STA to
                  wherever contrast is; changes little with white noise; needs (pixel, pixel) memory
    The map is smooth_s( q - mean q ), q = sum over channels of (c - median c)^2, median and mean over pixels; zeros
    outside the image, and near the border divided by the loss of sampling s.d. there, so that noise peaks about
    equally often everywhere. "both" scales either map to z (median 0, robust s.d. 1 over pixels) and gives the signed
    root of the sum of their signed squares: on simulated linear and quadrature cells this costs less accuracy than
    the sum or the larger of the two. All values are NaN for a neuron with constant responses.
    Klindt et al. 2017, reference code (fixed-mask baseline): squared deviation from the median, then a Gaussian.
    """
    powers = {"average": (1,), "energy": (2,), "both": (1, 2)}[statistic]
    scores = [_scores(images, responses, power) for power in powers]
    if decorrelate and statistic != "energy":
        scores[0] = _decorrelated(scores[0], images)
    maps = [_smoothed(one, smoothing_px) for one in scores]
    if len(maps) == 1:
        return maps[0]
    total = sum(np.abs(z) * z for z in map(_standardised, maps))
    return np.asarray(np.sign(total) * np.sqrt(np.abs(total)), np.float32)


def locate(maps: np.ndarray, margins: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """Return each neuron's RF position and how far the map stands out there.

    maps     (neuron, height, width) from `squared_average`
    margins  px at either end of the rows and of the columns where no position is looked for
    position    (neuron, 2) int64: row, column px of the image, where the map is largest within the margins; the
                middle of the image for a neuron whose map is NaN
    confidence  (neuron,) z = (peak - median) / (1.4826 median |map - median|) over the pixels within the margins;
                NaN with the map. Noise on 32 x 32 positions of white images gives 3.4, above 4.9 in 5 % of neurons;
                images with spatial correlations give more, so compare with `chance`.
    """
    height, width = maps.shape[1:]
    rows, columns = margins
    inside = maps[:, rows : height - rows, columns : width - columns]
    flat = _standardised(inside).reshape(len(maps), -1)
    known = np.isfinite(flat).all(axis=1)
    best = np.where(known, np.nan_to_num(flat).argmax(axis=1), 0)
    position = np.stack(np.divmod(best, inside.shape[2]), axis=1) + margins
    position[~known] = (height // 2, width // 2)
    return position, np.where(known, flat[np.arange(len(flat)), best], np.nan)


def chance(
    images: np.ndarray,
    responses: np.ndarray,
    *,
    margins: tuple[int, int] = (0, 0),
    smoothing_px: float = SMOOTHING_PX,
    statistic: Statistic = "average",
    decorrelate: bool = False,
    count: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Return confidences of `locate` without any relation of responses to images, shape (count, neuron).

    Responses are shifted circularly along the images by at least a tenth of them, which keeps slow changes of both.
    Arguments as for `squared_average` and `locate`.
    """
    generator = np.random.default_rng(seed)
    least = max(1, len(images) // 10)
    draws = []
    for shift in generator.integers(least, max(least + 1, len(images) - least), count):
        maps = squared_average(
            images,
            np.roll(responses, shift, axis=0),
            smoothing_px=smoothing_px,
            statistic=statistic,
            decorrelate=decorrelate,
        )
        draws.append(locate(maps, margins)[1])
    return np.array(draws)


def probability(confidence: np.ndarray, by_chance: np.ndarray) -> np.ndarray:
    """Return the chance of a confidence this high in an unrelated neuron, shape (neuron,); NaN with the confidence.

    confidence  (neuron,) from `locate`
    by_chance   (count, neuron) from `chance`; pooled over neurons, as maps of all neurons are standardised alike
    p = (1 + number of chance values >= confidence) / (1 + number of chance values).
    """
    pool = np.sort(by_chance[np.isfinite(by_chance)])
    above = len(pool) - np.searchsorted(pool, confidence, side="left")
    return np.where(np.isfinite(confidence), (1 + above) / (1 + len(pool)), np.nan)


def signal(images: np.ndarray, responses: np.ndarray, position: np.ndarray, half_px: int = 8) -> np.ndarray:
    """Return an estimate of the s.d. of each neuron's explainable response, shape (neuron,), unit of the responses.

    images     (image, channel, height, width) standardised pixels
    responses  (image, neuron), NaN where there is none
    position   (neuron, 2) row, column px of the RF centre
    half_px    the window is 2 half_px + 1 px wide, less at the border
    s^2 = sum over the p pixels of the window of STA^2 - p var(y) / D: the squared norm of the STA, which for
    uncorrelated pixels is the variance of the linear response, minus its sampling bias; s is kept within .05 and 1
    times the s.d. of the responses. With spatially correlated pixels it overstates; NaN for constant responses.
    """
    average, spread = spike_triggered_average(images, responses, 1)
    count = np.isfinite(responses).sum(axis=0)
    height, width = images.shape[2:]
    centre = np.rint(position).astype(int)
    near_row = np.abs(np.arange(height) - centre[:, :1]) <= half_px  # (neuron, height)
    near_column = np.abs(np.arange(width) - centre[:, 1:]) <= half_px
    norm = np.einsum("ncij,ni,nj->n", average.astype(float) ** 2, near_row, near_column)
    pixels = near_row.sum(axis=1) * near_column.sum(axis=1) * images.shape[1]
    variance = norm - pixels * spread**2 / np.maximum(count, 1)
    return np.asarray(np.clip(np.sqrt(np.maximum(variance, 0)), 0.05 * spread, spread))


def spike_triggered_average(images: np.ndarray, responses: np.ndarray, power: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the STA, mean (y - mean y) x^power, (neuron, channel, height, width), and the s.d. of y, NaN where 0.

    images     (image, channel, height, width) standardised pixels x
    responses  (image, neuron) y, NaN where there is none; means are over the images a neuron has
    """
    deviation, spread = _deviation(responses)
    total = np.zeros((deviation.shape[1], *images.shape[1:]), np.float32)
    for rows in _blocks(len(images)):
        block = images[rows].reshape(rows.stop - rows.start, -1).astype(np.float32) ** power
        total += (deviation[rows].T @ block).reshape(total.shape)
    count = np.maximum(np.isfinite(responses).sum(axis=0), 1).astype(np.float32)
    return total / count[:, None, None, None], spread


def _scores(images: np.ndarray, responses: np.ndarray, power: int) -> np.ndarray:
    """Return the average in units of its sampling s.d. for an unrelated neuron, (neuron, channel, height, width)."""
    average, spread = spike_triggered_average(images, responses, power)
    total, squares = np.zeros(images.shape[1:]), np.zeros(images.shape[1:])
    for rows in _blocks(len(images)):
        block = images[rows].astype(np.float64) ** power
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    variance = (squares / len(images) - (total / len(images)) ** 2).mean()
    scale = np.sqrt(np.isfinite(responses).sum(axis=0) / variance) / spread
    return np.asarray(average * scale.astype(np.float32)[:, None, None, None])


def _decorrelated(scores: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return (I + C / v)^-1 scores with C the covariance of pixels and v their mean variance, shape of scores."""
    size = images[0].size
    total, products = np.zeros(size), np.zeros((size, size), np.float32)
    for rows in _blocks(len(images)):
        block = images[rows].reshape(rows.stop - rows.start, -1).astype(np.float32)
        total += block.sum(axis=0, dtype=float)
        products += block.T @ block
    mean = (total / len(images)).astype(np.float32)
    covariance = products / np.float32(len(images)) - np.outer(mean, mean)
    variance = np.trace(covariance, dtype=float) / size
    covariance[np.diag_indices(size)] += variance
    known = np.isfinite(scores).all(axis=(1, 2, 3))
    found = np.full_like(scores, np.nan)
    solved = solve(covariance, scores[known].reshape(-1, size).T, assume_a="pos", overwrite_a=True)
    found[known] = variance * solved.T.reshape(-1, *images.shape[1:])
    return found


def _smoothed(scores: np.ndarray, smoothing_px: float) -> np.ndarray:
    """Return the smoothed excess of squared deviations, summed over channels, shape (neuron, height, width)."""
    squared = ((scores - np.median(scores, axis=(2, 3), keepdims=True)) ** 2).sum(axis=1)
    excess = squared - squared.mean(axis=(1, 2), keepdims=True)
    maps = gaussian_filter(excess, (0, smoothing_px, smoothing_px), mode="constant")
    # the square of a Gaussian is one of s.d. s / sqrt(2): its mass inside the image is the sampling variance left
    left = gaussian_filter(np.ones(maps.shape[1:]), smoothing_px / np.sqrt(2), mode="constant")
    return np.asarray(maps / np.sqrt(left), np.float32)


def _standardised(maps: np.ndarray) -> np.ndarray:
    """Return maps with median 0 and robust s.d. 1 over their pixels; NaN for a flat map."""
    centred = maps - np.median(maps, axis=(1, 2), keepdims=True)
    spread = MAD_TO_SD * np.median(np.abs(centred), axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, np.nan))


def _deviation(responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return responses minus their mean, 0 where NaN, float32 (image, neuron), and their s.d., NaN where 0."""
    known = np.isfinite(responses)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, responses, 0).astype(float)
    mean = values.sum(axis=0) / count
    deviation = np.where(known, values - mean, 0)
    spread = np.sqrt((deviation**2).sum(axis=0) / count)
    return deviation.astype(np.float32), np.where(spread > 1e-12 * np.abs(mean), spread, np.nan)


def _blocks(count: int) -> Iterator[slice]:
    """Give the rows of each block of images."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))
