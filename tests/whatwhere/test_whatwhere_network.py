"""The network against explicit loops: convolutions, masks, filters, points, penalties, losses."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from pellucid.config import parse
from pellucid.errors import ConfigError
from pellucid.systems.whatwhere.model import penalties, readouts
from pellucid.systems.whatwhere.model.core import ConvolutionalCore, gaussian_kernel
from pellucid.systems.whatwhere.model.network import Network, Start, parameters
from pellucid.systems.whatwhere.model.settings import Core, Gaussian, Penalties, Settings

IMAGE = (2, 13, 17)  # neither square nor of one channel


def _start(neurons, seed=0, size=(1, 1)):
    generator = np.random.default_rng(seed)
    place = np.stack([generator.integers(0, n, neurons) for n in size], axis=1)
    return Start(place, *generator.uniform(0.5, 2, (3, neurons)))


def _network(neurons=5, image=IMAGE, **settings):
    torch.manual_seed(1)
    network = Network(Settings.model_validate(settings), image, _start(neurons)).double().eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight))
    return network


def _images(count=3, image=IMAGE):
    return torch.from_numpy(np.random.default_rng(2).standard_normal((count, *image)))


def _maps(images, kernels):
    """Cross-correlate by scipy, (image, kernel, height, width)."""
    return np.stack([[correlate(x, k, mode="valid")[0] for k in kernels.detach().numpy()] for x in images.numpy()])


@pytest.mark.parametrize("kernel_px", [[7, 9], [3, 5], [13, 13]])
def test_the_factorised_readout_is_mask_times_weight_summed_over_pixels_and_maps(kernel_px):
    network = _network(core={"layers": [{"kernel_px": kernel_px, "maps": 2}]})
    maps = _maps(_images(), network.core.kernels())
    masks, weights = network.readout.mask.detach().numpy(), network.readout.weight.detach().numpy()
    expected = np.zeros((3, 5))
    for b, n, k, i, j in np.ndindex(3, 5, *maps.shape[1:]):
        expected[b, n] += network.unit[n].item() * weights[n, k] * masks[n, i, j] * maps[b, k, i, j]
    assert np.allclose(network(_images()).detach().numpy(), expected, rtol=1e-10, atol=1e-10)  # rounding of sums


def test_few_large_kernels_by_spectra_equal_the_direct_convolution():
    core = ConvolutionalCore(Core.model_validate({"layers": [{"kernel_px": [9, 11], "maps": 2}]}), IMAGE).double()
    assert core.spectral
    direct = core.convolutions[0](_images())
    assert torch.allclose(core(core.prepare(_images())), direct, atol=1e-12)


def test_a_linear_network_of_few_neurons_is_one_filter_per_neuron():
    few = _network(core={"layers": [{"kernel_px": [5, 7], "maps": 3}]}, readout={"weights": "nonnegative"})
    assert few.by_filters
    many = few.unit * few.readout(few.core(few.core.prepare(_images())))
    by_filter = torch.einsum("bchw,nchw->bn", _images(), few.filters())
    assert torch.allclose(few(_images()), many, atol=1e-12)
    assert torch.allclose(by_filter, many, atol=1e-12)


def test_neurons_with_a_core_of_their_own_are_networks_of_their_own():
    core = {"layers": [{"kernel_px": [5, 7], "maps": 2}]}
    network = _network(neurons=5, core={**core, "shared_by": 2})
    assert len(network.core.kernels()) == 3 * 2
    for first in (0, 2, 4):
        own = _network(neurons=len(range(5)[first : first + 2]), core=core)
        with torch.no_grad():
            own.core.convolutions[0].weight.copy_(network.core.convolutions[0].weight[first : first + 2])
            for name in ("mask", "weight"):
                getattr(own.readout, name).copy_(getattr(network.readout, name)[first : first + 2])
            own.unit.copy_(network.unit[first : first + 2])
        assert torch.allclose(network(_images())[:, first : first + 2], own(_images()), atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    network = _network(
        neurons=2,
        image=(1, 5, 6),
        core={"layers": [{"kernel_px": 3, "maps": 2, "activation": "softplus"}]},
        output="softplus",
        bias=True,
    )
    images = _images(2, (1, 5, 6)).requires_grad_(True)
    assert torch.autograd.gradcheck(network, (images,))


def test_even_kernels_and_same_padding_keep_their_offset():
    core = ConvolutionalCore(
        Core.model_validate({"layers": [{"kernel_px": [4, 5]}, {"kernel_px": 3, "padding": "same"}]}), IMAGE
    )
    assert core.maps == (1, 10, 13)
    assert core.offset == (1.5, 2.0)


def test_unit_norm_kernels_do_not_depend_on_their_scale():
    network = _network(core={"layers": [{"kernel_px": 5, "maps": 2}]})
    before = network(_images())
    with torch.no_grad():
        network.core.convolutions[0].weight.mul_(40)
    # the 1e-5 beside a norm of about 7 is all that changes
    assert torch.allclose(network(_images()), before, rtol=1e-5)


@pytest.mark.parametrize(("centre", "scale"), [(True, False), (False, True), (False, False)])
def test_batch_norm_centres_and_scales_as_asked(centre, scale):
    core = ConvolutionalCore(
        Core.model_validate(
            {"layers": [{"kernel_px": 3, "maps": 4}], "normalisation": "batch", "centre": centre, "scale": scale}
        ),
        IMAGE,
    ).double()
    layer = core.convolutions[0]
    assert (layer.offset is not None, layer.scale is not None) == (centre, scale)
    z = core.train()(_images(40)).detach()
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(4, dtype=z.dtype), atol=1e-9)


def test_estimated_statistics_are_those_of_the_images():
    core = ConvolutionalCore(
        Core.model_validate({"layers": [{"kernel_px": 3, "maps": 2}], "normalisation": "batch"}), IMAGE
    ).double()
    images = _images(40)
    with torch.no_grad():
        core.estimate(images, batch=40)
    z = torch.from_numpy(_maps(images, core.kernels()))
    norm = core.convolutions[0].norm
    assert torch.allclose(norm.running_mean, z.mean((0, 2, 3)), atol=1e-9)
    assert torch.allclose(norm.running_var, z.transpose(0, 1).flatten(1).var(1), rtol=1e-9)


def test_points_interpolate_between_four_pixels():
    z = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 3, 5, 8)))
    row, column = 2.25, 6.5
    where = torch.tensor([[[2 * row / 4 - 1, 2 * column / 7 - 1]]], dtype=z.dtype).expand(2, -1, -1)
    by_hand = 0.75 * 0.5 * (z[..., 2, 6] + z[..., 2, 7]) + 0.25 * 0.5 * (z[..., 3, 6] + z[..., 3, 7])
    assert torch.allclose(readouts.sample(z, where)[..., 0], by_hand)
    same = torch.nn.functional.grid_sample(z, where.flip(-1)[:, None], align_corners=True)[:, :, 0]
    assert torch.allclose(readouts.sample(z, where), same)


@pytest.mark.parametrize("corner", [(-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
def test_points_reach_the_corners(corner):
    z = torch.arange(12.0).reshape(1, 1, 3, 4)
    row, column = (0 if c < 0 else n for c, n in zip(corner, (2, 3)))
    assert readouts.sample(z, torch.tensor([[list(corner)]]))[0, 0, 0] == z[0, 0, row, column]


def test_the_gaussian_readout_draws_positions_in_training_only():
    network = _network(core={"layers": [{"kernel_px": 5, "maps": 2}]}, readout={"kind": "gaussian"})
    with torch.no_grad():
        network.readout.position.mul_(0.2)
    assert torch.equal(network(_images()), network(_images()))
    assert not torch.equal(network.train()(_images()), network(_images()))


def test_the_transformer_reads_coarser_scales():
    network = _network(core={"layers": [{"kernel_px": 3, "maps": 2}]}, readout={"kind": "transformer", "pool_steps": 2})
    assert network.readout.weight.shape == (5, 6)
    assert network(_images()).shape == (3, 5)


def test_a_fixed_mask_learns_no_mask():
    raw = {"readout": {"kind": "fixed", "mask_sd": 0, "peak": 1.0}, "core": {"layers": [{"kernel_px": 7, "maps": 3}]}}
    start = _start(4, size=(7, 11))
    network = Network(Settings.model_validate(raw), IMAGE, start)
    assert not network.readout.mask.requires_grad
    assert np.array_equal(np.argwhere(network.readout.masks().detach().numpy())[:, 1:], start.position)


def test_without_layers_a_dense_readout_is_a_filter_of_pixels():
    network = _network(core={"layers": []}, readout={"kind": "dense"}, output="exp", bias=True, loss="poisson")
    expected = network.unit * torch.exp(_images().flatten(1) @ network.readout.weight.flatten(1).T + network.bias)
    assert torch.allclose(network(_images()), expected)


@pytest.mark.parametrize("output", ["linear", "softplus", "exp"])
def test_the_bias_begins_at_the_mean_response(output):
    settings = Settings.model_validate({"output": output, "bias": True, "core": {"layers": [{"kernel_px": [7, 9]}]}})
    start = _start(4)
    network = Network(settings, IMAGE, start)
    with torch.no_grad():
        network.readout.mask.zero_()
    assert np.allclose(network(torch.zeros(1, *IMAGE)).detach().numpy()[0], start.unit * start.mean, rtol=1e-5)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_gives_what_the_cpu_gives(device):
    if not (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()):
        pytest.skip(f"no {device} device on this machine")
    core = {"layers": [{"kernel_px": 5, "maps": 3, "activation": "softplus"}, {"kernel_px": 3, "maps": 2}]}
    for kind in ("factorised", "gaussian", "dense"):
        network = _network(core=core, readout={"kind": kind}).float()
        images = _images().float()
        expected = network(images)
        assert torch.allclose(network.to(device)(images.to(device)).cpu(), expected, atol=1e-4)  # float32


def test_published_numbers_of_parameters():
    fig3 = Network(Settings.model_validate({"preset": "fig3"}), (1, 48, 48), _start(10))
    fig4 = Network(Settings.model_validate({"preset": "fig4"}), (1, 48, 48), _start(10))
    fig5 = Network(Settings.model_validate({"preset": "fig5"}), (3, 44, 44), _start(10))
    region1 = Network(Settings.model_validate({"preset": "v1"}), (1, 31, 31), _start(103))
    assert parameters(fig3) == 289 + 1024 * 10
    assert parameters(fig4) == 578 + 1026 * 10
    assert parameters(fig5) == 60_000 + 100 + 1028 * 10
    assert parameters(region1) == 91_958


def test_smoothness_and_group_sparsity_against_loops():
    kernels = torch.from_numpy(np.random.default_rng(4).standard_normal((3, 2, 5, 7)))
    laplacian = np.array(penalties.LAPLACIAN)
    rough, group = 0.0, 0.0
    for kernel in kernels.numpy().reshape(-1, 5, 7):
        rough += (correlate(kernel, laplacian, mode="same") ** 2).sum() / (kernel**2).sum()
        group += np.sqrt((kernel**2).sum())
    assert np.isclose(float(penalties.smoothness(kernels)), rough)
    assert np.isclose(float(penalties.group_sparsity(kernels)), group)
    assert np.isclose(float(penalties.smoothness(7 * kernels)), rough)  # whatever the scale


def test_the_product_penalty_pays_for_no_trade_of_scale():
    network = _network(core={"layers": [{"kernel_px": 5, "maps": 2}]})
    chosen = Penalties(product_l1=0.3)
    before = network.penalty(chosen)
    with torch.no_grad():
        network.readout.mask.mul_(8)
        network.readout.weight.div_(8)
    assert torch.allclose(network.penalty(chosen), before)


@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_missing_responses_do_not_count(loss):
    network = _network(core={"layers": [{"kernel_px": 5}]}, loss=loss, output="softplus")
    generator = np.random.default_rng(5)
    response = torch.from_numpy(generator.uniform(0, 2, (6, 5)))
    prediction = torch.from_numpy(generator.uniform(0.1, 2, (6, 5)))
    whole = network.loss(response[:4], prediction[:4])
    response[4:] = torch.nan
    assert torch.allclose(network.loss(response, prediction), whole)


def test_a_known_kernel_is_kept():
    gaussians = [Gaussian(weight=1, sd_px=2**0.5), Gaussian(weight=-2, sd_px=8**0.5)]
    core = ConvolutionalCore(
        Core.model_validate({"layers": [{"kernel_px": 17}], "known": [g.model_dump() for g in gaussians]}), (1, 48, 48)
    )
    kernel = gaussian_kernel((17, 17), gaussians)
    assert not core.convolutions[0].weight.requires_grad
    assert torch.allclose(core.kernels()[0, 0], kernel, atol=2e-5)
    assert abs(float(kernel[8, 8])) == float(kernel.abs().max())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"readout": {"kind": "dense"}, "penalties": [{"weight_l1": 1}]}, "no penalty weight_l1"),
        ({"loss": "poisson"}, "positive"),
        ({"core": {"layers": []}}, "dense"),
        ({"core": {"layers": [{"maps": 2}], "known": [{"weight": 1, "sd_px": 1}]}}, "one map"),
        ({"preset": "fig6"}, "fig5"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        parse(Settings, wrong, "fit.shared")
