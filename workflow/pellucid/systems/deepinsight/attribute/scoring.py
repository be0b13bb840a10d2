"""Losses of one trained network on shuffled test rows, summed over blocks of test time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, Fit
from pellucid.attribution.shuffling import permutation
from pellucid.learning.intervals import block_numbers
from pellucid.systems.deepinsight.attribute.inputs import Input
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model import scan
from pellucid.systems.deepinsight.model.losses import Target, row_terms
from pellucid.systems.deepinsight.model.network import DeepInsight
from pellucid.systems.deepinsight.model.predict import trained
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import Stretch, decoded, stretches


@dataclass(frozen=True)
class Losses:
    """Summed losses of one fit.

    base          (block, term)
    shuffled      (repeat, block, input, term)
    sample_ratio  (input, term) mean over rows of (e' - e) / e, the published form
    null          (shift, 1 + input, term) mean losses against circularly shifted behaviour, unchanged input first
    """

    base: np.ndarray
    shuffled: np.ndarray
    sample_ratio: np.ndarray
    null: np.ndarray


def score(fit: Fit, features: Features, inputs: Sequence[Input], settings: Settings, *, repeats: int) -> Losses:
    """Shuffle every input in turn over all test rows of the fit's fold and sum the losses of the scored output.

    Every variant of a stretch is scored in one pass that shares what the shuffle leaves unchanged (scan.predict).
    """
    model = ModelSettings.model_validate(fit.settings)
    network, device = trained(fit, features)
    found = stretches(features, fit.fold, "test", model.input)
    targets = decoded(features, model)
    ends = [_every(stretch.ends(model.window_rows), settings.every_rows) for stretch in found]
    behaviour = torch.cat([stretch.behaviour[end] for stretch, end in zip(found, ends)])
    generator = np.random.default_rng([settings.seed, fit.fold, fit.seed])
    shifts = _shifts(len(behaviour), settings, generator)
    shuffled, ratios = [], []
    for _ in range(repeats):
        predicted = _predict(network, found, ends, inputs, model.window_rows, settings, generator, device)
        each = torch.stack([row_terms(one, behaviour, targets) for one in predicted]).numpy().astype(float)
        shuffled.append(_blocks(each, settings.blocks))
        ratios.append(((each[1:] - each[0]) / np.maximum(each[0], np.finfo(np.float32).tiny)).mean(1))
    null = np.stack([_shifted(predicted, behaviour, shift, targets) for shift in shifts])
    sums = np.stack(shuffled)
    return Losses(sums[0, :, 0], sums[:, :, 1:], np.mean(ratios, axis=0), null)


def _predict(
    network: DeepInsight,
    found: Sequence[Stretch],
    ends: Sequence[np.ndarray],
    inputs: Sequence[Input],
    window: int,
    settings: Settings,
    generator: np.random.Generator,
    device: torch.device,
) -> Tensor:
    """Return predictions (1 + input, window, output) over all stretches; every input has a permutation of its own."""
    power = torch.cat([stretch.power for stretch in found])
    borders = np.cumsum([0, *(len(stretch.power) for stretch in found)])
    orders = [permutation(len(power), generator, block_rows=settings.block_rows) for _ in inputs]
    parts = []
    for number, stretch in enumerate(found):
        if not len(ends[number]):
            continue
        rows = slice(borders[number], borders[number + 1])
        variants = [one.variant(stretch.power, power[order[rows]]) for one, order in zip(inputs, orders)]
        variants = [scan.Variant(v.bands, v.channels, v.power.to(device)) for v in variants]
        parts.append(scan.predict(network, stretch.power.to(device), ends[number], window, variants).cpu())
    return torch.cat(parts, dim=1)


def _every(ends: np.ndarray, step: int) -> np.ndarray:
    """Keep the windows that end on every `step`-th row, counted from the first."""
    return np.asarray(ends[(ends - ends[:1]) % step == 0])


def _blocks(each: np.ndarray, blocks: int) -> np.ndarray:
    """Sum losses (input, row, term) over contiguous blocks of rows, to (block, input, term)."""
    number = block_numbers(each.shape[1], blocks)
    return np.stack([each[:, number == block].sum(1) for block in range(blocks)])


def _shifts(rows: int, settings: Settings, generator: np.random.Generator) -> np.ndarray:
    least = min(settings.least_shift_rows, rows // 3)
    return generator.integers(least, max(least + 1, rows - least), settings.null_shifts)


def _shifted(predicted: Tensor, behaviour: Tensor, shift: int, targets: Sequence[Target]) -> np.ndarray:
    rolled = torch.roll(behaviour, int(shift), dims=0)
    return np.asarray(np.stack([row_terms(one, rolled, targets).mean(0).numpy() for one in predicted]).astype(float))
