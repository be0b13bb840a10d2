"""Paired full-field flashes: what the first does to the response to the second."""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import PairedFlash


def conditions(settings: PairedFlash, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return one condition per interval and, as control (value 0), a single flash.

    The first flash begins in the frame that is newest in row `before_rows`.
    """
    rows, onset = settings.before_rows + settings.after_rows, scale.newest(settings.before_rows)
    length, contrast = settings.flash_frames, settings.contrast
    frames = [
        stimuli.full_field(scale.frames(rows), [(k, k + length, contrast) for k in (onset, onset + length + interval)])
        for interval in settings.intervals_frames
    ]
    frames.append(stimuli.full_field(scale.frames(rows), [(onset, onset + length, contrast)]))
    return Conditions(
        values=np.array([*settings.intervals_frames, 0], float),
        unit="frames",
        labels=(*(f"interval {interval}" for interval in settings.intervals_frames), "single flash"),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack([movie[scale.history - 1 :] for movie in frames]),
        window=slice(settings.before_rows, rows),
        control=(len(settings.intervals_frames),),
    )


def measure(settings: PairedFlash, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return the response to the second flash over that to the first, and whether it grows with the interval.

    ratio       largest rate that the second flash adds to the response to a single one, over the largest rate of that
                response above the rate before it, per interval
    ratio_rank  Spearman's correlation with the interval
    """
    rate = peaks.with_mean(rate)
    single, start = rate[-1], settings.before_rows
    first = np.where(peaks.silent(single), np.nan, single[start:].max(0) - single[:start].mean(0))
    found = []
    for interval, own in zip(settings.intervals_frames, rate):
        second = start + settings.flash_frames + interval
        found.append(peaks.ratio((own - single)[second:].max(0), first))
    ratios = np.stack(found)
    out = [peaks.measured("ratio", "1", own, at) for at, own in zip(conditions.values, ratios)]
    out.append(peaks.measured("ratio_rank", "1", peaks.rank_correlation(conditions.values[:-1], ratios)))
    return out
