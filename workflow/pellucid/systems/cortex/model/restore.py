"""A trained decoder with the windows it is scored on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pellucid.artifacts import Features, Fit, PartName
from pellucid.learning import loop
from pellucid.systems.cortex.model import dataset, images
from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.network import Images, Linear, Recurrent
from pellucid.systems.cortex.model.settings import Settings
from pellucid.systems.cortex.model.windows import Windows

BATCH = 512
"""Windows of traces predicted at once; more of them leave the caches of a CPU."""


class Decoder:
    """One fit, restored: its network in evaluation, its windows and its predictions.

    fit       as read from its folder
    settings  of the model
    network   of traces: (window, lag, roi) normalised -> (window,) logit or standardised speed; of images: see Images
    """

    def __init__(self, fit: Fit, features: Features) -> None:
        """features: of the dataset the fit was made from."""
        self.fit, self.settings = fit, Settings.model_validate(fit.settings)
        torch.set_num_threads(self.settings.device.threads)
        self._features = features
        self._windows: dict[PartName, Windows] = {}
        self.network = self._network()

    @property
    def rois(self) -> np.ndarray:
        """Ids of the ROIs it sees, (roi,); empty for a CNN."""
        return np.array(self.fit.notes["rois"], object)

    @property
    def lag_s(self) -> np.ndarray:
        """Seconds of each sample of the window after the labelled frame, (lag,)."""
        windows = self.windows("test")
        return np.asarray(windows.lags / windows.sessions[0].rate_hz)

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return int(self.fit.notes["parameters"])

    @property
    def transductive(self) -> bool:
        """Whether test sessions were scaled with statistics of all their frames."""
        return bool(self.fit.notes["transductive"])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the movie."""
        height, width = self._movies("test")[0].shape
        return int(height), int(width)

    @property
    def background(self) -> np.ndarray:
        """Mean image of the first test session, (height, width); of a movie without a mean, its s.d. over time."""
        first = self.windows("test").names[0]
        group = self._features.group(first, self.settings.input)
        mean, sd = group["mean"].values, group["sd"].values
        return np.asarray(mean if np.abs(mean).max() > 1e-3 * sd.max() else sd)

    def windows(self, part: PartName) -> Windows:
        """Return the windows of one part, with the labels this fit learnt: swapped ones for a null."""
        if part not in self._windows:
            fit = self.fit
            data = dataset.load(self._features, fit.fold, self.settings, fit.seed, (part,))
            self._windows[part] = data.windows(part)
        return self._windows[part]

    def predict(self, part: PartName) -> np.ndarray:
        """Return the probability of state 1 (or the speed in its units) of the windows of a part, (window,)."""
        windows = self.windows(part)
        if isinstance(self.network, Images):
            return self._seen(windows, None)
        parts = [np.arange(start, min(start + BATCH, windows.count)) for start in range(0, windows.count, BATCH)]
        with torch.inference_mode():
            return self.said(np.concatenate([self.network(windows.tensor(part)).numpy() for part in parts]))

    def occluded(self, part: PartName, masks: Sequence[np.ndarray], chosen: np.ndarray | None = None) -> np.ndarray:
        """Return predictions with the normalised movie at 0 (its mean) where a mask is 0, (mask, window).

        masks   (mask, height, width), 0 or 1, the same for all channels and frames
        chosen  (window,) numbers of the windows that are predicted; none: all
        """
        windows = self.windows(part)
        windows = windows if chosen is None else windows.only(chosen)
        return np.stack([self._seen(windows, mask) for mask in masks])

    def said(self, output: np.ndarray) -> np.ndarray:
        """Return outputs of the network as probabilities, or as speed in its units."""
        if self.settings.target == "speed":
            return np.asarray(output * self.fit.notes["target_sd"] + self.fit.notes["target_mean"])
        return np.asarray(1 / (1 + np.exp(-output.astype(np.float64))))

    def untrained(self, seed: int) -> nn.Module:
        """Return a network of the same shape with random weights, in evaluation."""
        torch.manual_seed(seed)
        network = self._empty()
        if isinstance(network, Linear):
            nn.init.normal_(network.weight, std=0.01)
        return network.eval()

    def _seen(self, windows: Windows, mask: np.ndarray | None) -> np.ndarray:
        """Return predictions from a movie, (window,), with the features of one session at a time in memory."""
        assert isinstance(self.network, Images)
        frames = self.settings.backbone.frames
        output = np.empty(windows.count, np.float32)
        for indices in windows.by_session():
            encoded = images.encode(self.network, windows, indices, frames, mask=mask)
            output[indices] = images.predict(self.network, encoded)
        return self.said(output)

    def _movies(self, part: PartName) -> list[Movie]:
        return [session.signal for session in self.windows(part).sessions if isinstance(session.signal, Movie)]

    def _empty(self) -> nn.Module:
        if self.settings.of_movie:
            return Images(self.settings, self.shape)
        if self.settings.kind == "linear":
            return Linear(self.windows("test").reach.samples, len(self.rois))
        return Recurrent(len(self.rois), self.settings)

    def _network(self) -> nn.Module:
        network = loop.load(self._empty(), self.fit.weights())
        return network.to(loop.place(self.settings.device)) if self.settings.of_movie else network


def restore(fit: Fit, features: Features) -> Decoder:
    """Return a trained decoder."""
    return Decoder(fit, features)
