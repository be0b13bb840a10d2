"""Contributions of the first layer: completeness and accuracy, symmetry, an independent implementation, bounds."""

import numpy as np
import pytest
import retina_paths as made
import torch
from captum.attr import LayerConductance, LayerIntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.attribute import cascade, gradients, path, refine
from pellucid.systems.retina.attribute.chords import Head, relu_chord, softplus_chord
from pellucid.systems.retina.attribute.path import integrate

STIMULI = {"omitted": made.flashes(), "step": made.step(), "bar": made.bar(), "movie": made.movie()}
SPATIAL = [kind for kind in made.KINDS if kind != "full field"]


@pytest.fixture(scope="module")
def fitted():
    """A network fitted to simulated cells."""
    return made.trained()


def windows(network, frames):
    """All windows of a stimulus with all pixels, (row, lag, height, width)."""
    frames = frames if frames.ndim == 3 else made.expanded(frames, network.shape)
    seen = torch.from_numpy(frames).to(network.bias.dtype)
    return seen.unfold(0, network.history, 1).permute(0, 3, 1, 2)


def scale(found):
    """The largest change of each cell's rate."""
    return np.abs(found.rate - found.zero).max(0)


def apart(one, other):
    """The difference summed over channels as a share of the largest change of the rate, by row and cell."""
    return np.abs(one.channels - other.channels).sum(2) / scale(other)


@pytest.mark.parametrize("kind", made.KINDS)
@pytest.mark.parametrize("stimulus", STIMULI)
def test_one_form_of_all_networks_gives_their_rates(kind, stimulus):
    network = made.network(kind, dtype=torch.float64)
    frames = STIMULI[stimulus] if network.shape != (1, 1) else made.flashes()[:, None, None]
    with torch.no_grad():
        u = network.first(torch.from_numpy(frames).double())
        head = Head(cascade.of(network).for_maps(tuple(u.shape[2:])))
        p, q = head.cascade.line(head.cascade.part(u))
        state = head.state(functional.relu(p + q))
        expected = network.head(u + network.bias[:, None, None])
    # Double precision: the same sums in another order.
    np.testing.assert_allclose(functional.softplus(state.drive), expected, rtol=1e-10, atol=1e-10)


def test_only_what_the_cells_see_is_worked_on():
    head = cascade.of(made.network("convgc")).for_maps((7, 10))
    # Readouts of 3 x 2 from (1, 1) to (2, 4), before them kernels of 3 x 5
    assert (head.corner, head.maps) == ((1, 1), (4 + 2, 5 + 4))
    assert cascade.of(made.network("bn_cnn")).for_maps((8, 10)).maps == (8, 10)


@pytest.mark.parametrize("kind", made.KINDS)
@pytest.mark.parametrize("stimulus", ["omitted", "bar", "movie"])
def test_gradients_are_those_of_automatic_differentiation(kind, stimulus):
    network = made.network(kind, dtype=torch.float64)
    frames = STIMULI[stimulus] if network.shape != (1, 1) else made.flashes()[:, None, None]
    u = network.first(torch.from_numpy(frames).double())[::7].detach()
    rate, found = gradients.gradients(network, u)
    leaf = u.clone().requires_grad_(True)
    expected = network.head(leaf + network.bias.detach()[:, None, None])
    assert not rate.requires_grad
    assert not found.requires_grad
    assert all(one.requires_grad for one in network.parameters())
    for cell in range(network.neurons):
        (gradient,) = torch.autograd.grad(expected[:, cell].sum(), leaf, retain_graph=True)
        np.testing.assert_allclose(found[:, cell], gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rate, expected.detach(), rtol=1e-10)


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn", "three layers"])
def test_mean_gradients_of_the_stimulus_are_those_of_automatic_differentiation(kind, monkeypatch):
    network = made.network(kind, dtype=torch.float64)
    frames, rows = made.movie(20), np.array([0, 1, 5, 6, 7, 17])
    stimulus = windows(network, frames)[rows].clone().requires_grad_(True)
    monkeypatch.setattr(gradients, "WORK", 1)  # one row at a time
    mean = gradients.mean_gradient(network, frames.astype(float), rows)
    found = gradients.of_stimulus(network, mean)
    rate = network(stimulus)
    for cell in range(network.neurons):
        (expected,) = torch.autograd.grad(rate[:, cell].sum(), stimulus, retain_graph=True)
        np.testing.assert_allclose(found[cell], expected.mean(0), rtol=1e-8, atol=1e-11)


@given(start=st.floats(-30, 30), span=st.floats(-40, 40))
@settings(max_examples=100)
def test_chords_are_quotients_of_differences(start, span):
    one, other = torch.tensor([start]), torch.tensor([start]) + span
    exact, end = start, float(other.double())
    rise = max(end, 0.0) - max(exact, 0.0)
    if abs(end - exact) > 1e-3:  # below it the quotient itself loses its digits
        assert float(relu_chord(one, other)) == pytest.approx(rise / (end - exact), abs=1e-4 * 30 / abs(end - exact))
    between = torch.linspace(0, 1, 2001, dtype=torch.float64) * (end - exact) + exact
    mean = torch.trapezoid(torch.sigmoid(between), dx=1 / 2000)
    # 1e-5: 2000 trapezoids of up to .02 and single precision of the ends
    assert float(softplus_chord(one, other)) == pytest.approx(float(mean), abs=1e-5)
    assert 0 <= float(relu_chord(one, other)) <= 1


def test_chords_of_pieces_without_length_are_derivatives():
    value = torch.tensor([-3.0, 0.0, 0.7, 40.0])
    np.testing.assert_array_equal(relu_chord(value, value), [0, 0, 1, 1])
    np.testing.assert_allclose(softplus_chord(value, value), torch.sigmoid(value), rtol=1e-6)


@pytest.mark.parametrize("kind", SPATIAL)
@pytest.mark.parametrize("stimulus", STIMULI)
def test_adaptive_contributions_are_complete_and_accurate(kind, stimulus):
    network, frames = made.network(kind), STIMULI[stimulus]
    rows = np.arange(len(frames) - made.HISTORY + 1)[3::9]
    found = integrate(network, frames, rows=rows)
    assert found.completeness().max() <= 1e-3
    assert found.accuracy().max() <= 1e-3
    assert found.converged.all()
    np.testing.assert_allclose(found.residual, found.rate - found.zero - found.channels.sum(2), atol=2e-6)
    exact = integrate(network.double(), frames, rows=rows, tolerance=1e-4)
    # The estimate is no bound, see `refine.halved`.
    assert apart(found, exact).max() <= 2e-3
    assert (apart(found, exact) <= 1e-3).mean() >= 0.98


@pytest.mark.parametrize("stimulus", STIMULI)
def test_a_fitted_network_is_complete_and_the_midpoint_rule_better_than_the_published_one(fitted, stimulus):
    frames = STIMULI[stimulus]
    assert integrate(fitted, frames).completeness().max() <= 1e-3
    midpoint = integrate(fitted, frames, rule="midpoint", points=100)
    published = integrate(fitted, frames, rule="right", points=100)
    assert midpoint.completeness().max() <= 1e-2
    assert midpoint.completeness().max() < published.completeness().max()
    np.testing.assert_array_equal(midpoint.nodes, 100)
    np.testing.assert_array_equal(published.nodes, 99)


def test_a_coarse_rule_says_that_it_is_not_converged(fitted):
    found = integrate(fitted, made.step(), rule="right", points=5)
    assert not found.converged.all()
    np.testing.assert_array_equal(found.error, np.abs(found.residual))


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn"])
def test_given_points_are_those_of_automatic_differentiation(kind):
    network, frames = made.network(kind, dtype=torch.float64), made.movie(6)
    u = network.first(torch.from_numpy(frames).double()).detach()
    bias = network.bias.detach()[:, None, None]
    for rule, places, weight in (
        ("midpoint", (np.arange(7) + 0.5) / 7, 1 / 7),
        ("right", np.linspace(0, 1, 7)[1:], 1 / 6),
    ):
        found = integrate(network, frames, rule=rule, points=7, keep="units")
        expected = np.zeros_like(found.units)
        for a in places:
            leaf = (a * u + bias).requires_grad_(True)
            rate = network.head(leaf)
            for cell in range(network.neurons):
                (gradient,) = torch.autograd.grad(rate[:, cell].sum(), leaf, retain_graph=True)
                expected[:, cell] += weight * (gradient * u).numpy()
        np.testing.assert_allclose(found.units, expected, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found.channels, expected.sum((3, 4)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["convgc", "mcintosh_2016"])
@pytest.mark.parametrize("method", [LayerIntegratedGradients, LayerConductance])
def test_captum_finds_the_same_units(kind, method):
    network, frames = made.network(kind, dtype=torch.float64), made.movie(2, seed=4)
    found = integrate(network, frames, keep="units", tolerance=1e-4)
    seen, layer = windows(network, frames), network.convolutions[0]
    whole = method(network, layer).attribute(
        seen.clone(), target=2, n_steps=800, method="riemann_middle", internal_batch_size=400
    )
    channels = np.abs(found.channels[:, 2] - whole.detach().numpy().sum((2, 3)))
    units = np.abs(found.units[:, 2] - whole.detach().numpy())
    # As good as the 800 points of captum, whose completeness is up to 3e-3 here.
    assert channels.max() <= 5e-3 * scale(found)[2]
    assert units.max() <= 5e-3 * scale(found)[2]


@pytest.mark.parametrize("kind", ["convgc", "one layer", "three layers"])
@pytest.mark.parametrize("stimulus", ["omitted", "step"])
def test_full_field_is_exact_between_kinks(kind, stimulus):
    network, frames = made.network(kind, dtype=torch.float64), STIMULI[stimulus]
    found = integrate(network, frames)
    assert found.nodes.max() < 60
    rows = np.arange(3, 33, 3)
    exact = integrate(network, made.expanded(frames), tolerance=1e-4, rows=rows)
    own = integrate(network, frames, rows=rows)
    assert apart(own, exact).max() <= 2e-4  # that of the other, which halves pieces
    assert found.completeness().max() <= 1e-8  # that of softplus' chords


@pytest.mark.parametrize("kind", SPATIAL)
@pytest.mark.parametrize("stimulus", ["omitted", "bar"])
def test_collapsed_and_expanded_stimuli_have_the_same_contributions(kind, stimulus):
    network, frames = made.network(kind), STIMULI[stimulus]
    rows = np.array([9, 17, 24])
    own = integrate(network, frames, keep="units", rows=rows)
    whole = integrate(network, made.expanded(frames), keep="units", rows=rows)
    assert own.units.shape[3:] == (1, 1 if stimulus == "omitted" else network.maps[1])
    summed = whole.units.sum(3, keepdims=True)
    summed = summed.sum(4, keepdims=True) if stimulus == "omitted" else summed
    # Both within the tolerance of what is exact; rates to single precision.
    assert (np.abs(own.units - summed).max((0, 2, 3, 4)) / scale(own)).max() <= 2e-3
    np.testing.assert_allclose(own.rate, whole.rate, rtol=1e-5)


@pytest.mark.parametrize("stimulus", ["omitted", "step", "bar"])
def test_spatial_spread_along_the_symmetry_of_the_stimulus(fitted, stimulus):
    with torch.no_grad():
        u = fitted.first(torch.from_numpy(made.expanded(STIMULI[stimulus]))).numpy()
        collapsed = fitted.first(torch.from_numpy(STIMULI[stimulus])).numpy()
    axes = (2,) if stimulus == "bar" else (2, 3)
    assert np.ptp(u, axis=axes).max() <= 1e-5 * np.abs(u).max()
    assert np.abs(u - collapsed).max() <= 1e-5 * np.abs(u).max()


@pytest.mark.parametrize("stimulus", ["omitted", "bar"])
def test_cells_that_differ_in_their_place_alone_have_the_same_contributions(stimulus):
    network = made.network("convgc")
    with torch.no_grad():
        network.readout.weight.copy_(network.readout.weight[:1].expand_as(network.readout.weight))
        for name in ("scale", "shift", "mean", "variance"):
            own = getattr(network.readout.norm, name)
            own.copy_(own[:1].expand_as(own))
    if stimulus == "bar":
        network.readout.columns.copy_(network.readout.columns[:1].expand_as(network.readout.columns))
    found = integrate(network, made.expanded(STIMULI[stimulus]), keep="units")
    spread = np.ptp(found.channels, axis=1).max()
    assert spread <= 1e-5 * scale(found).max()


@pytest.mark.parametrize("kind", made.KINDS)
def test_channels_are_sums_over_units(kind):
    network = made.network(kind)
    for frames in (
        made.movie(4, shape=network.shape),
        made.flashes()[:, None, None] if kind == "full field" else made.bar(),
    ):
        for rule in ("adaptive", "midpoint"):
            found = integrate(network, frames, rule=rule, points=9, keep="units")
            apart = np.abs(found.units.sum((3, 4)) - found.channels).max((0, 2))
            assert (apart <= 1e-5 * scale(found)).all()


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn", "one layer"])
@pytest.mark.parametrize("stimulus", STIMULI)
def test_channels_without_weights_contribute_nothing(kind, stimulus):
    network = made.network(kind)
    with torch.no_grad():
        network.convolutions[0].parts[-1].weight[1] = 0
        if kind != "one layer":
            network.convolutions[1].parts[-1].weight[:, 2] = 0
    found = integrate(network, STIMULI[stimulus], keep="units", rows=np.array([5, 14, 21]))
    without = [1] if kind == "one layer" else [1, 2]
    assert np.abs(found.channels[:, :, without]).max() <= 1e-7
    assert np.abs(found.units[:, :, without]).max() <= 1e-7


def test_rows_can_be_had_in_any_order_and_blocks(fitted, monkeypatch):
    frames, rows = made.movie(), np.array([7, 8, 9, 3, 25, 24])
    whole = integrate(fitted, frames, rows=np.sort(rows))
    monkeypatch.setattr(gradients, "WORK", 1)
    monkeypatch.setattr(path, "CACHED", 1)
    monkeypatch.setattr(refine, "CACHED", 1)
    monkeypatch.setattr(path, "KEEP", 0)
    shuffled = integrate(fitted, frames, rows=rows)
    place = np.argsort(np.argsort(rows))
    # Other batches sum in another order: single precision.
    np.testing.assert_allclose(shuffled.rate, whole.rate[place], rtol=1e-5)
    np.testing.assert_allclose(shuffled.channels, whole.channels[place], atol=1e-5 * scale(whole).max())
    np.testing.assert_array_equal(shuffled.nodes, whole.nodes[place])


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn"])
def test_cells_together_are_cells_one_by_one(kind):
    network, frames = made.network(kind), made.movie(6)
    together = integrate(network, frames)
    whole = cascade.of(network)
    for cell in range(network.neurons):
        own = Head(whole.__class__(**{
            **whole.__dict__,
            "weight": whole.weight[cell : cell + 1],
            "corners": whole.corners[cell : cell + 1],
            "offset": whole.offset[cell : cell + 1],
        }).for_maps(network.maps))  # fmt: skip
        with torch.no_grad():
            u = network.first(torch.from_numpy(frames))
            alone = refine.halved(
                own,
                path.Path(*own.cascade.line(own.cascade.part(u))),
                torch.from_numpy(1e-3 * scale(together)[cell : cell + 1]),
            )
        apart = np.abs(alone.channels[:, 0].numpy() - together.channels[:, cell])
        assert apart.max() <= 2e-3 * scale(together)[cell]  # each within its tolerance of what is exact


def test_rows_that_are_given_up_are_reported(fitted, monkeypatch):
    monkeypatch.setattr(refine, "MOST", 3)
    found = integrate(fitted, made.movie(), tolerance=1e-4)
    assert not found.converged.all()
    assert found.accuracy().max() > 1e-4
    np.testing.assert_array_equal(found.converged, found.error <= 1e-4 * scale(found))
    monkeypatch.setattr(refine, "MOST", 14)
    monkeypatch.setattr(refine, "ACTIVE", 4)
    assert not integrate(fitted, made.movie(), tolerance=1e-5).converged.all()


def test_grey_contributes_nothing_and_costs_nothing(fitted):
    frames = made.movie(20)
    frames[: made.HISTORY + 3] = 0
    found = integrate(fitted, frames)
    np.testing.assert_array_equal(found.nodes[:4], 0)
    np.testing.assert_array_equal(found.channels[:4], 0)
    np.testing.assert_allclose(found.rate[:4], found.zero[None].repeat(4, 0), rtol=1e-6)
    assert found.converged.all()
    still = integrate(fitted, np.zeros((12, *made.SHAPE), np.float32), keep="units")
    assert still.converged.all()
    assert still.completeness().max() == still.accuracy().max() == 0
    assert not still.units.any()


def test_the_network_is_left_as_it_was(fitted):
    fitted.train()
    found = integrate(fitted, made.step())
    assert fitted.training
    assert all(one.requires_grad for one in fitted.parameters())
    fitted.eval()
    np.testing.assert_array_equal(found.channels, integrate(fitted, made.step()).channels)


def test_one_point_is_refused(fitted):
    with pytest.raises(ConfigError, match="2 or more"):
        integrate(fitted, made.step(), rule="right", points=1)


def test_a_stimulus_shorter_than_the_history_is_refused(fitted):
    with pytest.raises(DataError, match="8 or more"):
        integrate(fitted, np.zeros(7, np.float32))


def test_frames_that_are_read_only_or_in_double_are_taken(fitted):
    frames = np.broadcast_to(made.step()[:, None], (40, made.SHAPE[1]))
    found, other = integrate(fitted, frames), integrate(fitted, frames.astype(float))
    np.testing.assert_array_equal(found.channels, other.channels)
