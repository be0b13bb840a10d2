"""Expected gradients: closed forms, completeness, and independent implementations."""

import numpy as np
import pytest
import torch
from captum.attr import GradientShap
from torch import nn

from pellucid.attribution import gradients

LAGS, ROIS = 7, 5


class Recurrent(nn.Module):
    """A GRU whose last state gives one number per window; weights large enough to be far from linear."""

    def __init__(self, seed=0, gain=3.0):
        super().__init__()
        torch.manual_seed(seed)
        self.rnn, self.head = nn.GRU(ROIS, 6, batch_first=True), nn.Linear(6, 1)
        with torch.no_grad():
            for value in self.parameters():
                value.mul_(gain)

    def forward(self, windows):
        return self.head(self.rnn(windows)[0][:, -1]).squeeze(-1)


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_a_linear_function_gets_its_weight_times_the_distance_from_the_mean_baseline():
    weight, inputs, baselines = drawn(0, LAGS, ROIS), drawn(1, 11, LAGS, ROIS), drawn(2, 4, LAGS, ROIS)
    found = gradients.expected(lambda x: (x * weight).sum((1, 2)) + 0.7, inputs, baselines, steps=2)
    truth = (weight * (inputs - baselines.mean(0))).numpy()
    np.testing.assert_allclose(found.phi, truth, atol=1e-5)  # float32
    np.testing.assert_allclose(found.change, truth.sum((1, 2)), atol=1e-5)
    assert found.completeness().max() < 1e-5


def test_a_product_is_shared_equally_as_shapley_values_do():
    inputs = drawn(3, 6, 2)
    found = gradients.expected(lambda x: x[:, 0] * x[:, 1], inputs, torch.zeros(1, 2), steps=2)
    half = (inputs[:, 0] * inputs[:, 1] / 2).numpy()
    np.testing.assert_allclose(found.phi, np.stack([half, half], axis=1), atol=1e-6)  # float32


def test_attributions_of_a_recurrent_network_are_complete():
    network = Recurrent().eval()
    inputs, baselines = drawn(4, 20, LAGS, ROIS), drawn(5, 3, LAGS, ROIS)
    errors = [gradients.expected(network, inputs, baselines, steps=n).completeness().max() for n in (2, 8, 32)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-4  # smooth gates: Gauss-Legendre converges fast
    found = gradients.expected(network, inputs, baselines, steps=32)
    with torch.no_grad():
        change = network(inputs).numpy() - network(baselines).numpy().mean()
    np.testing.assert_allclose(found.phi.sum((1, 2)), change, atol=1e-4)


def test_a_path_integral_written_out_in_double_precision_agrees():
    network = Recurrent(seed=1).double().eval()
    inputs, baselines = drawn(6, 3, LAGS, ROIS).double(), drawn(7, 2, LAGS, ROIS).double()
    truth = np.zeros((3, LAGS, ROIS))
    steps = 400
    share = ((torch.arange(steps, dtype=torch.float64) + 0.5) / steps)[:, None, None]
    for number, window in enumerate(inputs):
        for baseline in baselines:
            path = (baseline + share * (window - baseline)).requires_grad_(True)
            (slopes,) = torch.autograd.grad(network(path).sum(), path)
            truth[number] += ((window - baseline) * slopes.mean(0)).numpy() / len(baselines)
    found = gradients.expected(network, inputs, baselines, steps=32)
    np.testing.assert_allclose(found.phi, truth, atol=2e-5)  # midpoints err by about 1 / (24 steps^2)


def test_monte_carlo_expected_gradients_agree():
    network = Recurrent(seed=2, gain=2.0).eval()
    inputs, baselines = drawn(8, 4, LAGS, ROIS), drawn(9, 3, LAGS, ROIS)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - captum draws baselines and places on the path from numpy's global state
    sampled = GradientShap(network).attribute(inputs, baselines, n_samples=3000, stdevs=0.0).detach().numpy()
    found = gradients.expected(network, inputs, baselines).phi
    # 3000 draws: standard errors of about 2 % of the largest attributions
    assert np.corrcoef(found.ravel(), sampled.ravel())[0, 1] > 0.995
    assert np.abs(found - sampled).max() < 0.15 * np.abs(found).max()


def test_the_number_differentiated_at_once_is_bounded_and_does_not_matter():
    network, seen = Recurrent(), []

    def function(windows):
        seen.append(len(windows))
        return network(windows)

    inputs, baselines = drawn(10, 13, LAGS, ROIS), drawn(11, 3, LAGS, ROIS)
    small = gradients.expected(function, inputs, baselines, steps=8, rows=40)
    assert max(seen) <= 40
    np.testing.assert_allclose(small.phi, gradients.expected(network, inputs, baselines, steps=8).phi, atol=1e-5)


def test_inputs_without_a_weight_get_exactly_nothing():
    network = Recurrent(seed=3)
    with torch.no_grad():
        network.rnn.weight_ih_l0[:, [0, 3]] = 0
    found = gradients.expected(network.eval(), drawn(12, 9, LAGS, ROIS), drawn(13, 2, LAGS, ROIS))
    assert (found.phi[..., [0, 3]] == 0).all()
    assert (np.abs(found.phi[..., [1, 2, 4]]) > 0).any((0, 1)).all()


def test_a_probability_that_is_saturated_at_both_ends_says_little_of_the_last_steps():
    weight = torch.tensor([6.0, 6.0, 0.5])

    def logit(x):
        return x @ weight

    inputs, baselines = torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[0.5, 0.5, 0.0]])
    on_logit = gradients.expected(logit, inputs, baselines)
    on_probability = gradients.expected(lambda x: torch.sigmoid(logit(x)), inputs, baselines, steps=32)
    assert on_logit.change[0] == pytest.approx(6.5)
    assert on_probability.change[0] < 0.01  # the probability was near 1 to begin with
    np.testing.assert_allclose(on_probability.phi.sum(), on_probability.change[0], rtol=1e-3)


def test_images_keep_their_shape_and_gradients_need_not_be_enabled_outside():
    weight = drawn(14, 2, 3, 4, 5)
    inputs, baselines = drawn(15, 6, 2, 3, 4, 5), drawn(16, 1, 2, 3, 4, 5)
    found = gradients.expected(lambda x: (x * weight).flatten(1).sum(1), inputs, baselines)
    assert found.phi.shape == inputs.shape
    np.testing.assert_allclose(found.phi, (weight * (inputs - baselines)).numpy(), atol=1e-5)  # float32


def test_a_constant_function_has_no_completeness_error_to_speak_of():
    found = gradients.expected(lambda x: 0 * x.sum((1, 2)), drawn(17, 4, LAGS, ROIS), drawn(18, 2, LAGS, ROIS))
    assert (found.phi == 0).all()
    assert np.isnan(found.completeness()).all()


def test_outputs_are_those_of_the_network():
    network, inputs = Recurrent().eval(), drawn(19, 10, LAGS, ROIS)
    with torch.no_grad():
        truth = network(inputs).numpy()
    np.testing.assert_allclose(gradients.evaluated(network, inputs, rows=3), truth, atol=1e-6)  # float32
    assert gradients.evaluated(network, inputs[:0]).shape == (0,)


def test_windows_with_a_large_error_get_more_nodes():
    """A steep sigmoid far from its middle is a kink of the path that few nodes miss."""

    def steep(x):
        return torch.sigmoid(30 * (x.sum((1, 2)) - 2.2))

    inputs = torch.linspace(0.2, 1.4, 12)[:, None, None].expand(12, 3, 1)
    baselines = torch.zeros(1, 3, 1)
    few = gradients.expected(steep, inputs, baselines, steps=4)
    more = gradients.refined(steep, inputs, baselines, steps=4, tolerance=0.02, doublings=6)
    assert few.completeness().max() > 0.1
    assert more.completeness().max() < 0.02
    fine = few.completeness() <= 0.02
    np.testing.assert_array_equal(more.phi[fine], few.phi[fine])  # the others are left as they are
