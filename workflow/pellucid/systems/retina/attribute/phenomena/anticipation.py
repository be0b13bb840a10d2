"""Motion anticipation: where cells are active while a bar moves, against where they are when it is flashed.

A cell is active while a moving bar is at m, and when the bar is flashed at f. Seen over the population at one moment,
the activity lies f - m to the right of where flashes would put it. A response that is merely late by d frames gives
f - m = -speed d, with a negative speed for motion to the left: behind the bar in either direction.
"""

import math

import numpy as np

from pellucid.errors import ConfigError
from pellucid.systems.retina.attribute.phenomena import peaks, stimuli
from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure, Scale
from pellucid.systems.retina.attribute.phenomena.settings import Anticipation

DIRECTIONS = (("rightward", 1), ("leftward", -1))


def conditions(settings: Anticipation, scale: Scale, shape: tuple[int, int], seed: int) -> Conditions:
    """Return the bar moving right and left, and as controls the flashed bars. Raises ConfigError for a short sweep.

    Flashed bars follow each other in as few conditions as hold them, so far apart that no window sees two; the first is
    newest in row 0. Time is counted from the frame in which the moving bar is at the middle.
    """
    frames = math.floor(2 * settings.reach_px / settings.speed_px + 1e-9) + 1
    rows = frames - scale.history + 1
    slot = _slot(settings, scale)
    if rows < slot:
        raise ConfigError(
            "phenomenon `anticipation`",
            expected=f"a sweep of at least {slot + scale.history - 1} frames, for a flashed bar",
            found=f"{frames} frames: reach_px {settings.reach_px:g} at speed_px {settings.speed_px:g}",
            remedy="Raise `reach_px` or lower `speed_px`.",
        )
    path = -settings.reach_px + settings.speed_px * np.arange(frames)
    positions = [path, -path, *_flashed(settings, scale, rows)]
    newest = np.stack(positions)[:, scale.history - 1 :]
    inside = np.flatnonzero(np.abs(newest[0]) < shape[1] / 2)
    middle = settings.reach_px / settings.speed_px - (scale.history - 1)
    return Conditions(
        values=np.array([settings.speed_px, -settings.speed_px] + [0.0] * (len(positions) - 2)),
        unit="px/frame",
        labels=("rightward", "leftward", *(f"flashed {k + 1}" for k in range(len(positions) - 2))),
        frames=[stimuli.bar(own, settings.width_px, shape[1], settings.contrast) for own in positions],
        time_s=(np.arange(rows) - middle + scale.lag) / scale.rate_hz,
        shown=newest,
        window=slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, rows),
        control=tuple(range(2, len(positions))),
    )


def measure(settings: Anticipation, conditions: Conditions, rate: np.ndarray, scale: Scale) -> list[Measure]:
    """Return how far the population's activity lies from where flashes put it.

    shift_rightward, shift_leftward        f - m of the motion in that direction, px: positive to the right
    shift_rightward_um, shift_leftward_um  the same on the retina, um
    ahead, ahead_um                        mean over directions of the shift along the motion: positive ahead of the bar
    m is where the moving bar is at the time of a cell's largest response; f is where a flashed bar gives the largest
    response, at the one time after the flash when the mean over cells and positions is largest (reference code). Both
    profiles are interpolated by a cubic spline and averaged over `smooth_px`: on whole pixels, the response of a linear
    cell changes in straight pieces between whole positions, and its bare maximum always lies on one. NaN where the
    largest response is at an end of a profile.
    """
    rate = peaks.with_mean(rate)
    places, flashed = _flash_profile(settings, scale, rate)
    where = _peak(settings, places, flashed)
    shift = {}
    rightward = conditions.time_s * scale.rate_hz * settings.speed_px  # where the bar is at the time of a response
    for k, (direction, sign) in enumerate(DIRECTIONS):
        order = slice(None, None, sign)
        shift[direction] = where - _peak(settings, sign * rightward[order], rate[k][order])
    ahead = (shift["rightward"] - shift["leftward"]) / 2
    out = []
    for name, own in (*((f"shift_{key}", value) for key, value in shift.items()), ("ahead", ahead)):
        out.append(peaks.measured(name, "px", own))
        out.append(peaks.measured(f"{name}_um", "um", own * scale.pixel_um))
    return out


def _slot(settings: Anticipation, scale: Scale) -> int:
    """Return rows from one flashed bar to the next: no window holds two."""
    return settings.flash_frames + scale.history - 1


def _places(settings: Anticipation) -> np.ndarray:
    return np.arange(settings.flashes_px[0], settings.flashes_px[1] + 1, dtype=float)


def _flashed(settings: Anticipation, scale: Scale, rows: int) -> list[np.ndarray]:
    """Return the positions of flashed bars in each condition, (time,) px, NaN while the image is grey."""
    slot, places = _slot(settings, scale), _places(settings)
    each = rows // slot
    out = []
    for start in range(0, len(places), each):
        position = np.full(scale.frames(rows), np.nan)
        for k, place in enumerate(places[start : start + each]):
            onset = scale.newest(k * slot)
            position[onset : onset + settings.flash_frames] = place
        out.append(position)
    return out


def _flash_profile(settings: Anticipation, scale: Scale, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (place,) and the rate at the time of the largest mean response, (place, neuron)."""
    slot, places = _slot(settings, scale), _places(settings)
    each = rate.shape[1] // slot
    slots = rate[2:, : each * slot].reshape(-1, slot, rate.shape[-1])[: len(places)]
    mean = np.nan_to_num(slots[..., -1]).mean(0)
    return places, slots[:, mean.argmax()]


def _peak(settings: Anticipation, places: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return where smoothed profiles (place, neuron) over rising places are largest, (neuron,)."""
    from scipy.interpolate import CubicSpline

    half = settings.smooth_px / 2
    low, high = places[0] + half, places[-1] - half
    fine = np.linspace(low, high, max(3, round((high - low) * settings.points_per_px) + 1))
    sound = np.isfinite(profile).all(0)
    spline = CubicSpline(places, np.where(sound, profile, 0))
    whole = spline.antiderivative()
    smooth = (whole(fine + half) - whole(fine - half)) / (2 * half) if half else spline(fine)
    best = smooth.argmax(0)
    lost = ~sound | peaks.silent(smooth) | (best == 0) | (best == len(fine) - 1)
    return np.where(lost, np.nan, fine[best])
