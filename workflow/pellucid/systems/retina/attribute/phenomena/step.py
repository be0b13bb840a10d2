"""Full-field steps: how long the response lasts, and whether it follows the onset or the end."""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import Step

LAST = 4
"""The sustained rate is the mean over the last of so many parts of the step."""


def conditions(settings: Step, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return one condition per contrast; the step's first frame is newest in row `before_rows`."""
    rows = settings.before_rows + settings.step_frames + settings.after_rows
    onset = scale.newest(settings.before_rows)
    frames = [
        stimuli.full_field(scale.frames(rows), [(onset, onset + settings.step_frames, contrast)])
        for contrast in settings.contrasts
    ]
    return Conditions(
        values=np.array(settings.contrasts, float),
        unit="1",
        labels=tuple(f"contrast {contrast:g}" for contrast in settings.contrasts),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack([movie[scale.history - 1 :] for movie in frames]),
        window=slice(settings.before_rows, rows),
    )


def measure(settings: Step, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return the course and the polarity of the response to each step.

    peak       largest rate during the step above the rate before it, units of the rate
    sustained  mean rate in the last quarter of the step above the rate before it, over `peak`: 0 transient, 1
               sustained; undefined where the step suppresses more than it excites
    on_off     (on - off) / (on + off): 1 ON, -1 OFF; on and off are the largest rates after the change to bright and to
               dark, above the rate before the step and the mean rate in its last quarter
    """
    rate = peaks.with_mean(rate)
    start, end = settings.before_rows, settings.before_rows + settings.step_frames
    out = []
    for at, own in zip(conditions.values, rate):
        above = own - own[:start].mean(0)
        held = above[end - max(1, settings.step_frames // LAST) : end].mean(0)
        quiet = peaks.silent(own)
        onset, offset = (
            np.where(quiet, np.nan, np.maximum(part.max(0), 0)) for part in (above[start:end], above[end:] - held)
        )
        bright, dark = (onset, offset) if at > 0 else (offset, onset)
        out.append(peaks.measured("peak", scale.units, onset, at))
        lasting = np.where(held < -onset, np.nan, peaks.ratio(held, onset))
        out.append(peaks.measured("sustained", "1", lasting, at))
        out.append(peaks.measured("on_off", "1", peaks.ratio(bright - dark, bright + dark), at))
    return out
