"""What happened at each phase of a behaviour: events, signal and phase of the test trials of one recording."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Features
from pellucid.systems.dunl.attribute.decomposition import Decomposition


@dataclass(frozen=True)
class Track:
    """The bins of one recording that have a phase, its test trials one after the other.

    phase   (time,) rad; trial (time,) row of the trial
    seen    (neuron, time) bool: there is data; signal (neuron, time), 0 where there is none
    neuron, kernel, place, code  (event,) codes that are not 0: of which neuron and kernel, in which of these bins the
            kernel starts, and how large
    outside (kernel,) events that start without a phase, or where the neuron has no data
    first   number of the first neuron
    """

    phase: np.ndarray
    trial: np.ndarray
    seen: np.ndarray
    signal: np.ndarray
    neuron: np.ndarray
    kernel: np.ndarray
    place: np.ndarray
    code: np.ndarray
    outside: np.ndarray
    first: int

    def columns(self) -> np.ndarray:
        """Return number, size and code of each kernel's events, signal and neurons seen, all summed, (column, time)."""
        shape = len(self.outside), len(self.phase)
        flat = self.kernel * shape[1] + self.place
        made = [np.bincount(flat, by, shape[0] * shape[1]) for by in (None, np.abs(self.code), self.code)]
        whole = [self.signal.sum(0, dtype=float), self.seen.sum(0)]
        return np.concatenate([*(one.reshape(shape) for one in made), whole])

    def of_neuron(self, neuron: int) -> np.ndarray:
        """Return number of events of each kernel of one neuron, its signal, and whether it is seen, (column, time)."""
        shape = len(self.outside), len(self.phase)
        own = self.neuron == neuron
        events = np.bincount(self.kernel[own] * shape[1] + self.place[own], minlength=shape[0] * shape[1])
        return np.concatenate([events.reshape(shape), self.signal[neuron][None], self.seen[neuron][None]])


def track(features: Features, name: str, parts: Sequence[Decomposition]) -> Track | None:
    """Return the track of one recording whose features have a phase, or None if no test trial has a bin with one."""
    index, group = list(features.stores).index(name), features.group(name)
    tested = [part.traces.row[part.traces.recording == index] for part in parts]
    rows = np.unique(np.concatenate(tested))
    angle = binned(group["phase"].values[rows], parts[0].settings.coarsen, parts[0].traces.bins)
    first = next(i for i, unit in enumerate(parts[0].traces.neurons) if unit.startswith(f"{name}/"))
    signal = np.zeros((group.sizes["neuron"], *angle.shape), np.float32)
    seen = np.zeros(signal.shape, bool)
    for part in parts:
        own = part.traces.recording == index
        where = part.traces.neuron[own] - first, np.searchsorted(rows, part.traces.row[own])
        signal[where], seen[where] = part.traces.signal[own], part.traces.valid[own]
    kept = np.isfinite(angle) & seen.any(0)
    if not kept.any():
        return None
    place = np.where(kept, np.cumsum(kept).reshape(kept.shape) - 1, -1)
    neuron, row, position, kernel, code = _events(parts, index, first, rows)
    inside = (place[row, position] >= 0) & seen[neuron, row, position]
    return Track(
        *(angle[kept], rows[np.nonzero(kept)[0]], seen[:, kept], signal[:, kept]),
        *(neuron[inside], kernel[inside], place[row, position][inside], code[inside]),
        np.bincount(kernel[~inside], minlength=parts[0].kernels.shape[1]),
        first,
    )


def binned(phase: np.ndarray, factor: int, bins: int) -> np.ndarray:
    """Return the phase at the centre of wider bins, shape (trial, bins), rad: the circular mean of `factor` bins each.

    phase  (trial, time) rad; NaN in one of its bins, and padding up to `bins`, makes a wide bin NaN
    """
    count = phase.shape[1] // factor
    vector = np.exp(1j * phase[:, : count * factor].astype(float)).reshape(len(phase), count, factor).sum(2)
    found = np.full((len(phase), bins), np.nan)
    found[:, :count] = np.where(np.abs(vector) > 0, np.angle(vector), np.nan)
    return found


def _events(
    parts: Sequence[Decomposition], index: int, first: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return neuron, trial (index into rows), bin, kernel and size of every code of a recording that is not 0."""
    found = []
    for part in parts:
        traces, slots = part.traces, part.found.slots
        here = slots.present & (part.found.codes != 0) & (traces.recording == index)[:, None]
        trace, slot = np.nonzero(here)
        trial = np.searchsorted(rows, traces.row[trace])
        which = traces.neuron[trace] - first, trial, slots.position[trace, slot], slots.kernel[trace, slot]
        found.append((*which, part.found.codes[trace, slot]))
    neuron, trial, position, kernel, code = (np.concatenate(column) for column in zip(*found))
    return neuron, trial, position, kernel, code
