"""Predictions of every kind of decoder at the same test rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pellucid.artifacts import Features, Fit, PartName
from pellucid.learning import baselines, loop
from pellucid.systems.deepinsight.model import codec, scan
from pellucid.systems.deepinsight.model.fit import build
from pellucid.systems.deepinsight.model.network import DeepInsight
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import Stretch, decoded, stretches

LINEAR_ROWS = 256

Decoder = Callable[[Stretch, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Predicted:
    """Predictions on one stretch of test rows.

    rows        (window,) last row of each window, in the recording
    behaviour   (window, output)
    prediction  (window, output)
    """

    recording: str
    rows: np.ndarray
    behaviour: np.ndarray
    prediction: np.ndarray


def predict(fit: Fit, features: Features, history: int, part: PartName = "test") -> list[Predicted]:
    """Predict every scored row of a part that has `history` rows behind it in its stretch.

    history  rows; the longest window of all compared models, so that all are scored on the same rows
    """
    settings = Settings.model_validate(fit.settings)
    decode = {"cnn": _cnn, "ridge": _ridge, "bayes": _bayes}[settings.kind](fit, features, settings)
    predicted = []
    for stretch in stretches(features, fit.fold, part, settings.input):
        ends = stretch.ends(history)
        if len(ends):
            behaviour = stretch.behaviour[ends].numpy()
            predicted.append(Predicted(stretch.recording, ends + stretch.start, behaviour, decode(stretch, ends)))
    return predicted


def trained(fit: Fit, features: Features) -> tuple[DeepInsight, torch.device]:
    """Return the trained network of a fit on its device, ready to predict."""
    settings = Settings.model_validate(fit.settings)
    device = loop.prepare(settings.device, fit.seed)
    network = build(int(fit.notes["channels"]), int(fit.notes["frequencies"]), decoded(features, settings), settings)
    loop.load(network, fit.weights())
    return network.to(device), device


def _cnn(fit: Fit, features: Features, settings: Settings) -> Decoder:
    network, device = trained(fit, features)

    def decode(stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        found = scan.predict(network, stretch.power.to(device), ends, settings.window_rows)
        return np.asarray(found[0].cpu())

    return decode


def _ridge(fit: Fit, features: Features, settings: Settings) -> Decoder:
    weights, found, window = fit.weights(), decoded(features, settings), settings.window_rows

    def decode(stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(ends), LINEAR_ROWS):
            inputs = [stretch.power[e - window + 1 : e + 1].numpy().ravel() for e in ends[start : start + LINEAR_ROWS]]
            parts.append(np.stack(inputs) @ weights["coefficients"] + weights["intercepts"])
        return codec.behaviour_of(np.concatenate(parts), found)

    return decode


def _bayes(fit: Fit, features: Features, settings: Settings) -> Decoder:
    weights, target = fit.weights(), codec.only_circular(decoded(features, settings))
    rows = int(fit.notes["rows"])

    def decode(stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        counts = codec.summed(stretch, ends, rows)
        posterior = baselines.poisson_posterior(counts, weights["rates"], weights["log_prior"], rows)
        return codec.from_phase(codec.bin_phase(posterior), target)

    return decode
