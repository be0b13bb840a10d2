"""One phenomenon of one network: its contributions, and the circuits of one, two, three channels they reduce to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pellucid.systems.retina.attribute import reduction
from pellucid.systems.retina.attribute.distinct import Distinct, distinct
from pellucid.systems.retina.attribute.path import integrate
from pellucid.systems.retina.attribute.phenomena.probe import Conditions
from pellucid.systems.retina.attribute.reduction import Circuit, Group
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.model.network import Network

EMPTY = Circuit(0, (), (), float("nan"), float("nan"), float("nan"), float("nan"), float("nan"))
"""The circuit behind no response."""


@dataclass(frozen=True)
class Explained:
    """What makes the response of a network to a stimulus; rows that are not attributed are NaN.

    rate          (trial, row, neuron) r
    zero          (neuron,) r(0)
    contribution  (trial, row, neuron, feature) A, with r = r(0) + sum A + residual
    residual, error  (trial, row, neuron) what is missing, and the estimated error of the contributions
    scale         max |r - r(0)| of all cells, or the level of no response where that is larger
    converged     share of attributed rows and cells whose error is within the tolerance
    silent        whether no rate leaves r(0) in the window: there are no circuits then
    window        rows of the response, in which channels are ranked
    importance    (feature,) mean |A| in the window over tested conditions and cells; order: channels by it
    truncated, lesioned  (trial, row, neuron, output) rates of the first channels of `order`, one size each
    circuits, by_label   reduced circuits of every size, of single channels and of all channels of a label
    """

    rate: np.ndarray
    zero: np.ndarray
    contribution: np.ndarray
    residual: np.ndarray
    error: np.ndarray
    scale: float
    converged: float
    silent: bool
    window: slice
    importance: np.ndarray
    order: np.ndarray
    truncated: np.ndarray
    lesioned: np.ndarray
    circuits: list[Circuit]
    by_label: list[Circuit]

    @property
    def completeness(self) -> float:
        """Return the largest |residual| over `scale`."""
        return float(np.nanmax(np.abs(self.residual)) / self.scale) if self.scale > 0 else 0.0

    @property
    def accuracy(self) -> float:
        """Return the largest estimated error over `scale`."""
        return float(np.nanmax(self.error) / self.scale) if self.scale > 0 else 0.0

    def smallest(self, settings: Settings, *, labels: bool = False, lesion: bool = False) -> Circuit:
        """Return the smallest sufficient circuit, of channels or labels.

        It is the whole network where no smaller one is enough, and empty where there is no response.
        """
        found = self.by_label if labels else self.circuits
        if self.silent:
            return EMPTY
        limits = settings.sufficiency
        best = reduction.smallest(found, limits.explained, limits.shift_bins, lesion=lesion)
        return found[-1] if best is None else best


def explain(
    network: Network,
    conditions: Conditions,
    labels: Sequence[str],
    settings: Settings,
    *,
    gain: float = 1.0,
    level: float = 0.0,
) -> Explained:
    """Attribute and reduce the responses of a network to a stimulus.

    conditions  in contrasts of the network; windows that occur several times are attributed once
    labels      of the channels
    gain        factor behind the network's rates
    level       change of a rate from r(0) up to which there is no response, in the unit of the rates
    Of conditions longer than `settings.rows`, the first rows of the response window are attributed.
    """
    part = attributed(conditions, settings.rows)
    frames = [one[part.start : part.stop + network.history - 1] for one in conditions.frames]
    different = distinct(frames, network.history)
    found = integrate(network, different.movie, tolerance=settings.tolerance, rows=different.rows)
    zero = gain * found.zero
    full, channels = (different.spread(gain * values) for values in (found.rate, found.channels))
    lesion = _Lesion(network, different, gain)
    window = slice(max(0, conditions.window.start - part.start), min(conditions.window.stop, part.stop) - part.start)
    tested = list(conditions.tested)
    own = _Response(full[tested], zero, channels[tested], window)
    order = reduction.ranked(own.importance(reduction.singly(labels)))
    sets = reduction.nested(order, reduction.singly(labels), len(labels))
    chosen = sets[[min(size, len(labels)) - 1 for size in settings.sizes]]
    silent = own.largest <= level
    whole = Whole(conditions.rows, part)
    return Explained(
        rate=_rate(network, conditions, gain) if part.stop - part.start < conditions.rows else full,
        zero=zero,
        contribution=whole.of(channels),
        residual=whole.of(different.spread(gain * found.residual)),
        error=whole.of(different.spread(gain * found.error)),
        scale=max(float(np.abs(full - zero).max()), level),
        converged=float(found.converged.mean()),
        silent=silent,
        window=slice(window.start + part.start, window.stop + part.start),
        importance=own.importance(reduction.singly(labels)),
        order=order,
        truncated=whole.of(reduction.truncated(zero, channels, chosen)),
        lesioned=whole.of(lesion(chosen)),
        circuits=[] if silent else own.circuits(reduction.singly(labels), lesion, tested),
        by_label=[] if silent else own.circuits(reduction.by_label(labels), lesion, tested),
    )


@dataclass(frozen=True)
class _Response:
    """Rates, those of grey, and contributions in the tested conditions, with the rows that count."""

    full: np.ndarray
    zero: np.ndarray
    channels: np.ndarray
    window: slice

    @property
    def largest(self) -> float:
        """Return max |r - r(0)| in the window."""
        return float(np.abs(self.full[:, self.window] - self.zero).max())

    def importance(self, groups: Sequence[Group]) -> np.ndarray:
        """Return mean |A| of each group over conditions, window and cells, (group,)."""
        return np.asarray(reduction.importance(self.channels, self.window, groups).mean(0))

    def circuits(self, groups: Sequence[Group], lesion: "_Lesion", tested: list[int]) -> list[Circuit]:
        """Return the circuits of 1, 2, 3 ... groups."""
        return reduction.circuits(
            self.full, self.zero, self.channels, self.window, groups, lambda sets: lesion(sets)[tested]
        )


def attributed(conditions: Conditions, most: int) -> slice:
    """Return the rows that are attributed: all, or the first ones of the response window."""
    if conditions.rows <= most:
        return slice(0, conditions.rows)
    start, stop, _ = conditions.window.indices(conditions.rows)
    return slice(start, min(stop, start + most))


@dataclass(frozen=True)
class Whole:
    """Puts values of some rows among all rows of a condition."""

    rows: int
    part: slice

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return values (trial, row, ...) of the part as those of all rows, NaN elsewhere."""
        if values.shape[1] == self.rows:
            return values
        out = np.full((len(values), self.rows, *values.shape[2:]), np.nan, values.dtype)
        out[:, self.part] = values
        return out


class _Lesion:
    """Rates of sets of channels, each computed once."""

    def __init__(self, network: Network, different: Distinct, gain: float) -> None:
        self.network, self.different, self.gain = network, different, gain
        self.known: dict[bytes, np.ndarray] = {}

    def __call__(self, sets: np.ndarray) -> np.ndarray:
        """Return rates (trial, row, neuron, output); sets bool (output, feature)."""
        missing = [one for one in sets if one.tobytes() not in self.known]
        if missing:
            found = reduction.lesioned(self.network, self.different.movie, np.stack(missing), self.different.rows)
            self.known |= {one.tobytes(): self.gain * rate for one, rate in zip(missing, np.moveaxis(found, -1, 0))}
        return np.stack([self.different.spread(self.known[one.tobytes()]) for one in sets], axis=-1)


def _rate(network: Network, conditions: Conditions, gain: float) -> np.ndarray:
    with torch.inference_mode():
        rates = [network.respond(torch.from_numpy(np.ascontiguousarray(f, np.float32))) for f in conditions.frames]
    return gain * torch.stack(rates).numpy()
