"""Where cells are: reverse correlation against a loop, centres of planted fields, and where readouts look."""

import numpy as np
import pytest
import torch

from pellucid.systems.retina.model import location
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.settings import Settings
from pellucid.systems.retina.model.sta import sta

CONVGC = Settings.model_validate({"preset": "convgc"})


def test_reverse_correlation_is_the_average_before_a_spike():
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((60, 3, 4)).astype(np.float32)
    response = rng.poisson(1.5, (40, 2)).astype(float)
    response[5, 1] = np.nan
    rows = np.arange(15, 55)
    found = sta(frames, rows, response, history=4, lag=2)
    for cell in range(2):
        known = np.isfinite(response[:, cell])
        y = response[known, cell]
        windows = np.stack([frames[row - 2 - 3 : row - 2 + 1] for row in rows[known]])
        expected = np.tensordot(y - y.mean(), windows, 1) / y.sum()
        np.testing.assert_allclose(found[cell], expected, atol=1e-6)  # single precision


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_planted_delay_is_found_at_its_frame(lag):
    rng = np.random.default_rng(lag)
    frames = rng.standard_normal((4000, 5, 6)).astype(np.float32)
    rows = np.arange(20, 4000)
    drive = frames[rows - 7, 3, 1]  # seven frames before the response
    found = sta(frames, rows, np.maximum(drive, 0)[:, None], history=10, lag=lag)
    step, row, column = np.unravel_index(np.abs(found[0]).argmax(), found.shape[1:])
    assert (10 - 1 - step) + lag == 7
    assert (row, column) == (3, 1)


def test_centres_of_planted_fields_are_found():
    yy, xx = np.mgrid[:20, :31]
    wanted = np.array([[4.3, 25.0], [11.0, 8.6], [15.7, 16.2]])
    time = np.array([0.1, -0.4, 1.0, 0.3])
    space = np.stack([np.exp(-((yy - r) ** 2 + (xx - c) ** 2) / 8) for r, c in wanted])
    noise = np.random.default_rng(0).standard_normal((3, 4, 20, 31))
    average = time[None, :, None, None] * space[:, None] + 0.02 * noise
    found = location.centres(average)
    assert np.abs(found - wanted).max() < 0.5  # half a pixel


def test_readouts_look_at_the_centre_of_the_receptive_field():
    wanted = np.array([[21.0, 18.0], [24.0, 20.0], [25.0, 25.0], [19.0, 3.0], [37.0, 3.0]])
    found = location.places(wanted, CONVGC.layers, (11, 11), (26, 26))
    middle = found.corners + 17  # 7 + 5 + 5 px of kernels of 15, 11 and 11 px
    assert (middle[:3] == wanted[:3]).all()
    assert found.clamped.tolist() == [False, False, False, True, True]
    assert found.corners[3].tolist() == [2, 0]
    assert len({tuple(corner) for corner in found.corners}) == 5  # not one place for all cells


def test_the_middle_of_what_a_located_cell_sees_is_its_centre():
    settings = Settings.model_validate(
        {"history": 2, "layers": [{"channels": 2, "kernel_px": [5, 3]}, {"channels": 2, "kernel_px": [3, 3]}],
         "readout": {"kernel_px": [3, 5]}, "norm": {"positive": False}}
    )  # fmt: skip
    shape = (15, 19)
    torch.manual_seed(0)
    centre = np.array([[7.0, 9.0], [5.0, 12.0]])
    maps = Network(settings, shape, [(0, 0)]).sizes[-1]
    found = location.places(centre, settings.layers, settings.readout.kernel_px, maps)
    network = Network(settings, shape, [tuple(map(int, corner)) for corner in found.corners]).eval()
    seen = np.zeros((2, *shape))
    for _ in range(20):
        x = torch.randn(1, 2, *shape, requires_grad=True)
        rates = network(x)
        for cell in range(2):
            (gradient,) = torch.autograd.grad(rates[0, cell], x, retain_graph=True)
            seen[cell] += gradient.abs().sum((0, 1)).numpy()
    for cell in range(2):
        rows, columns = np.nonzero(seen[cell])
        assert (rows.min() + rows.max()) / 2 == centre[cell, 0]
        assert (columns.min() + columns.max()) / 2 == centre[cell, 1]


def test_an_average_without_structure_gives_a_place_inside_the_image():
    found = location.centres(np.zeros((1, 3, 6, 7)))
    assert (found >= 0).all()
    assert (found[0] < [6, 7]).all()
    assert location.centres(np.ones((1, 3, 1, 1))).tolist() == [[0.0, 0.0]]
