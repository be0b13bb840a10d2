"""Designs: when the kernels of each trial start, how strongly, and what the laboratory notes about it.

Events are shared by the neurons of a trial, amplitudes are not. No loop runs over trials or neurons.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.systems.dunl.simulate.scenarios import (
    CUE_MS,
    PHOTOMETRY_CUE_MS,
    PHOTOMETRY_DELAY_MS,
    REWARD_MS,
    REWARDS_UL,
    STRUCTURED_MS,
    Grid,
    Row,
)

ABSENT = -1
PHOTOMETRY_REWARDS_UL = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Design:
    """The events of a session.

    onset_ms    (trial, event) on the trial's clock, NaN where absent
    kernel      (trial, event) index of the kernel that starts, ABSENT where none
    amplitude   (trial, event, neuron) of the unit-norm kernel at the resolution of the raw samples, NaN where absent
    log_ms      name -> times the laboratory notes, (trial,) or (trial, event), NaN where absent
    covariates  name -> numbers, (trial,)
    """

    onset_ms: np.ndarray
    kernel: np.ndarray
    amplitude: np.ndarray
    log_ms: Mapping[str, np.ndarray]
    covariates: Mapping[str, np.ndarray]


def draw(row: Row, generator: np.random.Generator) -> Design:
    """Draw the events of one simulation."""
    if row.grid is not None:
        return on_grid(row, row.grid, generator)
    if row.value_offset is not None:
        return dopamine(row, row.value_offset, generator)
    if row.noise is not None:
        return cued_reward(row, generator)
    return structured(row, generator)


def on_grid(row: Row, grid: Grid, generator: np.random.Generator) -> Design:
    """Draw event times of each kernel and trial without replacement from the grid, in increasing order.

    The events of kernel k are in slots k n to k n + n - 1, n the largest number of events.
    """
    places = np.array(grid.onsets_ms(row.trial_ms, row.kernel_ms), float)
    kernels, most = len(row.amplitudes), max(grid.events)
    count = generator.choice(grid.events, (row.trials, kernels))
    order = generator.random((row.trials, kernels, len(places))).argsort(axis=2)[..., :most]
    onset = np.where(np.arange(most) < count[..., None], places[order], np.nan)
    onset = np.sort(onset, axis=2)  # NaN last
    each = most if grid.amplitude_draw == "event" else 1
    mean, sd = (np.array(values)[:, None, None] for values in (row.amplitudes, row.amplitude_sds))
    amplitude = mean + sd * generator.standard_normal((row.trials, kernels, each, row.neurons))
    amplitude = np.broadcast_to(amplitude, (row.trials, kernels, most, row.neurons))
    return _design(
        onset.reshape(row.trials, -1),
        np.repeat(np.arange(kernels), most),
        amplitude.reshape(row.trials, -1, row.neurons),
        {f"kernel{index}": onset[:, index] for index in range(kernels)},
        {},
    )


def structured(row: Row, generator: np.random.Generator) -> Design:
    """Draw amplitudes of two kernels that start at the same two times in every trial."""
    onset = np.tile(np.array(STRUCTURED_MS, float), (row.trials, 1))
    mean, sd = (np.array(values)[:, None] for values in (row.amplitudes, row.amplitude_sds))
    amplitude = mean + sd * generator.standard_normal((row.trials, 2, row.neurons))
    log = {f"kernel{index}": onset[:, index, None] for index in range(2)}
    return _design(onset, np.arange(2), amplitude, log, {})


def dopamine(row: Row, offset: tuple[float, float], generator: np.random.Generator) -> Design:
    """Draw cue, salience and value amplitudes of each neuron, the same in every trial but for the reward's size.

    The first half of the trials has a cue at 1000 and a reward at 2500 ms, the second a reward at 1000 ms. Rewards
    cycle through seven sizes r; value(r) = linspace(1, largest, 7)[r] + U(offset), one offset a neuron. Salience and
    value start together. Trial types are numbered as in Eshel et al. 2016: 1-7 without cue, 8-14 with. Sheet §8.
    """
    trial = np.arange(row.trials)
    reward, cued = trial % len(REWARDS_UL), 2 * trial < row.trials
    drift = generator.uniform(*offset, row.neurons)
    spread = np.array(row.amplitude_sds)[:, None] * generator.standard_normal((3, row.neurons))
    cue, salience, largest = np.array(row.amplitudes)[:, None] + spread
    value = np.linspace(1, largest, len(REWARDS_UL)) + drift  # (reward, neuron)
    reward_ms = np.where(cued, REWARD_MS, CUE_MS).astype(float)
    cue_ms = np.where(cued, CUE_MS, np.nan)
    same = (row.trials, row.neurons)
    return _design(
        np.stack([cue_ms, reward_ms, reward_ms], axis=1),
        np.arange(3),
        np.stack([np.broadcast_to(cue, same), np.broadcast_to(salience, same), value[reward]], axis=1),
        {"cue": cue_ms, "reward": reward_ms},
        {
            "reward_ul": np.array(REWARDS_UL)[reward],
            "trial_type": 1 + reward + np.where(cued, len(REWARDS_UL), 0),
        },
    )


def cued_reward(row: Row, generator: np.random.Generator) -> Design:
    """Draw a cue at a fixed time and a reward after a random delay, of a size that scales its amplitude."""
    low, high = (bound // row.step_ms for bound in PHOTOMETRY_DELAY_MS)
    cue = np.full(row.trials, float(PHOTOMETRY_CUE_MS // row.step_ms * row.step_ms))
    onset = np.stack([cue, cue + row.step_ms * generator.integers(low, high + 1, row.trials)], axis=1)
    reward = generator.choice(PHOTOMETRY_REWARDS_UL, row.trials)
    mean = np.array(row.amplitudes) * np.stack([np.ones(row.trials), reward], axis=1)
    noise = generator.standard_normal((row.trials, 2, row.neurons))
    amplitude = mean[..., None] + np.array(row.amplitude_sds)[:, None] * noise
    return _design(onset, np.arange(2), amplitude, {"cue": onset[:, 0], "reward": onset[:, 1]}, {"reward": reward})


def _design(
    onset_ms: np.ndarray,
    kernel: np.ndarray,
    amplitude: np.ndarray,
    log_ms: Mapping[str, np.ndarray],
    covariates: Mapping[str, np.ndarray],
) -> Design:
    """Return a design, kernel of shape (event,), with all that belongs to an absent event marked as absent."""
    there = np.isfinite(onset_ms)
    return Design(
        onset_ms,
        np.where(there, kernel, ABSENT),
        np.where(there[..., None], amplitude, np.nan),
        log_ms,
        covariates,
    )
