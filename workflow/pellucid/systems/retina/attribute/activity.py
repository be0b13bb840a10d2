"""Activity of hidden units while a movie is shown: after normalisation, before the ReLU."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pellucid.systems.retina.model.network import CHUNK, Network


def activity(network: Network, frames: np.ndarray, block: np.ndarray) -> list[np.ndarray]:
    """Return the activity of the units of each layer, (row, feature, height, width) float32 each.

    frames  (time, height, width) standardised movie
    block   (time,) number of the continuous block of each frame; no window crosses a border
    Rows are those of `rows`. Source: Maheswaranathan et al. 2023, reference code, which takes the same point.
    """
    parts: list[list[Tensor]] = []
    with torch.inference_mode():
        for start, stop in blocks(block):
            piece = torch.from_numpy(np.ascontiguousarray(frames[start:stop], np.float32))
            for first in range(0, stop - start - network.history + 1, CHUNK):
                parts.append(_layers(network, piece[first : first + CHUNK + network.history - 1]))
    return [torch.cat(layer).numpy() for layer in zip(*parts)]


def rows(block: np.ndarray, history: int, lag: int, drop: int = 0) -> np.ndarray:
    """Return the frame number of the response that each row of `activity` is for, (row,); -1 where there is none.

    block  (time,) number of the continuous block of each frame
    drop   first frames of each block whose responses are left out
    """
    found = []
    for start, stop in blocks(block):
        response = np.arange(start + history - 1, stop) + lag
        found.append(np.where((response < stop) & (response >= start + drop), response, -1))
    return np.concatenate(found)


def blocks(block: np.ndarray) -> list[tuple[int, int]]:
    """Return the half-open ranges of frames of the continuous blocks; block (time,) their numbers."""
    edges = np.flatnonzero(np.diff(block)) + 1
    return list(pairwise([0, *edges.tolist(), len(block)]))


def _layers(network: Network, frames: Tensor) -> list[Tensor]:
    """Return the activity of each layer, (row, feature, height, width); frames (time, height, width)."""
    made: list[Tensor] = []
    for convolution, norm in zip(network.convolution_list(), network.norms):
        z = convolution(functional.relu(made[-1])) if made else network.first(frames) + network.bias[:, None, None]
        made.append(norm(z))
    return made
