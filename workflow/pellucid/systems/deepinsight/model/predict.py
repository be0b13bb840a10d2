"""Predictions of every kind of decoder at the same test rows."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from pellucid.artifacts import Features, Fit, PartName
from pellucid.learning import loop
from pellucid.systems.deepinsight.model import bayes, linear, scan
from pellucid.systems.deepinsight.model.fit import build
from pellucid.systems.deepinsight.model.network import DeepInsight
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import Stretch, decoded, stretches

Decoder = Callable[[Stretch, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Predicted:
    """Predictions on one contiguous range of test rows.

    rows        (window,) last row of each window, in the recording
    behaviour   (window, output), the model's targets
    prediction  (window, output)
    trials      (window,) trial or lap of each row; none if the features know none
    """

    recording: str
    rows: np.ndarray
    behaviour: np.ndarray
    prediction: np.ndarray
    trials: np.ndarray | None = None


def predict(fit: Fit, features: Features, history: int, part: PartName = "test") -> list[Predicted]:
    """Predict every scored row of a part that has `history` rows behind it in its range.

    history  rows; the longest span of all compared models' windows, so that all are scored on the same rows
    """
    settings = Settings.model_validate(fit.settings)
    decode = _decoder(fit, features, settings)
    predicted = []
    ranges = groupby(
        stretches(features, fit.fold, part, settings), key=lambda stretch: (stretch.recording, stretch.start)
    )
    for (name, _), phases in ranges:
        parts = []
        for stretch in phases:
            ends = stretch.ends(settings.window_rows, history)
            if len(ends):
                parts.append((stretch.rows[ends], stretch.behaviour[ends].numpy(), decode(stretch, ends)))
        if parts:
            rows, behaviour, prediction = (np.concatenate(each) for each in zip(*parts))
            order = np.argsort(rows)
            group = features.group(name)
            trials = group["group"].values[rows[order]] if "group" in group else None
            predicted.append(Predicted(name, rows[order], behaviour[order], prediction[order], trials))
    return predicted


def trained(fit: Fit, features: Features) -> tuple[DeepInsight, torch.device]:
    """Return the trained network of a fit on its device, ready to predict."""
    settings = Settings.model_validate(fit.settings)
    device = loop.prepare(settings.device, fit.seed)
    network = build(int(fit.notes["channels"]), int(fit.notes["frequencies"]), decoded(features, settings), settings)
    loop.load(network, fit.weights())
    return network.to(device), device


def _decoder(fit: Fit, features: Features, settings: Settings) -> Decoder:
    if settings.kind == "cnn":
        return _cnn(fit, features, settings)
    weights, found = fit.weights(), decoded(features, settings)
    if settings.kind == "bayes":
        decoder = bayes.Decoder(weights, bayes.only_target(found), int(fit.notes["rows"]), settings.bayes, features)
        return decoder.decode
    return lambda stretch, ends: linear.decode(weights, stretch, ends, settings.window_rows, found)


def _cnn(fit: Fit, features: Features, settings: Settings) -> Decoder:
    network, device = trained(fit, features)

    def decode(stretch: Stretch, ends: np.ndarray) -> np.ndarray:
        found = scan.predict(network, stretch.power.to(device), ends, settings.window_rows)
        return np.asarray(found[0].cpu())

    return decode
