"""The path from no stimulus to the stimulus in pieces: given ones, split at all kinks, or halved until they suffice."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from pellucid.systems.retina.attribute.chords import CHORDS, Head, Path, Rule, State
from pellucid.systems.retina.attribute.doubt import POWER, doubt

CACHED = 8_000_000
"""Bytes of what channels add in the pieces that are worked on at once, as a processor's cache can hold."""
LEAST, MOST, ACTIVE = 2, 14, 256
"""Halvings of the whole path: always, and at most; pieces of a row that may still be halved, at most."""


@dataclass(frozen=True)
class Found:
    """Contributions of channels, and the pieces of the path that they are sums over.

    channels    (row, neuron, feature)
    error       (row, neuron) estimate of the error, summed over channels
    nodes       (row,) pieces for which the network was evaluated
    row         (piece,)
    start, end  (piece,) in [0, 1]
    """

    channels: Tensor
    error: Tensor
    nodes: Tensor
    row: Tensor
    start: Tensor
    end: Tensor


def given(head: Head, path: Path, count: int, rule: Rule) -> Found:
    """Return contributions by a rule on so many pieces of one length; the error is unknown, infinite."""
    rows = len(path.p)
    edges = torch.linspace(0, 1, count + 1, dtype=path.p.dtype, device=path.p.device)
    row = torch.arange(rows, device=path.p.device).repeat_interleave(count)
    return _summed(head, path, row, edges[:-1].repeat(rows), edges[1:].repeat(rows), rule, inf)


def split(head: Head, path: Path) -> Found:
    """Return contributions by chords on pieces without kinks of any layer, which is exact: for maps of 1 x 1 px.

    Between kinks of the first layer, which are at a = -q / p, the second is linear in a, and so on.
    """
    row, a = _ends(path)
    kinks = -path.q[:, 0, 0] / path.p[:, :, 0, 0]
    inside = (kinks > 0) & (kinks < 1)
    row, a = _sorted(torch.cat([row, inside.nonzero()[:, 0]]), torch.cat([a, kinks[inside]]))
    for index in range(len(head.cascade.later)):
        y = head.state(path.at(row, a)).layers[index][:, :, 0, 0]
        crossing = (row[1:] == row[:-1])[:, None] & (y[1:] * y[:-1] < 0)
        share = (y[:-1] / (y[:-1] - y[1:]))[crossing]
        piece = crossing.nonzero()[:, 0]
        row, a = _sorted(torch.cat([row, row[piece]]), torch.cat([a, a[piece] + share * (a[piece + 1] - a[piece])]))
    own = (row[1:] == row[:-1]) & (a[1:] > a[:-1])
    return _summed(head, path, row[:-1][own], a[:-1][own], a[1:][own], CHORDS, 0.0)


def _summed(head: Head, path: Path, row: Tensor, start: Tensor, end: Tensor, rule: Rule, error: float) -> Found:
    rows, size = len(path.p), max(1, CACHED // head.size())
    total = path.p.new_zeros(rows, head.cascade.neurons, path.p.shape[1])
    for own in torch.split(torch.arange(len(row), device=row.device), size):
        total.index_add_(0, row[own], head.added(path, row[own], start[own], end[own], rule))
    nodes = torch.bincount(row, minlength=rows)
    return Found(total, path.p.new_full(total.shape[:2], error), nodes, row, start, end)


def _ends(path: Path) -> tuple[Tensor, Tensor]:
    row = torch.arange(len(path.p), device=path.p.device).repeat(2)
    return row, (torch.arange(len(row), device=row.device) >= len(path.p)).to(path.p.dtype)


def _sorted(row: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.argsort(a, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    return row[order], a[order]


def halved(head: Head, path: Path, allowed: Tensor) -> Found:
    """Return contributions by chords on pieces that are halved until the error is as small as allowed, for every cell.

    allowed  (neuron,) error
    Each piece is compared with its two halves, which are kept. Over the pieces of a row, their changes D and the errors
    e of `doubt` give the error of a channel, max(|sum D|, (sum D^2)^(1/2), (sum e^4)^(1/4)), since kinks make errors of
    either sign. It is that before the last halving, mostly several times what is left, but no bound. A piece costs one
    convolution, for what channels add over two halves is what they add over the whole. Rows that need more than `MOST`
    halvings, or have more than `ACTIVE` pieces left, are given up with the error they have.
    """
    return _Halving(head, path).until(allowed)


@dataclass(frozen=True)
class _Pieces:
    """Pieces that may still be halved, and what was found for them as they are; fields as of `Found` and `Head`."""

    row: Tensor
    start: Tensor
    end: Tensor
    spread: Tensor
    state: State
    added: Tensor

    def take(self, own: Tensor) -> "_Pieces":
        row, start, end = self.row[own], self.start[own], self.end[own]
        return _Pieces(row, start, end, self.spread[own], self.state.take(own), self.added[own])

    def beside(self, other: "_Pieces") -> "_Pieces":
        return _Pieces(
            torch.cat([self.row, other.row]),
            torch.cat([self.start, other.start]),
            torch.cat([self.end, other.end]),
            torch.cat([self.spread, other.spread]),
            self.state.beside(other.state),
            torch.cat([self.added, other.added]),
        )


class _Halving:
    """What is kept so far of the rows of a block."""

    def __init__(self, head: Head, path: Path) -> None:
        self.head, self.path, self.rows = head, path, len(path.p)
        shape = (self.rows, head.cascade.neurons, path.p.shape[1])
        self.channels = path.p.new_zeros(shape)
        self.spent = path.p.new_zeros(3, *shape)
        self.nodes = torch.zeros(self.rows, dtype=torch.int64, device=path.p.device)
        self.kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def until(self, allowed: Tensor) -> Found:
        pieces = self.whole()
        for halving in range(1, MOST + 1):
            if not len(pieces.row):
                break
            left, right, terms = self.halves(pieces)
            done = self.enough(pieces.row, terms, allowed, halving)
            self.spent.index_add_(1, pieces.row[done], terms[:, done])
            for half in (left, right):
                self.keep(half, done)
            pieces = left.take(~done).beside(right.take(~done))
        row, start, end = (torch.cat(parts) for parts in zip(*self.kept)) if self.kept else [pieces.row] * 3
        return Found(self.channels, _error(self.spent), self.nodes, row, start, end)

    def whole(self) -> _Pieces:
        """Return the path of every row as one piece; rows without a stimulus have none."""
        row = self.path.p.flatten(1).any(1).nonzero()[:, 0]
        start, end = self.path.p.new_zeros(len(row)), self.path.p.new_ones(len(row))
        first, change = self.path.change(row, start, end, CHORDS)
        state = self.head.state(first[:1]).take(torch.zeros_like(row)) if len(row) else self.head.state(first)
        spread = self.head.spread(change)
        self.nodes[row] += 1
        return _Pieces(row, start, end, spread, state, self.head.push(spread, state, CHORDS).added)

    def halves(self, pieces: _Pieces) -> tuple[_Pieces, _Pieces, Tensor]:
        """Return both halves, and D, D^2 and e^4 of each piece, (3, piece, neuron, feature)."""
        middle = (pieces.start + pieces.end) / 2
        spread = self.head.spread(self.path.change(pieces.row, pieces.start, middle, CHORDS)[1])
        rest = pieces.spread - spread
        left = self.head.push(spread, pieces.state, CHORDS)
        right = self.head.push(rest, left.end, CHORDS)
        self.nodes += 2 * torch.bincount(pieces.row, minlength=self.rows)
        change = left.added + right.added - pieces.added
        return (
            _Pieces(pieces.row, pieces.start, middle, spread, pieces.state, left.added),
            _Pieces(pieces.row, middle, pieces.end, rest, left.end, right.added),
            torch.stack([change, change**2, doubt(self.head, pieces.state, left, right)]),
        )

    def enough(self, row: Tensor, terms: Tensor, allowed: Tensor, halving: int) -> Tensor:
        """Return which pieces need no more halving: of rows that are good enough, and those that hardly change."""
        if halving < LEAST:
            return torch.zeros_like(row, dtype=torch.bool)
        count = torch.bincount(row, minlength=self.rows)
        over = (_error(self.spent.index_add(1, row, terms)) <= allowed).all(1)
        over |= (2 * count > ACTIVE) | (halving == MOST)
        share = allowed / 4 / count[row][:, None] ** 0.5
        small = (_root(terms[1], 2) <= share) & (_root(terms[2], POWER) <= share * count[row][:, None] ** 0.25)
        return over[row] | small.all(1)

    def keep(self, half: _Pieces, done: Tensor) -> None:
        self.channels.index_add_(0, half.row[done], half.added[done])
        self.kept.append((half.row[done], half.start[done], half.end[done]))


def _error(terms: Tensor) -> Tensor:
    """Return the error summed over channels, (row, neuron), from sums of D, D^2 and e^4, (3, row, neuron, feature)."""
    change, squares, powers = terms
    return torch.maximum(change.abs(), torch.maximum(squares.sqrt(), powers ** (1 / POWER))).sum(2)


def _root(terms: Tensor, power: int) -> Tensor:
    """Return the root of the largest term over channels, (piece, neuron)."""
    return terms.amax(2) ** (1 / power)
