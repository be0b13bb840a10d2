"""Networks: published sizes, exact collapse of stacks and symmetries, what each cell sees, and their outputs' start."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pellucid.errors import DataError
from pellucid.systems.retina.model import norms, presets
from pellucid.systems.retina.model.network import Network, check_size, windows
from pellucid.systems.retina.model.settings import Settings
from pellucid.systems.retina.model.stacks import parameters

SMALL = {
    "history": 6,
    "layers": [{"channels": 4, "kernel_px": [5, 5], "stacked": True}, {"channels": 3, "kernel_px": [3, 3]}],
    "readout": {"kernel_px": [3, 5]},
}
SHAPE = (13, 17)
PLACES = [(1, 2), (3, 0), (4, 6)]


def made(over=None, seed=0, shape=SHAPE, places=PLACES):
    """A network in evaluation after a few batches of training statistics."""
    torch.manual_seed(seed)
    settings = Settings.model_validate(SMALL | (over or {}))
    network = Network(settings, shape, places)
    network.train()
    with torch.no_grad():
        for _ in range(30):
            network(torch.randn(40, settings.history, *shape))
    return network.eval()


@pytest.mark.parametrize(
    ("preset", "cells", "count"),
    [
        *[("bn_cnn", *pair) for pair in ((4, 132_952), (5, 138_362), (17, 203_282))],
        *[("convgc", *pair) for pair in ((4, 13_144), (5, 14_114), (17, 25_754))],
        *[("mcintosh_2016", *pair) for pair in ((4, 179_484), (5, 185_757), (17, 261_033))],
    ],
)
def test_published_networks_have_the_published_number_of_parameters(preset, cells, count):
    network = Network(Settings.model_validate({"preset": preset}), (50, 50), [(2, 3)] * cells)
    assert parameters(network) == count


@pytest.mark.parametrize(("cells", "count"), [(4, 83_672), (5, 84_642), (17, 96_282)])
def test_collapsed_convgc_has_the_published_number_of_parameters(cells, count):
    settings = {"layers": [{**layer, "stacked": False} for layer in presets.PRESETS["convgc"]["layers"]], "dropout": 0}
    network = Network(Settings.model_validate({"preset": "convgc"} | settings), (50, 50), [(2, 3)] * cells)
    assert parameters(network) == count


def test_maps_of_published_networks():
    maps = {
        name: Network(Settings.model_validate({"preset": name}), (50, 50), [(0, 0)]).sizes for name in presets.PRESETS
    }
    assert maps["bn_cnn"] == maps["convgc"] == [(36, 36), (26, 26)]
    assert maps["mcintosh_2016"] == [(36, 36), (28, 28)]


@pytest.mark.parametrize("size", [3, 5, 11, 15])
def test_a_stack_is_one_kernel(size):
    torch.manual_seed(size)
    layer = {"channels": 3, "kernel_px": [size, size], "stacked": True}
    network = Network(
        Settings.model_validate(SMALL | {"layers": [layer], "norm": None}), (size + 4, size + 7), [(0, 0)]
    )
    (stack,) = network.convolution_list()
    x = torch.randn(5, 6, size + 4, size + 7)
    step_by_step = stack.train()(x)
    at_once = stack.eval()(x)
    assert len(stack.parts) == (size - 1) // 2
    # single precision over at most seven convolutions
    assert torch.allclose(step_by_step, at_once, rtol=0, atol=1e-5 * float(at_once.detach().abs().max()))


@pytest.mark.parametrize("over", [{}, {"norm": {"per": "unit"}}, {"readout": {"kind": "dense"}}, {"norm": None}])
def test_symmetric_stimuli_need_fewer_axes(over):
    network = made(over)
    bar = torch.randn(15, SHAPE[1])
    field = torch.randn(15)
    with torch.no_grad():
        whole_bar = network.respond(bar[:, None].expand(-1, SHAPE[0], -1))
        whole_field = network.respond(field[:, None, None].expand(-1, *SHAPE))
        assert torch.allclose(network.respond(bar), whole_bar, atol=1e-5)  # sums in another order
        assert torch.allclose(network.respond(field), whole_field, atol=1e-5)
    assert network.first(bar).shape == (10, 4, 1, 13)
    assert network.first(field).shape == (10, 4, 1, 1)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_cell_depends_only_on_what_it_sees(axes):
    network = made()
    with torch.no_grad():
        z = network.first(torch.randn(9, *SHAPE[2 - axes + 1 :] if axes > 1 else ())) + network.bias[:, None, None]
        seen = network.seen(z)
        assert torch.allclose(network.of_seen(seen), network.head(z), atol=1e-6)
    full = (5, 7)  # readout of 3 x 5 px on maps of a 3 x 3 px layer
    assert seen.shape[2:] == (4, *(1 if axes < 3 - axis else full[axis] for axis in (0, 1)))


def test_networks_whose_places_differ_are_seen_as_a_whole():
    for over in ({"norm": {"per": "unit"}}, {"readout": {"kind": "dense"}}):
        network = made(over)
        assert network.seen(network.first(torch.randn(8, *SHAPE))) is None


def test_responses_are_those_to_each_window():
    network = made()
    frames = torch.randn(300, *SHAPE)
    with torch.no_grad():
        each = network(windows(frames, 6))
        assert torch.allclose(network.respond(frames), each, atol=1e-5)
    assert each.shape == (295, 3)
    assert torch.equal(windows(frames, 6)[7], frames[7:13])


def test_a_located_readout_is_a_convolution_read_at_one_place():
    network = made()
    maps = torch.randn(4, 3, *network.sizes[-1])
    with torch.no_grad():
        whole = torch.nn.functional.conv2d(maps, network.readout.weight)
        read = torch.stack([whole[:, cell, row, column] for cell, (row, column) in enumerate(PLACES)], 1)
        norm = network.readout.norm
        assert torch.allclose(network.readout(maps), norm(read), atol=1e-5)


def test_noise_and_dropout_work_in_training_only():
    settings = SMALL | {"noise": 0.3, "dropout": 0.2}
    network = made(settings)
    x = torch.randn(4, 6, *SHAPE)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))


def test_batch_normalisation_is_torchs():
    torch.manual_seed(1)
    ours = norms.Normalised((3, 1, 1), positive=False, momentum=0.1)
    theirs = torch.nn.BatchNorm2d(3, eps=norms.EPSILON, momentum=0.1)
    for _ in range(5):
        x = 2 * torch.randn(400, 3, 4, 6) + 1
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    theirs.eval()
    x = torch.randn(3, 3, 4, 6)
    # torch's running variance is the unbiased one, n / (n - 1) of ours with n = 9600
    assert torch.allclose(ours.eval()(x), theirs(x), atol=1e-3)


def test_positive_scales_keep_the_sign_of_a_channel():
    norm = norms.Normalised((2, 1, 1), positive=True, momentum=0.1).eval()
    with torch.no_grad():
        norm.scale[0] = -2.0
    x = torch.randn(3, 2, 4, 4)
    assert (norm(x).sign() == x.sign()).all()


def test_outputs_start_with_mean_and_sd():
    mean, sd = np.array([4.1, 20.0, 0.3]), np.array([3.4, 40.0, 0.5])
    shift, scale = norms.start(mean, sd)
    x = np.random.default_rng(0).normal(size=400_000)
    found = np.logaddexp(0, shift[:, None] + scale[:, None] * x)
    # the s.d. of 400 000 draws of these skewed rates is known to half a per cent
    np.testing.assert_allclose(found.mean(1), mean, rtol=0.01)
    np.testing.assert_allclose(found.std(1), sd, rtol=0.01)


def test_layers_that_do_not_fit_are_refused():
    settings = Settings.model_validate(SMALL)
    assert check_size(settings, SHAPE) == (7, 11)
    with pytest.raises(DataError, match="layers that fit into a movie of 8 x 9 px"):
        check_size(settings, (8, 9))


def test_impossible_settings_are_refused():
    with pytest.raises(ValidationError, match="square kernels"):
        Settings.model_validate({"layers": [{"kernel_px": [5, 3], "stacked": True}]})
    with pytest.raises(ValidationError, match="stacked"):
        Settings.model_validate({"dropout": 0.1})
