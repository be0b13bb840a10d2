"""How wrong chords may be: kinks of two layers within one piece, which need not show when the piece is halved."""

import torch
from torch import Tensor

from pellucid.systems.retina.attribute.chords import Head, Pushed, State, relu_chord

POWER = 4
"""Errors e of units add up as (sum e^4)^(1/4): a single one counts in full, and many have either sign."""
ONCE, TWICE = 3.0, 0.25
"""Errors of units that switch once, in deviations at the middle, and twice, in what is added: see `_switching`. With
these, less than 1 % of the errors of small random and fitted networks exceed a tolerance of .001, and none twice."""


def doubt(head: Head, start: State, left: Pushed, right: Pushed) -> Tensor:
    """Return the 4th power of the error that channels may have in the rates over pieces, (piece, neuron, feature).

    start        state at the start of the pieces
    left, right  what was found for their halves
    A unit of a later layer whose ReLU switches within the piece splits what a channel adds to it, T, in the wrong place
    if T does not grow evenly along the piece, where units of the layer before switch, too. What is known of it is its
    deviation d from a line, at the middle; of a kink close to an end it is up to twice that elsewhere.
    """
    found: Tensor | None = None
    for index, one in enumerate(head.cascade.later):
        begin, end = start.layers[index], right.end.layers[index]
        own = _switching(left.layers[index], right.layers[index], begin, left.end.layers[index], end)
        found = own if found is None else own + one.through(found, POWER)
        if index + 1 < len(head.cascade.later):
            found = found * relu_chord(begin, end)[:, None] ** POWER
    if found is None:
        return torch.zeros_like(left.added)
    slope = torch.maximum(left.slope, right.slope)
    return (found.flatten(2) @ (head.weight**POWER).T).transpose(1, 2) * slope[:, :, None] ** POWER


def _switching(left: Tensor, right: Tensor, begin: Tensor, middle: Tensor, end: Tensor) -> Tensor:
    """Return the 4th power of the error of each channel's part of each unit, (piece, feature, output, height, width).

    left, right         (piece, feature, output, height, width) what channels add over the halves
    begin, middle, end  (piece, output, height, width) of the units, y before their ReLU
    A unit that switches once splits T where the line between its ends is 0: error d - T d_y / (end - begin), with the
    deviation d_y of y. One that is closer to 0 than d_y may switch twice unseen, and lose a part of T.
    """
    deviation = middle - (begin + end) / 2
    once = (begin > 0) != (end > 0)
    nearest = torch.minimum(torch.minimum(begin.abs(), end.abs()), middle.abs())
    piece, output, row, column = (once | (nearest < deviation.abs())).nonzero().unbind(1)
    parts = [one[piece, :, output, row, column] for one in (left, right)]
    whole, uneven = parts[0] + parts[1], (parts[0] - parts[1]) / 2
    own = once[piece, output, row, column][:, None]
    change = torch.where(once, end - begin, torch.ones_like(end))
    off = uneven - whole * (deviation / change)[piece, output, row, column][:, None]
    error = torch.where(
        own, torch.minimum(ONCE * off.abs(), whole.abs() + 2 * uneven.abs()), TWICE * whole.abs() + uneven.abs()
    )
    found = torch.zeros_like(left)
    found[piece, :, output, row, column] = error**POWER
    return found
