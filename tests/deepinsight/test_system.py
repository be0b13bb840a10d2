"""From raw files to influence: what must hold on the way, and that simulated truth comes out."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from pellucid import store
from pellucid.artifacts import Results, row_indices
from pellucid.errors import DataError, MissingError
from pellucid.systems.deepinsight.attribute.attribute import attribute
from pellucid.systems.deepinsight.attribute.settings import Settings as AttributeSettings
from pellucid.systems.deepinsight.features.collect import collect
from pellucid.systems.deepinsight.features.extract import extract
from pellucid.systems.deepinsight.figures.draw import draw
from pellucid.systems.deepinsight.figures.settings import Settings as FigureSettings
from pellucid.systems.deepinsight.model.evaluate import evaluate
from pellucid.systems.deepinsight.model.settings import Evaluate
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import Windows, stretches
from pellucid.systems.deepinsight.simulate.settings import Settings as Simulation
from pellucid.systems.deepinsight.simulate.simulate import simulate

QUICK = {"filters": 8, "merge_filters": 8, "units": 16, "schedule": {"epochs": 2, "steps": 5, "batch": 4}}


def with_power(dataset, power):
    """The features of a dataset with other power."""
    group = dataset.features.group("r")
    changed = group.assign(power=(group["power"].dims, power, group["power"].attrs))
    return xr.DataTree.from_dict({"/features": changed})


def test_simulation_is_reproducible_and_follows_its_truth(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        simulate(Simulation(duration_s=20), 7, tmp_path / name)
    assert store.digest(tmp_path / "a") == store.digest(tmp_path / "b")
    signal = np.fromfile(tmp_path / "a" / "signal.bin", "<i2").reshape(-1, 8) * 5e-4
    truth = store.open_store(tmp_path / "a" / "truth.zarr")["truth"]
    spectrum = np.abs(np.fft.rfft(signal, axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(signal), 1e-3)
    for output, band in enumerate(truth["band_hz"].values):
        at = spectrum[np.argmin(np.abs(hertz - band))]
        carries = truth["carries"].values[:, output]
        assert at[carries].min() > 20 * at[~carries].max()


def test_statistics_come_from_training_rows_only(small):
    power = small.features.group("r")["power"].values
    for index, fold in enumerate(small.features.folds):
        train = power[row_indices(fold.train["r"])]
        median, mad = (small.features.statistics[name].values[index] for name in ("median", "mad"))
        scaled = (train - median) / mad
        # float32 medians of float32 data: exact but for the last bit
        assert np.median(scaled, axis=0) == pytest.approx(np.zeros(median.shape), abs=1e-6)
        assert np.median(np.abs(scaled), axis=0) == pytest.approx(np.ones(median.shape), rel=1e-6)


def test_changed_test_rows_leave_the_statistics_bit_identical(small):
    power = small.features.group("r")["power"].values.copy()
    power[row_indices(small.features.folds[0].test["r"])] *= 100
    before = collect({"r": small.features.stores["r"]}, small.settings)
    after = collect({"r": with_power(small, power)}, small.settings)
    for name in ("median", "mad"):
        assert (before.statistics[name][0].values == after.statistics[name][0].values).all()
        assert (before.statistics[name][1].values != after.statistics[name][1].values).any()


def test_a_dead_channel_stays_finite(small):
    power = small.features.group("r")["power"].values.copy()
    power[:, :, 1] = 0
    statistics = collect({"r": with_power(small, power)}, small.settings).statistics
    assert (statistics["mad"].values[:, :, 1] == 1).all()


def test_windows_stay_inside_their_part(small):
    found = Windows(stretches(small.features, 0, "train", ModelSettings()), 64)
    ((start, stop),) = small.features.folds[0].train["r"]
    assert len(found) == stop - start - 63
    power, behaviour, scored = found.take(np.array([0, len(found) - 1]))
    assert power.shape == (2, 3, 64, 16)
    assert behaviour.shape == (2, 4, 2)
    group = small.features.group("r")
    assert behaviour[0, 0].numpy() == pytest.approx(group["behaviour"].values[start + 15])
    assert behaviour[1, 3].numpy() == pytest.approx(group["behaviour"].values[stop - 1])
    assert scored.min() == 1


def test_removed_rows_are_never_joined(small):
    """A window that ends in a scored row holds the rows before it as they were, scored or not."""
    stretch = stretches(small.features, 0, "train", ModelSettings())[0]
    stretch.scored[100:140] = False
    found = Windows([stretch], 16)
    assert not {end for _, end in found._ends} & set(range(100, 140))
    number = [end for _, end in found._ends].index(140)
    power, _, _ = found.take(np.array([number]))
    assert torch.equal(power[0], stretch.power[125:141].permute(2, 0, 1))


def test_every_kind_of_model_is_scored_on_the_same_rows(small):
    fits = [small.fit("main", fold, **QUICK) for fold in (0, 1)]
    fits += [small.fit("short", fold, window_rows=16, **QUICK) for fold in (0, 1)]
    fits += [small.fit("ridge", fold, kind="ridge") for fold in (0, 1)]
    metrics, predictions = evaluate(small.features, fits, Evaluate(shifts=20, bootstrap=100), {})
    found = predictions["r"]["prediction"].values  # (model, fold, seed, time, output)
    known = np.isfinite(found)
    assert (known == known[:1]).all()
    for fold in (0, 1):
        rows = row_indices(small.features.folds[fold].test["r"])
        assert np.flatnonzero(known[0, fold, 0, :, 0]).tolist() == rows[63:].tolist()
    assert {row["model"] for row in metrics["headline"]} == {"main", "short", "ridge"}
    assert {row["metric"] for row in metrics["table"]} >= {"pearson", "spearman", "R2", "median error"}


def test_bands_channels_and_groups_are_all_scored(small):
    fits = [small.fit("main", fold, **QUICK) for fold in (0, 1)]
    settings = AttributeSettings.model_validate(
        {"repeats": 2, "every_rows": 8, "bootstrap": 100, "groups": {"both": {"bands_hz": [62.5, 7.8]}, "all": {}}}
    )
    tree = attribute(small.features, fits, settings, {})
    assert tree["group"]["influence"].shape == (2, 2)
    assert tree["band"]["influence"].shape == (16, 2)
    assert tree["channel"]["influence"].shape == (3, 2)
    assert np.isfinite(tree["group"]["low"].values).all()


def test_wrong_names_get_one_clear_error(small, tmp_path):
    recording = store.open_store(small.folder / "r.zarr", kind="recording")
    for change, error, message in [
        ({"signal": "/ephys/sgnal"}, MissingError, "/ephys/signal"),
        ({"bad_channels": ["ch9"]}, DataError, "ch9"),
        ({"targets": {"b": {"source": "/behaviour/c"}}}, MissingError, "/behaviour/b"),
    ]:
        settings = type(small.settings).model_validate({**small.settings.model_dump(), **change})
        with pytest.raises(error, match=message):
            extract(recording, settings, tmp_path / "x.zarr")
        assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="speed"):
        small.fit("wrong", 0, outputs={"speed": {"loss": "absolute"}})
    with pytest.raises(DataError, match="spikes"):
        small.fit("wrong", 0, kind="bayes", input="spikes")


@pytest.mark.slow
def test_two_bands_are_recovered(two_band, tmp_path):
    """Trained as in the configuration, seed 0: decoded, and influence names the two bands and their channels."""
    training = {"schedule": {"epochs": 2, "steps": 40, "batch": 8}}
    fits = [two_band.fit("main", fold, **training) for fold in (0, 1)]
    metrics, predictions = evaluate(two_band.features, fits, Evaluate(shifts=100, least_shift_rows=200), {})
    assert metrics["headline"][0]["value"] >= 0.8
    settings = AttributeSettings(repeats=1, every_rows=16, channels=True)
    tree = attribute(two_band.features, fits, settings, two_band.truth)
    found = {row["name"]: row["value"] for row in json.loads(tree.attrs["headline"])}
    assert all(value == 1 for name, value in found.items() if "rank" in name or "channels" in name)
    assert found["influence: largest |influence| more than half an octave away"] < 0.15
    assert (tree["deletion"]["most"].values[-1] > 1).all()
    assert (np.abs(tree["deletion"]["least"].values) < 0.15).all()
    results = Results("two_band", two_band.features, fits, metrics, predictions, tree)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw(results, FigureSettings(dpi=60), tmp_path / name)
    assert len(list((tmp_path / "a").glob("*.png"))) == 8
    assert store.digest(tmp_path / "a") == store.digest(tmp_path / "b")
