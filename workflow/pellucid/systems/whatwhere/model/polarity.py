"""Whether a neuron's receptive field has the sign of most others': OFF cells among ON cells, or the reverse."""

import numpy as np

from pellucid.systems.whatwhere.model import location


def polarity(images: np.ndarray, responses: np.ndarray, position: np.ndarray, half_px: int) -> np.ndarray:
    """Return +1 or -1 per neuron, (neuron,): the sign of its average patch on the main axis of all patches.

    images     (image, channel, height, width) standardised
    responses  (image, neuron), NaN where nothing was recorded
    position   (neuron, 2) row and column of the receptive fields, px
    half_px    patches reach so far around the position; beyond the image they are 0
    The axis u is the first right singular vector of the patches (neuron, pixel); its own sign is that of most neurons.
    """
    average, _ = location.spike_triggered_average(images, responses)
    patches = np.stack([_patch(one, place, half_px) for one, place in zip(average, np.rint(position).astype(int))])
    flat = np.nan_to_num(patches.reshape(len(patches), -1).astype(float))
    projection = flat @ np.linalg.svd(flat, full_matrices=False)[2][0]
    sign = np.where(projection < 0, -1.0, 1.0)
    return sign if sign.sum() >= 0 else -sign


def _patch(average: np.ndarray, place: np.ndarray, half: int) -> np.ndarray:
    """Cut (channel, 2 half + 1, 2 half + 1) around a place, zeros outside."""
    padded = np.pad(average, ((0, 0), (half, half), (half, half)))
    row, column = place
    return padded[:, row : row + 2 * half + 1, column : column + 2 * half + 1]
