"""How well times of events are found: hits and false detections within a tolerance, chance, and smoothing as baseline.

Times are in any one unit, seconds as a rule: true events at their own times, a detection at the centre of its bin
(`times_of`). A tolerance below half a bin then loses even detections in the right bin, as the data's resolution
demands; the published scores at such tolerances repeat a code over the milliseconds of its bin instead. In units of
bins (true events floored to their bin) the published 1, 2, 3 bins are tolerances 1, 2, 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError

EPSILON = 1e-9
"""Slack of a comparison with the tolerance, in the unit of the times, against rounding."""
THRESHOLDS = np.linspace(0.025, 0.3, 20)
"""Heights of the published smoothing detector (published); its time constants are 1, 10, 20 and 30 bins."""


@dataclass(frozen=True)
class Rates:
    """Hit and false rates: shares of true events found and of detections that are wrong; of one trial or averaged."""

    hit: float
    false: float


def times_of(code: np.ndarray, bin_s: float, start_s: float = 0.0) -> list[np.ndarray]:
    """Return the centres of the bins where a code is not 0, s, one sorted array per trace.

    code  (trace, time); start_s: left edge of bin 0
    """
    return [start_s + (np.flatnonzero(row) + 0.5) * bin_s for row in code]


def rates(
    true: Sequence[np.ndarray], detected: Sequence[np.ndarray], tolerance: float, *, published: bool = False
) -> Rates:
    """Return hit and false rates, each trial's own and then the mean over trials.

    true, detected  times of each trial, (event,)
    Default: events and detections at most `tolerance` apart are paired one to one, as many as possible;
      hit = pairs / events, false = (detections - pairs) / detections.
    published: hit = detections inside any event's window / events, clipped at 1; false = detections outside any window
      / detections; so two detections of one event make up for another one that is missed.
    A trial with events and no detection: hit 0, false 1 (as published). A trial without events has no hit rate, and a
    false rate of 1 if anything is detected, else none; rates no trial has are NaN.
    Raises DataError if the numbers of trials differ.
    """
    _check_trials(true, detected)
    hit, false = _rates(_padded(true), _padded(detected), tolerance, published)
    return Rates(_mean(hit), _mean(false))


def chance(
    true: Sequence[np.ndarray],
    detected: Sequence[np.ndarray],
    tolerance: float,
    *,
    start: np.ndarray,
    bins: np.ndarray,
    step: float,
    shifts: int,
    seed: int,
    published: bool = False,
) -> Rates:
    """Return the rates of detections shifted circularly inside their trials, the mean over random shifts.

    start   (trial,) left edge of each trial's first valid bin; bins (trial,) number of its bins
    step    width of a bin in the unit of the times (1 in bins); shifts are whole bins, uniform, one per trial and draw
    shifts  number of draws
    """
    _check_trials(true, detected)
    generator = np.random.default_rng(seed)
    events, found = _padded(true), _padded(detected)
    hits, falses = [], []
    for _ in range(shifts):
        moved = generator.integers(0, bins)[:, None] * step
        length = (bins * step)[:, None]
        with np.errstate(invalid="ignore"):  # padding is inf
            round_trip = start[:, None] + np.mod(found - start[:, None] + moved, length)
        shifted = np.sort(np.where(np.isfinite(found), round_trip, np.inf), axis=1)
        hit, false = _rates(events, shifted, tolerance, published)
        hits.append(hit)
        falses.append(false)
    return Rates(_mean(np.array(hits)), _mean(np.array(falses)))


def smoothed(signal: np.ndarray, constant_bins: float) -> np.ndarray:
    """Return the signal, (trace, time), convolved with (1 - e^-t) e^(-t / tau), t = 0, 1, ... bins, not normalised.

    The kernel is the difference of two exponentials, a^t - (a / e)^t with a = e^(-1 / tau), and is run as two
    recursive filters, so it is never cut.
    signal  counts divided by the largest count of a bin, 0 in invalid bins; constant_bins: tau
    """
    from scipy.signal import lfilter

    decay = np.exp(-1 / constant_bins)
    slow, fast = (lfilter([1.0], [1.0, -pole], signal, axis=1) for pole in (decay, decay / np.e))
    return np.asarray(slow - fast)


def peaks(
    trace_values: np.ndarray, valid: np.ndarray, thresholds: Sequence[float] | np.ndarray = THRESHOLDS
) -> list[list[np.ndarray]]:
    """Return the bins of local maxima at or above each threshold, [threshold][trace] -> (detection,).

    trace_values, valid  (trace, time); a bin beside an invalid one or at an end of the trial is no maximum
    """
    from scipy.signal import find_peaks

    walled = np.where(valid, trace_values, np.inf)
    found = [np.array([p for p in find_peaks(row)[0] if np.isfinite(row[p])], int) for row in walled]
    return [[bins[row[bins] >= height] for bins, row in zip(found, walled)] for height in thresholds]


def smoothing_curve(
    signal: np.ndarray,
    valid: np.ndarray,
    true: Sequence[np.ndarray],
    *,
    constant_bins: float,
    bin_s: float,
    tolerance_s: float,
    start_s: float = 0.0,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
    published: bool = False,
) -> list[tuple[float, Rates]]:
    """Return (threshold, rates) of the smoothing detector; its miss/false curve is (1 - hit, false).

    signal  (trace, time) as for `smoothed`; valid (trace, time); true: times of events of each trace, s
    """
    found = peaks(smoothed(np.where(valid, signal, 0), constant_bins), valid, thresholds)
    times = [[start_s + (bins + 0.5) * bin_s for bins in detected] for detected in found]
    return [
        (float(height), rates(true, detected, tolerance_s, published=published))
        for height, detected in zip(thresholds, times)
    ]


def _rates(true: np.ndarray, detected: np.ndarray, tolerance: float, published: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return hit and false of every trial, (trial,), NaN where undefined; times are sorted and padded with inf."""
    events, detections = np.isfinite(true).sum(axis=1), np.isfinite(detected).sum(axis=1)
    inside = (_inside if published else _pairs)(true, detected, tolerance + EPSILON)
    hit = np.where(events > 0, np.minimum(inside / np.maximum(events, 1), 1), np.nan)
    false = np.where(detections > 0, 1 - inside / np.maximum(detections, 1), np.where(events > 0, 1, np.nan))
    return hit, false


def _pairs(true: np.ndarray, detected: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the largest number of pairs, (trial,), by walking along both sorted rows, all trials at once.

    The earlier of two times that are too far apart can pair with nothing later, and pairing the earliest two that are
    close enough never costs a pair, since the tolerance is the same for all.
    """
    rows = np.arange(len(true))
    true, detected = (np.pad(times, ((0, 0), (0, 1)), constant_values=np.inf) for times in (true, detected))
    event, detection, pairs = (np.zeros(len(true), int) for _ in range(3))
    for _ in range(true.shape[1] + detected.shape[1] - 2):
        at, found = true[rows, event], detected[rows, detection]
        going = np.isfinite(at) & np.isfinite(found)
        late = going & (found > at + tolerance)
        early = going & (found < at - tolerance)
        paired = going & ~late & ~early
        pairs += paired
        event += late | paired
        detection += early | paired
    return pairs


def _inside(true: np.ndarray, detected: np.ndarray, tolerance: float) -> np.ndarray:
    """Return how many detections lie in the window of any event, (trial,)."""
    with np.errstate(invalid="ignore"):  # inf - inf of padding
        near = np.abs(detected[:, :, None] - true[:, None, :]) <= tolerance
    return np.asarray(near.any(axis=2).sum(axis=1))


def _padded(times: Sequence[np.ndarray]) -> np.ndarray:
    """Return sorted times as (trial, event), padded with inf."""
    filled = np.full((len(times), max((len(row) for row in times), default=0)), np.inf)
    for place, row in enumerate(times):
        filled[place, : len(row)] = np.sort(row)
    return filled


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _check_trials(true: Sequence[np.ndarray], detected: Sequence[np.ndarray]) -> None:
    if len(true) != len(detected):
        raise DataError(
            "times of events and of detections",
            expected=f"detections of {len(true)} trials, as there are of events",
            found=f"{len(detected)}",
            remedy="Pass an empty array for a trial without detections.",
        )
