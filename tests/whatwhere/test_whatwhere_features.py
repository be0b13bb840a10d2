"""From recordings of static images to features: pixels, positions, groups of equal images, folds and statistics."""

import json
import logging
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from pellucid import store
from pellucid.artifacts import Features, row_indices
from pellucid.errors import DataError, MissingError
from pellucid.systems.whatwhere.features.collect import collect
from pellucid.systems.whatwhere.features.extract import extract
from pellucid.systems.whatwhere.features.settings import Settings

ROOT = {name: "r" for name in ("recording", "dataset", "subject", "session", "licence", "citation")}
ROOT["provenance"] = "{}"
ONE, PX = {"units": "1"}, {"units": "px"}


def recording(images, responses, sets=None, **neurons):
    """A recording as a reader gives it: images (image[, feature], height, width), responses (repeat, image, neuron)."""
    axes = ("image", "feature", "height", "width") if images.ndim == 4 else ("image", "height", "width")
    stimulus = {"images": (axes, images, {"units": "grey level"})}
    if sets is not None:
        stimulus["set"] = ("image", np.array(sets, object))
    answers = {"responses": (("repeat", "image", "neuron")[-responses.ndim :], responses, ONE)}
    answers |= {name: ("neuron", values, PX) for name, values in neurons.items()}
    ids = {"neuron": np.array([f"cell{i}" for i in range(responses.shape[-1])], object)}
    groups = {"/stimulus": xr.Dataset(stimulus), "/responses": xr.Dataset(answers, ids)}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=ROOT), **groups})


def simulated(count=60, size=(9, 14), neurons=4, repeats=3, seed=0, colours=None, copies=0):
    """Rectangular images, the first ones again at the end, and responses of which some are not there."""
    generator = np.random.default_rng(seed)
    shape = (count, *([] if colours is None else [colours]), *size)
    images = generator.normal(size=shape)
    if copies:
        images[-copies:] = images[:copies]
    responses = generator.gamma(2.0, size=(repeats, count, neurons))
    responses[1:, : count // 2] = np.nan
    return images, responses


def extracted(path, tree, **settings):
    """Features of one recording, as the next stage opens them."""
    extract(tree, Settings.model_validate(settings), path)
    return store.open_store(path)


def features(folder, trees, **settings):
    """Features of several recordings with their folds, as the model opens them."""
    for name, tree in trees.items():
        extracted(folder / "features" / f"{name}.zarr", tree, **settings)
    stores = sorted((folder / "features").iterdir())
    collect_as_the_stage_does(settings, stores, folder / "features.json")
    return Features.load(folder / "features.json")


def collect_as_the_stage_does(settings, stores, output):
    made = collect({path.stem: store.open_store(path) for path in stores}, Settings.model_validate(settings))
    folds = [{part: fold.rows(part) for part in ("train", "validation", "test")} for fold in made.folds]
    statistics = {
        name: {"dims": a.dims, "dtype": str(a.dtype), "values": a.values} for name, a in made.statistics.items()
    }
    names = {path.stem: "" for path in stores}
    store.write_json(output, {"recordings": names, "folds": folds, "statistics": statistics})


def rows(fold, part, name):
    return row_indices(fold.rows(part).get(name, []))


# ---- one recording ----


def test_crop_means_inversion_and_positions_agree_with_loops(tmp_path):
    generator = np.random.default_rng(1)
    raw = generator.integers(0, 256, (11, 2, 13, 18), dtype=np.uint8)
    row, column = generator.uniform(3, 9, 5), generator.uniform(3, 14, 5)
    tree = recording(raw, generator.normal(size=(1, 11, 5)), row=row, column=column)
    paths = {"row": "/responses/row", "column": "/responses/column"}
    found = extracted(tmp_path / "x.zarr", tree, crop_px=[6, 9], downsample=3, invert=True, **paths)["features"]
    assert found["images"].dims == ("image", "feature", "height", "width")
    assert found["images"].shape == (11, 2, 2, 3)
    top, left = 3, 4  # (13 - 6) // 2 and (18 - 9) // 2
    for i, j in np.ndindex(2, 3):
        block = raw[:, :, top + 3 * i : top + 3 * i + 3, left + 3 * j : left + 3 * j + 3].astype(float)
        expected = np.float32(255 - block.mean(axis=(2, 3)))
        np.testing.assert_array_equal(found["images"].values[:, :, i, j], expected)
    # the centre of a processed pixel is the mean position of the raw pixels in it
    np.testing.assert_allclose(found["row"], (row - (top + 1)) / 3, rtol=1e-6)
    np.testing.assert_allclose(found["column"], (column - (left + 1)) / 3, rtol=1e-6)
    said = json.loads(found.attrs["processing"])
    assert said["crop_origin_px"] == [3, 4]
    assert (said["downsample"], said["invert"], said["white"]) == (3, True, 255)


def test_nothing_asked_for_changes_nothing(tmp_path):
    images, responses = simulated()
    found = extracted(tmp_path / "x.zarr", recording(images, responses))["features"]
    np.testing.assert_array_equal(found["images"].values[:, 0], images.astype(np.float32))
    np.testing.assert_array_equal(found["responses"].values, responses.astype(np.float32))
    assert found["images"].dtype == found["responses"].dtype == np.float32
    assert found["neuron"].values.tolist() == ["cell0", "cell1", "cell2", "cell3"]
    assert set(found["set"].values) == {"train"}
    assert np.isnan(found["row"].values).all()
    assert found["same"].values.tolist() == list(range(60))
    assert found["images"].attrs["units"] == "grey level"


def test_scale_of_the_reader_is_applied_and_one_repeat_may_have_no_axis(tmp_path):
    images, responses = simulated()
    tree = recording(np.round(images * 1000).astype(np.int16), responses[0])
    tree["stimulus"]["images"].attrs["scale"] = 0.001
    found = extracted(tmp_path / "x.zarr", tree)["features"]
    np.testing.assert_allclose(found["images"].values[:, 0], images, atol=5.1e-4)  # half a step
    np.testing.assert_array_equal(found["responses"].values, responses[:1].astype(np.float32))


def test_groups_are_of_equal_processed_images(tmp_path):
    images, responses = simulated(size=(8, 10))
    images[[7, 33, 50]] = images[2]
    images[33, 0, 0] += 1  # differs outside the crop only
    images[50, 4, 4] += 1
    images[9] = 0.0
    images[12] = -0.0
    whole = extracted(tmp_path / "a.zarr", recording(images, responses))["features"]["same"].values
    cropped = extracted(tmp_path / "b.zarr", recording(images, responses), crop_px=[4, 6])["features"]["same"].values
    assert whole[7] == whole[2] == 2
    assert len({whole[i] for i in (2, 33, 50)}) == 3
    assert cropped[33] == cropped[7] == cropped[2]
    assert cropped[50] != cropped[2]
    assert whole[12] == whole[9]
    _, first = np.unique(cropped, return_index=True)
    assert (np.diff(first) > 0).all()  # numbered by first occurrence
    assert cropped.max() + 1 == len(first)


def test_neurons_in_the_order_asked_for(tmp_path):
    images, responses = simulated()
    places = {"row": np.arange(4.0), "column": np.arange(4.0) + 1}
    paths = {"row": "/responses/row", "column": "/responses/column"}
    tree = recording(images, responses, **places)
    found = extracted(tmp_path / "x.zarr", tree, neurons=["cell3", "cell1"], **paths)["features"]
    np.testing.assert_array_equal(found["responses"].values, responses[:, :, [3, 1]].astype(np.float32))
    assert found["neuron"].values.tolist() == ["cell3", "cell1"]
    assert found["row"].values.tolist() == [3, 1]


def test_equal_input_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        extracted(tmp_path / f"{name}.zarr", recording(*simulated(copies=7)), downsample=1, crop_px=[8, 8])
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")


@pytest.mark.slow
def test_many_images_are_streamed(tmp_path):
    count = 4000  # 164 MB as float32, 41 MB on disk
    generator = np.random.default_rng(0)
    raw = {"images": (("image", "height", "width"), generator.integers(0, 256, (count, 64, 160), dtype=np.uint8), ONE)}
    responses = {"responses": (("repeat", "image", "neuron"), generator.normal(size=(1, count, 3)), ONE)}
    groups = {"/": xr.Dataset(attrs=ROOT), "/stimulus": xr.Dataset(raw), "/responses": xr.Dataset(responses)}
    store.write(tmp_path / "raw.zarr", xr.DataTree.from_dict(groups))
    del raw, groups
    tracemalloc.start()
    extract(store.open_store(tmp_path / "raw.zarr"), Settings(), tmp_path / "x.zarr")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert store.open_store(tmp_path / "x.zarr")["features/images"].nbytes == 163_840_000
    assert peak < 150e6, f"{peak / 1e6:.0f} MB"  # blocks of 32 MiB and shards of 32 MiB, one per thread


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({}, {"images": "/stimulus/pictures"}, ["/stimulus/pictures", "/stimulus/images"]),
        ({}, {"responses": "/stimulus/images"}, ["/stimulus/images", "axes", "neuron"]),
        ({}, {"images": "/responses/responses"}, ["axes", "height"]),
        ({"responses": np.ones((2, 59, 3))}, {}, ["axis image", "60", "59"]),
        ({"sets": ["train"] * 59 + ["validation"]}, {"set": "/stimulus/set"}, ["/stimulus/set", "'validation'"]),
        ({"nan": np.nan}, {}, ["image 17", "NaN"]),
        ({"nan": np.inf}, {}, ["image 17", "infinite"]),
        ({"silent": True}, {}, ["cell1", "cell2"]),
        ({"endless": True}, {}, ["cell2", "infinite"]),
        ({}, {"crop_px": [10, 14]}, ["crop_px", "9 x 14", "10 x 14"]),
        ({}, {"downsample": 2}, ["downsample", "9 x 14"]),
        ({}, {"invert": True}, ["invert", "0 to 1"]),
        ({}, {"neurons": ["cell9"]}, ["cell9", "cell0"]),
        ({"row": np.ones(4)}, {"row": "/stimulus/images", "column": "/stimulus/images"}, ["neuron"]),
    ],
)
def test_what_is_wrong_is_named(change, settings, words, tmp_path):
    images, responses = simulated()
    images[17, 2, 3] = change.pop("nan", 0.0)
    if change.pop("silent", False):
        responses[..., [1, 2]] = np.nan
    if change.pop("endless", False):
        responses[0, 3, 2] = np.inf
    tree = recording(images, **({"responses": responses} | change))
    with pytest.raises((DataError, MissingError)) as caught:
        extract(tree, Settings.model_validate(settings), tmp_path / "x.zarr")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"split": {"by": "index"}},
        {"split": {"by": "random", "folds": 1}},
        {"split": {"by": "index", "folds": 2, "ranges": [{"train": [0, 3], "validation": [3, 4], "test": [4, 5]}]}},
        {"split": {"by": "index", "folds": 1, "ranges": [{"train": [0, 4], "validation": [3, 5], "test": [5, 6]}]}},
        {"split": {"by": "index", "folds": 1, "ranges": [{"train": [0, 4], "validation": [4, 4], "test": [5, 6]}]}},
        {"row": "/responses/row"},
        {"neurons": ["a", "a"]},
        {"crop_px": [40, 41], "downsample": 2},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


# ---- folds ----


def labels(images):
    """Equal images by an independent way: their bytes."""
    known = {}
    return np.array([known.setdefault(image.astype(np.float32).tobytes(), len(known)) for image in images])


def check_parts(made, trees_images):
    """Parts are disjoint, within the recording, and no two equal images of any recordings are in different parts."""
    for fold in made:
        homes = {}
        for name, images in trees_images.items():
            parts = {part: rows(fold, part, name) for part in ("train", "validation", "test")}
            joined = np.concatenate(list(parts.values()))
            assert len(set(joined)) == len(joined)
            assert joined.max() < len(images)
            for part, numbers in parts.items():
                assert len(numbers)
                for number in numbers:
                    key = images[number].astype(np.float32).tobytes()
                    assert homes.setdefault(key, part) == part


def test_random_folds_test_every_image_once_and_keep_equal_images_together(tmp_path):
    images, responses = simulated(count=97, size=(3, 5))
    images[-40:] = images[:10][np.arange(40) % 10]
    split = {"folds": 4, "validation": 0.25, "seed": 3}
    made = features(tmp_path, {"r": recording(images, responses)}, split=split)
    check_parts(made.folds, {"r": images})
    tested = np.concatenate([rows(fold, "test", "r") for fold in made.folds])
    assert sorted(tested) == list(range(97))
    for fold in made.folds:
        counts = {part: len(rows(fold, part, "r")) for part in ("train", "validation", "test")}
        assert sum(counts.values()) == 97  # no image is lost
        assert abs(counts["test"] - 97 / 4) <= 5  # groups have 5 images at most
        assert abs(counts["validation"] - 0.25 * (97 - counts["test"])) <= 5


def test_one_large_group_does_not_make_folds_uneven(tmp_path):
    images, responses = simulated(count=100, size=(2, 3))
    images[::5] = 0.0  # 20 blank images
    made = features(tmp_path, {"r": recording(images, responses)}, split={"folds": 5})
    assert [len(rows(fold, "test", "r")) for fold in made.folds] == [20] * 5
    check_parts(made.folds, {"r": images})


def test_recorded_test_set_and_other_validation_images_in_each_fold(tmp_path, caplog):
    images, responses = simulated(count=70, size=(3, 4))
    sets = np.array(["train"] * 50 + ["test"] * 20, object)
    images[60] = images[4]
    images[61] = images[5] = images[6]
    split = {"by": "set", "folds": 3, "validation": 0.2}
    with caplog.at_level(logging.WARNING):
        made = features(tmp_path, {"r": recording(images, responses, sets)}, set="/stimulus/set", split=split)
    check_parts(made.folds, {"r": images})
    validated = []
    for fold in made.folds:
        np.testing.assert_array_equal(rows(fold, "test", "r"), np.arange(50, 70))
        assert not {4, 5, 6} & {*rows(fold, "train", "r"), *rows(fold, "validation", "r")}
        validated.append(tuple(rows(fold, "validation", "r")))
        assert len(validated[-1]) == 9  # round(0.2 * 47)
        assert len(rows(fold, "train", "r")) == 38
    assert len(set(validated)) == 3
    assert "3 images of train are identical" in caplog.text


def test_no_recorded_test_image_is_an_error(tmp_path):
    with pytest.raises(DataError, match="test images"):
        features(tmp_path, {"r": recording(*simulated())}, split={"by": "set"})


def test_ranges_by_index_lose_what_is_identical_to_images_held_back(tmp_path, caplog):
    images, responses = simulated(count=95, size=(2, 4))
    images[90], images[72], images[75] = images[3], images[4], images[91]
    ranges = [
        {"train": [0, 70], "validation": [70, 80], "test": [80, 95]},
        {"train": [50, 90], "validation": [20, 50], "test": [0, 20]},
    ]
    split = {"by": "index", "folds": 2, "ranges": ranges}
    with caplog.at_level(logging.WARNING):
        made = features(tmp_path, {"r": recording(images, responses)}, split=split)
    check_parts(made.folds, {"r": images})
    first, second = made.folds
    assert first.test == {"r": [(80, 95)]}
    assert first.validation == {"r": [(70, 75), (76, 80)]}
    assert first.train == {"r": [(0, 3), (5, 70)]}
    assert second.train == {"r": [(50, 72), (73, 90)]}
    assert "fold 0: 1 images of validation" in caplog.text
    assert "fold 0: 2 images of train" in caplog.text


def test_ranges_beyond_the_images_are_refused(tmp_path):
    split = {"by": "index", "folds": 1, "ranges": [{"train": [0, 40], "validation": [40, 50], "test": [50, 61]}]}
    with pytest.raises(DataError, match="60 images"):
        features(tmp_path, {"r": recording(*simulated())}, split=split)


@pytest.mark.parametrize("by", ["random", "set"])
def test_two_recordings_share_images(by, tmp_path):
    first, second = simulated(count=40, size=(3, 4)), simulated(count=55, size=(3, 4), neurons=2, seed=1)
    second[0][40:] = first[0][25:]
    sets = {name: np.array(["train"] * 30 + ["test"] * (len(r[0]) - 30), object) for name, r in
            (("a", first), ("b", second))}  # fmt: skip
    trees = {"b": recording(*second, sets["b"]), "a": recording(*first, sets["a"])}
    made = features(tmp_path, trees, set="/stimulus/set", split={"by": by, "folds": 3})
    check_parts(made.folds, {"a": first[0], "b": second[0]})
    if by == "set":
        assert rows(made.folds[0], "test", "b").tolist() == list(range(30, 55))
        assert not set(rows(made.folds[0], "train", "a")) & set(range(25, 30))  # they test in b


def test_folds_depend_on_the_seed_alone(tmp_path):
    tree = recording(*simulated(copies=20))
    made = [features(tmp_path / str(i), {"r": tree}, split={"seed": seed}).folds for i, seed in enumerate((5, 5, 6))]
    assert made[0] == made[1]
    assert made[0] != made[2]


# ---- statistics ----


@pytest.mark.parametrize("colours", [None, 3])
@pytest.mark.parametrize("unit", ["pixel", "global", "image"])
def test_statistics_are_those_of_training_rows(colours, unit, tmp_path, monkeypatch):
    monkeypatch.setattr("pellucid.systems.whatwhere.features.pixels.BLOCK_BYTES", 7 * 8 * 12)  # blocks of few images
    first = simulated(count=43, size=(3, 4), colours=colours)
    second = simulated(count=31, size=(3, 4), neurons=2, repeats=2, seed=1, colours=colours)
    for images in (first[0], second[0]):
        images *= 2e-4  # the scale of published images
        images[..., 1, 2] = 0.1  # a pixel that never varies
    made = features(
        tmp_path, {"b": recording(*second), "a": recording(*first)}, pixels=unit, split={"folds": 3, "validation": 0.3}
    )
    for index, fold in enumerate(made.folds):
        train = [r[0][rows(fold, "train", name)].astype(np.float32) for name, r in (("a", first), ("b", second))]
        pooled = np.concatenate(train).astype(float).reshape(-1, colours or 1, 3, 4)
        mean, sd = made.statistics["pixel_mean"].values[index], made.statistics["pixel_sd"].values[index]
        assert mean.shape == sd.shape == (colours or 1, 3, 4)
        if unit == "pixel":
            np.testing.assert_allclose(mean, pooled.mean(axis=0), rtol=1e-9, atol=1e-15)
            expected = pooled.std(axis=0)
            expected[:, 1, 2] = 1.0
            np.testing.assert_allclose(sd, expected, rtol=1e-9)
        elif unit == "global":
            np.testing.assert_allclose(mean, pooled.mean(), rtol=1e-9)
            np.testing.assert_allclose(sd, pooled.std(), rtol=1e-9)
        else:
            assert (mean == 0).all()
            assert (sd == 1).all()
        for start, (name, (_, responses)) in zip((0, 4), (("a", first), ("b", second))):
            single = responses[:, rows(fold, "train", name)].astype(np.float32).astype(float)
            part = slice(start, start + responses.shape[2])
            found = made.statistics["response_mean"].values[index, part], made.statistics["response_sd"].values
            np.testing.assert_allclose(found[0], np.nanmean(single, axis=(0, 1)), rtol=1e-9)
            np.testing.assert_allclose(found[1][index, part], np.nanstd(single, axis=(0, 1)), rtol=1e-9)
    assert made.statistics["response_mean"].dims == ("fold", "neuron")
    assert made.statistics["response_mean"].shape == (3, 6)


def test_statistics_ignore_images_that_do_not_train(tmp_path):
    images, responses = simulated()
    made = features(tmp_path / "a", {"r": recording(images, responses)}, split={"folds": 4})
    other = np.concatenate([rows(made.folds[2], part, "r") for part in ("validation", "test")])
    images[other] += 100.0
    responses[:, other] *= 7
    changed = features(tmp_path / "b", {"r": recording(images, responses)}, split={"folds": 4})
    assert changed.folds == made.folds
    for name, values in made.statistics.items():
        np.testing.assert_array_equal(changed.statistics[name].values[2], values.values[2])
        assert not np.array_equal(changed.statistics[name].values[1], values.values[1])


def test_constant_neuron_has_no_spread_and_a_neuron_without_training_response_is_named(tmp_path):
    images, responses = simulated()
    responses[..., 2] = 0.1
    made = features(tmp_path / "a", {"r": recording(images, responses)})
    assert (made.statistics["response_sd"].values[:, 2] == 0).all()
    responses[..., 3] = np.nan
    responses[0, 5, 3] = 1.0
    with pytest.raises(DataError, match="cell3"):
        features(tmp_path / "b", {"r": recording(images, responses)})


def test_images_of_other_sizes_are_another_dataset(tmp_path):
    trees = {"a": recording(*simulated()), "b": recording(*simulated(size=(14, 9), seed=2))}
    with pytest.raises(DataError, match="features of b"):
        features(tmp_path, trees)
    made = features(tmp_path, trees, crop_px=[8, 8])
    assert made.statistics["pixel_mean"].shape == (5, 1, 8, 8)
