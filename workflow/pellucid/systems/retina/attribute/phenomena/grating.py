"""Reversing grating: responses at twice the frequency of the reversal show nonlinear subunits."""

import numpy as np

from pellucid.errors import ConfigError
from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import ReversingGrating

LEAST = 1e-6
"""Size of the first harmonic, as a share of the second, below which their ratio is undefined."""


def conditions(settings: ReversingGrating, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return one condition per width of bars and phase. Raises ConfigError where rows hold no whole period.

    Time is counted from the first reversal to the grating's own contrast that is newest in a row.
    """
    period, rows = 2 * settings.half_period_frames, settings.frames - scale.history + 1
    if rows < period:
        raise ConfigError(
            "phenomenon `reversing_grating`",
            expected=f"frames for a whole period of {period} rows after a history of {scale.history}",
            found=f"frames: {settings.frames}",
            remedy="Raise `frames` or lower `half_period_frames`.",
        )
    sign = np.where(np.arange(settings.frames) // settings.half_period_frames % 2, -1, 1).astype(np.float32)
    phases = np.arange(settings.phases) / settings.phases
    frames, labels = [], []
    for bar in settings.bars_px:
        for phase in phases:
            still = stimuli.grating(-2 * bar * phase, bar, shape[1], settings.contrast, settings.waveform)
            frames.append(sign[:, None] * still)
            labels.append(f"bars {bar} px, phase {phase:g}")
    first = -(-(scale.history - 1) // period) * period - (scale.history - 1)
    return Conditions(
        values=np.tile(phases, len(settings.bars_px)),
        unit="1",
        labels=tuple(labels),
        frames=frames,
        time_s=scale.time_s(rows, first),
        shown=np.tile(settings.contrast * sign[scale.history - 1 :], (len(frames), 1)),
        window=slice(rows - rows // period * period, rows),
    )


def measure(settings: ReversingGrating, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return the size of the second harmonic against the first, for each width of bars.

    f2_f1     mean over phases of F2 / F1 (Maheswaranathan et al. 2023), NaN if F1 vanishes in all of them
    f2_share  sum over phases of F2 over that of F1 + F2: 0 follows the contrast, 1 doubles its frequency
    F1 and F2 are amplitudes at the frequency of a whole cycle of the reversal and at twice it, over whole periods.
    """
    rate = peaks.with_mean(rate)
    own = rate[:, conditions.window]
    periods = own.shape[1] // (2 * settings.half_period_frames)
    amplitude = np.abs(np.fft.rfft(own, axis=1))
    shape = (len(settings.bars_px), settings.phases, rate.shape[-1])
    first, second = amplitude[:, periods].reshape(shape), amplitude[:, 2 * periods].reshape(shape)
    quiet = np.stack([peaks.silent(one) for one in own]).reshape(shape)
    first, second = np.where(quiet, 0, first), np.where(quiet, 0, second)
    out = []
    for bar, one, two in zip(settings.bars_px, first, second):
        known = one > LEAST * two
        ratios = np.where(known, two / np.where(known, one, 1), 0)
        mean = np.where(known.any(0), ratios.sum(0) / np.maximum(known.sum(0), 1), np.nan)
        out.append(peaks.measured("f2_f1", "1", mean, bar))
        out.append(peaks.measured("f2_share", "1", peaks.ratio(two.sum(0), one.sum(0) + two.sum(0)), bar))
    return out
