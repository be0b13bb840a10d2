"""One stage of training: random windows, the loss of states or of speed, validation windows that choose the epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid.learning import loop
from pellucid.systems.cortex.model.scores import auc
from pellucid.systems.cortex.model.settings import Training
from pellucid.systems.cortex.model.windows import Windows

Batch = Callable[[Windows, np.ndarray], Tensor]
"""Returns the input of some windows."""

Output = Callable[[Tensor], Tensor]
"""Maps an input to (window,) logits of state 1, or standardised speed."""


HeldOutput = Callable[[Windows, np.ndarray], np.ndarray]
"""Returns the output of some windows, (window,), where it can be had more cheaply than window by window."""


@dataclass(frozen=True)
class Target:
    """What is decoded.

    mean, sd   of the speed in training; a state has 0 and 1
    positive   share of state 1 in training
    """

    speed: bool
    mean: float
    sd: float
    positive: float

    @classmethod
    def of(cls, train: Windows, kind: str) -> "Target":
        """Return the target of a fit; kind is Settings.target."""
        if kind == "state":
            return cls(False, 0.0, 1.0, float(train.target.mean()))
        sd = float(train.target.std(dtype=np.float64))
        return cls(True, float(train.target.mean(dtype=np.float64)), sd if sd > 0 else 1.0, float("nan"))

    def loss(self, output: Tensor, target: Tensor, training: Training) -> Tensor:
        """Return the mean loss: squared error in units of the s.d., or cross-entropy with smoothed labels.

        output, target  (window,)
        """
        if self.speed:
            return ((output - (target - self.mean) / self.sd) ** 2).mean()
        smooth = (1 - training.smoothing) * target + training.smoothing / 2
        weight = None
        if training.balanced and 0 < self.positive < 1:
            weight = torch.where(target > 0.5, 0.5 / self.positive, 0.5 / (1 - self.positive))
        return functional.binary_cross_entropy_with_logits(output, smooth, weight)


def train(
    network: nn.Module,
    output: Output,
    batch: Batch,
    windows: tuple[Windows, Windows],
    target: Target,
    training: Training,
    *,
    seed: int,
    checkpoint: Path,
    name: str,
    held_output: HeldOutput | None = None,
) -> loop.History:
    """Train a network, leave its best weights in it, and return one row per epoch with loss and AUC of validation.

    output       what is trained: the network, or one of its stages
    windows      training and validation
    checkpoint   folder of this stage
    held_output  output of validation windows; none: by `output`
    """
    used, held = windows
    device = next(network.parameters()).device
    schedule = training.schedule(used.count)
    chosen = held.thinned(training.validation_windows)
    truth = torch.from_numpy(held.target[chosen].astype(np.float32))

    def loss(generator: np.random.Generator) -> Tensor:
        drawn = used.draw(generator, schedule.batch)
        wanted = torch.from_numpy(used.target[drawn].astype(np.float32)).to(device)
        return target.loss(output(batch(used, drawn).to(device)), wanted, training)

    def each(indices: np.ndarray) -> np.ndarray:
        parts = [indices[start : start + schedule.batch] for start in range(0, len(indices), schedule.batch)]
        return np.concatenate([output(batch(held, part).to(device)).cpu().numpy() for part in parts])

    def validate() -> dict[str, float]:
        found = each(chosen) if held_output is None else held_output(held, chosen)
        lost = float(target.loss(torch.from_numpy(found), truth, training))
        return {"validation": lost, "auc": float("nan") if target.speed else auc(truth.numpy(), found)}

    return loop.train(network, loss, validate, schedule, seed=seed, checkpoint=checkpoint, name=name)
