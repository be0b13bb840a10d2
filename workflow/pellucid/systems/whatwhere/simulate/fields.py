"""Receptive fields on patches of 17 px, as arrays of all neurons at once, and their places in an image.

Coordinates are (row, column) in pixels, -8 to 8 from the centre of the patch.
"""

import numpy as np

from pellucid.systems.whatwhere.simulate.scenarios import PATCH_PX, Linear

HALF_PX = PATCH_PX // 2

TILT = 0.3
"""Largest covariance of row and column, as a share of the smaller variance of the centre."""

GABOR_SD_PX = 2.5
GABOR_CYCLES_PER_PX = 0.18


def centre_surround(population: Linear, types: np.ndarray, draws: np.ndarray, mean: float) -> np.ndarray:
    """Return receptive fields, shape (neuron, 17, 17), of norm mean sqrt(pi / 2), so that E|RF . x| = mean in noise.

    population  its type scales t and its variation v
    types       (neuron,) index of t
    draws       (neuron, 7) in [0, 1): aspect, centre, surround, tilt, weight, and the shift in row and column
    mean        mean absolute response to white noise of unit variance
    RF(x) = w [N(x; mu, C) - 2 w N(x; mu, S)] with C11 = 2 a u t, C22 = C11 / a^2, S11 = 8 a u' t, S22 = S11 / a^2,
    C12 = S12 = q min(C11, C22); a, u, u', w ~ U(1 - v, 1 + v), q ~ U(-.3, .3) if v > 0
    (reference code, generate_neurons.py; there C12 and C21 have opposite signs, of which its library used one).
    """
    scale = np.asarray(population.type_scales)[types]
    aspect, centre, surround, weight = (1 + population.variation * (2 * draws[:, [0, 1, 2, 4]] - 1)).T
    rows = 2 * aspect * centre * scale
    outer = 8 * aspect * surround * scale
    tilt = TILT * (2 * draws[:, 3] - 1) * (population.variation > 0)
    off = tilt * np.minimum(rows, rows / aspect**2)
    shift = shifts(population, draws)
    fields = _normal(shift, rows, rows / aspect**2, off)
    fields -= 2 * weight[:, None, None] * _normal(shift, outer, outer / aspect**2, off)
    norm = np.linalg.norm(fields, axis=(1, 2), keepdims=True)
    return np.asarray(fields * (mean * np.sqrt(np.pi / 2) / norm))


def shifts(population: Linear, draws: np.ndarray) -> np.ndarray:
    """Return mu, shape (neuron, 2) in px: 0, or U(-.5, .5) in both directions, from the last two of the draws."""
    return np.asarray((draws[:, 5:7] - 0.5) * (not population.centred))


def gabors(types: int) -> np.ndarray:
    """Return pairs of Gabor filters in quadrature, shape (type, 2, 17, 17): even and odd, both without a mean.

    Type k has its wave vector at 180 k / types degrees from the column axis towards growing rows. The even filter is
    the Gaussian times cosine less the constant that makes its sum 0.
    """
    line = np.arange(-HALF_PX, HALF_PX + 1)
    angle = np.pi * np.arange(types)[:, None, None] / types
    phase = 2 * np.pi * GABOR_CYCLES_PER_PX * (np.sin(angle) * line[:, None] + np.cos(angle) * line)
    envelope = np.exp(-(line[:, None] ** 2 + line**2) / (2 * GABOR_SD_PX**2))
    constant = (envelope * np.cos(phase)).sum((1, 2), keepdims=True) / envelope.sum()
    return np.stack([envelope * (np.cos(phase) - constant), envelope * np.sin(phase)], axis=1)


def place(patches: np.ndarray, corners: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Return filters, shape (neuron, height, width) float32: each patch in an image of zeros.

    patches  (neuron, side, side)
    corners  (neuron, 2) row and column of a patch's first pixel
    """
    filters = np.zeros((len(patches), *size_px), np.float32)
    line = np.arange(patches.shape[-1])
    rows, columns = (corners[:, axis, None] + line for axis in (0, 1))
    filters[np.arange(len(patches))[:, None, None], rows[:, :, None], columns[:, None, :]] = patches
    return filters


def _normal(shift: np.ndarray, rows: np.ndarray, columns: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Return normal densities on the patch, shape (neuron, 17, 17), per px^2.

    shift               (neuron, 2) mean, px
    rows, columns, off  (neuron,) variance of either coordinate and covariance, px^2
    """
    line = np.arange(-HALF_PX, HALF_PX + 1)
    y = (line - shift[:, :1])[:, :, None]
    x = (line - shift[:, 1:])[:, None, :]
    rows, columns, off = (value[:, None, None] for value in (rows, columns, off))
    determinant = rows * columns - off**2
    square = (columns * y**2 - 2 * off * y * x + rows * x**2) / determinant
    return np.asarray(np.exp(-square / 2) / (2 * np.pi * np.sqrt(determinant)))
