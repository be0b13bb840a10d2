"""Positions, bar codes, types, fields and their checks, on networks whose answers are known by hand."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from captum.attr import IntegratedGradients
from safetensors.numpy import save_file
from sklearn.metrics import adjusted_rand_score

from pellucid import store
from pellucid.artifacts import Features, Fit, Fold
from pellucid.errors import DataError
from pellucid.learning import loop
from pellucid.systems.whatwhere.attribute import faithfulness, gradients, null, types, what, where
from pellucid.systems.whatwhere.attribute.attribute import attribute
from pellucid.systems.whatwhere.attribute.exciting import exciting
from pellucid.systems.whatwhere.attribute.kernels import paired
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model.network import Network, Start
from pellucid.systems.whatwhere.model.restore import restore
from pellucid.systems.whatwhere.model.settings import Settings as ModelSettings

ONE, PX = {"units": "1"}, {"units": "px"}
IMAGE = (1, 12, 15)  # channel, height, width
KERNEL = (3, 5)
MAP = (10, 11)
OFFSET = (1, 2)  # px from a pixel of the map to that of the image

LINEAR = {"core": {"layers": [{"kernel_px": KERNEL, "maps": 2}], "normalisation": "unit"}}
DEEP = {
    "core": {
        "layers": [
            {"kernel_px": KERNEL, "maps": 3, "activation": "softplus"},
            {"kernel_px": 3, "maps": 2, "padding": "same", "activation": "elu"},
        ],
        "normalisation": "none",
        "initial_sd": 0.3,
    },
    "output": "softplus",
    "bias": True,
}


def network(settings, neurons, seed=0, image=IMAGE):
    """A network with masks of several pixels and dense weights."""
    torch.manual_seed(seed)
    made = Network(ModelSettings.model_validate(settings), image, Start.blank(neurons))
    with torch.no_grad():
        for name, value in made.readout.named_parameters():
            value.copy_(torch.randn(value.shape) * (0.2 if name == "mask" else 1))
    return made.eval()


def planted(kinds, places, seed=0, size=2.0):
    """A linear network whose neurons read one pixel of one of two maps: masks of one pixel, weights of one feature."""
    made = network(LINEAR, len(kinds), seed)
    with torch.no_grad():
        made.readout.mask.zero_()
        made.readout.weight.zero_()
        for neuron, (kind, (row, column)) in enumerate(zip(kinds, places)):
            made.readout.mask[neuron, row, column] = size
            made.readout.weight[neuron, kind] = 0.5
    return made


def features(images, responses, folds=1, position=None):
    """Features of one recording: the last third of the images tests."""
    count, neurons = len(images), responses.shape[-1]
    place = np.full((neurons, 2), np.nan) if position is None else position
    variables = {
        "images": (("image", "feature", "height", "width"), images.astype(np.float32), ONE),
        "responses": (("repeat", "image", "neuron"), responses.astype(np.float32), ONE),
        "row": ("neuron", place[:, 0], PX),
        "column": ("neuron", place[:, 1], PX),
    }
    names = np.array([f"cell{i}" for i in range(neurons)], object)
    said = json.dumps({"crop_origin_px": [0, 0], "downsample": 1, "invert": False, "pixels": "pixel"})
    group = xr.Dataset(variables, {"neuron": names}, {"processing": said})
    cut = [count // 2, count * 2 // 3, count]
    fold = Fold({"one": [(0, cut[0])]}, {"one": [(cut[0], cut[1])]}, {"one": [(cut[1], cut[2])]})
    flat = {
        name: np.full((folds, *images.shape[1:]), value) for name, value in (("pixel_mean", 0.0), ("pixel_sd", 1.0))
    }
    statistics = {
        name: xr.DataArray(value, dims=("fold", "feature", "height", "width")) for name, value in flat.items()
    }
    for name, values in (("response_mean", responses.mean((0, 1))), ("response_sd", responses.std((0, 1)))):
        statistics[name] = xr.DataArray(np.tile(values, (folds, 1)), dims=("fold", "neuron"))
    return Features({"one": xr.DataTree.from_dict({"/features": group})}, [fold] * folds, statistics)


def saved(folder, made, *, model="main", fold=0, seed=0, neurons=None, validation=1.0, settings=LINEAR, choice=None):
    """A fit as the next stage reads it."""
    folder = folder / f"{model}-{fold}-{seed}"
    folder.mkdir(parents=True)
    count = len(made.readout.weight)
    weights = {f"0.{name}": value for name, value in loop.arrays(made).items()}
    weights["choice"] = np.zeros(count, np.int64) if choice is None else choice
    weights |= {"mean": np.zeros(count, np.float32), "neurons": np.arange(count) if neurons is None else neurons}
    save_file(weights, folder / "weights.safetensors")
    said = ModelSettings.model_validate(settings).model_dump(mode="json")
    return Fit(model, fold, seed, said, {"validation": validation}, folder)


def noise_images(count=90, seed=1):
    return np.random.default_rng(seed).standard_normal((count, *IMAGE)).astype(np.float32)


def fitted(folder, made, settings=LINEAR, **options):
    images = noise_images(12)
    data = features(images, np.zeros((1, 12, len(made.readout.weight))))
    return restore(saved(folder, made, settings=settings, **options), data)


# ---- gradients ----


def test_gradients_of_a_linear_network_are_its_filters_and_the_placed_kernels(tmp_path):
    places = [(0, 0), (4, 7), (9, 10)]
    one = fitted(tmp_path, planted([0, 1, 1], places))
    found = gradients.mean_gradients(one, np.arange(3), noise_images(5))
    np.testing.assert_allclose(found, one.filters(), atol=1e-6)  # float32, and filters by FFT
    by_hand = np.zeros((3, *IMAGE))
    for neuron, (kind, (row, column)) in enumerate(zip([0, 1, 1], places)):
        by_hand[neuron, :, row : row + KERNEL[0], column : column + KERNEL[1]] = one.kernels()[kind]  # 2 times .5
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_gradients_of_some_neurons_agree_with_finite_differences(tmp_path):
    one = fitted(tmp_path, network(DEEP, 5), DEEP)
    rows, image = np.array([1, 4]), noise_images(1)
    found = gradients.mean_gradients(one, rows, image)
    step = 1e-2
    for place in [(0, 0, 0), (0, 5, 7), (0, 11, 14), (0, 3, 2)]:
        moved = np.repeat(image, 2, axis=0)
        moved[0][place] += step
        moved[1][place] -= step
        up, down = one.predict(moved)[:, rows]
        # central differences: error of order step^2 times third derivatives, and float32 over the step
        np.testing.assert_allclose(found[(slice(None), *place)], (up - down) / (2 * step), atol=2e-3)
    with torch.no_grad():
        own = gradients.respond(one.parts[0], rows, torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(own, one.predict(image)[:, rows], rtol=1e-5)


def test_averages_over_more_images_than_are_differentiated_at_once(tmp_path):
    one = fitted(tmp_path, network(DEEP, 2), DEEP)
    images = noise_images(150)
    parts = [gradients.mean_gradients(one, np.arange(2), images[i : i + 50]) for i in (0, 50, 100)]
    np.testing.assert_allclose(gradients.mean_gradients(one, np.arange(2), images), np.mean(parts, 0), atol=1e-6)


def test_a_neuron_that_answers_its_mean_has_no_gradient(tmp_path):
    one = fitted(tmp_path, network(LINEAR, 3), choice=np.array([0, -1, 0]))
    found = gradients.mean_gradients(one, np.arange(3), noise_images(2))
    assert not found[1].any()
    assert found[0].any()
    np.testing.assert_allclose(found, one.filters(), atol=1e-6)


@pytest.mark.parametrize(("settings", "tolerance"), [(LINEAR, 1e-5), (DEEP, 5e-3)])  # float32; curvature over 32 steps
def test_integrated_gradients_are_complete_and_those_of_captum(tmp_path, settings, tolerance):
    made = network(settings, 4, seed=3)
    images, baseline = torch.from_numpy(noise_images(3)), torch.full(IMAGE, 0.1)
    found, change = gradients.integrated(made, 2, images, baseline, 32)
    residual = (found.flatten(1).sum(1) - change).abs() / change.abs()
    assert residual.max() < tolerance
    oracle = IntegratedGradients(lambda x: made(x)).attribute(
        images, baseline.expand_as(images), target=2, n_steps=32, method="riemann_middle"
    )
    np.testing.assert_allclose(found, oracle.detach(), atol=1e-5)


# ---- maximally exciting images ----


def test_most_exciting_image_of_a_linear_neuron_is_its_filter(tmp_path):
    one = fitted(tmp_path, network(LINEAR, 3))
    filters = one.filters()
    norm = 7.0
    start = np.random.default_rng(0).standard_normal((3, *IMAGE), np.float32)
    # from a random start: steps that shrink to 0 end on the maximum to about their last length
    mei, response = exciting(one, np.arange(3), [start], norm, Settings(mei_steps=100))
    size = np.linalg.norm(filters.reshape(3, -1), axis=1)
    np.testing.assert_allclose(response, norm * size, rtol=1e-3)
    np.testing.assert_allclose(mei, norm * filters / size[:, None, None, None], atol=0.1)
    exact, most = exciting(one, np.arange(3), [filters], norm, Settings())
    np.testing.assert_allclose(most, norm * size, rtol=1e-5)
    np.testing.assert_allclose(exact, norm * filters / size[:, None, None, None], atol=1e-4)


def test_most_exciting_image_of_a_neuron_without_gradient_at_the_mean(tmp_path):
    # |k . x| of a pair of maps with opposite kernels: the gradient at 0 is 0, the maximum is at x = +-k
    settings = {"core": {"layers": [{"kernel_px": KERNEL, "maps": 2, "activation": "relu"}], "normalisation": "none"}}
    made = network(settings, 1)
    kernel = np.random.default_rng(5).standard_normal((1, *KERNEL)).astype(np.float32)
    with torch.no_grad():
        made.core.convolutions[0].weight.copy_(torch.from_numpy(np.stack([kernel, -kernel])))
        made.readout.mask.zero_()
        made.readout.mask[0, 4, 6] = 1.0
        made.readout.weight.fill_(1.0)
    one = fitted(tmp_path, made, settings)
    zero = gradients.mean_gradients(one, np.arange(1), np.zeros((1, *IMAGE)))
    assert not zero.any()
    mei, response = exciting(one, np.arange(1), [zero, noise_images(1)], 3.0, Settings(mei_steps=100))
    np.testing.assert_allclose(response, 3 * np.linalg.norm(kernel), rtol=1e-3)
    assert np.linalg.norm(mei) == pytest.approx(3, rel=1e-5)


# ---- where and what ----


def test_concentration_and_agreement_by_hand():
    masks = np.zeros((3, 8, 9))
    masks[0, 3, 4], masks[0, 1, 2], masks[0, 0, 4] = -2.0, 1.0, 1.0  # the last is 3 px away
    masks[1] = 1.0  # peak in the corner: 3 x 3 of 72 pixels
    np.testing.assert_allclose(where.concentration(masks), [0.75, 9 / 72, np.nan])
    place = np.zeros((3, 3, 2))  # seed, neuron
    place[1, 0], place[2, 0] = (1, -1), (0, 2)
    place[2, 1] = np.nan
    place[0, 2] = np.nan
    np.testing.assert_allclose(where.agreement(place, best=0), [0.5, 1.0, np.nan])


def test_matching_undoes_a_permutation_and_flips_of_features():
    generator = np.random.default_rng(2)
    reference = what.unit(generator.standard_normal((40, 5)))
    order, sign = generator.permutation(5), np.array([1, -1, -1, 1, -1])
    other = reference[:, order] * sign
    other[3] = np.nan
    found, flips = what.match(reference, other, signed=True)
    kept = np.arange(40) != 3
    np.testing.assert_allclose((other[:, found] * flips)[kept], reference[kept])
    positive = np.abs(reference)
    found, flips = what.match(positive, positive[:, order], signed=False)
    np.testing.assert_array_equal(positive[:, order][:, found], positive)
    assert (flips == 1).all()


def test_codes_do_not_depend_on_which_factor_carries_the_sign(tmp_path):
    made = network(LINEAR, 4)
    before = what.codes(fitted(tmp_path / "a", made))
    with torch.no_grad():
        made.readout.mask[1] *= -3
        made.readout.weight[1] *= -1
    after = what.codes(fitted(tmp_path / "b", made))
    np.testing.assert_allclose(after, before, atol=1e-7)
    with torch.no_grad():
        made.readout.mask[2] *= -1  # an OFF cell of the same kernel is another type
    np.testing.assert_allclose(what.codes(fitted(tmp_path / "c", made))[2], -before[2], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 1)


def test_codes_of_neurons_that_chose_other_penalties_are_in_one_order_of_features(tmp_path):
    made = network(LINEAR, 6)
    swapped = network(LINEAR, 6)
    with torch.no_grad():
        swapped.readout.weight.copy_(made.readout.weight[:, [1, 0]] * torch.tensor([1.0, -1.0]))
        swapped.core.convolutions[0].weight.copy_(made.core.convolutions[0].weight[[1, 0]])
    fit = saved(tmp_path, made, choice=np.array([0, 0, 1, -1, 1, 0]))
    weights = fit.weights() | {f"1.{name}": value for name, value in loop.arrays(swapped).items()}
    save_file(weights, fit.folder / "weights.safetensors")
    one = restore(fit, features(noise_images(12), np.zeros((1, 12, 6))))
    expected = what.codes(fitted(tmp_path / "plain", made))
    expected[3] = np.nan  # answers its mean
    np.testing.assert_allclose(what.codes(one), expected, atol=1e-7)
    assert np.isnan(where.positions(one)[3]).all()


# ---- types ----


def coded(mixing, kinds, seeds, noise, seed=0):
    generator = np.random.default_rng(seed)
    shape = (seeds, len(kinds), mixing.shape[1])
    return what.unit(what.unit(mixing)[kinds] + noise * generator.standard_normal(shape))


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("seeds", [1, 3])
def test_planted_types_are_found_in_number_and_neuron_by_neuron(rotated, seeds):
    generator = np.random.default_rng(1)
    mixing = np.linalg.qr(generator.standard_normal((6, 6)))[0][:4] if rotated else np.eye(4)
    kinds = np.arange(100) % 4
    codes = coded(mixing, kinds, seeds, noise=0.05)
    codes[:, 7] = np.nan
    found = types.types(codes, 0, Settings(clusters=(3, 6), bootstrap=4))
    kept = np.arange(100) != 7
    assert found.clusters == 4
    assert found.label[7] == -1
    assert np.isnan(found.stability[7])
    assert adjusted_rand_score(kinds[kept], found.label[kept]) == 1
    assert found.stability[kept].min() > 0.9
    row = next(row for row in found.rows if row["clusters"] == 4)
    assert row["ari_bootstrap"] == pytest.approx(1, abs=0.05)
    assert (row["ari_seeds"] == 1) if seeds > 1 else np.isnan(row["ari_seeds"])
    assert abs(row["ari_null"]) < 0.1
    assert row["silhouette_null"] < row["silhouette"] - 0.3
    assert types.purity(found.label, kinds) == 1


def test_codes_without_types_are_no_more_stable_than_their_null():
    generator = np.random.default_rng(4)
    base = what.unit(generator.standard_normal((120, 5)))
    codes = what.unit(base + 0.3 * generator.standard_normal((4, 120, 5)))
    found = types.types(codes, 0, Settings(clusters=(2, 4), bootstrap=4))
    for row in found.rows:
        assert row["ari_seeds"] < 0.5
        assert row["ari_seeds"] < row["ari_marginal"] + 0.15
        assert abs(row["silhouette"] - row["silhouette_null"]) < 0.1


def test_neurons_that_all_have_one_code_are_one_type():
    codes = np.ones((2, 9, 1))
    codes[:, 4] = np.nan
    found = types.types(codes, 0, Settings())
    assert found.label.tolist() == [0, 0, 0, 0, -1, 0, 0, 0, 0]
    assert found.clusters == 1
    assert found.rows == []


def test_labels_of_folds_take_the_numbers_of_the_first():
    reference = np.array([0, 0, 0, 1, 1, 2, -1])
    label = np.array([2, 2, 2, 0, 0, 1, 1])
    np.testing.assert_array_equal(types.renamed(reference, label), [0, 0, 0, 1, 1, 2, 2])
    order = types.display_order(np.eye(3)[[0, 1, 0, 2, 2, 1, 0]], reference)
    assert order.tolist()[-1] == 6
    assert (np.diff(reference[order][:-1]) >= 0).all()


# ---- faithfulness ----


def test_field_pixels_hold_their_share_and_others_lie_outside():
    energy = np.zeros((6, 7))
    energy[2, 3], energy[2, 4], energy[5, 5] = 6.0, 3.5, 0.5
    masks = faithfulness.pixel_masks(energy, Settings(field_share=0.9, draws=60), np.random.default_rng(0))
    np.testing.assert_array_equal(np.argwhere(masks[0]), [[2, 3], [2, 4]])
    assert (masks[1:].sum((1, 2)) == 2).all()
    assert not (masks[1:] & masks[0]).any()


def recorded(neurons=8, count=240, noise=0.3, seed=0):
    """Features and the network behind their responses; the last neuron is silent."""
    generator = np.random.default_rng(seed)
    kinds = np.arange(neurons) % 2
    places = np.stack([generator.integers(0, size, neurons) for size in MAP], axis=1)
    made = planted(kinds, places.tolist())
    images = noise_images(count)
    with torch.no_grad():
        response = made(torch.from_numpy(images)).numpy()
    observed = response + noise * generator.standard_normal((2, *response.shape))
    observed[..., -1] = 0
    position = places + np.array(OFFSET)
    truth = {
        "response": (("image", "neuron"), response, ONE),
        "row": ("neuron", position[:, 0], PX),
        "column": ("neuron", position[:, 1], PX),
        "type": ("neuron", kinds.astype(np.int16), ONE),
    }
    tree = xr.DataTree.from_dict({"/truth": xr.Dataset(truth)})
    return features(images, observed, folds=2, position=position), made, {"raw": tree}


FEW = {
    "least_neurons": 2,
    "clusters": [2, 3],
    "bootstrap": 5,
    "mei_steps": 5,
    "gradient_images": 4,
    "path_steps": 4,
    "resamples": 100,
}


def fits_of(folder, made, neurons=8):
    """Two folds with two seeds each: the second seed has its features in the other order, and one with its sign."""
    other = planted(np.zeros(neurons, int), [(0, 0)] * neurons)
    other.load_state_dict(made.state_dict())
    with torch.no_grad():
        kernels = other.core.convolutions[0].weight
        kernels.copy_(kernels[[1, 0]] * torch.tensor([1.0, -1.0])[:, None, None, None])
        other.readout.weight.copy_(other.readout.weight[:, [1, 0]] * torch.tensor([1.0, -1.0]))
    parts = [(fold, seed, one) for fold in (0, 1) for seed, one in ((0, made), (3, other))]
    return [saved(folder, one, fold=f, seed=s, validation=1 + s) for f, s, one in parts]


def test_everything_about_a_planted_network(tmp_path):
    data, made, truth = recorded()
    tree = attribute(data, fits_of(tmp_path / "fits", made), Settings.model_validate(FEW), truth)
    place = tree["where"]
    assert json.loads(place.attrs["best"]) == [0, 0]
    assert (place.attrs["offset_row"], place.attrs["offset_column"]) == OFFSET
    for axis in ("row", "column"):
        expected = np.broadcast_to(place[f"true_{axis}"].values, (2, 2, 8))
        np.testing.assert_array_equal(place[axis], expected)
    assert (place["agreement"].values == 1).all()
    assert (place["confidence"].values == 1).all()
    np.testing.assert_allclose(tree["what"]["weight"][:, 1], tree["what"]["weight"][:, 0], atol=1e-6)
    np.testing.assert_allclose(tree["what"]["consistency"], 1, rtol=1e-6)
    kinds = tree["types"]
    assert kinds["label"].values[0].tolist() == [0, 1, 0, 1, 0, 1, 0, -1]
    assert json.loads(kinds.attrs["ari_truth"]) == [1, 1]
    assert json.loads(kinds.attrs["chosen"]) == [2, 2]
    lost = tree["faithfulness"]
    checked = np.isfinite(lost["inside"].values)
    assert checked.sum() >= 7  # a silent neuron has no correlation
    assert (lost["inside"].values > lost["outside"].values + 0.3)[:7].all()
    assert (lost["residual"].values < 1e-4).all()
    filters = restore(fits_of(tmp_path / "again", made)[0], data).filters()
    np.testing.assert_allclose(tree["fields"]["gradient"], filters, atol=1e-6)
    np.testing.assert_allclose(tree["fields"]["mei_gain"].values >= 1, True)
    assert tree["kernels/main"]["kernel"].shape == (2, 2, 2, 1, *KERNEL)
    headline = {row["name"]: row for row in json.loads(tree.attrs["headline"])}
    assert headline["median location error"]["value"] == 0
    assert headline["median location error"]["chance"] > 1
    assert headline["adjusted Rand index of types between seeds"]["value"] == 1
    assert tree.attrs["warning"] == ""


def test_lost_variance_of_a_linear_neuron_is_the_energy_of_its_pixels(tmp_path):
    # on white noise var of F . x over a set of pixels is the sum of F^2 over the set: here `inside` of it, the pixels
    # outside have 0 or the little that is left
    data, made, _ = recorded(count=3000)
    settings = Settings.model_validate(FEW | {"images": 1000, "checked": 3})
    tree = attribute(data, [saved(tmp_path, made)], settings, {})
    lost = tree["faithfulness"]
    checked = np.flatnonzero(np.isfinite(lost["inside"].values))
    filters = restore(saved(tmp_path / "again", made), data).filters()
    for neuron in checked:
        energy = np.sort(filters[neuron].ravel() ** 2)[::-1]
        pixels = round(float(lost["pixels"][neuron]) * energy.size)
        expected = energy[:pixels].sum() / energy.sum()
        # 1000 images: a ratio of variances scatters by about sqrt(2 / 1000) times the share that is left
        assert lost["variance_inside"].values[neuron] == pytest.approx(expected, abs=0.05)
        assert expected >= 0.9
        assert lost["variance_outside"].values[neuron] < 0.1
    assert "one seed" in tree.attrs["warning"]
    assert "one seed" in tree["types"].attrs["stability_from"]


def test_neurons_that_a_fit_does_not_have_are_left_open(tmp_path):
    data, _, truth = recorded()
    part = planted([0, 1, 0, 1, 0], [(1, 1)] * 5)
    own = np.array([0, 2, 3, 4, 6])
    tree = attribute(data, [saved(tmp_path, part, neurons=own)], Settings.model_validate(FEW), truth)
    gone = np.setdiff1d(np.arange(8), own)
    assert np.isnan(tree["where"]["row"].values[..., gone]).all()
    assert np.isnan(tree["where"]["mask"].values[:, gone]).all()
    assert np.isnan(tree["what"]["weight"].values[:, :, gone]).all()
    assert (tree["types"]["label"].values[:, gone] == -1).all()
    assert (tree["types"]["label"].values[:, own] >= 0).all()
    for name in ("gradient", "mei", "average"):
        assert np.isnan(tree["fields"][name].values[gone]).all()
        assert np.isfinite(tree["fields"][name].values[own]).all()
    assert np.isnan(tree["faithfulness"]["inside"].values[gone]).all()


def test_a_fit_of_one_of_two_recordings(tmp_path):
    data, made, _ = recorded()
    fold = Fold(*({name: rows for name in ("a", "b")} for rows in ([(0, 120)], [(120, 160)], [(160, 240)])))
    twice = {
        name: xr.concat([values, values], "neuron") if "neuron" in values.dims else values
        for name, values in data.statistics.items()
    }
    both = Features({name: data.stores["one"] for name in ("b", "a")}, [fold, fold], twice)
    settings = LINEAR | {"recordings": ["b"]}
    tree = attribute(
        both, [saved(tmp_path, made, neurons=np.arange(8, 16), settings=settings)], Settings.model_validate(FEW), {}
    )
    alone = attribute(data, [saved(tmp_path / "one", made)], Settings.model_validate(FEW), {})
    assert tree["where"]["neuron"].values.tolist()[7:9] == ["a/cell7", "b/cell0"]
    assert (tree["types"]["label"].values[:, :8] == -1).all()
    for path in ("where/row", "what/weight", "types/label"):
        np.testing.assert_array_equal(
            tree[path].values.take(range(8, 16), tree[path].dims.index("neuron")), alone[path]
        )
    for name in ("gradient", "average", "mei"):
        assert np.isnan(tree["fields"][name].values[:8]).all()
        np.testing.assert_allclose(tree["fields"][name].values[8:], alone["fields"][name], atol=1e-6)


def test_points_have_positions_and_codes_but_no_masks(tmp_path):
    settings = LINEAR | {"readout": {"kind": "gaussian"}}
    made = network(settings, 8)
    data, _, truth = recorded()
    tree = attribute(data, [saved(tmp_path, made, settings=settings)], Settings.model_validate(FEW), truth)
    assert "mask" not in tree["where"]
    assert np.isnan(tree["where"]["confidence"].values).all()
    expected = (np.clip(made.readout.position.detach().numpy(), -1, 1) + 1) / 2 * (np.array(MAP) - 1) + np.array(OFFSET)
    found = np.stack([tree["where"]["row"].values[0, 0], tree["where"]["column"].values[0, 0]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_same_input_gives_the_same_bytes_and_fits_the_store(tmp_path):
    data, made, truth = recorded()
    fits = fits_of(tmp_path / "fits", made)[:2]
    digests = []
    for run in ("a", "b"):
        np.random.default_rng().random()  # state of generators must not matter
        torch.manual_seed(torch.seed() % 1000)
        store.write(tmp_path / run, attribute(data, fits, Settings.model_validate(FEW), truth))
        digests.append(store.digest(tmp_path / run))
    assert digests[0] == digests[1]


def test_fields_are_cut_to_the_first_neurons_that_fit(tmp_path):
    data, made, _ = recorded()
    few = Settings.model_validate(FEW | {"most_values": 3 * int(np.prod(IMAGE)) + 5})
    tree = attribute(data, [saved(tmp_path, made)], few, {})
    assert tree["fields"]["gradient"].shape == (3, *IMAGE)
    assert tree["fields"]["neuron"].values.tolist() == ["cell0", "cell1", "cell2"]


def test_null_is_a_named_model_or_the_network_untrained(tmp_path):
    data, made, truth = recorded()
    wrong = planted([0, 1] * 4, [(0, 0)] * 8)
    fits = [saved(tmp_path, made), saved(tmp_path, wrong, model="permuted")]
    named = attribute(data, fits, Settings.model_validate(FEW | {"null_model": "permuted"}), truth)["null"]
    assert named.attrs["source"] == "permuted"
    assert (named["confidence"].values == 1).all()
    expected = where.distance(np.array([OFFSET] * 8), data.first()[["row", "column"]].to_array().values.T)
    np.testing.assert_array_equal(named["error"], expected)
    blank = null.untrained(restore(fits[0], data), IMAGE, seed=1)
    same = null.untrained(restore(fits[0], data), IMAGE, seed=1)
    np.testing.assert_array_equal(blank.masks(), same.masks())
    # noise masks hold no more within 2 px of their peak than 25 of 110 pixels of half-normal values, the peak included
    assert where.concentration(blank.masks()).max() < 0.4


def test_models_without_where_and_what_are_refused(tmp_path):
    data, made, _ = recorded()
    fits = [saved(tmp_path, made, model="good")]
    with pytest.raises(DataError, match="good"):
        attribute(data, fits, Settings(model="main"), {})
    nothing = saved(tmp_path, made, choice=np.full(8, -1))
    with pytest.raises(DataError, match="mean response"):
        attribute(data, [nothing], Settings(), {})
    with pytest.raises(DataError, match=r"attribute\.null_model"):
        attribute(data, fits, Settings(model="good", null_model="other"), {})


def test_kernels_are_paired_core_by_core_whatever_their_sign_and_size():
    line = np.arange(9) - 4
    squared = line[:, None] ** 2 + line**2
    truth = np.stack([np.exp(-squared / (2 * s**2)) - 0.25 * np.exp(-squared / (8 * s**2)) for s in (0.8, 1.2)])
    cores = np.concatenate([truth, -truth[::-1], truth])[:, None]
    match, r = paired(cores, 2, truth)
    assert match.tolist() == [0, 1, 1, 0, 0, 1]
    assert r.tolist() == pytest.approx([1, 1, -1, -1, 1, 1], abs=1e-5)
    match, r = paired(-cores[:1, :, 1:-1, 1:-1], 1, truth[:1])  # another size is placed on the middle
    assert match.tolist() == [0]
    assert r[0] < -0.95  # it lacks the outermost pixels, where little is
    assert paired(np.repeat(cores, 3, axis=1), 2, truth)[0].tolist() == [-1] * 6  # colour
