"""Losses of one trained network on changed test rows, summed over blocks of test time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.learning.intervals import block_numbers
from pellucid.systems.deepinsight.attribute.inputs import Input
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model import scan
from pellucid.systems.deepinsight.model.losses import Target, row_terms
from pellucid.systems.deepinsight.model.network import DeepInsight
from pellucid.systems.deepinsight.model.predict import trained
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import Stretch, decoded, stretches

Changed = tuple[Input, np.ndarray]
"""An input and, per row of the pool, the row that its values are taken from."""


def is_network(fit: Fit) -> bool:
    """Tell whether a fit is a network that sees power, whose influences can be scored."""
    return bool(fit.settings["kind"] == "cnn" and fit.settings["input"] == "power")


def networks(fits: Sequence[Fit], name: str, asked: str) -> list[Fit]:
    """Return the fits of one network; asked: the setting that names it. Raises DataError if there is none."""
    found = [fit for fit in fits if fit.model == name and is_network(fit)]
    if not found:
        known = sorted({fit.model for fit in fits if is_network(fit)})
        raise DataError(
            asked,
            expected=f"a network of `fit.models`: {', '.join(known) or 'none'}",
            found=name,
            remedy="Name a network that sees power.",
        )
    return found


@dataclass(frozen=True)
class Losses:
    """Summed losses of one fit.

    base          (block, term)
    shuffled      (repeat, block, input, term)
    sample_ratio  (input, term) mean over rows of (e' - e) / e, the published form
    null          (shift, 1 + input, term) mean losses against circularly shifted behaviour, unchanged input first
    rows          number of scored rows
    """

    base: np.ndarray
    shuffled: np.ndarray
    sample_ratio: np.ndarray
    null: np.ndarray
    rows: int


@dataclass(frozen=True)
class Scorer:
    """A trained network with the test rows that it is scored on.

    found      stretches of test rows
    ends       (window,) per stretch, last row of each scored window
    order      (window,) puts the windows of all stretches in order of recording and time
    behaviour  (window, output), in order
    pool       (row, frequency, channel) rows of all stretches, which changed values are taken from
    """

    fit: Fit
    network: DeepInsight
    device: torch.device
    window: int
    targets: Sequence[Target]
    found: Sequence[Stretch]
    ends: Sequence[np.ndarray]
    order: np.ndarray
    behaviour: Tensor
    pool: Tensor

    @classmethod
    def load(cls, fit: Fit, features: Features, settings: Settings) -> "Scorer":
        """Load a network and its test rows, every `settings.every_rows`-th of them."""
        model = ModelSettings.model_validate(fit.settings)
        network, device = trained(fit, features)
        found = stretches(features, fit.fold, "test", model)
        ends = [_every(stretch, model, settings.every_rows) for stretch in found]
        behaviour = torch.cat([stretch.behaviour[end] for stretch, end in zip(found, ends)])
        names = list(dict.fromkeys(stretch.recording for stretch in found))
        recording = np.concatenate([np.full(len(end), names.index(s.recording)) for s, end in zip(found, ends)])
        order = np.lexsort((np.concatenate([s.rows[end] for s, end in zip(found, ends)]), recording))
        pool = torch.cat([stretch.power for stretch in found])
        targets = decoded(features, model)
        return cls(fit, network, device, model.window_rows, targets, found, ends, order, behaviour[order], pool)

    def generator(self, seed: int) -> np.random.Generator:
        """Return the random numbers of this fold and seed."""
        return np.random.default_rng([seed, self.fit.fold, self.fit.seed])

    def predict(self, changed: Sequence[Changed], first: Changed | None = None) -> Tensor:
        """Return predictions (1 + input, window, output) over all stretches, in order, unchanged input first.

        Every variant of a stretch is scored in one pass that shares what the change leaves as it is (scan.predict).
        first  an input that is changed in all of them
        """
        borders = np.cumsum([0, *(len(stretch.power) for stretch in self.found)])
        parts = []
        for number, (stretch, ends) in enumerate(zip(self.found, self.ends)):
            if not len(ends):
                continue
            rows, power = slice(borders[number], borders[number + 1]), stretch.power
            if first is not None:
                power = first[0].applied(power, self.pool, first[1][rows])
            variants = [one.variant(power, self.pool, source[rows]) for one, source in changed]
            variants = [scan.Variant(v.bands, v.channels, v.power.to(self.device)) for v in variants]
            parts.append(scan.predict(self.network, power.to(self.device), ends, self.window, variants).cpu())
        return torch.cat(parts, dim=1)[:, self.order]

    def losses(self, predicted: Tensor) -> np.ndarray:
        """Return the loss of every row, (..., window, term), of predictions (..., window, output)."""
        each = torch.stack([row_terms(one, self.behaviour, self.targets) for one in predicted])
        return np.asarray(each.numpy().astype(float))


def score(scorer: Scorer, inputs: Sequence[Input], settings: Settings, *, repeats: int) -> Losses:
    """Change every input in turn over all test rows of the fit's fold and sum the losses of the scored output."""
    generator = scorer.generator(settings.seed)
    shifts = _shifts(len(scorer.behaviour), settings, generator)
    shuffled, ratios = [], []
    for _ in range(repeats):
        changed = [(one, one.source(len(scorer.pool), generator, settings.block_rows)) for one in inputs]
        predicted = scorer.predict(changed)
        each = scorer.losses(predicted)
        shuffled.append(blocks(each, settings.blocks))
        ratios.append(((each[1:] - each[0]) / np.maximum(each[0], np.finfo(np.float32).tiny)).mean(1))
    null = np.stack([_shifted(predicted, scorer, shift) for shift in shifts])
    sums = np.stack(shuffled)
    return Losses(sums[0, :, 0], sums[:, :, 1:], np.mean(ratios, axis=0), null, len(scorer.behaviour))


def blocks(each: np.ndarray, count: int) -> np.ndarray:
    """Sum losses (input, row, term) over contiguous blocks of rows, to (block, input, term)."""
    number = block_numbers(each.shape[1], count)
    return np.stack([each[:, number == block].sum(1) for block in range(count)])


def _every(stretch: Stretch, model: ModelSettings, step: int) -> np.ndarray:
    """Keep the windows that end on every `step`-th row: counted from the first, or from row 0 over several phases."""
    ends = stretch.ends(model.window_rows)
    rows = stretch.rows[ends]
    return np.asarray(ends[(rows - (rows[:1] if model.average_rows == 1 else 0)) % step == 0])


def _shifts(rows: int, settings: Settings, generator: np.random.Generator) -> np.ndarray:
    least = min(settings.least_shift_rows, rows // 3)
    return generator.integers(least, max(least + 1, rows - least), settings.null_shifts)


def _shifted(predicted: Tensor, scorer: Scorer, shift: int) -> np.ndarray:
    rolled = torch.roll(scorer.behaviour, int(shift), dims=0)
    return np.asarray(
        np.stack([row_terms(one, rolled, scorer.targets).mean(0).numpy() for one in predicted]).astype(float)
    )
