"""Macaque V1 of configs/real-whatwhere, from the mirror's files to a linear anchor and a null."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pellucid import config, store
from pellucid.artifacts import Features, load_fits, row_indices
from pellucid.learning import metrics
from pellucid.stages import convert, fetch, fit, preprocess
from pellucid.systems.whatwhere.model import dataset
from pellucid.systems.whatwhere.model.restore import restore
from recordings import ROOT, find

CONFIG = config.load(ROOT / "configs" / "real-whatwhere" / "config.yaml")
BLOCK = CONFIG["analyses"]["macaque_random"]

pytestmark = [pytest.mark.recording, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recording fetched by its packed route, converted, and its features."""
    path = tmp_path_factory.mktemp("macaque")
    raw = path / "data" / "raw" / "macaque_patterns"
    files = CONFIG["fetch"]["macaque_patterns"]["files"]
    packed = files["patterns"]["packed"]
    mirror = find(Path(packed["mirror"]).name, packed["sha256"]).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fetch.MIRROR, str(mirror))
        fetch.fetch(CONFIG["fetch"]["macaque_patterns"], raw)
    convert.convert("macaque_v1", CONFIG["recordings"]["macaque_v1"], [raw], path / "macaque_v1.zarr")
    stores = [path / "features" / "macaque_v1.zarr"]
    preprocess.preprocess("whatwhere", BLOCK["preprocess"], path / "macaque_v1.zarr", stores[0])
    preprocess.collect_features("whatwhere", BLOCK["preprocess"], stores, path / "features.json")
    return path


def test_the_recording_is_what_its_description_says(folder):
    tree = store.open_store(folder / "macaque_v1.zarr", kind="recording")
    assert tree["stimulus"]["images"].shape == (9500, 160, 160)
    assert set(np.unique(tree["stimulus"]["images"][:50])) == {0, 1}
    responses = tree["responses"]["responses"]
    assert responses.shape == (1, 9500, 4)
    # 22 to 38 % of the values are negative: a Poisson loss has no meaning here
    assert np.all(((responses < 0).mean(("repeat", "image")) > 0.2) & ((responses < 0).mean(("repeat", "image")) < 0.4))


def test_folds_keep_identical_centres_together(folder):
    features = Features.load(folder / "features.json")
    group = features.group("macaque_v1")
    assert group["images"].shape == (9500, 1, 20, 20)
    same = group["same"].values
    for fold in features.folds:
        parts = [set(same[row_indices(fold.rows(part)["macaque_v1"])]) for part in ("train", "validation", "test")]
        assert len(set.union(*parts)) == sum(map(len, parts))


def test_a_linear_filter_and_its_squares_reach_the_anchor(folder):
    """Ridge on down-sampled pixels and their squares, random fifth held out: r = .35 to .43 was measured elsewhere."""
    data = dataset.load(Features.load(folder / "features.json"), 0, ("train", "validation", "test"))
    flat = data.images.reshape(len(data.images), -1)
    inputs = np.concatenate([flat, flat**2], axis=1)
    train = np.concatenate([data.rows["train"], data.rows["validation"]])
    fitted = Ridge(alpha=1000).fit(inputs[train], data.responses[train])
    r = metrics.pearson(data.responses[data.rows["test"]], fitted.predict(inputs[data.rows["test"]]))
    assert 0.3 < r.mean() < 0.5


@pytest.mark.parametrize(("permute", "low", "high"), [(False, 0.2, 0.5), (True, -0.1, 0.1)])
def test_a_regression_predicts_and_its_null_does_not(folder, permute, low, high, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = Path("fits") / "ridge" / "0-0"
    settings = config.fit_settings(BLOCK["fit"], "ridge") | {"permute": permute}
    fit.fit("whatwhere", "ridge", 0, 0, settings, folder / "features.json", output)
    fit.collect_fits(folder / "features.json", [output], Path("fits.json"))
    features = Features.load(folder / "features.json")
    data = dataset.load(features, 0, ("test",))
    predicted = restore(load_fits(Path("fits.json"))[0], features).predict(data.images)
    # chance: four neurons, 1900 images each: s.d. of a mean correlation .011
    assert low < metrics.pearson(data.responses, predicted).mean() < high
