"""Fitting one network: shuffled batches, the unregularised validation loss, and what of the network is kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.learning import loop
from pellucid.systems.whatwhere.model.network import Network
from pellucid.systems.whatwhere.model.settings import Penalties, Settings

_MOST_ESTIMATED = 4096
"""Training images that statistics of batch norm are re-estimated on."""


class Batches:
    """Rows in shuffled passes; each epoch of the loop begins a pass, and rows that fill no batch are left out.

    rows  row numbers, shape (image,)
    size  of a batch; all rows where there are fewer
    """

    def __init__(self, rows: np.ndarray, size: int) -> None:
        self._rows, self._size = rows, min(size, len(rows))
        self._generator: np.random.Generator | None = None
        self._order, self._at = rows, 0

    def __call__(self, generator: np.random.Generator) -> np.ndarray:
        """Return the next batch of row numbers, shape (image,)."""
        if generator is not self._generator or self._at + self._size > len(self._rows):
            self._generator, self._at = generator, 0
            self._order = generator.permutation(self._rows)
        self._at += self._size
        return self._order[self._at - self._size : self._at]


def train(
    network: Network,
    prepared: Tensor,
    responses: Tensor,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    penalties: Penalties,
    settings: Settings,
    *,
    seed: int,
    checkpoint: Path,
    name: str,
) -> loop.History:
    """Train the network with one candidate of the penalties, and leave its best validation weights in it.

    prepared   images as the network prepares them, on its device (image, ...)
    responses  (image, neuron) on the device, NaN where nothing was recorded
    Loss: sum over neurons of the mean over images, plus penalties; validation: mean over neurons, without penalties.
    """
    batches = Batches(train_rows, settings.training.batch)

    def loss(generator: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(batches(generator)).to(prepared.device)
        prediction = network.respond(prepared.index_select(0, rows))
        total = network.loss(responses.index_select(0, rows), prediction).sum() + network.penalty(penalties)
        if penalties.activity_l1:
            total = total + penalties.activity_l1 * prediction.abs().sum(1).mean()
        return total

    def validate() -> float:
        if settings.core.normalisation == "batch" and settings.core.reestimate:
            network.core.estimate(prepared[train_rows[:_MOST_ESTIMATED]], settings.training.batch)
        return float(losses(network, prepared, responses, validation_rows, settings.training.batch).mean())

    return loop.train(network, loss, validate, settings.training, seed=seed, checkpoint=checkpoint, name=name)


def losses(network: Network, prepared: Tensor, responses: Tensor, rows: np.ndarray, batch: int) -> Tensor:
    """Return each neuron's loss over some rows, without penalties, (neuron,)."""
    predicted = torch.cat([network.respond(prepared[rows[i : i + batch]]) for i in range(0, len(rows), batch)])
    return network.loss(responses[rows], predicted)


def in_batches(respond: Callable[[Tensor], Tensor], images: np.ndarray, batch: int, device: torch.device) -> np.ndarray:
    """Return responses to many images, (image, neuron); images (image, channel, height, width), standardised."""
    with torch.inference_mode():
        parts = [
            respond(torch.from_numpy(images[start : start + batch]).to(device)).cpu().numpy()
            for start in range(0, len(images), batch)
        ]
    return np.concatenate(parts)
