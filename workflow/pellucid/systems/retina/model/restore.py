"""A fitted model with what it says about stimuli and recordings."""

from typing import Protocol

import numpy as np
import torch

from pellucid.artifacts import Features, Fit
from pellucid.learning import loop
from pellucid.systems.retina.model import dataset, glm, linear_nonlinear
from pellucid.systems.retina.model.dataset import Recording, Scale
from pellucid.systems.retina.model.fit import make
from pellucid.systems.retina.model.network import CHUNK, Network
from pellucid.systems.retina.model.settings import Settings


class Responder(Protocol):
    """Anything that gives rates, (row, neuron), to standardised frames."""

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates; frames (time,), (time, width) or (time, height, width); row i sees frames i to i+history-1."""
        ...


class Fitted:
    """One fit, restored.

    fit       as read from its folder
    settings  of the model
    network   its network in evaluation, on the CPU; None for LN models and GLMs
    """

    def __init__(self, fit: Fit, features: Features) -> None:
        """features: of the dataset the fit was made from."""
        self.fit, self.settings = fit, Settings.model_validate(fit.settings)
        torch.set_num_threads(self.settings.device.threads)
        self._features = features
        self._recordings: dict[str, Recording] = {}
        notes = fit.notes
        self.kind, self.history, self.lag = self.settings.kind, self.settings.history, self.settings.lag
        self.scale = Scale(float(notes["stimulus_mean"]), float(notes["stimulus_sd"]))
        self.network: Network | None = self._network() if self.kind == "cnn" else None
        self._cells: Responder | None = None if self.kind == "cnn" else self._cell_by_cell()

    @property
    def neurons(self) -> np.ndarray:
        """Ids of its cells, (neuron,)."""
        return np.array(self.fit.notes["neurons"], object)

    @property
    def recordings(self) -> list[str]:
        """Recordings it was fitted to."""
        return [str(name) for name in self.fit.notes["recordings"]]

    @property
    def experiment(self) -> str:
        """Subject and session of its recordings."""
        attrs = self._features.stores[self.recordings[0]].attrs
        return f"{attrs['subject']}/{attrs['session']}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the movies."""
        height, width = self.fit.notes["shape"]
        return int(height), int(width)

    @property
    def units(self) -> str:
        """Hz, or count (spikes per bin)."""
        return str(self.fit.notes["units"])

    @property
    def rate_hz(self) -> float:
        """Bins per second."""
        return float(self.fit.notes["rate_hz"])

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return int(self.fit.notes["parameters"])

    def standardise(self, movie: np.ndarray) -> np.ndarray:
        """Return a movie, (time, height, width), less the mean of its training movies, by their s.d., float32."""
        return self.scale.standardise(movie)

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates, (row, neuron), in `units`; row i sees frames i to i + history - 1.

        frames  (time,) full field, (time, width) uniform along height, or (time, height, width), standardised
        """
        if self._cells is not None:
            return self._cells.respond(frames)
        assert self.network is not None
        with torch.inference_mode():
            return self.network.respond(torch.from_numpy(np.ascontiguousarray(frames, np.float32))).numpy()

    def predict(self, recording: str, rows: np.ndarray) -> np.ndarray:
        """Return rates, (row, neuron), of rows of a recording of the dataset; rows (row,)."""
        found = self._recording(recording)
        if self.network is None:
            return self._block_by_block(found, rows)
        with torch.inference_mode():
            parts = [
                self.network(found.windows(rows[start : start + CHUNK], self.history, self.lag, self.scale)).numpy()
                for start in range(0, len(rows), CHUNK)
            ]
        return np.concatenate(parts)

    def untrained(self, seed: int) -> Network:
        """Return a network of the same shape with random weights, in evaluation. Only of networks."""
        torch.manual_seed(seed)
        return make(self.settings, self.shape, self.fit.weights()["places"]).eval()

    def _recording(self, name: str) -> Recording:
        if name not in self._recordings:
            self._recordings = {name: dataset.recording(self._features, name)}
        return self._recordings[name]

    def _block_by_block(self, recording: Recording, rows: np.ndarray) -> np.ndarray:
        """Return rates of rows, (row, neuron), each block shown from its beginning to the last row asked for."""
        out = np.empty((len(rows), len(self.neurons)), np.float32)
        for block in np.unique(recording.block[rows]):
            of = recording.block[rows] == block
            start = int(np.argmax(recording.block == block))
            rate = self.respond(self.standardise(recording.frames[start : int(rows[of].max()) - self.lag + 1]))
            out[of] = rate[rows[of] - self.lag - self.history + 1 - start]
        return out

    def _cell_by_cell(self) -> Responder:
        """Return the LN models or GLMs of the cells."""
        weights = self.fit.weights()
        if self.kind == "ln":
            return linear_nonlinear.from_weights(weights)
        return glm.from_weights(weights, self.settings.glm, self.fit.seed)

    def _network(self) -> Network:
        weights = self.fit.weights()
        network = make(self.settings, self.shape, weights.pop("places"))
        loop.load(network, weights)
        return network


def restore(fit: Fit, features: Features) -> Fitted:
    """Return a fitted model."""
    return Fitted(fit, features)
