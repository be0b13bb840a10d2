"""Adam for the training loop: decoupled weight decay, and the one-cycle schedule of rate and momentum."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pellucid.learning.settings import OneCycle, Schedule


def make(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Return Adam over the parameters of a network.

    With `schedule.decay` weights are multiplied by 1 - rate x decay at every step (Loshchilov & Hutter 2019), except
    biases and the scales of normalisation, which have one axis.
    """
    options: dict[str, Any] = {
        "lr": schedule.rate,
        "eps": schedule.epsilon,
        "amsgrad": schedule.amsgrad,
        "betas": _betas(schedule),
    }
    if not schedule.decay:
        return torch.optim.Adam(network.parameters(), **options)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": schedule.decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, **options)


def pace(optimiser: torch.optim.Optimizer, rate: float, schedule: Schedule, step: int) -> None:
    """Set the rate, and with a one-cycle schedule the momentum, of a step.

    rate  of the epoch, where there is no cycle
    step  number of the step in the whole training, from 0
    """
    cycle = schedule.one_cycle
    for group in optimiser.param_groups:
        if cycle is None:
            group["lr"] = rate
        else:
            group["lr"] = cycle_rate(cycle, schedule.rate, step, schedule.epochs * schedule.steps)
            group["betas"] = (cycle_momentum(cycle, step, schedule.epochs * schedule.steps), cycle.second_moment)


def cycle_rate(cycle: OneCycle, peak: float, step: int, total: int) -> float:
    """Return the learning rate of a step: a cosine from peak / start to peak, then one to peak / end."""
    return _cosines((peak / cycle.start, peak, peak / cycle.end), cycle.rising, step, total)


def cycle_momentum(cycle: OneCycle, step: int, total: int) -> float:
    """Return the momentum (Adam's first beta) of a step: high, low where the rate is highest, high."""
    high, low = cycle.momentum
    return _cosines((high, low, high), cycle.rising, step, total)


def _cosines(values: Sequence[float], rising: float, step: int, total: int) -> float:
    """Interpolate between three values by half cosines, the second at the share `rising` of the steps."""
    position = step / max(1, total - 1)
    if position <= rising:
        first, second, part = values[0], values[1], position / rising
    else:
        first, second, part = values[1], values[2], (position - rising) / (1 - rising)
    return second + (first - second) * (1 + math.cos(math.pi * part)) / 2


def _betas(schedule: Schedule) -> tuple[float, float]:
    cycle = schedule.one_cycle
    return (0.9, 0.999) if cycle is None else (cycle.momentum[0], cycle.second_moment)
