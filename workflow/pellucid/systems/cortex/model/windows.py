"""Windows around labelled frames: which there are, and their samples as views of the input."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.cortex.model.movie import Movie

BLOCK = 256
"""Neighbouring windows of a streamed movie that are drawn together."""
BLOCKS = 8
"""Such blocks in one batch."""


@dataclass(frozen=True)
class Session:
    """One recording as a decoder sees it.

    signal   (time, roi) normalised, or a movie
    target   (time,) state or speed, NaN where a frame is not scored
    segment  (time,) number of the stretch without a gap
    """

    name: str
    subject: str
    rate_hz: float
    signal: np.ndarray | Movie
    target: np.ndarray
    segment: np.ndarray


@dataclass(frozen=True)
class Reach:
    """What a window covers: frames row + lag - half ... row + lag + half, and `margin` more for images of frames."""

    half: int
    lag: int = 0
    margin: int = 0

    @property
    def samples(self) -> int:
        """Number of samples (or images) of a window."""
        return 2 * self.half + 1

    @property
    def before(self) -> int:
        """Frames needed before the labelled one; negative if the window begins after it."""
        return self.half + self.margin - self.lag

    @property
    def after(self) -> int:
        """Frames needed after the labelled one."""
        return self.half + self.margin + self.lag

    @classmethod
    def of(cls, rate_hz: float, window_s: float, lag_s: float, margin: int = 0) -> "Reach":
        """Return the reach of a window given in seconds."""
        return cls(round(window_s * rate_hz), round(lag_s * rate_hz), margin)


def centres(session: Session, rows: np.ndarray, reach: Reach) -> np.ndarray:
    """Return those of some rows that are labelled and whose window lies within the session and one segment, (window,).

    A session of T frames without gaps has T - before - after windows.
    """
    first, last = rows - max(reach.before, 0), rows + max(reach.after, 0)
    inside = (first >= 0) & (last < len(session.target))
    rows, first, last = rows[inside], first[inside], last[inside]
    whole = (session.segment[first] == session.segment[rows]) & (session.segment[last] == session.segment[rows])
    return np.asarray(rows[whole & np.isfinite(session.target[rows])])


@dataclass(frozen=True)
class Windows:
    """The windows of one part of a fold, session after session in order of time.

    session  (window,) place of its session in `sessions`
    row      (window,) labelled frame
    target   (window,) state or speed
    """

    sessions: Sequence[Session]
    reach: Reach
    session: np.ndarray
    row: np.ndarray
    target: np.ndarray
    _traces: "list[Tensor]" = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def make(cls, sessions: Sequence[Session], rows: Sequence[np.ndarray], reach: Reach) -> "Windows":
        """Return all windows whose labelled frame is among the rows of each session."""
        found = [centres(session, own, reach) for session, own in zip(sessions, rows)]
        number = np.repeat(np.arange(len(found)), [len(own) for own in found])
        target = [session.target[own] for session, own in zip(sessions, found)]
        empty = [np.empty(0, int)]
        return cls(sessions, reach, number, np.concatenate(found or empty), np.concatenate(target or [np.empty(0)]))

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.row)

    @property
    def state(self) -> np.ndarray:
        """What the windows are scored on, (window,)."""
        return self.target

    @property
    def names(self) -> list[str]:
        """Names of the sessions."""
        return [session.name for session in self.sessions]

    @property
    def lags(self) -> np.ndarray:
        """Frames of a window's samples after the labelled one, (lag,)."""
        return np.arange(-self.reach.half, self.reach.half + 1, dtype=np.int64) + self.reach.lag

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the samples of some windows of traces, (window, lag, roi)."""
        return self.tensor(indices).numpy()

    def tensor(self, indices: np.ndarray) -> Tensor:
        """Return the samples of some windows of traces, (window, lag, roi), copied from a view that copies nothing."""
        if not self._traces:
            self._traces.extend(view(np.asarray(session.signal), self.reach.samples) for session in self.sessions)
        traces = [trace.numpy() for trace in self._traces]
        start = self.row[indices] + self.reach.lag - self.reach.half
        out = np.empty((len(start), *traces[0].shape[1:]), np.float32)
        for place, (number, first) in enumerate(zip(self.session[indices], start)):
            out[place] = traces[number][first]  # one block of memory each: faster than indexing elements
        return torch.from_numpy(out)

    def draw(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Return random windows, (size,): of a streamed movie from a few blocks of neighbours, which are read whole."""
        held = all(not isinstance(session.signal, Movie) or session.signal.held for session in self.sessions)
        if held:
            return generator.integers(0, self.count, size)
        starts = generator.integers(0, self.count, BLOCKS) // BLOCK * BLOCK
        chosen = starts[np.arange(size) % BLOCKS]
        return np.asarray(np.sort(chosen + generator.integers(0, np.minimum(BLOCK, self.count - chosen))))

    def only(self, chosen: np.ndarray) -> "Windows":
        """Return some of the windows; chosen is (window,), their numbers."""
        return Windows(self.sessions, self.reach, self.session[chosen], self.row[chosen], self.target[chosen])

    def by_session(self) -> list[np.ndarray]:
        """Return the numbers of each session's windows, (window,), of those that have any."""
        return [np.flatnonzero(self.session == number) for number in np.unique(self.session)]

    def thinned(self, most: int) -> np.ndarray:
        """Return at most so many windows, evenly spaced, (window,)."""
        return np.linspace(0, self.count - 1, min(self.count, most)).round().astype(int)


def view(signal: np.ndarray, samples: int) -> Tensor:
    """Return every stretch of so many samples as a view, (start, lag, roi); no sample is copied.

    signal  (time, roi); of fewer samples than that there is no stretch
    """
    if len(signal) < samples:
        return torch.empty((0, samples, signal.shape[1]))
    return torch.from_numpy(signal).unfold(0, samples, 1).transpose(1, 2)
