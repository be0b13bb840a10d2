"""Raised cosines on a logarithmic axis, whose sums say a filter over time with few numbers."""

import numpy as np


def raised_cosines(samples: int, functions: int) -> np.ndarray:
    """Return an orthonormal basis of the raised cosines, (function, sample), newest sample first.

    The sums are those of the raised cosines; in their orthonormal basis the sum of squared weights is that of the
    filter, and weights are found in few steps.
    """
    return np.asarray(np.linalg.qr(cosines(samples, functions).T)[0].T)


def cosines(samples: int, functions: int) -> np.ndarray:
    """Return raised cosines of the time since the newest sample, (function, sample), newest sample first.

    b_k(t) = (1 + cos(clip((log(t + c) - p_k) pi / (2 d), -pi, pi))) / 2, t = 0 ... samples - 1

    samples    how far they reach
    functions  their number; with as many as samples or more, each sample has one of its own
    Peaks p_k lie d apart, from the newest sample to the oldest; the offset c is the smallest power of two for which all
    functions differ on these samples. Every function has unit norm. Pillow et al. 2008, with the offset chosen here.
    """
    if functions >= samples:
        return np.eye(samples)
    time = np.arange(samples)
    offset = 0.5
    while True:
        found = _cosines(np.log(time + offset), functions)
        if np.linalg.cond(found) < 100 or offset > 64 * samples:
            return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))
        offset *= 2


def _cosines(axis: np.ndarray, functions: int) -> np.ndarray:
    if functions == 1:
        return np.asarray((1 + np.cos(np.pi * (axis - axis[0]) / (axis[-1] - axis[0])))[None] / 2)
    peaks = np.linspace(axis[0], axis[-1], functions)
    distance = peaks[1] - peaks[0]
    return np.asarray((1 + np.cos(np.clip((axis - peaks[:, None]) * np.pi / (2 * distance), -np.pi, np.pi))) / 2)
