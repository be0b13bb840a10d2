"""A piece of the path: what each channel of the first layer adds to the rates between its ends.

Every nonlinearity is replaced by its chord, the line through its values at the two ends, so that the network is linear
between them and the changes add up exactly, whatever the length. A piece without a kink is exact; with smaller pieces
the sum tends to integrated gradients, since chords tend to derivatives, and its error falls with the square of their
length. On one piece alone it is the rescale rule of DeepLIFT (Shrikumar et al. 2017).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pellucid.systems.retina.attribute.cascade import Cascade, channel_by_channel

NARROW = 0.1
"""Pieces of softplus shorter than this: the chord by its Taylor series, exact to 1e-8, for differences lose digits."""


def relu_chord(start: Tensor, end: Tensor) -> Tensor:
    """Return (relu(end) - relu(start)) / (end - start), 0 where both are 0; without cancellation."""
    above = torch.maximum(start, end).clamp_min_(0)
    span = above - torch.minimum(start, end).clamp_max_(0)
    return torch.where(torch.minimum(start, end) > 0, 1.0, above / span.clamp_min_(torch.finfo(span.dtype).tiny))


def softplus_chord(start: Tensor, end: Tensor) -> Tensor:
    """Return (softplus(end) - softplus(start)) / (end - start), the mean of its derivative in between."""
    span = end - start
    narrow = span.abs() < NARROW
    middle = torch.sigmoid((start + end) / 2)
    series = middle + middle * (1 - middle) * (1 - 2 * middle) * span**2 / 24
    tails = torch.log1p(torch.exp(-end.abs())) - torch.log1p(torch.exp(-start.abs()))
    rise = end.clamp_min(0) - start.clamp_min(0) + tails
    return torch.where(narrow, series, rise / torch.where(narrow, 1.0, span))


def relu_slope(value: Tensor, _: Tensor) -> Tensor:
    """Return the derivative of ReLU."""
    return (value > 0).to(value.dtype)


def softplus_slope(value: Tensor, _: Tensor) -> Tensor:
    """Return the derivative of softplus."""
    return torch.sigmoid(value)


@dataclass(frozen=True)
class Rule:
    """How a piece of the path is made linear.

    place  where in the piece, 0 to 1, nonlinearities are replaced by their tangents; None: chords between its ends
    """

    relu: Callable[[Tensor, Tensor], Tensor]
    softplus: Callable[[Tensor, Tensor], Tensor]
    place: float | None


CHORDS = Rule(relu_chord, softplus_chord, None)
MIDPOINT, RIGHT = Rule(relu_slope, softplus_slope, 0.5), Rule(relu_slope, softplus_slope, 1.0)


@dataclass(frozen=True)
class Path:
    """The rectified first layer along the path, relu(a p + q).

    p  (row, feature, height, width)
    q  (feature, 1 | height, 1 | width)
    """

    p: Tensor
    q: Tensor

    def at(self, row: Tensor, a: Tensor) -> Tensor:
        """Return it for rows and a, both (piece,), as (piece, feature, height, width)."""
        return functional.relu(self._before(self.p[row], a))

    def change(self, row: Tensor, start: Tensor, end: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
        """Return it where a rule begins, and its change over each piece, (piece, feature, height, width)."""
        if rule.place is None:
            first = self.at(row, start)
            return first, self.at(row, end) - first
        p = self.p[row]
        before = self._before(p, start + rule.place * (end - start))
        return functional.relu(before), p * (before > 0) * (end - start)[:, None, None, None]

    def _before(self, p: Tensor, a: Tensor) -> Tensor:
        return p * a[:, None, None, None] + self.q


@dataclass(frozen=True)
class State:
    """A point of the path, after the first layer.

    layers  (piece, output, height, width) of every later layer, before its ReLU
    drive   (piece, neuron) before softplus
    """

    layers: list[Tensor]
    drive: Tensor

    def take(self, pieces: Tensor) -> "State":
        """Return some pieces, by index or mask."""
        return State([one[pieces] for one in self.layers], self.drive[pieces])

    def beside(self, other: "State") -> "State":
        """Return the pieces of both, one after the other."""
        layers = [torch.cat(pair) for pair in zip(self.layers, other.layers)]
        return State(layers, torch.cat([self.drive, other.drive]))


@dataclass(frozen=True)
class Pushed:
    """What was found for pieces of the path.

    added   (piece, neuron, feature) what each channel adds to the rates
    end     the state at the end of the piece, by chords; with tangents that at which they are
    layers  (piece, feature, output, height, width) what each channel adds to every later layer before its ReLU
    slope   (piece, neuron) of softplus
    """

    added: Tensor
    end: State
    layers: list[Tensor]
    slope: Tensor


class Head:
    """What follows the first layer, ready for maps of one shape: states, and changes between them."""

    def __init__(self, cascade: Cascade) -> None:
        """cascade: from `Cascade.for_maps`."""
        self.cascade = cascade
        self._own = cascade.readout().flatten(2)
        self.weight = self._own.flatten(1)

    def size(self) -> int:
        """Return the bytes of one piece's `spread`."""
        features, height, width = len(self.cascade.bias), *self.cascade.maps
        if self.cascade.later:
            kernel = self.cascade.later[0].kernel
            features *= len(kernel)
            height, width = height - kernel.shape[2] + 1, width - kernel.shape[3] + 1
        return features * height * width * self.cascade.bias.element_size()

    def state(self, first: Tensor) -> State:
        """Return the state at rectified maps of the first layer, (piece, feature, height, width)."""
        layers, x = [], first
        for one in self.cascade.later:
            y = functional.conv2d(x, one.kernel)
            layers.append((y if one.scale is None else y * one.scale) + one.shift)
            x = functional.relu(layers[-1])
        return State(layers, x.flatten(1) @ self.weight.T + self.cascade.offset)

    def spread(self, change: Tensor) -> Tensor:
        """Return what each channel adds to the next layer, (piece, feature, output, height, width).

        change  (piece, feature, height, width) of the rectified first layer; without a later layer it is returned
        """
        if not self.cascade.later:
            return change[:, :, None]
        one = self.cascade.later[0]
        found = channel_by_channel(change, one.kernel)
        return found if one.scale is None else found.mul_(one.scale)

    def push(self, spread: Tensor, start: State, rule: Rule) -> Pushed:
        """Return what each channel adds to the rates over pieces.

        spread  of the change over the piece, as from `spread`
        start   the state where the rule begins
        """
        layers, ends = [], []
        for index, (one, value) in enumerate(zip(self.cascade.later, start.layers)):
            if index:
                spread = one.through(spread)
            layers.append(spread)
            ends.append(value + spread.sum(1) if rule.place is None else value)
            spread = spread * rule.relu(value, ends[-1])[:, None]
        if self.cascade.later:
            added = spread.flatten(2) @ self.weight.T
        else:
            added = torch.einsum("icp,ncp->icn", spread.flatten(2), self._own)
        end = State(ends, start.drive + added.sum(1) if rule.place is None else start.drive)
        slope = rule.softplus(start.drive, end.drive)
        return Pushed(added.transpose(1, 2) * slope[:, :, None], end, layers, slope)

    def added(self, path: Path, row: Tensor, start: Tensor, end: Tensor, rule: Rule) -> Tensor:
        """Return what each channel adds to the rates over pieces of the path, (piece, neuron, feature).

        row, start, end  (piece,)
        """
        first, change = path.change(row, start, end, rule)
        return self.push(self.spread(change), self.state(first), rule).added
