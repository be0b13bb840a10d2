"""What a simulated rat does on a circular track, and what a camera sees of it."""

from dataclasses import dataclass

import numpy as np

from pellucid.preprocess.behaviour import wrap
from pellucid.systems.deepinsight.simulate.settings import Replay, Spikes

STEP_S = 1e-3
"""Grid on which behaviour and rates are simulated."""

LEDS_CM = 8.0
"""Distance of the two LEDs on the head."""

MARGIN_CM = 10.0
"""Distance of the track from the edges of the camera's view."""


@dataclass(frozen=True)
class Run:
    """A run on the grid of STEP_S, arrays of shape (time,).

    position     m along the track
    heading      rad, (-pi, pi]
    speed        m/s
    represented  m along the track, of which the place units tell: the position but for ripples
    gain         factor on the rates of place units
    ripples      (ripple, 2) start and stop in s
    """

    position: np.ndarray
    heading: np.ndarray
    speed: np.ndarray
    represented: np.ndarray
    gain: np.ndarray
    ripples: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """Seconds, shape (time,)."""
        return np.arange(len(self.position)) * STEP_S


def slow(count: int, step_s: float, memory_s: float, generator: np.random.Generator) -> np.ndarray:
    """Return white noise filtered by exp(-t / memory_s), of unit variance from the first sample on, shape (count,)."""
    from scipy.signal import lfilter

    decay = np.exp(-step_s / memory_s)
    drive = generator.standard_normal(count) * np.sqrt(1 - decay**2)
    drive[0] /= np.sqrt(1 - decay**2)
    return np.asarray(lfilter([1.0], [1.0, -decay], drive))


def run(settings: Spikes, generator: np.random.Generator) -> Run:
    """Return laps at speed m (1 + tanh z), z slow noise, under a heading that wanders independently of them."""
    count = round(settings.duration_s / STEP_S)
    speed = settings.speed_m_s * (1 + np.tanh(slow(count, STEP_S, settings.speed_s, generator)))
    turning = settings.turning_rad_s * slow(count, STEP_S, settings.speed_s, generator)
    heading = wrap(generator.uniform(-np.pi, np.pi) + np.cumsum(turning) * STEP_S)
    ripples = _ripples(settings) if isinstance(settings, Replay) else np.empty((0, 2))
    times = np.arange(count) * STEP_S
    if isinstance(settings, Replay):
        speed[_resting(times, settings)] = 0.0
    position = np.mod(np.cumsum(speed) * STEP_S, settings.track_m)
    represented, gain = position.copy(), np.ones(count)
    for start, stop in ripples:
        inside = (times >= start) & (times < stop)
        represented[inside] = (times[inside] - start) / (stop - start) * settings.track_m
        gain[inside] = settings.gain if isinstance(settings, Replay) else 1.0
    return Run(position, heading, speed, represented, gain, ripples)


def leds(position: np.ndarray, heading: np.ndarray, track_m: float) -> np.ndarray:
    """Return x1, y1, x2, y2 of two LEDs in cm, shape (time, 4), whose midpoint is on the track.

    The heading is the one of Frey et al. 2021 (released code): -(atan2(x1 - x2, y1 - y2) + pi/2), wrapped.
    """
    radius = 100 * track_m / (2 * np.pi)
    angle = 2 * np.pi * position / track_m
    middle = radius * (1 + np.stack([np.cos(angle), np.sin(angle)], axis=1)) + MARGIN_CM
    half = -LEDS_CM / 2 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return np.concatenate([middle + half, middle - half], axis=1)


def _resting(times: np.ndarray, settings: Replay) -> np.ndarray:
    """Return which times lie in a rest, shape (time,): the end of each stretch of `rest_every_s`."""
    return np.asarray(np.mod(times, settings.rest_every_s) >= settings.rest_every_s - settings.rest_s)


def _ripples(settings: Replay) -> np.ndarray:
    """Return start and stop in s of one ripple in the middle of each whole rest, shape (ripple, 2)."""
    ends = np.arange(1, int(settings.duration_s / settings.rest_every_s) + 1) * settings.rest_every_s
    starts = ends - (settings.rest_s + settings.ripple_s) / 2
    return np.stack([starts, starts + settings.ripple_s], axis=1)
