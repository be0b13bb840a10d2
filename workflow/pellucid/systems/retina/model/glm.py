"""Poisson GLMs with spike history, whose prediction is the mean of responses they simulate themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.systems.retina.model import filters
from pellucid.systems.retina.model.settings import GLM

CAP = 2.0
"""Largest simulated rate, in largest training counts: spike history that excites can run away."""


@dataclass(frozen=True)
class Simulated:
    """What a GLM does without seeing any response.

    rate    (row, neuron) mean over draws, spikes per bin
    capped  (neuron,) share of draws whose rate met its largest value at some row
    """

    rate: np.ndarray
    capped: np.ndarray


@dataclass(frozen=True)
class CoupledGLM:
    """GLMs of all cells; uncoupled where a cell's history is its own.

    rate_n(t) = f(bias_n + (filter_n * s)(t) + sum_m sum_j history_nmj y_m(t - j)), f the exponential or softplus

    filter          (neuron, lag, height, width) float32, oldest frame first
    history_filter  (neuron, neuron, bin): of the first cell, from spikes of the second, newest bin first
    bias            (neuron,)
    mean            (neuron,) training response, spikes per bin: what a simulation takes as its past
    largest         (neuron,) largest rate in a simulation, spikes per bin
    penalty, history_penalty  (neuron,) of the two filters
    loss            (neuron,) mean Poisson loss of simulated rates on validation rows
    capped          (neuron,) share of draws on validation rows whose rate met the largest one
    """

    filter: np.ndarray
    history_filter: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    largest: np.ndarray
    penalty: np.ndarray
    history_penalty: np.ndarray
    loss: np.ndarray
    capped: np.ndarray
    settings: GLM
    seed: int

    @property
    def history(self) -> int:
        """Frames seen."""
        return int(self.filter.shape[1])

    @property
    def parameters(self) -> int:
        """Number of fitted values."""
        pixels = int((self.filter != 0).any(1).sum())
        pairs = int((self.history_filter != 0).any(2).sum())
        functions = min(self.settings.stimulus_functions, self.history)
        past = min(self.settings.history_functions, self.history_filter.shape[2])
        return int(pixels * functions + pairs * past + len(self.bias))

    def drive(self, frames: np.ndarray) -> np.ndarray:
        """Return bias and filtered stimulus, (row, neuron) float64; frames and rows as in `respond`."""
        flat, count = frames.reshape(len(frames), -1), len(frames) - self.history + 1
        output = filters.project(flat, filters.reduced(self.filter, frames), 0, count)[:, 0]
        return np.asarray(output + self.bias)

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates, (row, neuron) spikes per bin, the mean over responses simulated on consecutive rows.

        frames  (time,) full field, (time, width) uniform along height, or (time, height, width), standardised; row i
                sees frames i to i + history - 1
        """
        return self.simulate(frames).rate.astype(np.float32)

    def simulate(self, frames: np.ndarray) -> Simulated:
        """Return the mean of the conditional rates of `draws` simulated responses, which never see a recorded one.

        The mean of rates has the expectation of the mean of counts and less variance. Before the first row every cell
        fired at its training mean. Draws depend on the seed only. frames as in `respond`.
        """
        drive, generator = self.drive(frames), np.random.default_rng(self.seed)
        draws, (rows, neurons), bins = self.settings.draws, drive.shape, self.history_filter.shape[2]
        onto = self.history_filter.transpose(1, 2, 0)  # (from, bin, to)
        before = np.einsum("mjn,m->jn", onto, self.mean)[::-1].cumsum(0)[::-1]
        pending = np.repeat(before[:, None], draws, axis=1)  # (bin of the ring, draw, neuron)
        rate, capped = np.empty((rows, neurons)), np.zeros((draws, neurons), bool)
        flat, ring = onto.reshape(neurons, -1), np.arange(bins)
        for row in range(rows):
            wanted = transfer(drive[row] + pending[row % bins], self.settings.nonlinearity)
            capped |= wanted > self.largest
            found = np.minimum(wanted, self.largest)
            rate[row] = found.mean(0)
            caused = (generator.poisson(found) @ flat).reshape(draws, bins, neurons)
            pending[row % bins] = 0
            pending[(row + 1 + ring) % bins] += caused.transpose(1, 0, 2)
        return Simulated(rate, capped.mean(0))

    def weights(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays."""
        return {name: getattr(self, name) for name in _ARRAYS}


_ARRAYS = (
    *("filter", "history_filter", "bias", "mean", "largest"),
    *("penalty", "history_penalty", "loss", "capped"),
)


def from_weights(weights: Mapping[str, np.ndarray], settings: GLM, seed: int) -> CoupledGLM:
    """Return the GLMs behind the arrays of `CoupledGLM.weights`; seed: of the simulated responses."""
    return CoupledGLM(**{name: weights[name] for name in _ARRAYS}, settings=settings, seed=seed)


def transfer(drive: np.ndarray, nonlinearity: str) -> np.ndarray:
    """Return rates of drives, exp or log(1 + exp), the exponential's drive at most 30."""
    return np.asarray(np.exp(np.minimum(drive, 30)) if nonlinearity == "exponential" else np.logaddexp(0, drive))
