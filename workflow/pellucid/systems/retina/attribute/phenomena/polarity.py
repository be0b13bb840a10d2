"""Polarity reversal: a cell prefers the opposite contrast after the surround shifts (Geffen et al. 2007)."""

import numpy as np

from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import PolarityReversal

SURROUNDS = ("still", "shifted")


def conditions(settings: PolarityReversal, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return dark, no (control) and bright flashes of the disc, with the surround still and shifting as they begin.

    The first frame of flash and shift is newest in row `before_rows`.
    """
    rows, onset = settings.before_rows + settings.after_rows, scale.newest(settings.before_rows)
    inside = stimuli.disc(shape, settings.centre_px, settings.radius_px)
    frames, labels, shown = [], [], []
    contrasts = (-settings.contrast, 0.0, settings.contrast)
    for surround in SURROUNDS:
        shift = np.zeros(scale.frames(rows))
        shift[onset:] = settings.bar_px * (surround == "shifted")
        around = stimuli.grating(shift, settings.bar_px, shape[1], settings.grating_contrast)
        for contrast in contrasts:
            flash = stimuli.full_field(scale.frames(rows), [(onset, onset + settings.flash_frames, contrast)])
            frames.append(flash[:, None, None] * inside + around[:, None] * (1 - inside))
            labels.append(f"{surround}, flash {contrast:g}")
            shown.append(flash[scale.history - 1 :])
    return Conditions(
        values=np.array(contrasts * len(SURROUNDS)),
        unit="1",
        labels=tuple(labels),
        frames=frames,
        time_s=scale.time_s(rows, settings.before_rows),
        shown=np.stack(shown),
        window=slice(settings.before_rows, rows),
        control=(1, 4),
    )


def measure(
    settings: PolarityReversal,
    conditions: Conditions,
    rate: np.ndarray,
    scale: Scale,
    *,
    projection: np.ndarray | None,
) -> list[Measure]:
    """Return the preference for bright over dark flashes with either surround, and whether it reverses.

    polarity_still, polarity_shifted  (b - d) / (|b| + |d|): 1 ON, -1 OFF; b and d are the summed rates that a bright
                                      and a dark flash add to what the surround alone gives
    polarity_change                   shifted less still: 2 from OFF to ON
    reversed_share, reverses          of `reversed_share`, where projections are given
    """
    rate = peaks.with_mean(rate)
    polarity = []
    for dark, none, bright in rate.reshape(len(SURROUNDS), 3, *rate.shape[1:]):
        added = [(own - none)[conditions.window] for own in (bright, dark)]
        quiet = np.all([peaks.silent(np.concatenate([none, own])) for own in (bright, dark)], axis=0)
        more, less = (own.sum(0) for own in added)
        index = peaks.ratio(more - less, np.abs(more) + np.abs(less))
        polarity.append(np.where(quiet, np.nan, index))
    still, shifted = polarity
    out = [
        peaks.measured("polarity_still", "1", still),
        peaks.measured("polarity_shifted", "1", shifted),
        peaks.measured("polarity_change", "1", shifted - still),
    ]
    return out if projection is None else out + reversed_share(settings, projection)


def reversed_share(settings: PolarityReversal, projection: np.ndarray) -> list[Measure]:
    """Return the share of frames whose instantaneous receptive field points against the mean one.

    projection  (frame, neuron) scalar products of each frame's gradient with the mean gradient
    reverses is 1 where that share is neither below `threshold` nor above 1 - `threshold` (Maheswaranathan et al. 2023,
    reference code), else 0; `of_mean` is the mean over cells.
    """
    share = np.where(np.isfinite(projection).all(0), (projection < 0).mean(0), np.nan)
    limit = settings.threshold
    reverses = np.where(np.isfinite(share), (share > limit) & (share < 1 - limit), np.nan)
    out = []
    for name, own in (("reversed_share", share), ("reverses", reverses)):
        known = own[np.isfinite(own)]
        out.append(Measure(name, "1", own.astype(float), float(known.mean()) if len(known) else np.nan))
    return out
