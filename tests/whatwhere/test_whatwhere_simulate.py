"""Simulated populations: published fields and sizes of noise, responses that follow the truth, layouts to be read."""

import numpy as np
import pytest
from scipy.signal import correlate
from scipy.stats import multivariate_normal

from pellucid import store
from pellucid.config import parse
from pellucid.errors import ConfigError, DataError
from pellucid.stages.convert import convert
from pellucid.systems.whatwhere.simulate import fields, noise, stimuli, teacher
from pellucid.systems.whatwhere.simulate.scenarios import SCENARIOS, Linear, Nonlinear
from pellucid.systems.whatwhere.simulate.settings import Settings
from pellucid.systems.whatwhere.simulate.simulate import simulate

NORM = 0.1 * np.sqrt(np.pi / 2)


def run(folder, seed=0, **options):
    """Simulate; returns the truth, and the arrays of the layout `arrays` where there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    simulate(Settings.model_validate(options), seed, folder)
    truth = store.open_store(folder / "truth.zarr")["truth"].load()
    return truth, {path.stem: np.load(path) for path in folder.glob("*.npy")}


def slow_field(draws, scale, variation, centred, mean):
    """Return one field by the published recipe, pixel by pixel, with scipy's density."""
    factor = 1 - variation + 2 * variation * draws
    aspect, weight = factor[0], factor[4]
    c11, s11 = aspect * factor[1] * scale / 4, aspect * factor[2] * scale
    c22, s22 = c11 / aspect**2, s11 / aspect**2
    off = (0.6 * draws[3] - 0.3) * min(c11, c22) if variation > 0 else 0.0
    mu = np.zeros(2) if centred else draws[5:] - 0.5
    field = np.zeros((17, 17))
    for row in range(-8, 9):
        for column in range(-8, 9):
            centre = multivariate_normal.pdf([row, column], mu, 8 * np.array([[c11, off], [off, c22]]))
            surround = multivariate_normal.pdf([row, column], mu, 8 * np.array([[s11, off], [off, s22]]))
            field[row + 8, column + 8] = weight * (centre - 2 * weight * surround)
    return field * mean / (np.linalg.norm(field) * np.sqrt(2 / np.pi))


def test_homogeneous_population_has_the_published_sizes(tmp_path):
    truth, raw = run(tmp_path, neurons=200, images=4000, test_images=96, repeats=1)
    assert np.linalg.norm(truth["filter"].values, axis=(1, 2)) == pytest.approx(NORM, rel=1e-6)  # float32
    assert pytest.approx(0.12533, rel=1e-4) == NORM
    y = truth["response"].values.astype(float)
    # 819 200 values, each neuron's as good as independent: standard errors of .1 %, .2 % and .0002
    assert np.abs(y).mean() == pytest.approx(0.1, rel=0.005)
    assert y.var() == pytest.approx(0.015708, rel=0.01)
    assert np.mean((raw["responses"][0] - y) ** 2) == pytest.approx(0.1, abs=0.002)
    assert truth["filter"].values[0].sum() == pytest.approx(-0.98, abs=0.01)
    assert raw["images"].std() == pytest.approx(1, abs=0.001)  # 9 million pixels
    assert raw["images"].dtype == raw["responses"].dtype == np.float32


@pytest.mark.parametrize(("variation", "centred"), [(0.0, True), (0.05, False), (0.3, False)])
def test_fields_are_those_of_a_loop_over_pixels(variation, centred):
    population = Linear((0.6, 1.0, 1.4), variation, centred)
    draws = np.random.default_rng(1).random((3, 7))
    found = fields.centre_surround(population, np.arange(3), draws, 0.1)
    for neuron, scale in enumerate(population.type_scales):
        assert found[neuron] == pytest.approx(slow_field(draws[neuron], scale, variation, centred, 0.1), abs=1e-12)


def test_fields_tilt_either_way():
    draws = np.random.default_rng(2).random((200, 7))
    found = fields.centre_surround(Linear(variation=0.05), np.zeros(200, int), draws, 0.1)
    mass = np.maximum(found, 0) / np.maximum(found, 0).sum((1, 2), keepdims=True)
    line = np.arange(-8, 9)
    covariance = (mass * line[:, None] * line).sum((1, 2))
    # a covariance that is not symmetric would leave one sign of it, or none
    assert np.corrcoef(covariance, draws[:, 3])[0, 1] > 0.95


def test_published_homogeneous_field_is_a_difference_of_two_round_gaussians():
    field = fields.centre_surround(Linear(), np.zeros(1, int), np.full((1, 7), 0.9), 0.1)[0]
    square = np.arange(-8, 9)[:, None] ** 2 + np.arange(-8, 9) ** 2
    wanted = np.exp(-square / 4) / (4 * np.pi) - 2 * np.exp(-square / 16) / (16 * np.pi)
    assert field / field[8, 8] == pytest.approx(wanted / wanted[8, 8])


@pytest.mark.parametrize("scenario", ["homogeneous", "two_types"])
def test_responses_are_those_of_the_true_fields_in_rectangles(scenario, tmp_path):
    truth, raw = run(tmp_path, 3, scenario=scenario, size_px=(40, 52), neurons=20, images=150, test_images=10)
    images = raw["images"].astype(float)
    assert images.shape == (160, 40, 52)
    row, column = truth["row"].values, truth["column"].values
    for neuron in range(20):
        y = np.array([np.sum(image * truth["filter"].values[neuron]) for image in images])
        # float32 sums of 2080 products
        assert truth["response"].values[:, neuron] == pytest.approx(y, abs=1e-5)
        assert 1 - np.var(truth["response"].values[:, neuron] - y) / np.var(y) == pytest.approx(1, abs=1e-6)
    top, left = np.round(row - 8).astype(int), np.round(column - 8).astype(int)
    assert 0 <= top.min() < top.max() < 24
    assert 0 <= left.min() < left.max() < 36
    assert max(left) > 24  # wider than high
    for neuron, field in enumerate(truth["filter"].values):
        inside = field[top[neuron] : top[neuron] + 17, left[neuron] : left[neuron] + 17]
        assert np.sum(inside**2) == pytest.approx(np.sum(field**2))
        mu = np.array([row[neuron] - top[neuron] - 8, column[neuron] - left[neuron] - 8])
        assert np.abs(mu).max() <= 0.5
        peak = np.unravel_index(np.argmax(field), field.shape)
        assert np.abs(np.array(peak) - [row[neuron], column[neuron]]).max() < 0.6  # nearest pixel, or next by tilt
    assert (raw["row"] == row).all() == (scenario == "homogeneous")  # whole numbers, else rounded to float32
    assert raw["row"] == pytest.approx(row, rel=1e-6)
    assert raw["column"] == pytest.approx(column, rel=1e-6)


def test_types_and_off_cells(tmp_path):
    options = {"scenario": "two_types", "size_px": (20, 24), "neurons": 41, "images": 64, "test_images": 3}
    on, _ = run(tmp_path / "on", 4, **options)
    off, _ = run(tmp_path / "off", 4, **options, off_share=0.3)
    sign = off["sign"].values
    assert (off["type"].values == np.arange(41) % 2).all()
    for kind in (0, 1):
        assert (sign[off["type"].values == kind] == -1).sum() == 6  # .3 of 21 and of 20, rounded down
    assert (off["filter"].values == sign[:, None, None] * on["filter"].values).all()
    assert (off["response"].values == sign * on["response"].values).all()
    kernels = store.open_store(tmp_path / "on" / "truth.zarr")["kernels"]["kernel"].values
    assert kernels.shape == (2, 17, 17)
    for neuron, field in enumerate(on["filter"].values):
        top, left = (int(np.round(on[name].values[neuron])) - 8 for name in ("row", "column"))
        match = [
            np.corrcoef(field[top : top + 17, left : left + 17].ravel(), kernel.ravel())[0, 1] for kernel in kernels
        ]
        # up to half a pixel off and 5 % of variation, against a factor of 0.6 in variance
        assert match[neuron % 2] > 0.8


@pytest.mark.parametrize(
    ("kind", "counts", "wanted"), [("gaussian", 7.0, 1.0), ("poisson", 2.0, 0.5), ("none", 1.0, 0)]
)
def test_variance_of_noise_follows_the_mean(kind, counts, wanted, tmp_path):
    mean = np.array([[0.0, 0.1, 0.5, 2.0], [1.0, 0.2, 0.3, 4.0]]) * (1 if kind == "poisson" else -1)
    draws = noise.presentations(mean, 20000, kind, counts, np.random.SeedSequence(5))
    block = np.concatenate(list(draws), axis=1)
    assert block.shape == (20000, 2, 4)
    # 20 000 draws: standard errors of 1 % of a variance (Poisson: 2 % for few counts), and 5 of them
    assert block.var(0) == pytest.approx(wanted * np.abs(mean), rel=0.1)
    assert block.mean(0) == pytest.approx(mean, abs=5 * np.sqrt(4 / 20000))
    if kind == "poisson":
        assert (block * counts == np.round(block * counts)).all()


def test_noise_in_files_is_the_settings(tmp_path):
    truth, raw = run(tmp_path, 6, neurons=50, images=400, test_images=100, repeats=3)
    y, responses = truth["response"].values, raw["responses"]
    assert responses.shape == (3, 500, 50)
    assert (raw["set"] == np.repeat(["train", "test"], [400, 100])).all()
    assert np.isnan(responses[1:, :400]).all()
    assert not np.isnan(responses[0]).any()
    assert not np.isnan(responses[:, 400:]).any()
    score = (responses - y) / np.sqrt(np.abs(y))
    shown = score[np.isfinite(score)]
    # 35 000 normal deviates: standard errors .005 and .004
    assert shown.mean() == pytest.approx(0, abs=0.03)
    assert shown.std() == pytest.approx(1, abs=0.03)
    assert np.abs(np.corrcoef(score[:, 400:].reshape(3, -1)) - np.eye(3)).max() < 0.08  # repeats: 5 000 each
    truth, raw = run(tmp_path / "none", 6, neurons=5, images=40, test_images=10, noise="none")
    assert (raw["responses"][0] == truth["response"].values).all()


def test_coloured_images_have_their_spectrum_variance_and_colours():
    images = stimuli.coloured(400, 3, (36, 44), np.random.default_rng(7)).astype(float)
    assert images.shape == (400, 3, 36, 44)
    assert np.abs(images.mean((2, 3))).max() < 1e-5
    # low frequencies make up most of the variance, so that 400 images are few
    assert images.var() == pytest.approx(1, abs=0.06)
    planes = np.corrcoef(images.transpose(1, 0, 2, 3).reshape(3, -1))
    assert planes[np.triu_indices(3, 1)] == pytest.approx(0.7, abs=0.06)
    window = np.hanning(36)[:, None] * np.hanning(44)
    power = (np.abs(np.fft.fft2(images * window)) ** 2).mean((0, 1))
    frequency = np.hypot(np.fft.fftfreq(36)[:, None], np.fft.fftfreq(44))
    band = (frequency > 0.1) & (frequency < 0.45)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    # the window's leakage flattens or steepens by a tenth
    assert slope == pytest.approx(-2, abs=0.2)


def test_images_do_not_depend_on_blocks_or_numbers(monkeypatch):
    for name in SCENARIOS:
        row = Settings(scenario=name).row()
        whole = np.concatenate(list(stimuli.blocks(row, 11, np.random.default_rng(8))))
        with monkeypatch.context() as patch:
            patch.setattr(stimuli, "BLOCK_CELLS", 8000)
            parts = list(stimuli.blocks(row, 7, np.random.default_rng(8)))
        assert len(parts) > 1
        assert (np.concatenate(parts) == whole[:7]).all()


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_noise_does_not_depend_on_blocks_or_neurons(kind, monkeypatch):
    mean = np.random.default_rng(21).uniform(0, 40, (23, 3))  # Poisson draws on both sides of 10, two algorithms
    whole = np.concatenate(list(noise.presentations(mean, 4, kind, 2.0, np.random.SeedSequence(22))), axis=1)
    monkeypatch.setattr(noise, "BLOCK_CELLS", 50)
    parts = list(noise.presentations(mean[:20, :2], 4, kind, 2.0, np.random.SeedSequence(22)))
    assert len(parts) > 2
    assert (np.concatenate(parts, axis=1) == whole[:, :20, :2]).all()


def test_more_neurons_and_images_leave_the_first_as_they_are(tmp_path):
    options = {"scenario": "two_types", "size_px": (22, 19)}
    small, few = run(tmp_path / "few", 9, **options, neurons=4, images=30, test_images=5)
    large, many = run(tmp_path / "many", 9, **options, neurons=9, images=50, test_images=8)
    assert (few["images"][:30] == many["images"][:30]).all()
    assert (few["images"][30:] == many["images"][50:55]).all()
    assert (small["filter"].values == large["filter"].values[:4]).all()
    # matrix products of different sizes may round differently
    assert few["responses"][0, :30] == pytest.approx(many["responses"][0, :30, :4], abs=1e-5)
    assert few["responses"][:, 30:] == pytest.approx(many["responses"][:, 50:55, :4], abs=1e-5)


def test_teacher_is_two_rectified_layers():
    network = teacher.build(Nonlinear(3), 3, (20, 23), np.random.default_rng(10))
    image = stimuli.coloured(2, 3, (20, 23), np.random.default_rng(11)).astype(float)
    maps = network.maps(image)
    assert maps.shape == (2, 3, 8, 11)
    first, second = network.layers
    for shown in range(2):
        hidden = [
            np.maximum(sum(correlate(image[shown, c], kernel[c], "valid") for c in range(3)) - threshold, 0)
            for kernel, threshold in zip(first.kernel, first.threshold, strict=True)
        ]
        assert np.abs(first.kernel.sum((2, 3))).max() < 1e-10
        for kind in range(3):
            drive = sum(correlate(hidden[m], second.kernel[kind, m], "valid") for m in range(8))
            # float32; drives are of order 100
            assert maps[shown, kind] == pytest.approx(np.maximum(drive - second.threshold[kind], 0), abs=1e-3)


def test_mixed_types_are_a_third_rectified_layer():
    plain = teacher.build(Nonlinear(4), 3, (20, 20), np.random.default_rng(12))
    mixed = teacher.build(Nonlinear(4, mixed=True), 3, (20, 20), np.random.default_rng(12))
    images = stimuli.coloured(3, 3, (20, 20), np.random.default_rng(13))
    weights = mixed.layers[2].kernel[:, :, 0, 0]
    drive = np.einsum("tm,nmhw->nthw", weights, plain.maps(images))
    wanted = np.maximum(drive - mixed.layers[2].threshold[:, None, None], 0)
    assert mixed.maps(images) == pytest.approx(wanted, abs=1e-4)
    spread = weights * plain.maps(stimuli.coloured(300, 3, (20, 20), np.random.default_rng(14))).std((0, 2, 3))
    # a rotation of maps of unit variance, whose s.d. 300 images give to some per cent
    assert spread @ spread.T == pytest.approx(np.eye(4), abs=0.2)
    assert (np.abs(weights).max(axis=1) < 0.99 * np.abs(weights).sum(axis=1)).all()


def test_nonlinear_types_are_sparse_distinct_and_not_linear():
    network = teacher.build(Nonlinear(16), 3, (44, 44), np.random.default_rng(15))
    images = stimuli.coloured(1000, 3, (44, 44), np.random.default_rng(16))
    ends = (slice(0, 13), slice(31, 44))
    patches = np.concatenate([images[:, :, rows, columns] for rows in ends for columns in ends])
    y = network.maps(patches)[:, :, 0, 0].astype(float)
    assert (y > 0).mean(0).min() > 0.2
    assert (y > 0).mean(0).max() < 0.6
    assert np.abs(np.corrcoef(y.T) - np.eye(16)).max() < 0.45
    x = np.asarray(patches.reshape(4000, -1), float)
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(507), x.T @ (y - y.mean(0)))
    explained = 1 - np.var(y - x @ weights, axis=0) / y.var(0)  # on the data it was fitted to: too high if anything
    assert explained.max() < 0.65
    four = teacher.build(Nonlinear(4), 3, (44, 44), np.random.default_rng(15))
    assert (four.layers[1].kernel == network.layers[1].kernel[:4]).all()


def test_nonlinear_neurons_are_units_of_the_teacher(tmp_path):
    options = {"scenario": "nonlinear", "types": 3, "neurons": 10, "images": 40, "test_images": 4, "size_px": (16, 21)}
    truth, raw = run(tmp_path, 17, **options)
    assert raw["images"].shape == (44, 3, 16, 21)
    assert (truth["type"].values == np.arange(10) % 3).all()
    tree = store.open_store(tmp_path / "truth.zarr")["teacher"]
    layers = [
        teacher.Layer(tree[name]["kernel"].values, tree[name]["threshold"].values) for name in ("layer1", "layer2")
    ]
    maps = teacher.Teacher(tuple(layers)).maps(raw["images"])
    y = truth["response"].values
    assert y[:40].mean(0) == pytest.approx(0.1)
    for neuron in range(10):
        row, column = (int(raw[name][neuron]) - 6 for name in ("row", "column"))
        unit = maps[:, neuron % 3, row, column]
        assert y[:, neuron] == pytest.approx(0.1 * unit / unit[:40].mean(), rel=1e-4, abs=1e-6)


def test_gabors_are_in_quadrature_and_turn():
    pairs = fields.gabors(4)
    assert pairs.sum((2, 3)) == pytest.approx(0, abs=1e-12)
    assert (pairs[:, 0] * pairs[:, 1]).sum((1, 2)) == pytest.approx(0, abs=1e-12)
    assert pairs[2] == pytest.approx(pairs[0].transpose(0, 2, 1))
    line = np.arange(-8, 9)
    # type 0 varies along columns, 0.18 cycles per px under a Gaussian of s.d. 2.5 px
    odd = np.exp(-(line**2) / 12.5)[:, None] * np.exp(-(line**2) / 12.5) * np.sin(2 * np.pi * 0.18 * line)
    assert pairs[0, 1] == pytest.approx(odd)
    spectrum = np.abs(np.fft.fft2(pairs[1, 0], (64, 64)))[:32, :]
    peak = np.unravel_index(np.argmax(spectrum), spectrum.shape)
    assert peak[0] == pytest.approx(peak[1] if peak[1] < 32 else 64 - peak[1], abs=1)  # 45 degrees


def test_energy_units_have_no_information_in_their_average(tmp_path):
    options = {"scenario": "phase_invariant", "images": 3000, "test_images": 2, "size_px": (25, 29), "neurons": 8}
    truth, raw = run(tmp_path, 18, **options, repeats=1)
    images, y = raw["images"][:3000].astype(float), truth["response"].values.astype(float)
    assert y[:3000].mean(0) == pytest.approx(1, abs=1e-5)
    assert raw["row"].max() <= 16
    assert raw["column"].max() <= 20
    pairs = fields.gabors(4)
    reach = np.arange(17) - 8
    for neuron in range(8):
        rows, columns = int(raw["row"][neuron]) + reach, int(raw["column"][neuron]) + reach
        patch = images[:, rows[:, None], columns]
        even, odd = np.einsum("nhw,fhw->fn", patch, pairs[neuron % 4])
        energy = np.sqrt(even**2 + odd**2)
        unit = y[:3000, neuron]
        assert unit == pytest.approx(energy / energy.mean(), rel=1e-3, abs=1e-4)
        x = patch.reshape(3000, -1)[:, ::2]
        weights = np.linalg.solve(x[:1500].T @ x[:1500] + 30 * np.eye(x.shape[1]), x[:1500].T @ (unit[:1500] - 1))
        # 1500 test images: standard error .026; the whitened average of one half says nothing about the other
        assert abs(np.corrcoef(x[1500:] @ weights, unit[1500:])[0, 1]) < 0.13
    counts = raw["responses"][0] * 2
    assert (counts == np.round(counts)).all()
    assert np.var(raw["responses"][0, :3000] - y[:3000]) == pytest.approx(0.5, rel=0.05)  # variance y / 2, mean y 1


def test_antolik_layout_is_that_of_the_public_files(tmp_path):
    options = {"scenario": "phase_invariant", "layout": "antolik", "images": 60, "test_images": 7, "repeats": 4}
    truth, arrays = run(tmp_path, 19, **options, neurons=5)
    assert not arrays
    place = tmp_path / "Data" / "region1"
    assert (tmp_path / "Data" / "README").read_text()
    files = {path.stem: np.load(path) for path in place.glob("*.npy")}
    assert {name: array.shape for name, array in files.items()} == {
        "training_inputs": (60, 961),
        "training_set": (60, 5),
        "validation_inputs": (7, 961),
        "validation_set": (7, 5),
        "raw_validation_set": (4, 7, 5),
    }
    assert all(array.dtype == np.float64 and array.flags.c_contiguous for array in files.values())
    assert (files["validation_set"] == files["raw_validation_set"].mean(0)).all()
    assert (files["training_set"] >= 0).all()
    grey = files["training_inputs"] * 1e6
    assert np.abs(grey - np.round(grey)).max() < 1e-9
    assert grey.min() >= 0
    assert grey.max() <= 255
    even, odd = fields.gabors(4)[2]
    top, left = int(truth["row"].values[2]) - 8, int(truth["column"].values[2]) - 8
    patch = files["training_inputs"].reshape(60, 31, 31)[:, top : top + 17, left : left + 17]
    energy = np.hypot(np.einsum("nhw,hw->n", patch, even), np.einsum("nhw,hw->n", patch, odd))
    # neurons respond to the grey levels of the file, whose mean the filters do not see
    assert truth["response"].values[:60, 2] == pytest.approx(energy / energy.mean(), rel=1e-4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_seed_gives_every_byte(name, tmp_path):
    options = {"scenario": name, "images": 12, "test_images": 3, "neurons": 4, "size_px": (20, 18)}
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(tmp_path / folder, seed, **options)
    digests = [store.digest(tmp_path / folder) for folder in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_arrays_are_converted_to_a_recording(tmp_path):
    truth, raw = run(tmp_path / "raw", 20, neurons=3, images=9, test_images=4, repeats=2, size_px=(18, 25))
    stimulus = {"images": {"dims": ["image", "height", "width"]}, "set": {"dims": ["image"]}}
    responses = {
        "responses": {"dims": ["repeat", "image", "neuron"]},
        "row": {"dims": ["neuron"], "units": "px"},
        "column": {"dims": ["neuron"], "units": "px"},
    }
    options = {"groups": {"stimulus": {"variables": stimulus}, "responses": {"variables": responses}}}
    block = {"dataset": "d", "subject": "s", "raw": "raw", "reader": "numpy", "options": options}
    convert("r", block, [tmp_path / "raw"], tmp_path / "r.zarr")
    recording = store.open_store(tmp_path / "r.zarr", kind="recording")
    assert (recording["stimulus"]["images"].values == raw["images"]).all()
    assert list(recording["stimulus"]["set"].values) == ["train"] * 9 + ["test"] * 4
    assert np.array_equal(recording["responses"]["responses"].values, raw["responses"], equal_nan=True)
    assert recording["responses"]["column"].values == pytest.approx(truth["column"].values)


def test_a_neuron_that_never_responds_is_refused(tmp_path):
    with pytest.raises(DataError, match="response to some training image"):
        run(tmp_path, scenario="nonlinear", neurons=40, images=1, test_images=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenario": "homogeneous", "types": 2}, "no types"),
        ({"scenario": "nonlinear", "off_share": 0.5, "variation": 0.1}, "no off_share, variation"),
        ({"scenario": "homogeneous", "noise": "poisson"}, "can be negative"),
        ({"scenario": "two_types", "size_px": [16, 48]}, "at least 17"),
        ({"scenario": "nonlinear", "size_px": [12, 48]}, "at least 13"),
        ({"scenario": "two_types", "type_scales": [1, 0]}, "type_scales above 0"),
        ({"scenario": "two_types", "layout": "antolik"}, "no negative response"),
        ({"scenario": "nonlinear", "layout": "antolik", "noise": "none"}, "grey images"),
        ({"scenario": "phase_invariant", "layout": "antolik", "noise": "gaussian"}, "poisson or none"),
        ({"scenario": "phase_invariant", "layout": "antolik", "size_px": [20, 24]}, "square size_px"),
        ({"scenario": "homogenous"}, "Did you mean 'homogeneous'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        parse(Settings, options, "simulate.x.options")
