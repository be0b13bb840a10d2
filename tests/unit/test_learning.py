"""The training loop, metrics, baselines and intervals, each against a truth known beforehand."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import lfilter
from sklearn.linear_model import Ridge
from torch import nn

from pellucid.errors import DataError
from pellucid.learning import baselines, intervals, loop, metrics
from pellucid.learning.settings import Device, Schedule
from pellucid.preprocess import behaviour


def regression(tmp_path, schedule, *, interrupt=None, seed=3):
    """Fit y = 2 x with dropout, so that the state of the generators matters; optionally die after some epochs."""
    loop.prepare(Device(), seed)
    network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    epochs = []

    def loss(generator):
        x = torch.from_numpy(generator.standard_normal((16, 3)).astype(np.float32))
        return ((network(x) - 2 * x[:, :1]) ** 2).mean()

    def validate():
        epochs.append(1)
        if interrupt is not None and len(epochs) > interrupt:
            raise KeyboardInterrupt
        x = torch.linspace(-1, 1, 30).reshape(10, 3)
        return float(((network(x) - 2 * x[:, :1]) ** 2).mean())

    history = loop.train(network, loss, validate, schedule, seed=seed, checkpoint=tmp_path)
    return history, loop.arrays(network)


def test_training_learns_and_repeats_itself(tmp_path):
    schedule = Schedule(epochs=6, steps=40, rate=0.02)
    history, weights = regression(tmp_path / "a", schedule)
    again, weights_again = regression(tmp_path / "b", schedule)
    assert history[-1]["training"] < 0.5 * history[0]["training"]
    assert history == again
    assert all((weights[name] == weights_again[name]).all() for name in weights)


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    schedule = Schedule(epochs=6, steps=10, rate=0.02)
    history, weights = regression(tmp_path / "whole", schedule)
    with pytest.raises(KeyboardInterrupt):
        regression(tmp_path / "cut", schedule, interrupt=3)
    assert (tmp_path / "cut" / "state.pt").is_file()
    resumed, resumed_weights = regression(tmp_path / "cut", schedule)
    assert resumed == history
    assert all((weights[name] == resumed_weights[name]).all() for name in weights)


def test_best_epoch_is_kept_and_training_stops_early(tmp_path):
    network = nn.Linear(1, 1)
    found = []
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])

    def validate():
        found.append(network.weight.detach().clone())
        return next(losses)

    history = loop.train(
        network,
        lambda generator: (network(torch.ones(1, 1)) ** 2).mean(),
        validate,
        Schedule(epochs=6, steps=2, rate=0.1, patience=2, factor=0.5, stop_after=3),
        seed=0,
        checkpoint=tmp_path,
    )
    assert [row["validation"] for row in history] == [3, 1, 2, 2, 2]
    assert torch.equal(network.weight, found[1])
    assert [row["rate"] for row in history] == [0.1, 0.1, 0.1, 0.1, 0.05]  # two epochs without improvement, then lower


def test_diverging_loss_is_one_clear_error(tmp_path):
    network = nn.Linear(1, 1)
    with pytest.raises(DataError, match="finite loss"):
        loop.train(
            network,
            lambda generator: network(torch.full((1, 1), torch.nan)).mean(),
            lambda: 0.0,
            Schedule(epochs=2, steps=1),
            seed=0,
            checkpoint=tmp_path,
        )


def test_unknown_device_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(DataError, match="cuda"):
        loop.prepare(Device(name="cuda"), 0)


def test_metrics_agree_with_scipy_and_sklearn():
    generator = np.random.default_rng(0)
    b = generator.standard_normal((80, 3))
    p = b + generator.standard_normal((80, 3))
    assert metrics.pearson(b, p) == pytest.approx([stats.pearsonr(b[:, i], p[:, i])[0] for i in range(3)])
    assert metrics.spearman(b, p) == pytest.approx([stats.spearmanr(b[:, i], p[:, i])[0] for i in range(3)])
    assert metrics.explained(b, b) == pytest.approx(np.ones(3))
    assert metrics.explained(b, np.tile(b.mean(0), (80, 1))) == pytest.approx(np.zeros(3))
    assert np.isnan(metrics.pearson(np.ones((5, 1)), p[:5, :1]))


def test_circular_error_takes_the_short_way():
    assert behaviour.circular_error(np.array([0.1]), np.array([2.8]), 2.9)[0] == pytest.approx(0.2)


def test_circular_shifts_of_independent_series_hold_the_observed_score():
    """Of 60 independent pairs of slow series, about 5 % fall outside the 95 % band (at most 8: p = 0.003)."""
    outside = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        slow = lfilter([1.0], [1.0, -np.exp(-1 / 20)], generator.standard_normal((2, 1200)), axis=1)
        b, p = slow[:, :, None]
        draws = metrics.circular_shifts([b], [p], metrics.pearson, count=200, least=30, generator=generator)
        low, high = np.quantile(draws, [0.025, 0.975])
        outside += not low <= metrics.pearson(b, p)[0] <= high
    assert outside <= 8


def test_ridge_equals_sklearn_at_the_penalty_validation_prefers():
    generator = np.random.default_rng(1)
    x, w = generator.standard_normal((60, 90)), generator.standard_normal((90, 2))
    y = x @ w + 5 * generator.standard_normal((60, 2)) + 3
    train, held = (x[:40], y[:40]), (x[40:], y[40:])
    coefficients, intercepts, chosen = baselines.ridge(train, held, [0.1, 10, 1000])
    for output in range(2):
        errors = {
            a: ((Ridge(alpha=a).fit(*train).predict(held[0]) - held[1])[:, output] ** 2).mean() for a in (0.1, 10, 1000)
        }
        assert chosen[output] == min(errors, key=errors.get)
    expected = Ridge(alpha=chosen[0]).fit(x[:40], y[:40, 0])
    # coefficients are kept in float32
    assert coefficients[:, 0] == pytest.approx(expected.coef_, rel=1e-3, abs=1e-4)
    assert intercepts[0] == pytest.approx(expected.intercept_, rel=1e-3)


def test_bayes_decodes_poisson_place_cells():
    generator = np.random.default_rng(2)
    centres = np.arange(40) / 40

    def spikes(phase):
        return generator.poisson(0.05 + 3 * np.exp(8 * (np.cos(2 * np.pi * (phase[:, None] - centres)) - 1)))

    train, test = generator.uniform(size=4000), generator.uniform(size=500)
    rates, prior = baselines.rate_maps(spikes(train), train, 50, 1.5)
    decoded = (baselines.poisson_posterior(spikes(test), rates, prior, 1).argmax(1) + 0.5) / 50
    assert np.median(behaviour.circular_error(test, decoded, 1.0)) < 0.02  # a bin is 0.02


def test_intervals_cover_the_truth():
    """A 95 % simultaneous interval over blocks holds all five true ratios in at least 80 of 100 simulations."""
    covered = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        base = generator.gamma(4, 1, (2, 2, 10, 1)) * 10
        truth = np.array([0.0, 0.1, 0.5, 1.0, 2.0])
        shuffled = base[..., None, :] * (1 + truth[:, None]) * generator.normal(1, 0.05, (2, 2, 10, 5, 1))
        weights = intervals.resampled_weights(2, 2, 10, resamples=300, generator=generator)
        sums = np.concatenate([base[:, :, :, None], shuffled], axis=3)
        value, replicates = intervals.pooled(sums, weights, lambda s: np.log(s[..., 1:, :] / s[..., :1, :]))
        low, high = intervals.simultaneous(value, replicates)
        covered += ((low <= np.log1p(truth)[:, None]) & (np.log1p(truth)[:, None] <= high)).all()
    assert covered >= 80


def test_resampled_weights_keep_their_total_on_average():
    weights = intervals.resampled_weights(3, 1, 4, resamples=4000, generator=np.random.default_rng(0))
    assert weights.sum((1, 2, 3)) == pytest.approx(12)
    assert weights.mean(0) == pytest.approx(np.ones((3, 1, 4)), abs=0.1)
