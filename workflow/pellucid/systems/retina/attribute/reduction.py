"""Reduced circuits: the few channels of the first layer that give a response, by truncation and by lesion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pellucid.systems.retina.attribute.gradients import blocks
from pellucid.systems.retina.model.network import Network


@dataclass(frozen=True)
class Group:
    """Channels that are kept or left out together."""

    name: str
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Circuit:
    """A reduced circuit; explained: share of the variance of the full rate; shift: of the main peak, bins.

    disagreement  root mean square difference of truncation and lesion, as a share of the full rate's s.d.
    """

    size: int
    groups: tuple[str, ...]
    channels: tuple[int, ...]
    explained: float
    peak_shift_bins: float
    explained_lesion: float
    peak_shift_lesion_bins: float
    disagreement: float

    def suffices(self, explained: float = 0.9, shift_bins: int = 1, *, lesion: bool = False) -> bool:
        """Return whether it explains so much, with the main peak within so many bins; by truncation or lesion."""
        if lesion:
            return self.explained_lesion >= explained and self.peak_shift_lesion_bins <= shift_bins
        return self.explained >= explained and self.peak_shift_bins <= shift_bins


def singly(names: Sequence[str]) -> list[Group]:
    """Return every channel as a group of its own, by the label of each channel."""
    return [Group(name, (place,)) for place, name in enumerate(names)]


def by_label(names: Sequence[str]) -> list[Group]:
    """Return the channels of each label as one group, labels in alphabetical order."""
    return [
        Group(label, tuple(place for place, name in enumerate(names) if name == label)) for label in sorted(set(names))
    ]


def importance(channels: np.ndarray, window: slice, groups: Sequence[Group]) -> np.ndarray:
    """Return I = mean |A| over the rows of the response window and all trials, (neuron, group).

    channels  (trial, row, neuron, feature) contributions A, summed over a group's channels before |A|
    """
    return np.asarray(np.abs(merged(channels[:, window], groups)).mean((0, 1)))


def merged(channels: np.ndarray, groups: Sequence[Group]) -> np.ndarray:
    """Return contributions summed over the channels of each group, (..., group); channels (..., feature)."""
    return np.stack([channels[..., list(group.channels)].sum(-1) for group in groups], axis=-1)


def ranked(importance: np.ndarray) -> np.ndarray:
    """Return places from the most to the least important along the last axis; of equals, the first goes first."""
    return np.argsort(-importance, axis=-1, kind="stable")


def nested(order: np.ndarray, groups: Sequence[Group], features: int) -> np.ndarray:
    """Return which channels the first 1, 2, 3 ... groups have, bool (output, feature) or (output, neuron, feature).

    order  (group,) or (neuron, group) places of groups, the most important first
    """
    own = np.zeros((len(groups), features), bool)
    for place, group in enumerate(groups):
        own[place, list(group.channels)] = True
    return np.moveaxis(np.logical_or.accumulate(own[order], axis=-2), -2, 0)


def truncated(zero: np.ndarray, channels: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Return r_S = r(0) + sum of A_c over the channels c of S, (..., neuron, output).

    zero      (neuron,) r(0)
    channels  (..., neuron, feature) contributions A_c
    sets      bool (output, feature), or (output, neuron, feature)
    """
    kept = np.moveaxis(np.broadcast_to(sets if sets.ndim == 3 else sets[:, None], _whole(sets, channels)), 0, -1)
    return np.asarray(zero[:, None] + np.einsum("...nf,nfo->...no", channels, kept.astype(channels.dtype)))


def lesioned(network: Network, frames: np.ndarray, sets: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return rates with the channels outside each set held at their value for mean grey, b_c, (row, neuron, output).

    frames  (time,), (time, width) or (time, height, width), standardised
    sets    bool (output, feature), or (output, neuron, feature) for sets of each cell
    rows    row i sees frames i to i + history - 1; None: all
    The first convolution is done once, what follows once for every different set.
    """
    rows = np.arange(len(frames) - network.history + 1) if rows is None else rows
    every = np.broadcast_to(sets if sets.ndim == 3 else sets[:, None], (len(sets), network.neurons, sets.shape[-1]))
    distinct, which = np.unique(every.reshape(-1, sets.shape[-1]), axis=0, return_inverse=True)
    which = which.reshape(every.shape[:2])
    found = []
    with torch.no_grad():
        bias = network.bias[:, None, None]
        kept = torch.from_numpy(distinct).to(bias)[:, :, None, None]
        for u in blocks(network, frames, rows, 4):
            rates = torch.stack([network.head(u * one + bias) for one in kept], dim=2).cpu().numpy()
            found.append(np.stack([rates[:, np.arange(len(own)), own] for own in which], axis=2))
    return np.concatenate(found)


def explained(full: np.ndarray, reduced: np.ndarray, window: slice) -> float:
    """Return 1 - sum (r - r_S)^2 / sum (r - mean r)^2 over cells, with means by cell; NaN where no rate changes.

    full     (trial, row, neuron) r
    reduced  (trial, row, neuron) r_S
    window   rows that count
    """
    own, other = full[:, window].astype(np.float64), reduced[:, window]
    total = ((own - own.mean((0, 1))) ** 2).sum()
    return float(1 - ((own - other) ** 2).sum() / total) if total > 0 else float("nan")


def peak_shift(full: np.ndarray, reduced: np.ndarray, zero: np.ndarray, window: slice) -> float:
    """Return by how many bins the main peak of the rate moves: median over trials and cells, weighted by its height.

    The main peak is the largest |r - r(0)| within the window; that of the reduced rate is looked for with its sign.
    """
    own, other = full[:, window] - zero, reduced[:, window] - zero
    place = np.abs(own).argmax(1)
    height = np.take_along_axis(own, place[:, None], axis=1)
    shift = np.abs((other * np.sign(height)).argmax(1) - place).ravel()
    weight = np.abs(height).ravel()
    if weight.sum() <= 0:
        return float("nan")
    order = np.argsort(shift, kind="stable")
    reached = np.cumsum(weight[order]) >= weight.sum() / 2
    return float(shift[order][reached.argmax()])


def disagreement(full: np.ndarray, one: np.ndarray, other: np.ndarray, window: slice) -> float:
    """Return the root mean square difference of two reduced rates as a share of the full one's s.d., over cells."""
    own = full[:, window].astype(np.float64)
    total = ((own - own.mean((0, 1))) ** 2).sum()
    apart = ((one[:, window].astype(np.float64) - other[:, window]) ** 2).sum()
    return float(np.sqrt(apart / total)) if total > 0 else float("nan")


def circuits(
    full: np.ndarray,
    zero: np.ndarray,
    channels: np.ndarray,
    window: slice,
    groups: Sequence[Group],
    lesion: Callable[[np.ndarray], np.ndarray],
) -> list[Circuit]:
    """Return the circuits of the 1, 2, 3 ... most important groups, of all given cells together.

    full      (trial, row, neuron) rates r
    zero      (neuron,) r(0)
    channels  (trial, row, neuron, feature) contributions
    window    rows of the response, by which groups are ranked and circuits judged
    lesion    sets, bool (output, feature), to rates (trial, row, neuron, output), as by `lesioned`
    Groups are ranked by their importance averaged over cells.
    """
    order = ranked(importance(channels, window, groups).mean(0))
    sets = nested(order, groups, channels.shape[-1])
    short, cut = truncated(zero, channels, sets), lesion(sets)
    return [
        Circuit(
            size=size + 1,
            groups=tuple(groups[place].name for place in order[: size + 1]),
            channels=tuple(channel for place in order[: size + 1] for channel in groups[place].channels),
            explained=explained(full, short[..., size], window),
            peak_shift_bins=peak_shift(full, short[..., size], zero, window),
            explained_lesion=explained(full, cut[..., size], window),
            peak_shift_lesion_bins=peak_shift(full, cut[..., size], zero, window),
            disagreement=disagreement(full, short[..., size], cut[..., size], window),
        )
        for size in range(len(groups))
    ]


def smallest(
    found: Sequence[Circuit], explained: float = 0.9, shift_bins: int = 1, *, lesion: bool = False
) -> Circuit | None:
    """Return the smallest circuit that suffices, None where none does."""
    return next((one for one in found if one.suffices(explained, shift_bins, lesion=lesion)), None)


def _whole(sets: np.ndarray, channels: np.ndarray) -> tuple[int, int, int]:
    return len(sets), channels.shape[-2], channels.shape[-1]
