"""Object motion sensitivity: a patch that moves against its background (after Ölveczky et al. 2003)."""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import ObjectMotion

KINDS = (("differential", True, False), ("global", True, True), ("background", False, True))
"""Name, whether the disc shifts, whether the background does."""


def conditions(settings: ObjectMotion, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return shifts of the disc alone, of both, and of the background alone, in each phase of the grating.

    The first shifted frame is newest in row `before_rows`; the shift is linear in time.
    """
    rows, onset = settings.before_rows + settings.after_rows, scale.newest(settings.before_rows)
    inside = stimuli.disc(shape, settings.centre_px, settings.radius_px)
    moved = np.clip((np.arange(scale.frames(rows)) - onset + 1) / settings.shift_frames, 0, 1) * settings.shift_px
    phases = np.arange(settings.phases) / settings.phases
    frames, labels, shown = [], [], []
    for name, *shifts in KINDS:
        for phase in phases:
            disc, around = (
                stimuli.grating(own * moved - 2 * settings.bar_px * phase, settings.bar_px, shape[1], settings.contrast)
                for own in shifts
            )
            frames.append(disc[:, None] * inside + around[:, None] * (1 - inside))
            labels.append(f"{name}, phase {phase:g}")
            shown.append(moved[scale.history - 1 :])
    return Conditions(
        values=np.tile(phases, len(KINDS)),
        unit="1",
        labels=tuple(labels),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack(shown),
        window=slice(settings.before_rows, rows),
    )


def measure(settings: ObjectMotion, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return responses to motion of the disc alone and of the background alone over that to motion of both.

    differential, global, background  largest rate after the shift above the rate before it, mean over phases, in units
                                      of the rate
    differential_global, background_global  their ratios to `global`: above 1, cells respond to motion that differs
    """
    rate = peaks.with_mean(rate)
    rest = rate[:, : settings.before_rows].mean(1)
    size = np.maximum(rate[:, conditions.window].max(1) - rest, 0).reshape(len(KINDS), settings.phases, -1).mean(1)
    quiet = peaks.silent(rate.reshape(-1, rate.shape[-1]))
    size = np.where(quiet, np.nan, size)
    found = {name: own for (name, *_), own in zip(KINDS, size)}
    out = [peaks.measured(name, scale.units, own) for name, own in found.items()]
    for name in ("differential", "background"):
        out.append(peaks.measured(f"{name}_global", "1", peaks.ratio(found[name], found["global"])))
    return out
