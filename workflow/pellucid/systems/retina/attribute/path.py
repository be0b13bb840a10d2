"""Contributions of the first layer's channels to every rate: integrated gradients along the path to the stimulus."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.attribute import cascade
from pellucid.systems.retina.attribute.chords import CHORDS, MIDPOINT, RIGHT, Head, Path, Rule
from pellucid.systems.retina.attribute.gradients import WORK, blocks, patches, placed, pull, shape
from pellucid.systems.retina.attribute.refine import CACHED, Found, given, halved, split
from pellucid.systems.retina.model.network import Network

KEEP = 256_000_000
"""Bytes of first-layer maps that are kept; of longer movies they are computed twice."""
TYPICAL = 64
"""Pieces of a row at the same time, as a rule."""
ROUNDING = 16
"""Errors of so many times the precision of the largest rate are allowed whatever the tolerance."""
RULES: dict[str, Rule] = {"adaptive": CHORDS, "midpoint": MIDPOINT, "right": RIGHT}


@dataclass(frozen=True)
class Contributions:
    """r(s) = r(0) + sum over channels of A_c(s) + residual, of every row and cell, in the unit of the rates.

    rate       (row, neuron) r(s)
    zero       (neuron,) r(0), of mean grey
    channels   (row, neuron, feature) A_c, summed over space
    residual   (row, neuron) r - r(0) - sum A_c
    error      (row, neuron) estimated error summed over channels, so of any set of them; no less than |residual|
    converged  (row, neuron) whether the error is within the tolerance
    nodes      (row,) evaluations of what follows the first layer
    units      (row, neuron, feature, height | 1, width | 1) of single units, if kept; summed along axes along which
               the stimulus is uniform
    """

    rate: np.ndarray
    zero: np.ndarray
    channels: np.ndarray
    residual: np.ndarray
    error: np.ndarray
    converged: np.ndarray
    nodes: np.ndarray
    units: np.ndarray | None = None

    def completeness(self) -> np.ndarray:
        """Return max |residual| / max |r - r(0)| of each cell, (neuron,); 0 where the rate never changes."""
        return _share(np.abs(self.residual).max(0), self.rate, self.zero)

    def accuracy(self) -> np.ndarray:
        """Return max error / max |r - r(0)| of each cell, (neuron,); 0 where the rate never changes."""
        return _share(self.error.max(0), self.rate, self.zero)


def integrate(
    network: Network,
    frames: np.ndarray,
    *,
    tolerance: float = 1e-3,
    rule: Literal["adaptive", "midpoint", "right"] = "adaptive",
    points: int = 100,
    rows: np.ndarray | None = None,
    keep: Literal["channels", "units"] = "channels",
) -> Contributions:
    """Return contributions of every channel, or unit, of the first layer to the rates of all cells.

    frames     (time,) full field, (time, width) uniform along height, or (time, height, width), standardised: 0 grey
    tolerance  largest error of the channels as a share of max |r - r(0)| of the cell over the rows
    rule       adaptive; or, of the gradient, midpoint with so many points, or right: the published right-endpoint rule
               with so many points of which the first, 0, has no weight, and an error known by the residual only
    rows       row i sees frames i to i + history - 1; None: all. The tolerance is relative to the rows given.
    A_cxy = u_cxy integral over a in [0, 1] of dr/dz_cxy at z = a u + b, so that sum A = r - r(0): integrated gradients
    (Sundararajan et al. 2017) from mean grey, as Tanaka et al. 2019. The first convolution is done once.
    Adaptive: nonlinearities are replaced by chords on pieces of the path, see `chords`, so that the residual is that of
    rounding and checks the arithmetic alone, while `error` is what the pieces are refined for. All cells and channels
    are had from one pass forwards per piece. Stimuli uniform over maps without scales of single units are split at
    their kinks, which is exact.
    Memory besides frames and result: up to `KEEP` for first-layer maps, the windows of 256 rows in the first
    convolution at most, and as a rule 6 `CACHED` for pieces of the path, at most `ACTIVE` / `TYPICAL` times that.
    Raises ConfigError for fewer than 2 points, DataError for a stimulus shorter than the history.
    """
    _check(network, frames, points)
    rows = np.arange(len(frames) - network.history + 1) if rows is None else np.asarray(rows)
    with _evaluating(network), torch.no_grad():
        work = _Work(network, frames, rows)
        rate, zero = work.rates()
        change, rounding = (rate - zero).abs().amax(0), torch.finfo(rate.dtype).eps * rate.abs().amax(0)
        allowed = torch.maximum(tolerance * change, ROUNDING * rounding)
        found, units = [], []
        for path in work.paths():
            found.append(work.found(path, rule, points, allowed))
            if keep == "units":
                units.append(work.units(path, found[-1], RULES[rule]))
        channels, error = torch.cat([one.channels for one in found]), torch.cat([one.error for one in found])
        residual = rate - zero - channels.sum(2)
        error = residual.abs() if rule != "adaptive" else torch.maximum(error, residual.abs())
        nodes = torch.cat([one.nodes for one in found])
    parts = (rate, zero, channels, residual, error, error <= allowed, nodes, *([torch.cat(units)] if units else []))
    return Contributions(*[one.cpu().numpy() for one in parts])


def _check(network: Network, frames: np.ndarray, points: int) -> None:
    if points < 2:
        raise ConfigError(
            "points of the integral",
            expected="2 or more",
            found=str(points),
            remedy="Ask for more points, or for the adaptive rule.",
        )
    if len(frames) < network.history:
        raise DataError(
            "frames of a stimulus",
            expected=f"{network.history} or more, the history of the network",
            found=str(len(frames)),
            remedy="Begin the stimulus with grey.",
        )


class _Work:
    """The network after its first layer, and the first layer's maps of the rows, as far as they are kept."""

    def __init__(self, network: Network, frames: np.ndarray, rows: np.ndarray) -> None:
        self.network, self.frames, self.rows = network, frames, rows
        self.shape = shape(network, frames)
        self.head = Head(cascade.of(network).for_maps(self.shape))
        self._kept: list[Tensor] | None = []

    def rates(self) -> tuple[Tensor, Tensor]:
        """Return rates, (row, neuron), and those of mean grey, (neuron,)."""
        bias = self.network.bias[:, None, None]
        rates, size = [], 0
        for u in self._blocks():
            rates.append(self.network.head(u + bias))
            size += u.nbytes
            if size > KEEP:
                self._kept = None
            if self._kept is not None:
                self._kept.append(u)
        return torch.cat(rates), self.network.head(bias[None].expand(-1, -1, *self.shape))[0]

    def paths(self) -> Iterator[Path]:
        """Give the paths of a few rows at a time."""
        rows = max(1, CACHED // (TYPICAL * self.head.size()))
        for u in self._blocks() if self._kept is None else self._kept:
            for own in torch.split(self.head.cascade.part(u), rows):
                yield Path(*self.head.cascade.line(own))

    def found(self, path: Path, rule: str, points: int, allowed: Tensor) -> Found:
        """Return contributions of channels by a rule; allowed (neuron,) error."""
        if rule != "adaptive":
            return given(self.head, path, points - (rule == "right"), RULES[rule])
        return split(self.head, path) if path.p.shape[2:] == (1, 1) else halved(self.head, path, allowed)

    def units(self, path: Path, found: Found, rule: Rule) -> Tensor:
        """Return what every unit adds to the rates, (row, neuron, feature, height | 1, width | 1)."""
        head = self.head.cascade
        total = path.p.new_zeros(len(path.p), head.neurons, self.network.features, *self.shape)
        size = max(1, WORK // (total[0].nbytes if len(total) else 1))
        for own in torch.split(torch.arange(len(found.row), device=found.row.device), size):
            row, start, end = found.row[own], found.start[own], found.end[own]
            first, change = path.change(row, start, end, rule)
            state = self.head.state(first)
            last = self.head.state(first + change) if rule.place is None else state
            gates = [rule.relu(*both) for both in zip(state.layers, last.layers)]
            added = pull(head, gates, rule.softplus(state.drive, last.drive))
            added = added * patches(change, head.corners, (added.shape[3], added.shape[4]))
            total.index_add_(0, row, placed(head, added, self.network.maps, self.shape))
        return total

    def _blocks(self) -> Iterator[Tensor]:
        return blocks(self.network, self.frames, self.rows, 4)


@contextmanager
def _evaluating(network: Network) -> Iterator[None]:
    """Set a network to evaluation, and back."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _share(part: np.ndarray, rate: np.ndarray, zero: np.ndarray) -> np.ndarray:
    whole = np.abs(rate - zero).max(0)
    return np.asarray(np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0))
