"""The networks: published parameter counts, the cell of the released weights, backbones and their weights."""

import hashlib
import re

import h5py
import numpy as np
import pooch
import pytest
import torch
from pydantic import ValidationError

from pellucid.errors import DataError, MissingError
from pellucid.systems.cortex.model import backbone, keras_gru
from pellucid.systems.cortex.model.network import Images, Linear, Recurrent, parameters
from pellucid.systems.cortex.model.settings import Backbone, Settings


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"cell": "keras_gru"}, 8001),  # Ajioka et al. 2024, reference code
        ({}, 8097),
        ({"preset": "image_cnn"}, 4_008_829),
        ({"preset": "image_cnn_gru"}, 4_649_470),
    ],
)
def test_parameter_counts_are_those_published(settings, count):
    made = Settings(**settings)
    network = Recurrent(50, made) if made.kind == "rnn" else Images(made, (128, 128))
    assert parameters(network) == count


def reference_gru(x, kernel, recurrent, bias, weight, offset):
    """Keras 2's GRU written out in numpy, gate by gate, for one window (lag, roi)."""
    units = recurrent.shape[0]
    w = {gate: kernel[:, i * units : (i + 1) * units] for i, gate in enumerate("zrh")}
    u = {gate: recurrent[:, i * units : (i + 1) * units] for i, gate in enumerate("zrh")}
    b = {gate: bias[i * units : (i + 1) * units] for i, gate in enumerate("zrh")}

    def hard(value):
        return np.minimum(np.maximum(0.2 * value + 0.5, 0), 1)

    h = np.zeros(units)
    for step in x:
        z = hard(step @ w["z"] + h @ u["z"] + b["z"])
        r = hard(step @ w["r"] + h @ u["r"] + b["r"])
        c = np.tanh(step @ w["h"] + (r * h) @ u["h"] + b["h"])
        h = z * h + (1 - z) * c
    return h @ weight[:, 0] + offset[0]


def keras_file(path, rois=7, units=5, nested=True, seed=0):
    """A file as Keras 2 writes it (`save`: below model_weights; `save_weights`: at the root) and its arrays."""
    rng = np.random.default_rng(seed)
    arrays = {
        "gru_1/gru_1/gru_cell/kernel:0": rng.normal(size=(rois, 3 * units)),
        "gru_1/gru_1/gru_cell/recurrent_kernel:0": rng.normal(size=(units, 3 * units)),
        "gru_1/gru_1/gru_cell/bias:0": rng.normal(size=3 * units),
        "dense_1/dense_1/kernel:0": rng.normal(size=(units, 1)),
        "dense_1/dense_1/bias:0": rng.normal(size=1),
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"model_weights/{name}" if nested else name] = array.astype(np.float32)
        if nested:
            file["optimizer_weights/training/Adam/gru_1/kernel/m:0"] = np.zeros((rois, 3 * units))
    return [array.astype(np.float32) for array in arrays.values()], hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("nested", [True, False])
def test_released_weights_give_the_outputs_of_kerass_cell(tmp_path, nested):
    arrays, digest = keras_file(tmp_path / "gru.h5", nested=nested)
    network = Recurrent(7, Settings(cell="keras_gru", units=5))
    found = keras_gru.released(tmp_path / "gru.h5", digest, 7, 5)
    network.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in found.items()})
    x = np.random.default_rng(1).uniform(size=(4, 31, 7)).astype(np.float32)
    with torch.inference_mode():
        output = network(torch.from_numpy(x)).numpy()
    expected = [reference_gru(one.astype(float), *arrays) for one in x]
    np.testing.assert_allclose(output, expected, atol=1e-5)  # float32 over 31 steps
    torchs = torch.nn.GRU(7, 5, batch_first=True)  # same kernels in torch's cell: another function
    with torch.inference_mode():
        order = np.r_[5:10, 0:5, 10:15]  # torch: r, z, n
        torchs.weight_ih_l0.copy_(torch.from_numpy(arrays[0].T[order]))
        torchs.weight_hh_l0.copy_(torch.from_numpy(arrays[1].T[order]))
        torchs.bias_ih_l0.copy_(torch.from_numpy(arrays[2][order]))
        torchs.bias_hh_l0.zero_()
        other = network.head(torchs(torch.from_numpy(x))[0][:, -1]).squeeze(-1).numpy()
    assert np.abs(other - output).max() > 1e-2


def test_other_files_than_the_released_one_are_refused(tmp_path):
    _, digest = keras_file(tmp_path / "gru.h5")
    with pytest.raises(MissingError, match="released weights"):
        keras_gru.released(tmp_path / "none.h5", digest, 7, 5)
    with pytest.raises(DataError, match="sha256"):
        keras_gru.released(tmp_path / "gru.h5", "0" * 64, 7, 5)
    with pytest.raises(DataError, match="weights"):
        keras_gru.released(tmp_path / "gru.h5", digest, 8, 5)
    (tmp_path / "text.h5").write_text("no HDF5")
    digest = hashlib.sha256((tmp_path / "text.h5").read_bytes()).hexdigest()
    with pytest.raises(DataError, match="Keras HDF5"):
        keras_gru.released(tmp_path / "text.h5", digest, 7, 5)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_a_bidirectional_cell_reads_the_last_state_of_either_direction(cell):
    torch.manual_seed(0)
    both = Recurrent(3, Settings(cell=cell, units=4, bidirectional=True))
    x = torch.randn(2, 9, 3)
    with torch.inference_mode():
        last = both.rnn(x)[1]
        last = last[0] if cell == "lstm" else last
        expected = both.head(torch.cat([last[0], last[1]], dim=-1)).squeeze(-1)
        torch.testing.assert_close(both(x), expected)


def test_the_linear_decoder_is_a_weighted_sum():
    network = Linear(3, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
        network.bias.fill_(0.5)
    assert network(torch.ones(1, 3, 2)).item() == 21.5


@pytest.mark.parametrize("shape", [(32, 32), (18, 14), (128, 96)])
def test_the_small_backbone_takes_any_size(shape):
    network = backbone.build(Backbone(), shape).eval()
    assert network(torch.zeros(2, 3, *shape)).shape == (2, network.size)
    assert network.size <= 16 * 15 * 15


def test_imagenet_weights_come_from_a_file_with_the_right_digest(tmp_path, monkeypatch):
    source = backbone.build(Backbone(kind="efficientnet_b0"), (32, 32))
    numbered = {}
    for name, value in source.network.state_dict().items():
        numbered[re.sub(r"(.+)\.\d+(\.\d+\..+)", r"\1\2", name)] = torch.full_like(value, 0.01)
    path = tmp_path / "weights.pth"
    torch.save(numbered, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(backbone, "IMAGENET", ("https://example.org/weights.pth", digest[:8]))
    network = backbone.build(Backbone(kind="efficientnet_b0"), (32, 32))
    asked = Backbone(kind="efficientnet_b0", imagenet="required", file=str(path))
    assert backbone.start(network, asked) == "ImageNet"
    assert all((value == 0.01).all() for name, value in network.network.state_dict().items() if "tracked" not in name)
    monkeypatch.setattr(backbone, "IMAGENET", ("https://example.org/weights.pth", "0" * 8))
    with pytest.raises(DataError, match="sha256"):
        backbone.start(network, asked)


def test_without_network_or_file_the_start_is_said_or_refused(monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", offline)
    monkeypatch.delenv("PELLUCID_DATA", raising=False)
    network = backbone.build(Backbone(kind="efficientnet_b0"), (32, 32))
    said = backbone.start(network, Backbone(kind="efficientnet_b0", imagenet="if_reachable"))
    assert said == "random (ImageNet weights were not reachable)"
    with pytest.raises(MissingError, match="imagenet: required"):
        backbone.start(network, Backbone(kind="efficientnet_b0", imagenet="required"))
    assert backbone.start(network, Backbone(kind="efficientnet_b0")) == "random"


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": "keras_gru", "layers": 2},
        {"kind": "cnn", "window_s": 0.5},
        {"kind": "cnn", "window_s": 0.0, "rois": ["1"]},
        {"backbone": {"frames": 2}},
        {"backbone": {"kind": "small", "imagenet": "required"}},
        {"released": {"file": "x.h5", "sha256": "0"}},
        {"swap": "shift", "target": "speed"},
        {"cel": "gru"},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("settings", [{}, {"cell": "keras_gru"}, {"preset": "small_cnn_gru"}])
def test_an_accelerator_gives_the_outputs_of_the_cpu(device, settings):
    if not (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()):
        pytest.skip(f"no {device} device on this machine")
    torch.manual_seed(0)
    made = Settings(**settings)
    network = (Recurrent(50, made) if made.kind == "rnn" else Images(made, (32, 32))).eval()
    x = torch.rand(6, 31, 50) if made.kind == "rnn" else torch.randn(6, 11, 3, 32, 32)
    with torch.inference_mode():
        expected = network(x)
        found = network.to(device)(x.to(device)).cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)  # float32 sums in another order
