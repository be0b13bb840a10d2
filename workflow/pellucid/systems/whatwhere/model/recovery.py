"""How much of a simulated population a fit recovers: positions, kernels, filters and functional types."""

import numpy as np
from scipy.optimize import linear_sum_assignment

SHIFT_PX = 2  # px a found kernel may be displaced: the mask makes up for it


def located(positions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each neuron's location error max(|row error|, |column error|), shape (neuron,), px.

    positions  (neuron, 2) found row, column px; NaN where nothing was found
    truth      (neuron, 2) true RF centres, row, column px
    NaN where either is unknown, so that the share within 1 px, mean(error <= 1), counts a neuron without a found
    position as a miss. Klindt et al. 2017: the mask pixel must be that of the true RF.
    """
    return np.asarray(np.abs(np.asarray(positions, float) - truth).max(axis=1))


def kernel_correlation(found: np.ndarray, true: np.ndarray, *, shift_px: int = SHIFT_PX) -> np.ndarray:
    """Return |r| of every true kernel and the found kernel it is paired with, (true kernel,): see `kernel_pairs`."""
    return kernel_pairs(found, true, shift_px=shift_px)[0]


def kernel_pairs(found: np.ndarray, true: np.ndarray, *, shift_px: int = SHIFT_PX) -> tuple[np.ndarray, np.ndarray]:
    """Return |r| of every true kernel and the number of the found kernel it is paired with, both (true kernel,).

    found     (kernel, channel, height, width), averaged over channels
    true      (true kernel, height, width), of any other size
    shift_px  largest displacement looked at, in rows and in columns; 0 for none
    r is the correlation over pixels, after kernels are placed with their centres on each other (whole pixels) and
    displaced; each has its own mean subtracted, and is 0 outside its support. Without displacement and with equal
    sizes it is Pearson's. Sign and scale do not matter. Found and true kernels are paired one to one so that the sum
    of |r| is largest; true kernels left over get NaN and number -1, a constant kernel has r = 0.
    """
    similar = np.array(
        [[np.abs(_cross(mean, kernel, shift_px)).max() for kernel in true] for mean in found.mean(axis=1)]
    ).reshape(len(found), len(true))
    pairs = linear_sum_assignment(-similar)
    best, number = np.full(len(true), np.nan), np.full(len(true), -1)
    best[pairs[1]], number[pairs[1]] = similar[pairs], pairs[0]
    return best, number


def filter_fev(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return 1 - |found - true|^2 / |true|^2 per neuron, shape (neuron,).

    found  (neuron, channel, height, width) effective linear filters, one channel, response per s.d. of a pixel
    true   (neuron, height, width) true linear RFs in the same units
    On white noise of unit variance this is the FEV of the prediction (Klindt et al. 2017). NaN where the true filter
    is 0 or unknown.
    """
    residual = ((found.reshape(true.shape).astype(float) - true) ** 2).sum(axis=(1, 2))
    power = (true.astype(float) ** 2).sum(axis=(1, 2))
    return np.asarray(1 - np.divide(residual, power, out=np.full(len(true), np.nan), where=power > 0))


def type_accuracy(weights: np.ndarray, types: np.ndarray) -> float:
    """Return the share of neurons whose strongest feature is the one that stands for their type.

    weights  (neuron, feature); the strongest feature has the largest |weight|. A neuron with a NaN or only zeros has
             none, which is wrong
    types    (neuron,) integers
    Features stand for types by the one-to-one assignment with most neurons right. With fewer features than types,
    neurons of the types without a feature are wrong; with more, so are neurons whose strongest feature is left over.
    """
    size = np.abs(weights)
    known = np.isfinite(size).all(axis=1) & (np.nan_to_num(size).max(axis=1) > 0)
    names, number = np.unique(types, return_inverse=True)
    table = np.zeros((weights.shape[1], len(names)), int)
    np.add.at(table, (size[known].argmax(axis=1), number[known]), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(types)) if len(types) else float("nan")


def purity(weights: np.ndarray) -> np.ndarray:
    """Return max |w| / sum |w| over features per neuron, (neuron,): 1 for one feature, NaN without any weight.

    weights  (neuron, feature)
    """
    size = np.abs(weights)
    total = size.sum(axis=1)
    return np.asarray(np.divide(size.max(axis=1), total, out=np.full(len(size), np.nan), where=total > 0))


def _cross(found: np.ndarray, true: np.ndarray, shift_px: int) -> np.ndarray:
    """Return the correlation of two kernels (height, width) at every displacement, (2 shift + 1, 2 shift + 1)."""
    size = np.maximum(found.shape, true.shape)
    canvas = _placed(found, tuple(size + 2 * shift_px))
    target = _placed(true, tuple(size + 2 * shift_px))
    norm = np.sqrt((canvas**2).sum() * (target**2).sum())
    steps = range(-shift_px, shift_px + 1)
    moved = [[(np.roll(canvas, (row, column), axis=(0, 1)) * target).sum() for column in steps] for row in steps]
    return np.asarray(moved) / norm if norm > 0 else np.zeros((len(steps), len(steps)))


def _placed(kernel: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return a kernel minus its mean in the middle of zeros of a larger size."""
    canvas = np.zeros(size)
    start = [(whole - part) // 2 for whole, part in zip(size, kernel.shape)]
    canvas[start[0] : start[0] + kernel.shape[0], start[1] : start[1] + kernel.shape[1]] = kernel - kernel.mean()
    return canvas
