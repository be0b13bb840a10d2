"""Reduced circuits: truncation and lesion, planted circuits of one, two and three channels, and how they are judged."""

import numpy as np
import pytest
import retina_paths as made
import torch

from pellucid.systems.retina.attribute import reduction
from pellucid.systems.retina.attribute.path import integrate
from pellucid.systems.retina.attribute.reduction import Group
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.settings import Settings

ALL = slice(None)
NAMES = ("OFF fast", "ON fast", "OFF slow", "OFF fast", "ON slow")


def planted(weights, split=False, seed=0):
    """One layer with an interneuron per channel and a weight of each on every cell, (neuron, feature).

    With `split`, channel 3 is the same interneuron as channel 0, with its kernel and half of its weight.
    """
    rng = np.random.default_rng(seed)
    history, width = 12, 5
    settings = Settings.model_validate({
        "history": history,
        "layers": [{"channels": 5, "kernel_px": [width, width]}],
        "norm": None,
        "readout": {"kind": "located", "kernel_px": [4, 6], "norm": False},
    })  # fmt: skip
    network = Network(settings, (8, 10), [(0, 0)] * len(weights)).eval()
    lag = np.arange(history)[::-1]
    kernels = []
    for sign, peak in ((-1, 2), (1, 2), (-1, 6), (-1, 3), (1, 7)):
        space = np.ones((width, width)) / width**2
        kernels.append(sign * np.exp(-((lag - peak) ** 2) / 2)[:, None, None] * space)
    kernels = np.stack(kernels)
    weights = np.array(weights, float)
    if split:
        kernels[3] = kernels[0]
        weights[:, 0], weights[:, 3] = weights[:, 0] / 2, weights[:, 0] / 2
    spread = np.abs(1 + 0.1 * rng.normal(size=(len(weights), 5, 4, 6))) / 24
    with torch.no_grad():
        network.convolutions[0].parts[0].weight.copy_(torch.from_numpy(kernels))
        network.convolutions[0].bias.fill_(-0.1)
        network.readout.weight.copy_(torch.from_numpy(weights[:, :, None, None] * spread))
        network.readout.bias.fill_(-0.5)
    return network


def flash(contrast, before=12, after=25, width=3):
    """A full-field flash, (time,)."""
    frames = np.zeros(before + after, np.float32)
    frames[before : before + width] = contrast
    return frames


def found(network, frames, groups):
    """Circuits of all cells for one stimulus."""
    own = integrate(network, frames)

    def lesion(sets):
        return reduction.lesioned(network, frames, sets)[None]

    return reduction.circuits(own.rate[None], own.zero, own.channels[None], ALL, groups, lesion)


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn", "three layers"])
@pytest.mark.parametrize("frames", [made.flashes(), made.bar(), made.movie(9)], ids=["full field", "bar", "movie"])
def test_all_channels_are_the_network_and_none_its_rate_at_rest(kind, frames):
    network = made.network(kind)
    own = integrate(network, frames)
    features = network.features
    sets = np.stack([np.zeros(features, bool), np.ones(features, bool)])
    # To single precision
    short = reduction.truncated(own.zero, own.channels, sets)
    np.testing.assert_allclose(short[..., 1], own.rate - own.residual, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(short[..., 0], np.broadcast_to(own.zero, own.rate.shape))
    cut = reduction.lesioned(network, frames, sets)
    np.testing.assert_allclose(cut[..., 1], own.rate, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cut[..., 0], short[..., 0], rtol=1e-5, atol=1e-6)


def test_a_lesion_holds_channels_at_their_value_for_grey():
    network, frames = made.network("convgc"), made.movie(7)
    sets = np.array([[1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 0]], bool)
    rows = np.array([4, 1, 2])
    cut = reduction.lesioned(network, frames, sets, rows)
    with torch.no_grad():
        z = network.first(torch.from_numpy(frames)) + network.bias[:, None, None]
        for place, one in enumerate(sets):
            held = z.clone()
            held[:, ~one] = network.bias[:, None, None][~one]
            np.testing.assert_allclose(cut[..., place], network.head(held)[rows], rtol=1e-5)


def test_every_cell_can_have_sets_of_its_own():
    network, frames = made.network("convgc"), made.movie(7)
    own = integrate(network, frames)
    order = reduction.ranked(reduction.importance(own.channels[None], ALL, reduction.singly("abcdef")))
    assert order.shape == (network.neurons, network.features)
    sets = reduction.nested(order, reduction.singly("abcdef"), network.features)
    assert sets.shape == (6, network.neurons, network.features)
    np.testing.assert_array_equal(sets.sum(2), np.arange(1, 7)[:, None].repeat(network.neurons, 1))
    cut, short = reduction.lesioned(network, frames, sets), reduction.truncated(own.zero, own.channels, sets)
    for cell in range(network.neurons):
        alone = reduction.lesioned(network, frames, sets[:, cell])
        np.testing.assert_allclose(cut[:, cell], alone[:, cell], rtol=1e-6)
        kept = np.stack([own.channels[:, cell, one].sum(1) for one in sets[:, cell]], 1)
        np.testing.assert_allclose(short[:, cell], own.zero[cell] + kept, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("weights", "contrast", "width", "expected"),
    [
        ([[4.0, 0, 0, 0, 0], [3.0, 0, 0, 0, 0]], -2, 3, {0}),
        ([[4.0, 3.0, 0, 0, 0], [3.0, 4.0, 0, 0, 0]], -2, 3, {0}),  # the second is not used by a dark flash
        ([[4.0, 0, 4.0, 0, 0], [3.0, 0, 3.0, 0, 0]], -2, 3, {0, 2}),
        ([[4.0, 0, -6.0, 4.0, 0], [3.0, 0, -6.0, 5.0, 0]], -2, 8, {0, 2, 3}),
        ([[4.0, 3.0, -3.0, 0, 4.0], [3.0, 4.0, -3.0, 0, 3.0]], 2, 3, {1, 4}),
    ],
)
def test_planted_channels_are_the_smallest_circuit(weights, contrast, width, expected, seed):
    network = planted(weights, seed=seed)
    circuits = found(network, flash(contrast, width=width), reduction.singly(NAMES))
    best = reduction.smallest(circuits)
    assert set(best.channels) == expected
    assert sorted(best.groups) == sorted(NAMES[channel] for channel in expected)
    assert best.explained >= 0.9
    assert best.peak_shift_bins <= 1
    assert [one.size for one in circuits] == [1, 2, 3, 4, 5]
    assert circuits[-1].explained == pytest.approx(1, abs=1e-6)
    assert circuits[-1].disagreement == pytest.approx(0, abs=1e-4)


def test_channels_of_one_label_count_as_one():
    network = planted([[4.0, 3.0, 0, 0, 0], [3.0, 4.0, 0, 0, 0]], split=True)
    frames = flash(-2)
    assert reduction.smallest(found(network, frames, reduction.singly(NAMES))).size == 2
    best = reduction.smallest(found(network, frames, reduction.by_label(NAMES)))
    assert (best.size, best.groups, set(best.channels)) == (1, ("OFF fast",), {0, 3})


def test_labels_are_groups_of_all_channels():
    groups = reduction.by_label(NAMES)
    assert [group.name for group in groups] == ["OFF fast", "OFF slow", "ON fast", "ON slow"]
    assert sorted(channel for group in groups for channel in group.channels) == list(range(5))
    channels = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(reduction.merged(channels, groups).sum(-1), channels.sum(-1))
    np.testing.assert_allclose(reduction.merged(channels, groups)[..., 0], channels[..., 0] + channels[..., 3])


def test_importance_is_the_mean_absolute_contribution_in_the_window():
    channels = np.zeros((2, 6, 1, 3))
    channels[:, 2:4, 0, 0] = [[1, -1], [1, -1]]  # cancels in time, not in |A|
    channels[:, 5, 0, 1] = 100  # outside the window
    channels[0, 2, 0, 2] = 3
    groups = reduction.singly("abc")
    np.testing.assert_allclose(reduction.importance(channels, slice(2, 4), groups), [[1, 0, 0.75]])
    np.testing.assert_array_equal(reduction.ranked(np.array([1, 0, 0.75])), [0, 2, 1])
    merged = [Group("both", (0, 2)), Group("b", (1,))]
    np.testing.assert_allclose(reduction.importance(channels, slice(2, 4), merged)[0, 0], (4 + 1 + 1 + 1) / 4)


def test_of_equally_important_channels_the_first_goes_first():
    np.testing.assert_array_equal(reduction.ranked(np.array([0.0, 2, 1, 2, 1])), [1, 3, 2, 4, 0])


def test_the_order_of_channels_changes_nothing_but_their_names():
    network, frames = made.network("convgc"), made.flashes()
    own = integrate(network, frames)
    order = np.array([4, 2, 0, 5, 1, 3])
    names = [f"c{place}" for place in range(6)]
    rate, zero = own.rate[None], own.zero

    def lesion(permuted):
        return lambda sets: reduction.lesioned(network, frames, sets[..., np.argsort(permuted)])[None]

    one = reduction.circuits(rate, zero, own.channels[None], ALL, reduction.singly(names), lesion(np.arange(6)))
    other = reduction.circuits(
        rate, zero, own.channels[None][..., order], ALL, reduction.singly([names[c] for c in order]), lesion(order)
    )
    assert [c.groups for c in one] == [c.groups for c in other]
    np.testing.assert_allclose([c.explained_lesion for c in one], [c.explained_lesion for c in other], rtol=1e-5)


def test_explained_variance_is_that_of_all_cells_about_their_means():
    rng = np.random.default_rng(1)
    full = rng.normal(size=(2, 50, 3)) * [1, 2, 5] + [0, 10, -3]
    noise = rng.normal(size=full.shape)
    expected = 1 - (noise**2).sum() / ((full - full.mean((0, 1))) ** 2).sum()
    assert reduction.explained(full, full + noise, ALL) == pytest.approx(expected)
    assert reduction.explained(full, full, ALL) == 1
    assert reduction.explained(full, np.broadcast_to(full.mean((0, 1)), full.shape), ALL) == pytest.approx(0)
    assert np.isnan(reduction.explained(np.ones((1, 4, 2)), np.ones((1, 4, 2)), ALL))


@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("sign", [1, -1])
def test_peaks_that_are_shifted_are_found(shift, sign):
    time = np.arange(60)
    full = 2 + sign * np.exp(-((time - 30) ** 2) / 8)[None, :, None].repeat(3, 2)
    moved = 2 + 0.3 * sign * np.exp(-((time - 30 - shift) ** 2) / 8)[None, :, None].repeat(3, 2)
    assert reduction.peak_shift(full, moved, np.full(3, 2.0), ALL) == shift


def test_the_peaks_of_silent_cells_and_trials_do_not_count():
    rng = np.random.default_rng(2)
    full = 1e-3 * rng.normal(size=(5, 40, 4))
    full[2, 17, 1] = 4
    reduced = 1e-3 * rng.normal(size=full.shape)
    reduced[2, 19, 1] = 1
    assert reduction.peak_shift(full, reduced, np.zeros(4), ALL) == 2
    assert np.isnan(reduction.peak_shift(np.ones((1, 5, 2)), np.ones((1, 5, 2)), np.ones(2), ALL))


def test_circuits_that_interact_disagree_with_their_lesion():
    network, frames = planted([[3.0, 0, -5.0, 0, 4.0]]), flash(-2, width=8)
    apart = found(network, frames, reduction.singly(NAMES))[0]
    alone = found(planted([[4.0, 0, 0, 0, 0]]), frames, reduction.singly(NAMES))[0]
    # Inhibition below the threshold of softplus takes away what excitation adds; alone, the two are the same.
    assert apart.disagreement > 0.2
    assert alone.disagreement == pytest.approx(0, abs=1e-4)


def test_a_circuit_suffices_by_both_rules():
    one = reduction.Circuit(1, ("a",), (0,), 0.95, 2.0, 0.85, 0.0, 0.1)
    assert not one.suffices()
    assert one.suffices(shift_bins=2)
    assert not one.suffices(lesion=True)
    assert one.suffices(explained=0.8, lesion=True)
    assert reduction.smallest([one]) is None
    nothing = reduction.Circuit(1, ("a",), (0,), np.nan, np.nan, np.nan, np.nan, np.nan)
    assert not nothing.suffices()
