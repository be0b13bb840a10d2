"""Cutting a continuous recording into trials, around reference events or one after the other, and events in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pellucid.preprocess.spikes import EDGE

SLACK_S = 1e-6
"""Windows may reach this far beyond what was observed: rounding, far below one sample."""


@dataclass(frozen=True)
class Windows:
    """Trials of one length in a continuous recording, in order of time.

    zero_s    (trial,) zero of each trial's clock, s on the clock of the recording
    source    (trial,) index of the reference event, or number of the window
    window_s  first and last moment of every trial on its own clock, half-open
    dropped   why -> number of trials that were left out
    """

    zero_s: np.ndarray
    source: np.ndarray
    window_s: tuple[float, float]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def start_s(self) -> np.ndarray:
        """The first moment of each trial on the clock of the recording, shape (trial,), s."""
        return np.asarray(self.zero_s + self.window_s[0])

    @property
    def length_s(self) -> float:
        """The length of every trial, s."""
        return self.window_s[1] - self.window_s[0]


def around(
    times: np.ndarray,
    window_s: tuple[float, float],
    observed_s: tuple[float, float] | None = None,
    *,
    ends: Literal["drop", "pad"] = "drop",
    overlap: Literal["drop", "keep"] = "drop",
) -> Windows:
    """Return one trial around each reference event.

    times       (event,) s; NaN is no event
    window_s    first and last moment of a trial, relative to its event
    observed_s  first and last moment of the recording; none: it covers every trial
    ends        trials that the recording does not cover whole: left out, or kept, to be padded
    overlap     trials that begin before the one before them ends: left out, or kept, with samples in both
    """
    times = np.asarray(times, float)
    source = np.argsort(times, kind="stable")
    present = np.isfinite(times[source])
    dropped = {"without a reference event": int((~present).sum())}
    source = source[present]
    if observed_s is not None and ends == "drop":
        begin, end = times[source] + window_s[0], times[source] + window_s[1]
        covered = (begin >= observed_s[0] - SLACK_S) & (end <= observed_s[1] + SLACK_S)
        dropped["cut by the ends of the recording"] = int((~covered).sum())
        source = source[covered]
    if overlap == "drop":
        apart = _apart(times[source], window_s[1] - window_s[0])
        dropped["overlapping the trial before"] = int((~apart).sum())
        source = source[apart]
    return Windows(times[source], source, window_s, {why: count for why, count in dropped.items() if count})


def consecutive(observed_s: tuple[float, float], every_s: float) -> Windows:
    """Return trials that follow each other without a gap; a rest at the end shorter than a trial is left out.

    observed_s  first and last moment of the recording; every_s: length of a trial, s
    The zero of a trial's clock is its beginning.
    """
    count = int(np.floor((observed_s[1] - observed_s[0]) / every_s + EDGE))
    number = np.arange(count)
    return Windows(observed_s[0] + number * every_s, number, (0.0, every_s))


def within(times: np.ndarray, windows: Windows) -> np.ndarray:
    """Return the events of each trial on its clock, shape (trial, event), s, in order; NaN fills shorter rows.

    times  (event,) s on the clock of the recording, NaN where absent
    An event counts in every trial that contains it; trials are closed on the left.
    """
    ordered = np.sort(np.asarray(times, float)[np.isfinite(times)])
    slack = EDGE * windows.length_s
    first = np.searchsorted(ordered, windows.start_s - slack)
    counts = np.searchsorted(ordered, windows.start_s + windows.length_s - slack) - first
    found = np.full((len(windows.zero_s), int(counts.max(initial=0))), np.nan)
    trial = np.repeat(np.arange(len(counts)), counts)
    slot = np.arange(len(trial)) - np.repeat(np.cumsum(counts) - counts, counts)
    found[trial, slot] = ordered[first[trial] + slot] - windows.zero_s[trial]
    return found


def snap(times: np.ndarray, start_s: float, rate_hz: float) -> np.ndarray:
    """Return the time of the last sample at or before each event, shape (event,), s.

    Trials cut there have their samples exactly on the grid of their own clock, and so have other events' bins.
    """
    return np.asarray(start_s + np.floor((np.asarray(times, float) - start_s) * rate_hz + EDGE) / rate_hz)


def cut(signal: np.ndarray, first: np.ndarray, samples: int) -> np.ndarray:
    """Return the samples of each trial, shape (trial, time, ...); NaN beyond the ends of the recording.

    signal   (time, ...)
    first    (trial,) index of each trial's first sample, which may lie before the recording
    samples  per trial
    Whole numbers stay so unless a trial is padded.
    """
    index = np.asarray(first)[:, None] + np.arange(samples)
    outside = (index < 0) | (index >= len(signal))
    found = np.asarray(signal[np.clip(index, 0, len(signal) - 1)])
    if not outside.any():
        return found
    found = found.astype(np.result_type(found.dtype, np.float32))
    found[outside] = np.nan
    return found


def _apart(times: np.ndarray, length_s: float) -> np.ndarray:
    """Return which of ordered trials begin after the last one kept has ended, shape (trial,)."""
    kept = np.ones(len(times), bool)
    end = -np.inf
    for index, time in enumerate(times):
        kept[index] = time >= end - SLACK_S
        end = time + length_s if kept[index] else end
    return kept
