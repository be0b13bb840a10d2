"""What the readers of static images have beyond the contract of all readers: forms that agree, and their complaints."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from pellucid import config, store
from pellucid.errors import ConfigError, DataError, MissingError
from pellucid.readers import antolik, image_set
from pellucid.stages.convert import convert
from recordings import find

PATTERNS = ("patterns_9500_160x160_uint8.npz", "e4bad414ad7f00f22674d7bd191e4d0070e8c6326df27c2df43a3f24665492ba")
NEURONS = {
    "neu75": "cda4d341bcd2a3f3e423912807fec98f68becc5af438bb9f3021193b2abb30ca",
    "neu255": "da6191a8179b6e97e08cb7a94d4d311c57e491bfb12c92ce8c5973c8810bc2bf",
}


def read(module, folder, **options):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return module.read(files, module.Settings.model_validate(options))


# ---- mouse V1 ----


def region(images=6, tests=4, side=3, neurons=2, repeats=5, seed=0):
    generator = np.random.default_rng(seed)
    pixels = [generator.uniform(0, 2.55e-4, (count, side, side)) for count in (images, tests)]
    answers = generator.gamma(1, size=(images, neurons)), generator.gamma(1, size=(repeats, tests, neurons))
    return (pixels[0], answers[0]), (pixels[1], answers[1])


def write_changed(folder, **changes):
    """The files of region 1 with some arrays replaced."""
    antolik.write(folder, 1, *region())
    for name, change in changes.items():
        path = folder / f"Data/region1/{name}.npy"
        np.save(path, change(np.load(path)))


def test_regions_share_an_archive_with_what_macs_put_into_it(tmp_path):
    content = {number: region(neurons=number, seed=number) for number in (1, 2, 3)}
    with zipfile.ZipFile(tmp_path / "s001.zip", "w") as archive:
        archive.writestr("Data/README", "text")
        for number, (train, test) in content.items():
            antolik.write(tmp_path / "loose", number, train, test)
            archive.writestr(f"__MACOSX/Data/region{number}/._training_set.npy", b"\0\5\26\7")
        for path in sorted((tmp_path / "loose").rglob("*.npy")):
            archive.write(path, path.relative_to(tmp_path / "loose").as_posix())
    for number, (train, test) in content.items():
        settings = antolik.Settings(region=number)
        packed = antolik.read([tmp_path / "s001.zip"], settings)
        loose = read(antolik, tmp_path / "loose", region=number)
        assert packed.identical(loose)
        responses = packed["responses/responses"].values
        assert responses.shape == (5, 10, number)
        np.testing.assert_array_equal(responses[0, :6], train[1])
        np.testing.assert_array_equal(responses[:, 6:], test[1])
        assert np.isnan(responses[1:, :6]).all()
        np.testing.assert_array_equal(packed["stimulus/images"].values[6:], test[0].astype(np.float32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"validation_set": lambda a: a + 2e-9}, ["validation_set", "mean"]),
        ({"validation_set": lambda a: a[:-1]}, ["validation_set", "(4, 2)"]),
        ({"training_inputs": lambda a: a[:-1]}, ["training_inputs", "(6, 9)"]),
        ({"training_inputs": lambda a: a[:, :8], "validation_inputs": lambda a: a[:, :8]}, ["square", "8 pixels"]),
        ({"validation_inputs": lambda a: np.c_[a, a]}, ["validation_inputs", "(4, 9)"]),
        ({"raw_validation_set": lambda a: a[..., :1]}, ["raw_validation_set", "(5, 4, 2)"]),
        ({"training_set": lambda a: a * np.nan}, ["training_set", "finite"]),
        ({"training_set": lambda a: a.astype(int)}, ["training_set", "int64"]),
        ({"training_set": lambda a: a[0]}, ["training_set", "2 axes"]),
    ],
)
def test_files_that_do_not_fit_each_other(changes, words, tmp_path):
    write_changed(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        read(antolik, tmp_path, region=1)
    for word in words:
        assert word in str(caught.value)


def test_the_mean_may_be_rounded_to_float32(tmp_path):
    write_changed(tmp_path, raw_validation_set=np.float32, validation_set=np.float32)
    assert read(antolik, tmp_path, region=1)["responses/responses"].dtype == np.float64


def test_pickles_are_refused_in_files_and_archives(tmp_path):
    antolik.write(tmp_path / "loose", 1, *region())
    content = io.BytesIO()
    np.save(content, np.array([{"x": 1}], dtype=object))
    (tmp_path / "loose/Data/region1/training_set.npy").write_bytes(content.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted((tmp_path / "loose").rglob("*.npy")):
            archive.write(path, path.relative_to(tmp_path / "loose").as_posix())
    for files in ([tmp_path / "a.zip"], list((tmp_path / "loose").rglob("*.npy"))):
        with pytest.raises(DataError, match="pickled"):
            antolik.read(files, antolik.Settings(region=1))


def test_a_region_or_file_that_is_not_there(tmp_path):
    antolik.write(tmp_path / "a.zip", 1, *region())
    with pytest.raises(MissingError, match="region2/training_inputs"):
        read(antolik, tmp_path, region=2)
    antolik.write(tmp_path / "loose", 3, *region())
    (tmp_path / "loose/Data/region3/raw_validation_set.npy").unlink()
    with pytest.raises(MissingError, match=r"region3/raw_validation_set\.npy"):
        read(antolik, tmp_path / "loose", region=3)
    with pytest.raises(MissingError, match="region2/training_inputs"):
        read(antolik, tmp_path / "loose", region=2)
    with pytest.raises(ConfigError, match="region"):
        config.parse(antolik.Settings, {"region": 4}, "options")


# ---- image sets ----


def patterns(count=12, size=(5, 8), seed=0):
    generator = np.random.default_rng(seed)
    images = (generator.random((count, *size)) < 0.4).astype(np.uint8)
    return images, {f"neu{i}": generator.normal(size=count) for i in (75, 255)}


def block(folder, **options):
    given = {"images": "pattern", "binary": True, **options}
    return {"dataset": "d", "subject": "s", "raw": str(folder), "reader": "image_set", "options": given}


@pytest.mark.parametrize("binary", [True, False])
def test_folder_and_archive_give_equal_stores(binary, tmp_path):
    images, responses = patterns()
    grey = images * 255 if binary else np.random.default_rng(1).integers(0, 256, images.shape, dtype=np.uint8)
    image_set.write(tmp_path / "a", grey, responses, name="pattern", packed=False)
    image_set.write(tmp_path / "b", images if binary else grey, responses, name="pattern", packed=True)
    for name in ("a", "b"):
        convert("v1", block(tmp_path / name, binary=binary), [tmp_path / name], tmp_path / f"{name}.zarr")
    assert store.content_digest(tmp_path / "a.zarr") == store.content_digest(tmp_path / "b.zarr")
    found = store.open_store(tmp_path / "b.zarr", kind="recording")
    np.testing.assert_array_equal(found["stimulus/images"].values, images if binary else grey)
    assert found["stimulus/images"].attrs["white"] == (1 if binary else 255)
    assert found["responses/neuron"].values.tolist() == ["neu255", "neu75"]
    np.testing.assert_array_equal(found["responses/responses"].values[0, :, 1], responses["neu75"])


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_grey_is_grey_in_every_mode(mode, tmp_path):
    images, responses = patterns(count=1)
    image_set.write(tmp_path, images * 255, responses, name="pattern", packed=False)
    Image.fromarray(images[0] * 255).convert(mode).save(tmp_path / "pattern/1.png")
    with Image.open(tmp_path / "pattern/1.png") as written:
        assert written.mode == mode
    found = read(image_set, tmp_path, images="pattern", binary=True)
    np.testing.assert_array_equal(found["stimulus/images"].values, images)


def grey16(path):
    Image.fromarray(np.full((5, 8), 300, np.uint16)).save(path)


def colour(path):
    Image.fromarray(np.eye(5, 8, dtype=np.uint8)[..., None] * np.array([0, 0, 255], np.uint8)).save(path)


def transparent(path):
    Image.fromarray(np.full((5, 8, 4), 128, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "pattern/7.png").unlink(), ["image 7", "8.png"]),
        (lambda f: (f / "pattern/1.png").unlink(), ["image 1", "2.png"]),
        (lambda f: (f / "pattern/07.png").write_bytes((f / "pattern/7.png").read_bytes()), ["image 8", "7.png"]),
        (lambda f: (f / "pattern/1.png").rename(f / "pattern/one.png"), ["one.png", "number"]),
        (lambda f: Image.new("L", (5, 8)).save(f / "pattern/4.png"), ["4.png", "(5, 8)", "(8, 5)"]),
        (lambda f: Image.new("L", (8, 5), 7).save(f / "pattern/4.png"), ["grey levels", "7"]),
        (lambda f: colour(f / "pattern/4.png"), ["4.png", "RGB"]),
        (lambda f: transparent(f / "pattern/4.png"), ["4.png", "RGBA"]),
        (lambda f: grey16(f / "pattern/4.png"), ["4.png", "I;16"]),
        (lambda f: np.save(f / "neu75.npy", np.zeros(11)), ["neu75", "12 images", "(11,)"]),
        (lambda f: np.save(f / "neu75.npy", np.zeros((12, 2))), ["neu75", "(12, 2)"]),
        (lambda f: np.save(f / "neu75.npy", np.array([{}], dtype=object)), ["neu75", "pickled"]),
        (lambda f: np.savez(f / "pattern.npz", images=np.zeros(3)), ["1 and 12 files"]),
    ],
)
def test_sets_that_cannot_be_read(spoil, words, tmp_path):
    images, responses = patterns()
    image_set.write(tmp_path, images * 255, responses, name="pattern", packed=False)
    spoil(tmp_path)
    with pytest.raises(DataError) as caught:
        read(image_set, tmp_path, images="pattern", binary=True)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"pictures": np.zeros((12, 5, 8), np.uint8)}, ["'images'", "pictures"]),
        ({"images": np.zeros((12, 40), np.uint8)}, ["3 axes", "(12, 40)"]),
        ({"images": np.zeros((12, 5, 8))}, ["uint8", "float64"]),
        ({"images": np.full((12, 5, 8), 3, np.uint8)}, ["grey levels", "3"]),
    ],
)
def test_archives_that_cannot_be_read(content, words, tmp_path):
    image_set.write(tmp_path, *patterns(), name="pattern", packed=True)
    np.savez(tmp_path / "pattern.npz", **content)
    with pytest.raises(DataError) as caught:
        read(image_set, tmp_path, images="pattern", binary=True)
    for word in words:
        assert word in str(caught.value)


def test_names_that_are_not_there(tmp_path):
    image_set.write(tmp_path, *patterns(), name="pattern", packed=True)
    with pytest.raises(MissingError, match="images 'stimuli'"):
        read(image_set, tmp_path, images="stimuli")
    with pytest.raises(MissingError, match="npy"):
        read(image_set, tmp_path, images="pat*", responses="cell*")
    with pytest.raises(DataError, match="neu9"):
        read(image_set, tmp_path, images="pat*", neurons={"neu9": "a"})
    with pytest.raises(DataError, match="neu255, neu255"):
        read(image_set, tmp_path, images="pat*", neurons={"neu75": "neu255"})


@pytest.mark.slow
@pytest.mark.recording
def test_real_patterns_agree_with_the_files():
    archive = find(*PATTERNS)
    answers = [find(f"{name}.npy", sha256) for name, sha256 in NEURONS.items()]
    given = image_set.Settings(images="patterns*", binary=True)
    tree = image_set.read([archive, *answers], given)
    assert tree["stimulus/images"].shape == (9500, 160, 160)
    assert tree["responses/neuron"].values.tolist() == ["neu255", "neu75"]
    responses = tree["responses/responses"].values[0]
    np.testing.assert_array_equal(responses[:, 1], np.load(answers[0])[:, 0])
    assert (np.abs((responses < 0).mean(axis=0) - [0.25, 0.25]) < 0.15).all()  # 22 to 38 % are negative
