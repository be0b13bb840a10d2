"""The published network: exact sizes, receptive fields, padding, losses."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from pellucid.systems.deepinsight.model import scan
from pellucid.systems.deepinsight.model.losses import terms
from pellucid.systems.deepinsight.model.network import (
    DeepInsight,
    SharedConvolution,
    last_outputs,
    parameters,
    same_padding,
)

PUBLISHED = {"filters": 64, "merge_filters": 128, "units": 1024}
SMALL = {"filters": 6, "merge_filters": 8, "units": 10}


def random_network(channels, bands, outputs, seed=0, **sizes):
    torch.manual_seed(seed)
    network = DeepInsight(channels, bands, outputs, **(sizes or SMALL)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize(
    ("channels", "outputs", "count"),
    [
        (128, {"position": 2, "head_direction": 1, "speed": 1}, 5_168_964),
        (125, {"position": 2, "head_direction": 1, "speed": 1}, 5_168_964),
        (128, {"position": 2}, 2_017_090),
    ],
)
def test_parameter_counts_are_the_published_ones(channels, outputs, count):
    assert parameters(DeepInsight(channels, 26, outputs, **PUBLISHED)) == count


def test_outputs_see_the_published_rows():
    network = random_network(2, 26, {"position": 2})
    x = torch.rand(1, 2, 64, 26, requires_grad=True)
    predicted = network(x)["position"]
    seen = []
    for time in range(4):
        (gradient,) = torch.autograd.grad(predicted[0, time].sum(), x, retain_graph=True)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().ravel()
        seen.append((int(rows.min()), int(rows.max())))
    assert seen == [(0, 60), (0, 63), (2, 63), (18, 63)]


@pytest.mark.parametrize(
    ("length", "stride", "padding"), [(64, 2, (0, 1)), (13, 2, (1, 1)), (64, 1, (1, 1)), (1, 2, (1, 1)), (1, 1, (1, 1))]
)
def test_padding_is_tensorflows(length, stride, padding):
    assert same_padding(length, stride) == padding
    assert (length + sum(padding) - 3) // stride + 1 == -(-length // stride)


@pytest.mark.parametrize("stride", [(2, 1), (1, 2)])
@pytest.mark.parametrize("shape", [(8, 1), (7, 5), (1, 1), (6, 4)])
def test_layer_equals_explicit_padding(stride, shape):
    layer, x = SharedConvolution(2, 3, stride), torch.rand(4, 2, *shape)
    (t0, t1), (f0, f1) = (same_padding(n, s) for n, s in zip(shape, stride))
    kernel = layer.convolution
    expected = functional.elu(
        functional.conv2d(functional.pad(x, (f0, f1, t0, t1)), kernel.weight, kernel.bias, stride)
    )
    assert torch.allclose(layer(x), expected, atol=1e-6)  # float32, other order of sums


@pytest.mark.parametrize(("channels", "bands", "rows"), [(1, 5, 16), (2, 7, 32), (5, 16, 64), (9, 1, 1), (685, 3, 16)])
def test_any_number_of_channels_and_bands_is_accepted(channels, bands, rows):
    predicted = random_network(channels, bands, {"a": 2, "b": 1})(torch.rand(3, channels, rows, bands))
    assert predicted["a"].shape == (3, max(1, rows // 16), 2)
    assert predicted["b"].shape == (3, max(1, rows // 16), 1)


def test_channels_share_their_weights_and_merge_in_order():
    network = random_network(4, 8, {"a": 1})
    x = torch.rand(2, 4, 16, 8)
    code = network.encode(x)
    assert torch.allclose(network.encode(x[:, [2, 0, 3, 1]]), code[:, [2, 0, 3, 1]], atol=1e-6)
    assert not torch.allclose(network(x[:, [2, 0, 3, 1]])["a"], network(x)["a"], atol=1e-4)


def test_batch_equals_singles():
    network, x = random_network(3, 8, {"a": 2}), torch.rand(5, 3, 32, 8)
    singles = torch.cat([network(one[None])["a"] for one in x])
    assert torch.allclose(network(x)["a"], singles, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "error", "expected"),
    [
        ("squared", [[3.0, -1.0]], [[9.0, 1.0]]),
        ("absolute", [[3.0, -1.0]], [[3.0, 1.0]]),
        ("euclidean", [[3.0, -4.0]], [[5.0]]),
        ("cyclic", [[2 * np.pi - 0.1]], [[0.1]]),
        ("cyclic", [[-2 * np.pi + 0.3]], [[0.3]]),
    ],
)
def test_losses_by_hand(loss, error, expected):
    assert terms(torch.tensor(error), loss).numpy() == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("channels", "bands", "window", "rows", "step"),
    [
        (3, 7, 64, 150, 1),
        (5, 16, 48, 130, 2),
        (2, 26, 128, 300, 4),
        (9, 13, 64, 500, 8),
        (3, 5, 64, 900, 32),
        (3, 6, 80, 400, 3),
        (3, 1, 16, 60, 1),
        (4, 1, 1, 30, 1),
        (2, 3, 32, 90, 5),
        (2, 33, 64, 110, 4),
        (1, 47, 64, 100, 8),
    ],
)
def test_scan_equals_the_network_window_by_window(channels, bands, window, rows, step):
    """Shared activations and partial recomputation change nothing: float32, eight layers deep, 1e-5."""
    network, power = random_network(channels, bands, {"a": 2, "b": 1}), torch.randn(rows, bands, channels)
    ends = np.arange(window + 2, rows, step)
    ends = ends[ends % 7 != 3] if step == 1 else ends
    shuffled = power[torch.randperm(rows)]
    some = sorted({0, channels - 1})
    variants = [scan.Variant((f, f + 1), None, shuffled[:, f : f + 1]) for f in range(bands)]
    variants += [scan.Variant((0, bands), [c], shuffled[:, :, [c]]) for c in range(channels)]
    variants += [scan.Variant((bands // 2, bands), some, shuffled[:, bands // 2 :][:, :, some])]
    found = scan.predict(network, power, ends, window, variants)
    changed = [power]
    for variant in variants:
        other = power.clone()
        for position, channel in enumerate(range(channels) if variant.channels is None else variant.channels):
            other[:, slice(*variant.bands), channel] = variant.power[:, :, position]
        changed.append(other)
    with torch.inference_mode():
        for number, one in enumerate(changed):
            windows = torch.stack([one[e - window + 1 : e + 1] for e in ends]).permute(0, 3, 1, 2)
            assert torch.allclose(found[number], last_outputs(network(windows)), atol=1e-5), f"variant {number}"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_devices_agree(device):
    available = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if not available:
        pytest.skip(f"no {device} device on this machine")
    network, power = random_network(3, 8, {"a": 2}), torch.randn(100, 8, 3)
    ends = np.arange(63, 100)
    here = scan.predict(network, power, ends, 64)
    there = scan.predict(network.to(device), power.to(device), ends, 64).cpu()
    assert torch.allclose(here, there, atol=1e-3)  # TF32 convolutions


def test_gradients_are_right_in_float64():
    network = random_network(3, 4, {"a": 1}).double()
    x = torch.rand(1, 3, 16, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x)["a"], x)
