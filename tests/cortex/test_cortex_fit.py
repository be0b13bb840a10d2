"""Fits on small sessions: every kind learns, a resumed fit equals an uninterrupted one, cached features equal naive."""

import json

import cortex_data
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from pellucid.artifacts import Fit
from pellucid.errors import DataError
from pellucid.systems.cortex.model import images, training
from pellucid.systems.cortex.model.fit import fit
from pellucid.systems.cortex.model.linear import lags
from pellucid.systems.cortex.model.restore import restore
from pellucid.systems.cortex.model.scores import auc
from pellucid.systems.cortex.model.settings import Settings, Training
from pellucid.systems.cortex.model.training import Target
from pellucid.systems.cortex.model.windows import Windows

QUICK = {"epochs": 3, "batch": 64, "windows": 1500, "rate": 5e-3}


def fitted(features, folder, settings, fold=0, seed=0):
    """The decoder of one fit, through its files."""
    made = Settings.model_validate(settings)
    trained = fit(features, fold, seed, made, folder / "checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in trained.weights.items()}, folder / "weights.safetensors")
    notes = json.loads(json.dumps(dict(trained.notes)))
    return restore(Fit("main", fold, seed, made.model_dump(mode="json"), notes, folder), features), trained


@pytest.mark.parametrize(
    "settings",
    [
        {"training": QUICK},
        {"cell": "keras_gru", "training": QUICK},
        {"cell": "lstm", "bidirectional": True, "training": QUICK},
        {"kind": "linear", "linear": {"every": 2, "penalties": [1e-3, 1e-1]}},
    ],
)
def test_decoders_of_traces_read_the_state_of_an_unseen_animal(tmp_path, settings):
    decoder, trained = fitted(cortex_data.roi_features(), tmp_path, settings)
    windows = decoder.windows("test")
    assert {session.subject for session in windows.sessions} == {"mouse0"}
    probability = decoder.predict("test")
    assert probability.shape == (windows.count,)
    assert auc(windows.state, probability) > 0.9
    assert decoder.transductive
    assert trained.notes["weights"] == "random"
    assert len({tuple(row) for row in trained.history}) == 1  # one set of columns


def test_speed_is_decoded_in_its_units(tmp_path):
    decoder, _ = fitted(cortex_data.roi_features(), tmp_path, {"target": "speed", "training": {**QUICK, "epochs": 6}})
    windows = decoder.windows("test")
    found = decoder.predict("test")
    assert np.corrcoef(found, windows.target)[0, 1] > 0.7
    assert abs(found.mean() - windows.target.mean()) < 2  # cm/s; states are 0 and 10 cm/s


def test_a_null_is_scored_on_the_labels_it_learnt(tmp_path):
    features = cortex_data.roi_features()
    decoder, _ = fitted(features, tmp_path, {"swap": "derangement", "training": QUICK})
    windows = decoder.windows("test")
    own = features.group("m0_s1", "behaviour")["state"].values
    first = windows.session == windows.names.index("m0_s0")
    np.testing.assert_array_equal(windows.state[first], own[windows.row[first]])


def test_a_cnn_and_a_cnn_rnn_read_the_state_from_a_movie(tmp_path):
    features = cortex_data.movie_features()
    small = {"epochs": 2, "batch": 32, "windows": 600, "smoothing": 0.0}
    alone, _ = fitted(features, tmp_path / "cnn", {"preset": "small_cnn", "training": small})
    assert auc(alone.windows("test").state, alone.predict("test")) > 0.8
    settings = {"preset": "small_cnn_gru", "window_s": 0.3, "stage_1": small, "training": small}
    frozen, trained = fitted(features, tmp_path / "frozen", settings)
    assert auc(frozen.windows("test").state, frozen.predict("test")) > 0.9
    assert [row["stage"] for row in trained.history] == [1, 1, 2, 2]
    ones = frozen.occluded("test", np.stack([np.ones((18, 14)), np.zeros((18, 14))]))
    np.testing.assert_array_equal(ones[0], frozen.predict("test"))
    assert np.ptp(ones[1]) < 1e-6  # nothing left to see: one probability for all windows


def test_a_second_stage_may_train_the_backbone_further(tmp_path):
    small = {"epochs": 1, "batch": 16, "windows": 64}
    settings = {"preset": "small_cnn_gru", "backbone": {"frozen": False}, "stage_1": small, "training": small}
    decoder, trained = fitted(cortex_data.movie_features(), tmp_path, settings)
    assert [row["stage"] for row in trained.history] == [1, 2]
    assert np.isfinite(decoder.predict("test")).all()


@pytest.mark.parametrize("kind", ["small", "efficientnet_b0"])
def test_cached_features_equal_one_pass_per_window_and_image(tmp_path, kind):
    small = {"epochs": 1, "batch": 8, "windows": 16, "validation_windows": 16}
    settings = {"kind": "cnn_rnn", "input": "movie", "window_s": 0.3, "units": 8, "normalise": {"kind": "zscore"}}
    settings |= {"backbone": {"kind": kind}, "stage_1": small, "training": small}
    decoder, _ = fitted(cortex_data.movie_features(rows=60, shape=(32, 32)), tmp_path, settings)
    windows, network = decoder.windows("test"), decoder.network
    with torch.inference_mode():
        naive = network(images.batch(windows, np.arange(windows.count), 3)).numpy()
    cached = images.predict(network, images.encode(network, windows, np.arange(windows.count), 3))
    np.testing.assert_allclose(cached, naive, atol=1e-5)


def test_an_interrupted_fit_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    features = cortex_data.roi_features()
    settings = Settings(training={**QUICK, "one_cycle": True, "decay": 0.01})
    whole = fit(features, 0, 3, settings, tmp_path / "whole")

    class Stop(Exception):
        pass

    calls = []

    def scored(*args):
        calls.append(1)
        if len(calls) == 2:
            raise Stop
        return auc(*args)

    monkeypatch.setattr(training, "auc", scored)
    with pytest.raises(Stop):
        fit(features, 0, 3, settings, tmp_path / "part")
    monkeypatch.undo()
    resumed = fit(features, 0, 3, settings, tmp_path / "part")
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(value, resumed.weights[name])
    assert list(whole.history) == list(resumed.history)


def test_streamed_training_reads_blocks_and_still_learns(tmp_path):
    small = {"epochs": 3, "batch": 32, "windows": 1500}
    settings = {"preset": "small_cnn", "memory_mb": 1, "training": small}
    features = cortex_data.movie_features(rows=900, shape=(32, 20))  # 2.2 MiB each
    decoder, _ = fitted(features, tmp_path, settings)
    assert not decoder.windows("test").sessions[0].signal.held
    assert auc(decoder.windows("test").state, decoder.predict("test")) > 0.8


def test_training_windows_of_one_state_are_refused(tmp_path):
    features = cortex_data.roi_features()
    for tree in features.stores.values():
        tree["behaviour"]["state"][:] = 0
    with pytest.raises(DataError, match="both states"):
        fit(features, 0, 0, Settings(), tmp_path)


def test_the_labelled_frame_is_among_the_lags_of_the_linear_decoder():
    for samples in (1, 7, 31):
        for every in (1, 2, 3, 5):
            found = lags(samples, every)
            assert samples // 2 in found
            assert (np.diff(found) == every).all()


def test_balanced_weights_give_both_states_the_same_total():
    target = Target(False, 0.0, 1.0, 0.25)
    state = torch.tensor([1.0, 0, 0, 0])
    output = torch.full((4,), 3.0)
    weighted = float(target.loss(output, state, Training(balanced=True, smoothing=0.0)))
    each = np.log1p(np.exp([-3.0, 3.0]))  # of state 1, of state 0
    assert weighted == pytest.approx(each.mean(), rel=1e-6)  # one window of state 1 counts as much as three of 0


def test_smoothed_labels_are_those_published():
    target = Target(False, 0.0, 1.0, 0.5)
    found = float(target.loss(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]), Training(smoothing=0.001)))
    p = 1 / (1 + np.exp(-np.array([2.0, -1.0])))
    y = 0.999 * np.array([1.0, 0.0]) + 0.0005
    assert found == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(), rel=1e-6)


def test_windows_are_scored_in_order_of_their_sessions(tmp_path):
    decoder, _ = fitted(cortex_data.roi_features(), tmp_path, {"kind": "linear", "linear": {"penalties": [0.01]}})
    windows = decoder.windows("test")
    assert isinstance(windows, Windows)
    assert (np.diff(windows.session) >= 0).all()
    assert (np.diff(windows.row)[np.diff(windows.session) == 0] > 0).all()
