"""The real recordings of configs/real-dunl, from raw files to kernels; skipped where the files are not at hand."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid import config, store
from pellucid.artifacts import Features, row_indices
from pellucid.learning.metrics import pearson
from pellucid.stages.convert import convert
from pellucid.systems.dunl.features.collect import collect
from pellucid.systems.dunl.features.extract import extract
from pellucid.systems.dunl.features.settings import Settings
from pellucid.systems.dunl.model import traces
from pellucid.systems.dunl.model.fit import encoder, fit
from pellucid.systems.dunl.model.settings import Settings as Model
from recordings import ROOT, find

CONFIG = config.load(ROOT / "configs" / "real-dunl" / "config.yaml")

SHAPES = {  # trials x bins x neurons of each recording, counted in the raw files
    "lick_photometry": [(n, 112, 1) for n in (63, 73, 85, 92, 70, 67, 94, 36)],
    "cue_photometry": [(n, 125, 1) for n in (147, 148, 149, 147, 149, 148, 146)],
    "cued_photometry": [(135, 80, 1)],  # two of 137 trials begin before the one before them ends
    "transients_photometry": [(271, 200, 1)],
    "whisking_unit": [(n, 100, 1) for n in (8, 10, 5, 8)],  # of ten windows, those with whisking
    "piriform_units": [(150, 60, n) for n in (20, 14, 24, 5, 27, 30, 17, 23, 30, 9)],
}

pytestmark = pytest.mark.recording


def converted(name, folder):
    """One recording of the configuration, through `convert`; the raw files are found by checksum."""
    block = CONFIG["recordings"][name]
    source = Path(block["raw"]).relative_to("data/raw")
    files = CONFIG["fetch"][source.parts[0]]["files"]
    wanted = [source.name] if len(source.parts) > 1 else list(files)
    paths = [find(Path(files[file]["mirror"]).name, files[file]["sha256"]) for file in wanted]
    convert(name, block, paths, folder / "recording.zarr")
    return store.open_store(folder / "recording.zarr", kind="recording")


def features(analysis, folder, names=None, **changes):
    """The features of an analysis of the configuration, of all its recordings or some."""
    block = CONFIG["analyses"][analysis]
    own = [name for name, one in CONFIG["recordings"].items() if one["dataset"] == block["dataset"]]
    typed = Settings.model_validate(block["preprocess"] | changes)
    stores = {}
    for name in names or own:
        (folder / name).mkdir()
        extract(converted(name, folder / name), typed, folder / f"{name}.zarr")
        stores[name] = store.open_store(folder / f"{name}.zarr")
    return Features(stores, collect(stores, typed).folds, {})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The features of an analysis with all its recordings, made once."""
    return functools.cache(lambda analysis: features(analysis, tmp_path_factory.mktemp(analysis)))


def model(analysis, name="main", **changes):
    """The settings of one model of the configuration."""
    return Model.model_validate(config.fit_settings(CONFIG["analyses"][analysis]["fit"], name) | changes)


def encoded(part, settings, trained):
    """The codes of some traces."""
    looked = encoder(part, settings, trained.weights["baseline"], "cpu")
    return looked.encode(torch.as_tensor(trained.weights["kernels"]))


def peaks(kernels):
    """The bin of the largest value of every kernel of the only dictionary."""
    return np.abs(kernels[0]).argmax(axis=1)


def test_the_configuration_is_valid():
    typed = config.check(CONFIG, "configs/real-dunl/config.yaml")
    assert set(typed.analyses) == set(SHAPES)
    for block in CONFIG["fetch"].values():
        for name, file in block["files"].items():
            # blanks of a path are %20 in its address, and _ in the mirror
            assert Path(file["mirror"]).name == name
            assert " " not in file["url"]
            assert file["url"].endswith(name)


@pytest.mark.parametrize(
    "analysis", [*list(SHAPES)[:-1], pytest.param("piriform_units", marks=pytest.mark.slow)], ids=str
)
def test_every_recording_becomes_trials(analysis, whole):
    found = whole(analysis)
    assert [found.group(name)["signal"].shape for name in found.stores] == SHAPES[analysis]
    split = CONFIG["analyses"][analysis]["preprocess"]["split"]
    assert len(found.folds) == split["folds"]
    for fold in found.folds:
        parts = [
            {(name, row) for name in fold.rows(part) for row in row_indices(fold.rows(part)[name])}
            for part in ("train", "validation", "test")
        ]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        if split["by"] == "subject":
            assert len({name for name, _ in parts[2]}) == 1


def test_the_reward_lies_the_latency_of_the_lick_before_it(tmp_path):
    found = features("lick_photometry", tmp_path, ["lick_m4"], split={"by": "block", "folds": 3})
    group, numbers = found.group("lick_m4"), found.group("lick_m4", "trials")
    latency = numbers["lick_time"].values
    kinds, onset = group["event_kind"].values, group["onset"].values
    for row, seconds in enumerate(latency):
        inside = seconds <= 1.968  # the trial begins there
        assert (kinds[row] == 0).sum() == inside
        assert (kinds[row] == 1).sum() == 1
        assert onset[row][kinds[row] == 1] == 0
        if inside:
            assert onset[row][kinds[row] == 0] == pytest.approx(-seconds)


def test_one_infinite_bout_rate_is_missing(whole):
    found = whole("lick_photometry")
    rates = [found.group(name, "trials")["bout_rate"].values for name in found.stores]
    assert sum(len(rate) for rate in rates) == 580
    assert sum(np.isnan(rate).sum() for rate in rates) == 1
    said = [group.attrs["infinite"] for group in map(found.group, found.stores)]
    assert said.count('{"bout_rate": 1}') == 1


def test_kernels_of_one_mouse_follow_reward_and_lick(tmp_path):
    found = features("lick_photometry", tmp_path, ["lick_m4"], split={"by": "block", "folds": 3})
    settings = model("lick_photometry")
    trained = fit(found, 0, 0, settings, tmp_path / "checkpoint")
    assert list(settings.kernels) == ["lick", "reward"]
    lick, reward = peaks(trained.weights["kernels"])
    # 25 Hz: the mean over mice peaks at samples 53-55, 0.12-0.2 s after the lick; that of a reward is slower
    assert 2 <= lick <= 7
    assert reward > lick
    test = traces.load(found, 0, "test")
    codes = encoded(test, settings, trained).codes.sum(1)
    # an independent measure of what follows the lick: the rise of the signal at its peak
    rise = test.signal[:, 52:57].mean(1) - test.signal[:, :20].mean(1)
    assert pearson(codes[:, None], rise[:, None])[0] > 0.7


def test_kernel_of_one_mouse_follows_the_cue(tmp_path):
    found = features("cue_photometry", tmp_path, ["cue_m3"], split={"by": "block", "folds": 3})
    settings = model("cue_photometry", "one_kernel")
    trained = fit(found, 0, 0, settings, tmp_path / "checkpoint")
    mean = found.group("cue_m3")["signal"].values[..., 0].mean(0)
    # the event lies in sample 50; the kernel is the mean response but for trials' sizes
    assert abs(peaks(trained.weights["kernels"])[0] - (mean.argmax() - 50)) <= 2


@pytest.mark.slow
def test_transients_find_the_cues_they_were_not_told(whole, tmp_path):
    found = whole("transients_photometry")
    settings = model("transients_photometry")
    trained = fit(found, 3, 1, settings, tmp_path / "checkpoint")
    test = traces.load(found, 3, "test")
    looked = encoded(test, settings, trained)
    hits, luck = [], []
    generator = np.random.default_rng(0)
    for row in range(len(test)):
        cues = test.onset[row][test.onset[row] >= 0]
        times = looked.slots.position[row][looked.codes[row] > 0]
        for cue in cues:
            hits.append((np.abs(times - cue) <= 10).any())
            luck += [
                (np.abs((times + shift) % test.bins - cue) <= 10).any() for shift in generator.integers(0, 200, 20)
            ]
    assert np.mean(hits) > np.mean(luck) + 0.2
