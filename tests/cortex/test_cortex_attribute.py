"""Importance, single traces, deletion, occlusion and t-map of decoders whose answers are known by hand."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from cortex_data import by_subject, movie_features, roi_features
from pydantic import ValidationError
from safetensors.numpy import save_file
from scipy import stats
from sklearn.metrics import roc_auc_score

from pellucid import store
from pellucid.artifacts import HEADLINE, Fit
from pellucid.attribution.occlusion import patches
from pellucid.errors import DataError
from pellucid.learning import loop
from pellucid.systems.cortex.attribute import deletion, occlusion, recovery, tmap
from pellucid.systems.cortex.attribute.attribute import attribute
from pellucid.systems.cortex.attribute.importance import importance, shares, untrained
from pellucid.systems.cortex.attribute.settings import Occlusion, Settings
from pellucid.systems.cortex.attribute.univariate import univariate
from pellucid.systems.cortex.model.network import Images, Linear, Recurrent
from pellucid.systems.cortex.model.restore import restore
from pellucid.systems.cortex.model.settings import Settings as Model

ROIS = 5
QUICK = Settings(windows=60, baselines=3, steps=16, null_model="null", deletion={"windows": 200, "draws": 3})
LINEAR = Model(kind="linear", window_s=0.3)
RNN = Model(window_s=0.3, units=6)
LAGS = 7
"""Samples of 0.3 s to either side at 10 Hz."""
CNN = Model(kind="cnn", input="movie", window_s=0, normalise={"kind": "scalar"}, backbone={"frames": 1})
BRIGHT = (slice(3, 7), slice(8, 12))
"""The patch of the movie that brightens in state 1."""


@pytest.fixture
def features():
    return roi_features(rois=ROIS)


@pytest.fixture
def films():
    return movie_features(shape=(24, 32))


@pytest.fixture
def short_films():
    return movie_features(shape=(24, 32), rows=100)


def fitted(folder, settings, network, model="main", fold=0, seed=0):
    """A fit of a network made by hand, as the stage writes it."""
    place = folder / f"{model}-{fold}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    save_file(loop.arrays(network), place / "weights.safetensors")
    rois = [str(1 + i) for i in range(ROIS)] if settings.kind in ("rnn", "linear") else []
    notes = {"rois": rois, "parameters": 1, "transductive": True, "target_mean": 0.0, "target_sd": 1.0}
    return Fit(model, fold, seed, settings.model_dump(mode="json"), notes, place)


def linear(seed=0):
    """A linear decoder that reads the first ROI most and the last one not at all."""
    network = Linear(LAGS, ROIS)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(np.random.default_rng(seed).normal(size=(LAGS, ROIS))))
        network.weight[:, 0] += 6
        network.weight[:, -1] = 0
    return network


def recurrent(seed=0, reads=(0, 1)):
    """A GRU that sees some of the ROIs."""
    torch.manual_seed(seed)
    network = Recurrent(ROIS, RNN)
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(2)
        network.rnn.weight_ih_l0[:, [i for i in range(ROIS) if i not in reads]] = 0
    return network


def planted():
    """A CNN of single images that reads how bright a few pixels of the patch are: features lie 4 px apart."""
    network = Images(CNN, (24, 32))
    with torch.no_grad():
        for value in network.backbone.layers.parameters():
            value.zero_()
        first, norm, _, second, _ = network.backbone.layers
        norm.weight.fill_(1)
        first.weight[0, 0, 2, 2], first.weight[1, 0, 2, 2] = 1, -1
        second.weight[0, 0, 1, 1] = second.weight[1, 1, 1, 1] = 1
        head = torch.zeros(16, 6, 8)
        head[0, 1, 2], head[1, 1, 2] = 1, -1  # pixel 4, 8
        network.head.weight.copy_(head.flatten()[None])
        network.head.bias.zero_()
    return network


def said(tree):
    return {row["name"]: row for row in json.loads(tree.attrs["headline"])}


def truth_of(driving, row=None, column=None):
    """The truth of a simulation; driving names ROIs 1 to ROIS."""
    count = ROIS if row is None else len(row)
    place = np.linspace(0.1, 0.9, count) if row is None else np.array(row)
    one = {"units": "1"}
    ids = np.array([str(1 + i) for i in range(count)], object)
    group = xr.Dataset(
        {
            "driving": ("roi", np.isin(ids, driving).astype(np.int8), one),
            "row": ("roi", place, one),
            "column": ("roi", place if column is None else np.array(column), one),
        },
        coords={"roi": ids},
    )
    return {"cells": xr.DataTree.from_dict({"/": xr.Dataset(), "/truth": group})}


def test_importance_of_a_linear_decoder_has_a_closed_form(features, tmp_path):
    decoder = restore(fitted(tmp_path, LINEAR, linear()), features)
    found = importance(decoder, QUICK)
    test, train = decoder.windows("test"), decoder.windows("train")
    shown = test.thinned(60)
    drawn = np.sort(np.random.default_rng([0, 0, 0]).choice(train.count, size=3, replace=False))
    phi = linear().weight.detach().numpy() * (test.take(shown) - train.take(drawn).mean(0))
    np.testing.assert_allclose(found.magnitude, np.abs(phi).mean(0), atol=1e-5)  # float32
    state = test.state[shown]
    np.testing.assert_allclose(found.signed, phi[state == 1].mean(0) - phi[state == 0].mean(0), atol=1e-5)
    assert found.completeness < 1e-4
    assert found.typical <= found.completeness
    assert (found.magnitude[:, -1] == 0).all()


def test_importance_is_confined_to_the_rois_a_recurrent_decoder_reads(features, tmp_path):
    decoder = restore(fitted(tmp_path, RNN, recurrent(reads=(1, 3))), features)
    found = importance(decoder, QUICK)
    share = shares(found.magnitude)
    assert (share[[0, 2, 4]] == 0).all()
    assert share.sum() == pytest.approx(1)
    assert found.completeness < 0.01
    plain = importance(decoder, QUICK, untrained(decoder, 1))
    assert (plain.magnitude > 0).all()
    np.testing.assert_array_equal(plain.magnitude, importance(decoder, QUICK, untrained(decoder, 1)).magnitude)
    assert (plain.magnitude != importance(decoder, QUICK, untrained(decoder, 2)).magnitude).any()


def test_the_probability_is_explained_where_it_is_asked_for(features, tmp_path):
    network = linear()
    with torch.no_grad():
        network.bias.fill_(-60)  # far into saturation
    decoder = restore(fitted(tmp_path, LINEAR, network), features)
    logit = importance(decoder, QUICK)
    chance = importance(decoder, QUICK.model_copy(update={"explain": "probability"}))
    assert logit.saturated == chance.saturated > 0.5
    assert chance.magnitude.sum() < 0.01 * logit.magnitude.sum()


def test_single_traces_are_scored_on_the_labelled_test_frames(features, tmp_path):
    decoder = restore(fitted(tmp_path, LINEAR, linear()), features)
    correlation, area = univariate(decoder)
    each, pooled, labels = [], [], []
    for name in ("m0_s0", "m0_s1"):  # the sessions of the test mouse of fold 0
        signal = features.group(name, "roi")["signal"].values.astype(np.float64)
        state = features.group(name, "behaviour")["state"].values[3:-3]
        scaled = ((signal - signal.min(0)) / (signal.max(0) - signal.min(0)))[3:-3]
        each.append([stats.pearsonr(trace, state).statistic for trace in scaled.T])
        pooled.append(scaled)
        labels.append(state)
    np.testing.assert_allclose(correlation, np.mean(each, axis=0), atol=1e-5)  # traces are float32
    truth = [roc_auc_score(np.concatenate(labels), trace) for trace in np.concatenate(pooled).T]
    np.testing.assert_allclose(area, truth, atol=1e-3)  # float32 makes a few ties
    assert np.argmax(correlation) == 0


def test_deleting_what_matters_costs_more_than_deleting_anything(features, tmp_path):
    decoder = restore(fitted(tmp_path, RNN, recurrent(reads=(0,))), features)
    score = shares(importance(decoder, QUICK).magnitude)
    found = deletion.curve(decoder, score, QUICK)
    indices = decoder.windows("test").thinned(200)
    whole = roc_auc_score(decoder.windows("test").state[indices], decoder.predict("test")[indices])
    assert found.auc[0] == pytest.approx(whole)
    assert (found.auc[1:] == 0.5).all()  # nothing is left after the only ROI that is read
    assert found.random[0] == found.auc[0]
    assert found.random[-1] == 0.5
    np.testing.assert_array_equal(found.random_sd[[0, -1]], 0)


@pytest.mark.parametrize(
    ("rois", "truth"), [(1, [0, 1]), (2, [0, 1, 2]), (8, [0, 1, 2, 4, 8]), (9, [0, 1, 2, 4, 8, 9])]
)
def test_numbers_of_deleted_rois_double_up_to_all(rois, truth):
    assert deletion.counts(rois).tolist() == truth


def traces_fits(folder):
    made = [fitted(folder, LINEAR, linear(seed), fold=fold, seed=seed) for fold, seed in ((0, 0), (0, 1), (1, 0))]
    null = LINEAR.model_copy(update={"swap": "derangement"})
    return [*made, fitted(folder, null, linear(9), "null"), fitted(folder, RNN, recurrent(), "other")]


def test_a_model_of_traces_gives_all_groups_of_traces(features, tmp_path):
    found = attribute(features, traces_fits(tmp_path), QUICK, truth_of(["1"]))
    assert set(found.children) == {"importance", "null", "untrained", "univariate", "deletion"}
    own = found["importance"]
    assert own["magnitude"].dims == ("fold", "seed", "lag", "roi")
    np.testing.assert_allclose(own["lag"], np.arange(-3, 4) / 10)
    assert np.isnan(own["magnitude"].values[1, 1]).all()  # there is no such fit
    assert np.isfinite(own["magnitude"].values[0]).all()
    assert own["driving"].values.tolist() == [1, 0, 0, 0, 0]
    np.testing.assert_array_equal(own["found"], [[1, 1], [1, np.nan]])
    np.testing.assert_allclose(own["profile"].values[0, 0], own["magnitude"].values[0, 0].sum(-1), rtol=1e-6)
    assert own["area"].values.tolist() == ["limb", "limb", "", "", ""]
    assert np.isfinite(found["null"]["magnitude"].values[0, 0]).all()
    np.testing.assert_allclose(found["deletion"]["output"], np.array([0, 1, 2, 4, 5]) / 5)
    rows = said(found)
    assert rows["driving ROIs among the 1 of largest importance"]["value"] == 1
    assert rows["driving ROIs among the 1 of largest importance"]["note"] == "all 1 in 3 of 3 fits"
    assert rows["share of importance of the driving ROIs"]["value"] > 0.4
    assert rows["completeness error of expected gradients, largest"]["value"] < 1e-4
    assert "rank correlation of importance with that of the label null" in rows
    assert all(set(row) == set(HEADLINE) and row["model"] == "main" for row in rows.values())
    assert found.attrs["warning"] == ""


def test_equal_inputs_give_equal_bytes_and_keep_the_contract(features, tmp_path):
    fits = traces_fits(tmp_path)
    for name in ("one", "two"):
        store.write(tmp_path / f"{name}.zarr", attribute(features, fits, QUICK, truth_of(["1"])))
    assert store.digest(tmp_path / "one.zarr") == store.digest(tmp_path / "two.zarr")
    read = store.open_store(tmp_path / "one.zarr")
    assert json.loads(read.attrs["headline"])


def test_without_a_truth_the_largest_rois_are_named(features, tmp_path):
    settings = QUICK.model_copy(update={"null_model": None})
    found = attribute(features, traces_fits(tmp_path), settings, {})
    assert "driving" not in found["importance"]
    assert "null" not in found.children
    assert said(found)["share of importance of the 4 largest ROIs"]["note"].startswith("1, ")


def test_a_coarse_integral_and_a_saturated_probability_are_warned_of(features, tmp_path):
    strict = QUICK.model_copy(update={"tolerance": 1e-9, "null_model": None})
    told = attribute(features, traces_fits(tmp_path), strict, {}).attrs["warning"]
    assert "completeness error" in told
    assert "3 of 3 fits" in told
    published = QUICK.model_copy(update={"explain": "probability", "background": "test", "null_model": None})
    told = attribute(features, traces_fits(tmp_path), published, {}).attrs["warning"]
    assert "saturated" in told
    assert "test sessions" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "maim"}, "attribute.model"),
        ({"null_model": "maim"}, "attribute.null_model"),
        ({"movie_model": "other"}, "a model of a movie"),
        ({"null_model": "short"}, "differs in its labels only"),
        ({"null_model": "apart"}, "same fold and seed"),
    ],
)
def test_models_that_cannot_be_explained_are_refused(features, tmp_path, change, message):
    short = fitted(tmp_path, LINEAR.model_copy(update={"window_s": 0.2}), Linear(5, ROIS), "short")
    apart = fitted(tmp_path, LINEAR, linear(), "apart", seed=7)
    speed = fitted(tmp_path, LINEAR.model_copy(update={"target": "speed"}), linear(), "speed")
    with pytest.raises(DataError, match=message):
        attribute(features, [*traces_fits(tmp_path), short, apart, speed], QUICK.model_copy(update=change), {})
    with pytest.raises(DataError, match="decodes the state"):
        attribute(features, [speed], QUICK.model_copy(update={"model": "speed"}), {})


def test_settings_refuse_one_model_in_two_roles():
    with pytest.raises(ValidationError, match="null_model"):
        Settings(model="a", null_model="a")


def test_occlusion_finds_the_pixels_a_decoder_reads(short_films, tmp_path):
    decoder = restore(fitted(tmp_path, CNN, planted()), short_films)
    geometry = patches((24, 32))
    found = occlusion.maps(decoder, geometry)
    assert found.ones == 0
    assert found.square.shape == geometry.grid == (7, 10)
    assert found.auc > 0.6
    holds = geometry.holding(np.array([4]), np.array([8]))
    np.testing.assert_allclose(found.square[holds], found.auc - 0.5, atol=1e-12)
    assert (found.square[~holds] == 0).all()
    away = [name for name, lost in zip(geometry.border_names(), found.border) if lost == 0]
    assert len(away) == len(found.border)  # the pixel lies inside, away from strips of 3 px


def test_a_model_of_a_movie_gives_maps_scored_against_the_truth(short_films, tmp_path):
    fits = [fitted(tmp_path, CNN, planted(), fold=fold) for fold in range(2)]
    truth = truth_of(["2"], row=[0.9, 4.5 / 24], column=[0.9, 8.5 / 32])
    found = attribute(short_films, fits, Settings(), truth)
    assert set(found.children) == {"occlusion", "tmap"}
    group = found["occlusion"]
    assert group["square"].shape == group["circle"].shape == (2, 1, 7, 10)
    assert group["true"].values.sum() == 4
    np.testing.assert_array_equal(group["recovered"], 1)
    assert (group["ones"].values == 0).all()
    assert group.attrs["side_px"] == 6
    np.testing.assert_allclose(group["row"].values[:2], [3, 6])
    rows = said(found)
    assert rows["AUC of the occlusion map against cells with a driving ROI"]["value"] == 1
    assert rows["AUC lost under a mask that hides nothing"]["value"] == 0
    assert found["tmap"]["background"].shape == (24, 32)
    store.write(tmp_path / "made.zarr", found)


def test_traces_and_a_movie_are_explained_side_by_side(tmp_path):
    traces, films = roi_features(rois=ROIS, sessions=1, rows=100), movie_features(shape=(24, 32), rows=100)
    stores = {
        name: xr.DataTree.from_dict(
            {
                "/": traces.stores[f"{name}_s0"].to_dataset(),
                "/behaviour": films.group(name, "behaviour"),
                "/movie": films.group(name, "movie"),
                "/roi": traces.group(f"{name}_s0", "roi"),
            }
        )
        for name in films.stores
    }
    fits = [fitted(tmp_path, LINEAR, linear()), fitted(tmp_path, CNN, planted(), "film")]
    settings = QUICK.model_copy(update={"null_model": None, "movie_model": "film", "occlusion": Occlusion(mask_px=12)})
    found = attribute(by_subject(stores), fits, settings, {})
    assert {"importance", "deletion", "occlusion", "tmap"} <= set(found.children)
    assert {row["model"] for row in json.loads(found.attrs["headline"])} == {"main", "film"}


def test_test_sessions_in_one_state_leave_scores_undefined(features, short_films, tmp_path):
    for made, names in ((features, ("m0_s0", "m0_s1")), (short_films, ("m0",))):
        for name in names:
            group = made.group(name, "behaviour").load()
            group["state"].values[:] = 1
            made.stores[name]["behaviour"] = group
    settings = QUICK.model_copy(update={"null_model": None, "occlusion": Occlusion(mask_px=12)})
    found = attribute(features, [fitted(tmp_path, LINEAR, linear())], settings, {})
    assert np.isfinite(found["importance"]["magnitude"].values).all()
    assert np.isnan(found["importance"]["signed"].values).all()
    assert np.isnan(found["univariate"]["correlation"].values).all()
    assert np.isnan(found["deletion"]["auc"].values).all()
    assert not [name for name in said(found) if "AUC" in name or "|r|" in name]
    maps = attribute(short_films, [fitted(tmp_path, CNN, planted())], settings, truth_of(["1"]))
    assert np.isnan(maps["occlusion"]["square"].values).all()
    assert np.isnan(maps["tmap"]["t"].values).all()
    assert said(maps) == {}


def test_t_is_welchs_whatever_the_blocks(films, tmp_path, monkeypatch):
    group = films.group("m0", "movie")
    frames, state = group["movie"].values.astype(float), films.group("m0", "behaviour")["state"].values
    decoder = restore(fitted(tmp_path, CNN, planted()), films)
    truth = stats.ttest_ind(frames[state == 1], frames[state == 0], equal_var=False).statistic
    whole = tmap.tmap(decoder)
    monkeypatch.setattr(tmap, "BLOCK", 37)
    np.testing.assert_allclose(tmap.tmap(decoder), whole, rtol=1e-6)
    np.testing.assert_allclose(whole, truth, rtol=2e-3, atol=1e-4)  # the movie is scaled in float32
    inside = np.zeros(whole.shape, bool)
    inside[BRIGHT] = True
    assert whole[inside].min() > np.abs(whole[~inside]).max()


def test_t_of_a_pixel_that_does_not_vary_is_missing(tmp_path):
    films = movie_features(shape=(24, 32))
    for name, tree in films.stores.items():
        group = films.group(name, "movie").load()
        group["movie"].values[:, 20, 3] = 500
        group["mean"].values[20, 3] = 500
        tree["movie"] = group
    found = tmap.tmap(restore(fitted(tmp_path, CNN, planted()), films))
    assert np.isnan(found[20, 3])
    assert np.isfinite(np.delete(found.ravel(), 20 * 32 + 3)).all()


def test_driving_rois_are_counted_among_as_many_of_largest_share():
    share = np.array([[0.4, 0.3, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4], [np.nan] * 4])
    np.testing.assert_array_equal(recovery.found(share, np.array([True, True, False, False])), [2, 0, np.nan])


def test_a_truth_of_other_rois_or_without_driving_ones_is_left_out():
    known = recovery.known(truth_of(["2"]))
    assert known.among(["1", "2"]).tolist() == [False, True]
    assert known.among(["1", "global"]) is None
    assert known.among(["1"]) is None
    assert recovery.known(truth_of([])) is None
    assert recovery.known({}) is None


def test_cells_of_the_published_limb_rois_are_8_of_49():
    known = recovery.Known(["6", "8", "31", "33"], np.ones(4, bool), np.array([0.44, 0.47, 0.44, 0.47]),
                           np.array([0.13, 0.20, 0.87, 0.79]))  # fmt: skip
    assert known.cells(patches((32, 32))).sum() == 8
    assert known.cells(patches((128, 128))).sum() == 8
