"""Contributions of the frames a cell looks back on: the same integrated gradients, summed over channels and space."""

import numpy as np
import torch

from pellucid.systems.retina.attribute import gradients
from pellucid.systems.retina.attribute.path import integrate
from pellucid.systems.retina.model.network import Network, windows

AT_ONCE = 32
"""Rows whose units are held at once."""

SMALL = 1e-9
"""Drive of a unit, as a share of the largest, below which it has no effective weight."""


def contributions(network: Network, frames: np.ndarray, rows: np.ndarray, tolerance: float) -> np.ndarray:
    """Return what each frame of a window adds to the rates, (row, neuron, lag), oldest first.

    frames  (time,), (time, width) or (time, height, width), standardised
    rows    (row,) rising; row i sees frames i to i + history - 1
    With A = G u per unit, the network is r(0) + sum G u for one stimulus, and u is a sum over frames:
    A_lag = sum_xy s_lag (W^T G)_lag, whose sum over lags is that of A over units.
    """
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        chosen = rows[start : start + AT_ONCE]
        found = integrate(network, frames, tolerance=tolerance, rows=chosen, keep="units")
        assert found.units is not None
        units = torch.from_numpy(found.units)
        with torch.no_grad():
            u = torch.cat(list(gradients.blocks(network, frames, chosen, 1)))[:, None]
            least = SMALL * u.abs().amax()
            weight = torch.where(u.abs() > least, units / torch.where(u.abs() > least, u, 1.0), 0.0)
            field = gradients.of_stimulus(network, weight.flatten(0, 1))
            field = field.reshape(*units.shape[:2], *field.shape[1:])
            movie = torch.from_numpy(np.ascontiguousarray(frames, np.float32))
            while movie.ndim < 3:
                movie = movie[:, None]
            seen = windows(movie, network.history)[torch.from_numpy(chosen)]
            parts.append(torch.einsum("tnlhw,tlhw->tnl", field, seen.expand(-1, -1, *field.shape[3:])))
    return torch.cat(parts).numpy()
