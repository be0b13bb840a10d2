"""Train one decoder on one fold: the network, or a baseline on the same windows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, Trained
from pellucid.learning import baselines, loop
from pellucid.systems.deepinsight.model import codec
from pellucid.systems.deepinsight.model.losses import Target, total
from pellucid.systems.deepinsight.model.network import DeepInsight, parameters
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import Windows, decoded, stretches

MOST_VALIDATION_WINDOWS = 256
MOST_LINEAR_VALUES = 1 << 27
"""Inputs of a linear baseline (512 MiB); longer recordings enter with every n-th window."""
MOST_LINEAR_ROWS = 4000


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Train one decoder and return its weights, history and notes.

    features    of the whole dataset
    fold        entry of the split table
    checkpoint  folder of this fit's own state; an unfinished run is resumed from it
    """
    train = Windows(stretches(features, fold, "train", settings.input), settings.window_rows, f"fold {fold}, train")
    held = Windows(
        stretches(features, fold, "validation", settings.input), settings.window_rows, f"fold {fold}, validation"
    )
    found = decoded(features, settings)
    if settings.kind == "cnn":
        return _cnn(train, held, found, settings, fold, seed, checkpoint)
    if settings.kind == "ridge":
        return _ridge(train, held, found, settings)
    return _bayes(train, held, found, settings)


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


def _ridge(train: Windows, held: Windows, found: list[Target], settings: Settings) -> Trained:
    inputs, behaviour = _thinned(train, found)
    held_inputs, held_behaviour = _thinned(held, found)
    coefficients, intercepts, chosen = baselines.ridge(
        (inputs, behaviour), (held_inputs, held_behaviour), settings.penalties
    )
    error = float(((held_inputs @ coefficients + intercepts - held_behaviour) ** 2).mean())
    weights = {"coefficients": coefficients, "intercepts": intercepts}
    return Trained(weights, [{"validation": error}], {"penalties": chosen.tolist(), "rows": len(inputs)})


def _bayes(train: Windows, held: Windows, found: list[Target], settings: Settings) -> Trained:
    """Fit rate maps on single rows; the number of rows decoded together, up to the window, is chosen on validation."""
    target = codec.only_circular(found)
    behaviour = codec.phase(train.last_behaviour(), target)
    rates, prior = baselines.rate_maps(_summed(train, 1), behaviour, settings.bins, settings.smoothing_bins)
    truth = codec.phase(held.last_behaviour(), target)
    history = []
    for rows in [2**power for power in range(settings.window_rows.bit_length())]:
        posterior = baselines.poisson_posterior(_summed(held, rows), rates, prior, rows)
        difference = np.abs(codec.bin_phase(posterior) - truth)
        error = float(np.median(np.minimum(difference, 1 - difference)))
        history.append({"rows": float(rows), "validation": error})
    best = int(min(history, key=lambda row: row["validation"])["rows"])
    return Trained({"rates": rates, "log_prior": prior}, history, {"rows": best})


def _thinned(windows: Windows, found: list[Target]) -> tuple[np.ndarray, np.ndarray]:
    width = windows.window * windows.stretches[0].power[0].numel()
    most = max(2, min(MOST_LINEAR_ROWS, MOST_LINEAR_VALUES // width))
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), most)).round().astype(int)
    return windows.flat(chosen), codec.linear(windows.last_behaviour()[chosen], found)


def _summed(windows: Windows, rows: int) -> np.ndarray:
    ends = [stretch.ends(windows.window) for stretch in windows.stretches]
    return np.concatenate([codec.summed(s, e, rows) for s, e in zip(windows.stretches, ends)])


def _to(batch: tuple[Tensor, Tensor, Tensor], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    power, behaviour, scored = batch
    return power.to(device), behaviour.to(device), scored.to(device)
