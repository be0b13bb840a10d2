"""Cells that fire after an omitted flash because a depressing synapse inhibits them less, the faster flashes come.

The mechanism is that of Ebert et al. 2024: inhibition through a depressing synapse decides when slow excitation is
seen; equations and constants here are a design of ours. With c the mean contrast of a frame, `lag` samples late:

    drive       y' = (c - y) / drive_s; on = max(0, y - threshold), off = max(0, -y - threshold)
    release     q = 1 - exp(-release_hz off dt)
    resource    A' = (1 - A) / recovery_s, less A q, which is released
    inhibition  I' = -I / inhibition_s, plus A q
    excitation  E' = -E / excitation_s, plus q
    rate = gain softplus(fast on + slow E - inhibition_n I + offset), in spikes per sample
"""

import math
from dataclasses import dataclass

import numpy as np

from pellucid.systems.retina.simulate import stimuli
from pellucid.systems.retina.simulate.settings import Settings
from pellucid.systems.retina.simulate.teacher import State

NAMES = ["on_fast", "off_slow", "off_inhibition"]

CONSTANTS = {
    "drive_s": 0.02,
    "threshold": 0.3,
    "release_hz": 100.0,
    "recovery_s": 0.2,
    "inhibition_s": 0.05,
    "excitation_s": 0.12,
    "fast": 10.0,
    "slow": 25.0,
    "inhibition": 700.0,
    "spread": 0.1,
    "offset": -0.5,
    "gain": 2.0,
}
"""See above; cells' inhibition differs by up to the share `spread`."""


@dataclass(frozen=True)
class Depression:
    """A retina behind a depressing synapse.

    names    (kernel,)
    weight   (neuron, kernel) of on, E and I
    offset   (neuron,)
    lag      samples from a frame to its effect
    rate_hz  samples per second
    """

    names: list[str]
    weight: np.ndarray
    offset: np.ndarray
    lag: int
    rate_hz: float

    def begin(self) -> State:
        """Return the state at rest: the frames still to have an effect, then y, A, I and E."""
        return np.concatenate([np.zeros(self.lag), [0.0, 1.0, 0.0, 0.0]])

    def parts(self, frames: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Return each channel's part of the drive, (time, neuron, kernel), 0 at rest, and the state after the frames.

        frames  (time, height, width), contrasts
        """
        contrast = np.concatenate([state[: self.lag], frames.mean(axis=(1, 2))])
        signals, left = self._run(contrast[: len(frames)], state[self.lag :].tolist())
        return signals[:, None, :] * self.weight, np.concatenate([contrast[len(frames) :], left])

    def rate(self, parts: np.ndarray) -> np.ndarray:
        """Return spikes per sample, (time, neuron), from the parts of the drive (time, neuron, kernel)."""
        return np.asarray(CONSTANTS["gain"] * np.logaddexp(0, parts.sum(axis=2) + self.offset))

    def _run(self, contrast: np.ndarray, state: list[float]) -> tuple[np.ndarray, list[float]]:
        """Return on, E and I, (time, 3), and the last y, A, I and E."""
        steps = {name: np.exp(-1 / (CONSTANTS[name] * self.rate_hz)) for name in CONSTANTS if name.endswith("_s")}
        drive, recovery, inhibition, excitation = (
            float(steps[f"{name}_s"]) for name in ("drive", "recovery", "inhibition", "excitation")
        )
        release, threshold = CONSTANTS["release_hz"] / self.rate_hz, CONSTANTS["threshold"]
        y, resource, inhibited, excited = state
        found = np.empty((len(contrast), 3))
        for row, value in enumerate(contrast.tolist()):
            y = drive * y + (1 - drive) * value
            q = 1 - math.exp(-release * max(0.0, -y - threshold))
            released = resource * q
            resource = 1 - recovery * (1 - (resource - released))
            inhibited = inhibition * inhibited + released
            excited = excitation * excited + q
            found[row] = max(0.0, y - threshold), excited, inhibited
        return found, [y, resource, inhibited, excited]


def build(settings: Settings, seed: int) -> Depression:
    """Draw the cells, which differ in how strongly they are inhibited; more cells begin with the same ones."""
    spread = CONSTANTS["spread"]
    strength = stimuli.stream(seed, "teacher").uniform(1 - spread, 1 + spread, settings.cells)
    rest = np.ones(settings.cells)
    columns = [CONSTANTS["fast"] * rest, CONSTANTS["slow"] * rest, -CONSTANTS["inhibition"] * strength]
    return Depression(NAMES, np.stack(columns, axis=1), CONSTANTS["offset"] * rest, settings.lag, settings.rate_hz)
