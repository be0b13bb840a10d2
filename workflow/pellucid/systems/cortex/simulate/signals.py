"""Calcium of 50 ROIs in one session: driven by running, shared, private, and drifting.

A session depends on the seed, the mouse and its own number alone, each part on a random stream of its own: it can be
made again at any time, and a confound that is switched on changes nothing else.
"""

from dataclasses import dataclass

import numpy as np

from pellucid.readers.cortex_mat import ROIS
from pellucid.systems.cortex.simulate import behaviour, confounds
from pellucid.systems.cortex.simulate.behaviour import slow
from pellucid.systems.cortex.simulate.settings import Settings

DRIVING = (6, 8, 31, 33)
MOTOR = (1, 2, 3, 4, 26, 27, 28, 29)
GAIN, MOTOR_GAIN, OTHER_GAIN = 1.5, 0.4, 0.15
GAIN_SD = 0.1

SHARED = 0.35
PRIVATE, PRIVATE_SLOW, PRIVATE_WHITE = 0.7, 0.6, 0.3
SHARED_RHO, PRIVATE_RHO, RHO_HZ = 0.98, 0.9, 30.0
"""Correlations from one sample to the next at RHO_HZ; at other rates the time constants are kept."""

DRIFT_SD = 0.3
BLEACH_S, WAVE_S, WAVE = 120.0, 100.0, 0.5


@dataclass(frozen=True)
class Session:
    """What happens in one session of one mouse; signals in units of dF/F.

    run            (time,) uint8
    speed          (time,) cm/s
    drive          (time,) by running, 0 to 1
    neural         (time, roi) driven and shared activity: a session's gains x drive + 0.35 shared
    activity       (time, roi) neural and private activity and noise: calcium without haemodynamics and drift
    drift          (time, roi)
    haemodynamics  (time,) or None
    violet         (time, roi) the second colour, or None
    shift          (time, 2) dy and dx in px, or None
    flicker        (time,) counts, or None
    camera         stream of the noise of pixels
    """

    run: np.ndarray
    speed: np.ndarray
    drive: np.ndarray
    neural: np.ndarray
    activity: np.ndarray
    drift: np.ndarray
    haemodynamics: np.ndarray | None
    violet: np.ndarray | None
    shift: np.ndarray | None
    flicker: np.ndarray | None
    camera: np.random.SeedSequence

    @property
    def calcium(self) -> np.ndarray:
        """What is recorded of every ROI, shape (time, roi)."""
        blood = 0 if self.haemodynamics is None else self.haemodynamics[:, None]
        return np.asarray(self.activity + self.drift + blood)


def gains(settings: Settings) -> np.ndarray:
    """Return how strongly running drives each ROI, shape (roi,): 1.5 in 6, 8, 31, 33; 0.4 in motor ROIs; else 0.15."""
    by_roi = dict.fromkeys(ROIS, OTHER_GAIN) | dict.fromkeys(MOTOR, MOTOR_GAIN) | dict.fromkeys(DRIVING, GAIN)
    return np.array(list(by_roi.values())) * settings.neural_drive


def mouse_streams(seed: int, mouse: int) -> list[np.random.Generator]:
    """Return a mouse's streams: of its bouts, its vessels and the direction of its shifts."""
    return _streams(seed, (0, mouse), 3)


def simulated(settings: Settings, seed: int, mouse: int, number: int) -> Session:
    """Return a session.

    mouse   from 1
    number  of the session, from 0
    """
    frames, rate_hz = settings.length, settings.rate_hz
    own = mouse_streams(seed, mouse)
    means_s, angle = behaviour.bout_means(own[0]), confounds.angle(own[2])
    acts, pace, gain, common, private, drift, blood, violet, motion, light = _streams(seed, (1, mouse, number), 10)
    run = behaviour.bouts(means_s, frames, rate_hz, acts)
    driven = behaviour.drive(run, rate_hz)
    shared = slow(frames, 1, _tau_s(SHARED_RHO), rate_hz, common)[:, 0]
    neural = driven[:, None] * gains(settings) * gain.normal(1, GAIN_SD, len(ROIS)) + SHARED * shared[:, None]
    haemodynamics = second = None
    if (options := settings.haemodynamics) is not None:
        haemodynamics = confounds.haemodynamics(options, shared, driven, rate_hz, blood)
        second = _violet(haemodynamics, options.violet_noise, violet)
    return Session(
        run=run,
        speed=behaviour.speed(run, rate_hz, pace),
        drive=driven,
        neural=neural,
        activity=neural + _private(frames, rate_hz, private),
        drift=_drift(settings, drift),
        haemodynamics=haemodynamics,
        violet=second,
        shift=None if settings.motion is None else confounds.shifts(settings.motion, run, angle, motion),
        flicker=None if settings.flicker is None else confounds.flicker(settings.flicker, run, light),
        camera=np.random.SeedSequence(seed, spawn_key=(2, mouse, number)),
    )


def _streams(seed: int, key: tuple[int, ...], count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed, spawn_key=key).spawn(count)]


def _tau_s(rho: float) -> float:
    return float(-1 / (RHO_HZ * np.log(rho)))


def _private(frames: int, rate_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Draw what each ROI has alone, shape (time, roi): 0.7 (0.6 slow + 0.3 white)."""
    own = PRIVATE_SLOW * slow(frames, len(ROIS), _tau_s(PRIVATE_RHO), rate_hz, generator)
    own += PRIVATE_WHITE * generator.standard_normal(own.shape)
    return np.asarray(PRIVATE * own)


def _drift(settings: Settings, generator: np.random.Generator) -> np.ndarray:
    """Draw size N(1, .3) (exp(-t / 120 s) + 0.5 sin(2 pi t / 100 s + phase)), shape (time, roi), one phase for all."""
    t = np.arange(settings.length)[:, None] / settings.rate_hz
    size = settings.drift_size * generator.normal(1, DRIFT_SD, len(ROIS))
    phase = generator.uniform(0, 2 * np.pi)
    return np.asarray(size * (np.exp(-t / BLEACH_S) + WAVE * np.sin(2 * np.pi * t / WAVE_S + phase)))


def _violet(haemodynamics: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Draw the second colour of every ROI, shape (time, roi): h and white noise."""
    return haemodynamics[:, None] + noise * generator.standard_normal((len(haemodynamics), len(ROIS)))
