"""Where each cell reads the maps: the centre of its receptive field, less half of what the layers take away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pellucid.systems.retina.model.settings import Layer

SMOOTHING_PX = 1.0
AROUND_PX = 3
"""Half width of the window around the peak of an energy map whose centroid is the centre."""


@dataclass(frozen=True)
class Places:
    """Where located readouts read.

    corners  (neuron, 2) first row and column of each cell's kernel on the last maps
    clamped  (neuron,) whether the border of the maps kept the kernel from the centre of the receptive field
    """

    corners: np.ndarray
    clamped: np.ndarray


def places(centres: np.ndarray, layers: Sequence[Layer], kernel_px: tuple[int, int], maps: tuple[int, int]) -> Places:
    """Return where the readout's kernels begin, so that their middle sees the centres of the receptive fields.

    centres    (neuron, 2) row and column, px of the movie
    layers     the convolutions before the readout; each of k px takes (k - 1) / 2 from either side
    kernel_px  of the readout
    maps       height and width of the last layer's maps
    With 15, 11 and 11 px a centre moves by 7 + 5 + 5 = 17 px; the reference code took 29, which its limits then turned
    into one place for all cells.
    """
    sizes = np.array([layer.kernel_px for layer in layers] + [kernel_px])
    wanted = np.rint(centres - (sizes - 1).sum(0) / 2).astype(int)
    corners = np.clip(wanted, 0, np.array(maps) - np.array(kernel_px))
    return Places(corners, (corners != wanted).any(1))


def centres(average: np.ndarray) -> np.ndarray:
    """Return centres of receptive fields, (neuron, 2) row and column in px.

    average  (neuron, lag, height, width) spike-triggered averages

    The centroid of the energy over time, sum_lag A^2, smoothed, around its largest value.
    """
    found = np.empty((len(average), 2))
    for cell, energy in enumerate((average.astype(float) ** 2).sum(1)):
        smooth = ndimage.gaussian_filter(energy, SMOOTHING_PX)
        peak = np.unravel_index(int(smooth.argmax()), smooth.shape)
        low = [max(0, int(place) - AROUND_PX) for place in peak]
        part = smooth[low[0] : int(peak[0]) + AROUND_PX + 1, low[1] : int(peak[1]) + AROUND_PX + 1]
        part = part - part.min() if part.size > 1 else np.ones_like(part)
        found[cell] = np.array(ndimage.center_of_mass(part)) + low if part.sum() > 0 else peak
    return found
