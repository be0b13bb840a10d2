"""Adam with decoupled decay and the one-cycle schedule, against torch's own."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.learning import loop, optimiser
from pellucid.learning.settings import OneCycle, Schedule


def test_one_cycle_is_torchs_cosine_cycle():
    total = 37
    network = nn.Linear(3, 2)
    schedule = Schedule(epochs=37, steps=1, rate=0.02, one_cycle=OneCycle())
    made = optimiser.make(network, schedule)
    reference = torch.optim.AdamW(network.parameters(), lr=1.0, betas=(0.95, 0.99))
    peak = torch.optim.lr_scheduler.OneCycleLR(
        reference, 0.02, total, pct_start=0.25, div_factor=25.0, final_div_factor=1e5 / 25.0,
        base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    for step in range(total):
        optimiser.pace(made, 1.0, schedule, step)
        group = reference.param_groups[0]
        # torch puts the peak at .25 x total - 1 steps, here it is at .25 x (total - 1): up to one step of difference
        slope = 0.02 * math.pi / 2 / (0.25 * total - 1)
        assert made.param_groups[0]["lr"] == pytest.approx(group["lr"], abs=slope)
        assert made.param_groups[0]["betas"][0] == pytest.approx(group["betas"][0], abs=slope * 5)
        reference.step()
        peak.step()
    assert optimiser.cycle_rate(OneCycle(), 0.02, 0, 101) == pytest.approx(0.02 / 25)
    assert optimiser.cycle_rate(OneCycle(), 0.02, 25, 101) == pytest.approx(0.02)
    assert optimiser.cycle_rate(OneCycle(), 0.02, 100, 101) == pytest.approx(0.02 / 1e5)


def test_decay_shrinks_weights_and_leaves_biases_and_normalisation():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    made = optimiser.make(network, Schedule(rate=0.1, decay=0.5))
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    for value in network.parameters():
        value.grad = torch.zeros_like(value)
    made.step()
    for name, value in network.named_parameters():
        factor = 1 - 0.1 * 0.5 if value.ndim > 1 else 1.0
        torch.testing.assert_close(value.detach(), before[name] * factor)


def test_a_resumed_cycle_goes_on_where_it_stopped(tmp_path):
    def run(folder, stop=None):
        torch.manual_seed(0)
        network = nn.Linear(5, 1)
        calls = []

        def loss(generator):
            x = torch.from_numpy(generator.standard_normal((8, 5)).astype(np.float32))
            return ((network(x)[:, 0] - x.sum(1)) ** 2).mean()

        def validate():
            calls.append(1)
            if stop is not None and len(calls) > stop:
                raise KeyboardInterrupt
            return {"validation": ((network.weight - 1) ** 2).mean().item(), "auc": 0.5}

        schedule = Schedule(epochs=6, steps=5, rate=0.05, decay=0.01, one_cycle=OneCycle())
        return loop.train(network, loss, validate, schedule, seed=1, checkpoint=folder), network

    whole, network = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", stop=3)
    resumed, again = run(tmp_path / "part")
    torch.testing.assert_close(network.weight, again.weight, rtol=0, atol=0)
    assert [row["rate"] for row in whole] == [row["rate"] for row in resumed]
    assert set(whole[0]) == {"epoch", "rate", "training", "validation", "auc"}
