"""Train one decoder on one fold: the network, or a baseline on the same windows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, Trained
from pellucid.learning import loop
from pellucid.systems.deepinsight.model import bayes, linear
from pellucid.systems.deepinsight.model.losses import Target, total
from pellucid.systems.deepinsight.model.network import DeepInsight, parameters
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import Windows, bands_of, decoded, stretches

MOST_VALIDATION_WINDOWS = 256


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Train one decoder and return its weights, history and notes.

    features    of the whole dataset
    fold        entry of the split table
    checkpoint  folder of this fit's own state; an unfinished run is resumed from it
    """
    train = Windows(stretches(features, fold, "train", settings), settings.window_rows, f"fold {fold}, train")
    held = Windows(stretches(features, fold, "validation", settings), settings.window_rows, f"fold {fold}, validation")
    found = decoded(features, settings)
    if settings.kind == "cnn":
        trained = _cnn(train, held, found, settings, fold, seed, checkpoint)
    elif settings.kind == "bayes":
        trained = bayes.fit(train, held, found, settings, features)
    else:
        trained = linear.fit(train, held, found, settings)
    if settings.input == "spikes":
        return trained
    bands = features.first()["frequency"].values[bands_of(features, settings)].tolist()
    return replace(trained, notes={**trained.notes, "bands_hz": bands})


def build(channels: int, frequencies: int, found: Sequence[Target], settings: Settings) -> DeepInsight:
    """Return an untrained network for inputs of this size, stored channels-last, which trains fastest."""
    network = DeepInsight(
        channels,
        frequencies,
        {target.name: target.size for target in found},
        filters=settings.filters,
        merge_filters=settings.merge_filters,
        units=settings.units,
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _cnn(
    train: Windows, held: Windows, found: list[Target], settings: Settings, fold: int, seed: int, checkpoint: Path
) -> Trained:
    device = loop.prepare(settings.device, seed)
    _, frequencies, channels = train.stretches[0].power.shape
    network = build(channels, frequencies, found, settings).to(device)
    chosen = np.linspace(0, len(held) - 1, min(len(held), MOST_VALIDATION_WINDOWS)).round().astype(int)
    batches = [_to(held.take(part), device) for part in np.array_split(chosen, -(-len(chosen) // 32))]

    def loss(generator: np.random.Generator) -> Tensor:
        power, behaviour, scored = _to(train.draw(generator, settings.schedule.batch), device)
        return total(network(power + settings.noise * torch.randn_like(power)), behaviour, scored, found)

    def validate() -> float:
        losses = [float(total(network(power), behaviour, scored, found)) for power, behaviour, scored in batches]
        return float(np.average(losses, weights=[float(scored.sum()) for *_, scored in batches]))

    history = loop.train(
        network, loss, validate, settings.schedule, seed=seed, checkpoint=checkpoint, name=f"fold {fold}, seed {seed}"
    )
    best = min(history, key=lambda row: row["validation"])
    notes = {"parameters": parameters(network), "best_epoch": best["epoch"], "device": device.type}
    return Trained(loop.arrays(network), history, {**notes, "channels": channels, "frequencies": frequencies})


def _to(batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    power, behaviour, scored = batch
    return power.to(device), behaviour.to(device), scored.to(device)
