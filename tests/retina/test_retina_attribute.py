"""Circuits of networks made by hand: identities of contributions, a fit that is its teacher, what is not explained."""

import json

import numpy as np
import pytest
import retina_fits
import torch
import xarray as xr
from pydantic import ValidationError

from pellucid import schema, store
from pellucid.artifacts import HEADLINE
from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.attribute import lags, measures, tasks, teacher
from pellucid.systems.retina.attribute.attribute import attribute
from pellucid.systems.retina.attribute.path import integrate
from pellucid.systems.retina.attribute.phenomenon import explain
from pellucid.systems.retina.attribute.settings import PUBLISHED, Settings
from pellucid.systems.retina.model.restore import restore
from pellucid.systems.retina.model.settings import Settings as Model

SHAPE = (9, 12)
PLACES = [(0, 0), (1, 3), (1, 1)]
HISTORY = 6
FRAMES = 400
CNN = Model(
    history=HISTORY,
    layers=[{"channels": 4, "kernel_px": [3, 4]}, {"channels": 3, "kernel_px": [3, 2]}],
    readout={"kind": "located", "kernel_px": [3, 3]},
)
NAMES = [f"cell{i:02d}" for i in range(len(PLACES))]
STEP = {"kind": "step", "step_frames": 8, "after_rows": 10, "before_rows": 4, "contrasts": [-0.8, 0.8]}
BAR = {"kind": "reversal", "speed_px": 0.5, "flips_px": [0, 1], "before_rows": 12, "after_rows": 12}
GRATING = {"kind": "reversing_grating", "half_period_frames": 8, "frames": 40, "phases": 2, "bars_px": [3]}
QUICK = Settings(
    phenomena={"step": STEP, "bar": BAR},
    test_rows=30,
    lag_rows=10,
    fields={"rows": 40},
    interneurons={"draws": 20, "untrained": 1, "drop_first": 8},
)


def movie(seed=1, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(FRAMES, *shape)).astype(np.float32)


def responses(network, frames, history=HISTORY, lag=1, gain=1.0, seed=3):
    """Spikes of a network's own rates, (time, neuron); NaN without a full history."""
    with torch.inference_mode():
        rate = gain * network.respond(torch.from_numpy(frames)).numpy()
    out = np.full((len(frames), rate.shape[1]), np.nan)
    out[history - 1 + lag :] = np.random.default_rng(seed).poisson(rate)[: len(frames) - history + 1 - lag]
    return out


def rows(start=HISTORY):
    return {"train": {"white": [(start, 250)]}, "validation": {"white": [(260, 300)]}, "test": {"white": [(310, 400)]}}


def made(folder, seeds=(0,), settings=CNN, model="main", shape=SHAPE, places=PLACES, **extra):
    return [
        retina_fits.fit(
            folder, settings, retina_fits.made(settings, shape, places, seed), places, model=model, seed=seed, **extra
        )
        for seed in seeds
    ]


def recorded(network, **extra):
    frames = movie(shape=network.shape)
    return retina_fits.cells(frames, responses(network, frames, **extra))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two seeds, a baseline and a recording of interneurons; settings, features, fits and the tree."""
    folder = tmp_path_factory.mktemp("fits")
    fits = [*made(folder, (0, 1)), *made(folder, (1,), model="other")]
    network = retina_fits.made(CNN, SHAPE, PLACES, 0)
    boxes = np.sign(movie(9))
    stores = {
        "white": recorded(network),
        "bip": retina_fits.interneurons(boxes, np.random.default_rng(0).normal(size=(FRAMES, 2))),
    }
    features = retina_fits.features(stores, rows())
    settings = QUICK.model_copy(update={"baselines": ["other"]})
    return settings, features, fits, attribute(features, fits, settings, {})


def said(group, name):
    return json.loads(group.attrs[name])


def test_all_groups_keep_the_array_contract(built, tmp_path):
    settings, features, fits, tree = built
    assert set(tree.children) == {
        "channels", "evidence", "fields", "phenomena", "summary", "agreement", "interneurons"
    }  # fmt: skip
    assert set(tree["phenomena"].children) == {"step", "bar", "test_movie"}
    store.write(tmp_path / "one.zarr", tree)
    store.write(tmp_path / "two.zarr", attribute(features, fits, settings, {}))
    assert store.digest(tmp_path / "one.zarr") == store.digest(tmp_path / "two.zarr")
    assert all(set(row) == set(HEADLINE) for row in json.loads(tree.attrs["headline"]))
    assert "nothing is claimed" not in tree.attrs["warning"]


def test_rates_are_the_sum_of_their_parts(built):
    for name in ("step", "bar", "test_movie"):
        group = built[3]["phenomena"][name].to_dataset()
        parts = group["zero"] + group["contribution"].sum("feature") + group["residual"]
        np.testing.assert_allclose(parts.transpose(*group["rate"].dims), group["rate"], atol=1e-5)  # float32
        assert group.attrs["completeness"] < 1e-3
        assert group.attrs["accuracy"] < 2e-3
        assert group["rate"].sizes["seed"] == 2
        assert (np.diff(group["importance"].values[0][group["order"].values[0]]) <= 0).all()
        for place, size in enumerate(group["output"].values):
            for seed in range(2):
                kept = group["order"].values[seed][:size]
                truth = group["zero"].values[seed] + group["contribution"].values[seed][..., kept].sum(-1)
                np.testing.assert_allclose(group["truncated"][seed, ..., place], truth, atol=1e-5)


def test_rates_are_those_of_the_models_on_the_stimuli(built):
    settings, features, fits, tree = built
    group = tree["phenomena"]["bar"].to_dataset()
    models = [restore(fit, features) for fit in fits]
    (task,) = [task for task in tasks.tasks(models[0], settings, None) if task.name == "bar"]
    for seed in range(2):
        truth = np.stack([models[seed].respond(frames) for frames in task.conditions.frames])
        np.testing.assert_allclose(group["rate"].values[seed], truth, rtol=1e-4, atol=1e-6)
    assert np.isnan(group["rate_other"].values[0]).all()  # there is no seed 0 of it
    np.testing.assert_allclose(group["rate_other"].values[1], truth, rtol=1e-4, atol=1e-6)


def test_lesions_hold_channels_at_what_grey_gives_them(built):
    settings, features, fits, tree = built
    group = tree["phenomena"]["step"].to_dataset()
    model = restore(fits[0], features)
    (task,) = [task for task in tasks.tasks(model, settings, None) if task.name == "step"]
    with torch.inference_mode():
        u = model.network.first(torch.from_numpy(task.conditions.frames[0]))
        for place, size in enumerate(group["output"].values):
            kept = np.zeros((1, 4, 1, 1), np.float32)
            kept[0, group["order"].values[0][:size]] = 1
            truth = model.network.head(u * torch.from_numpy(kept) + model.network.bias[:, None, None])
            np.testing.assert_allclose(group["lesioned"].values[0, 0, ..., place], truth, rtol=1e-4, atol=1e-6)


def test_the_test_movie_is_that_of_the_features(built):
    _, features, fits, tree = built
    group = tree["phenomena"]["test_movie"].to_dataset()
    model = restore(fits[0], features)
    np.testing.assert_allclose(
        group["rate"].values[0, 0], model.predict("white", np.arange(310, 340)), rtol=1e-4, atol=1e-6
    )
    assert group.attrs["kind"] == "recorded"
    np.testing.assert_allclose(group["lag"], [-60, -50, -40, -30, -20, -10])
    assert group["lag_contribution"].shape == (2, HISTORY, 3)


def test_measures_are_of_every_model_and_the_mean_of_cells(built):
    found = said(built[3]["phenomena"]["bar"], "measures")
    keys = [(row["model"], row["seed"], row["neuron"], row["name"], row["at"]) for row in found]
    assert len(set(keys)) == len(keys)
    models = {"main", "other", *(f"{kind}_{size}" for kind in ("reduced", "lesioned") for size in (1, 2, 3))}
    assert {row["model"] for row in found} == models
    assert {row["neuron"] for row in found if row["model"] == "main"} == {*NAMES, "mean"}
    assert {row["neuron"] for row in found if row["model"] != "main"} == {"mean"}
    delays = [
        row["value"] for row in found if row["name"] == "delay" and row["model"] == "main" and row["neuron"] == "mean"
    ]
    assert measures.value(found, "delay", "main") == pytest.approx(np.mean([d for d in delays if d is not None]))
    assert np.isnan(measures.value(found, "delay", "nobody"))


def test_circuits_grow_until_they_are_the_network(built):
    group = built[3]["phenomena"]["step"]
    assert [(row["seed"], row["size"]) for row in said(group, "circuit")] == [(s, k) for s in (0, 1) for k in (1, 2, 3)]
    whole = [
        row
        for row in said(group, "circuit_labels")
        if row["size"] == len(set(row["labels"])) and len(row["channels"]) == 4
    ]
    assert len(whole) == 2
    for row in whole:
        assert row["explained"] == pytest.approx(1, abs=1e-4)
        assert row["explained_lesion"] == pytest.approx(1, abs=1e-4)
    smallest = said(group, "smallest")
    assert {(row["seed"], row["by"], row["lesion"]) for row in smallest} == {
        (seed, by, lesion) for seed in (0, 1) for by in ("channel", "label") for lesion in (False, True)
    }


def test_shares_of_channels_sum_to_one(built):
    summary = built[3]["summary"].to_dataset()
    assert summary["trial"].values.tolist() == ["step", "bar", "test_movie"]
    np.testing.assert_allclose(summary["share"].sum("feature"), 1, rtol=1e-5)
    assert (np.abs(summary["signed"]) <= summary["share"] + 1e-6).all()


def test_channels_and_fields_are_of_every_fit(built):
    tree = built[3]
    assert tree["channels"]["temporal"].dims == ("fold", "seed", "lag", "feature")
    np.testing.assert_allclose(tree["channels"]["lag"], [-60, -50, -40, -30, -20, -10])
    assert tree["fields"]["sta"].shape == (1, 2, HISTORY, 3, *SHAPE)
    pairs = said(tree["agreement"], "pairs")
    assert len(pairs) == 3
    assert {row["experiments"] for row in pairs} == {False}


def test_long_stimuli_are_attributed_in_the_response_window_only():
    network = retina_fits.made(CNN, SHAPE, PLACES)
    stimulus = Settings(phenomena={"step": STEP | {"step_frames": 30}}, rows=12, sizes=[1, 4, 9])
    model = type("Stub", (), {"history": HISTORY, "lag": 1, "rate_hz": 100.0, "shape": SHAPE})()
    (task,) = tasks.tasks(model, stimulus, None)
    found = explain(network, task.conditions, ["ON fast"] * 4, stimulus)
    window = slice(task.conditions.window.start, task.conditions.window.start + 12)
    assert found.window == window
    known = np.isfinite(found.contribution).all((0, 2, 3))
    assert np.flatnonzero(known).tolist() == list(range(window.start, window.stop))
    assert np.isfinite(found.rate).all()
    whole = explain(network, task.conditions, ["ON fast"] * 4, stimulus.model_copy(update={"rows": 1000}))
    np.testing.assert_allclose(found.contribution[:, window], whole.contribution[:, window], atol=1e-5)
    np.testing.assert_allclose(found.rate, whole.rate, rtol=1e-5)
    np.testing.assert_allclose(whole.truncated[..., 1], whole.rate, atol=1e-4)  # all channels
    np.testing.assert_allclose(whole.lesioned[..., 2], whole.rate, rtol=1e-5)  # no more than there are


def test_no_response_has_no_circuit(built, tmp_path):
    _, features, fits, _ = built
    settings = Settings(phenomena={"grey": STEP | {"contrasts": [0.0]}, "step": STEP}, test_rows=0)
    tree = attribute(features, fits, settings, {})
    assert "no response to grey" in tree.attrs["warning"]
    group = tree["phenomena"]["grey"]
    assert list(group.attrs["silent"]) == [0, 1]
    assert group.attrs["completeness"] == 0
    assert said(group, "circuit") == []
    assert {(row["size"], tuple(row["labels"])) for row in said(group, "smallest")} == {(0, ())}
    assert {row["phenomenon"] for row in said(tree["agreement"], "pairs")} == {"step"}
    assert not [
        row for row in json.loads(tree.attrs["headline"]) if "grey" in row["name"] and "channels" in row["name"]
    ]
    store.write(tmp_path / "made.zarr", tree)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_contributions_of_lags_are_integrated_gradients_of_the_frames(axes):
    network = retina_fits.made(CNN, SHAPE, PLACES)
    size = {1: (), 2: SHAPE[1:], 3: SHAPE}[axes]
    frames = np.random.default_rng(2).normal(size=(12, *size)).astype(np.float32)
    chosen = np.array([0, 2, 3])
    found = lags.contributions(network, frames, chosen, 1e-4)
    channels = integrate(network, frames, rows=chosen, tolerance=1e-4).channels
    np.testing.assert_allclose(found.sum(2), channels.sum(2), atol=1e-3)
    full = np.broadcast_to(frames.reshape(12, *(1,) * (3 - axes), *size), (12, *SHAPE)).copy()
    window = torch.from_numpy(full[2 : 2 + HISTORY])[None]
    steps = (torch.arange(400) + 0.5) / 400  # midpoint rule on the pixels; error of order 1 / 400 at kinks
    path = (steps[:, None, None, None] * window).requires_grad_(True)
    rates = network(path)
    truth = [torch.autograd.grad(rates[:, cell].sum(), path, retain_graph=True)[0] for cell in range(3)]
    truth = np.stack([(gradient.mean(0) * window[0]).sum((1, 2)).numpy() for gradient in truth])
    np.testing.assert_allclose(found[1], truth, atol=5e-3 * np.abs(truth).max())


def taught(folder):
    """A simulation and a fit that is its teacher: kernels of a dark fast and a bright slow channel."""
    rng = np.random.default_rng(0)
    time = np.array([[0, 0.1, 0.2, -0.4, -1.0, -0.8], [0.4, 1.0, 0.9, 0.3, -0.1, 0]])
    space = np.outer([1, 2, 1], [1, 2, 1]) / 16
    kernel = (time[:, :, None, None] * space).astype(np.float32)
    labels = {"kernel": np.array(["off_fast", "on_slow"], object)}
    about = {"mechanism": "subunits", "gain": 2.0, "history": HISTORY, "lag": 1, "rate_hz": 100.0, "movie_sd": 1.0}
    channels = xr.Dataset(
        {
            "filter": (("lag", "kernel", "height", "width"), kernel.swapaxes(0, 1)),
            "threshold": ("kernel", np.array([0.2, 0.3])),
            "sign": ("kernel", np.array([-1, 1])),
            "fast": ("kernel", np.array([1, 0])),
        },
        labels,
        about,
    )
    weight = rng.uniform(0.01, 0.05, (3, 2, SHAPE[0] - 2, SHAPE[1] - 2)) * np.array([1, 0.5])[:, None, None]
    neuron = {"neuron": np.array(NAMES, object)}
    weights = xr.Dataset(
        {"weight": (("neuron", "kernel", "height", "width"), weight), "offset": ("neuron", np.full(3, -0.5))},
        neuron | labels,
    )
    network = teacher.network(channels, weights, NAMES)
    groups = {"/": xr.Dataset(), "/teacher": channels, "/weights": weights}
    for name, contrast in (("dark_flash", -1.0), ("bright_flash", 1.0)):
        frames = np.zeros(40, np.float32)
        frames[16:18] = contrast
        rate = np.full((40, 3), np.nan)
        with torch.inference_mode():
            rate[HISTORY:] = 2 * network.respond(torch.from_numpy(frames)).numpy()[:-1]
        groups[f"/probes/{name}"] = xr.Dataset({"movie": ("time", frames), "rate": (("time", "neuron"), rate)}, neuron)
    settings = Model(
        history=HISTORY,
        layers=[{"channels": 2, "kernel_px": [3, 3]}],
        norm=None,
        readout={"kind": "located", "kernel_px": list(network.maps), "norm": False},
    )
    places = [(0, 0)] * 3
    fits = [retina_fits.fit(folder, settings, network, places)]
    features = retina_fits.features({"white": recorded(network)}, rows())
    return features, fits, {"retina": xr.DataTree.from_dict(groups)}


def test_a_fit_that_is_its_teacher_recovers_it(tmp_path):
    features, fits, truth = taught(tmp_path)
    settings = Settings(phenomena={"step": STEP, "grating": GRATING}, test_rows=0, fast_ms=30)
    tree = attribute(features, fits, settings, truth)
    schema.check(tree, "made")
    recovery = tree["recovery"]
    for row in said(recovery, "probes"):
        assert row["share"] == pytest.approx(row["teacher_share"], abs=1e-3)
        assert row["share_all"] == pytest.approx(row["teacher_share_all"], abs=1e-3)
        assert row["r"] == pytest.approx(1, abs=1e-5)
        assert row["peak_difference"] == 0
    shares = {row["phenomenon"]: row["share"] for row in said(recovery, "probes")}
    assert shares["probe_dark_flash"] > 0.85
    circuits = said(recovery, "circuits")
    assert {row["phenomenon"] for row in circuits} == {"step", "grating", "probe_dark_flash", "probe_bright_flash"}
    assert all(row["same"] for row in circuits)
    group = tree["phenomena"]["step"].to_dataset()
    np.testing.assert_allclose(group["teacher"], 2 * group["rate"][0], rtol=1e-4)
    np.testing.assert_allclose(
        group["teacher_contribution"], 2 * group["contribution"][0].values, atol=1e-3 * float(group["teacher"].max())
    )
    names = {row["name"] for row in json.loads(tree.attrs["headline"])}
    assert "share of contributions with the correct polarity" in names


def test_a_teacher_of_one_channel_gives_a_circuit_of_one(tmp_path):
    features, fits, truth = taught(tmp_path)
    tree = attribute(features, fits, Settings(phenomena={"step": STEP}, test_rows=0, fast_ms=30), truth)
    found = {row["phenomenon"]: row for row in said(tree["recovery"], "circuits")}
    assert found["probe_dark_flash"]["labels"] == ["OFF fast"]


def test_what_a_depressing_synapse_makes_is_said(tmp_path):
    features, fits, truth = taught(tmp_path)
    truth["retina"]["teacher"].attrs["mechanism"] = "depression"
    told = attribute(features, fits, Settings(phenomena={"step": STEP}, test_rows=0), truth).attrs["warning"]
    assert "attribution alone cannot tell" in told


def test_a_model_that_predicts_nothing_is_not_attributed(tmp_path):
    network = retina_fits.made(CNN, SHAPE, PLACES, 0)
    noise = retina_fits.cells(movie(), np.random.default_rng(0).poisson(1.0, (FRAMES, 3)))
    assert network.neurons == 3
    features = retina_fits.features({"white": noise}, rows())
    tree = attribute(features, made(tmp_path), QUICK, {})
    assert set(tree.children) == {"channels", "evidence"}
    assert "not attributed" in tree.attrs["warning"]
    assert json.loads(tree.attrs["headline"]) == []
    store.write(tmp_path / "made.zarr", tree)


def test_full_field_movies_claim_nothing_about_space(tmp_path):
    settings = Model(
        history=HISTORY,
        layers=[{"channels": 3, "kernel_px": [1, 1]}, {"channels": 3, "kernel_px": [1, 1]}],
        readout={"kind": "dense"},
    )
    places = [(0, 0)] * 2
    fits = made(tmp_path, settings=settings, shape=(1, 1), places=places)
    network = retina_fits.made(settings, (1, 1), places)
    features = retina_fits.features({"white": recorded(network)}, rows())
    tree = attribute(
        features,
        fits,
        QUICK.model_copy(update={"phenomena": {"step": Settings(phenomena={"s": STEP}).phenomena["s"]}}),
        {},
    )
    assert "nothing is claimed about space" in tree.attrs["warning"]
    assert tree["fields"].attrs["uniform"] == 1
    group = tree["phenomena"]["test_movie"].to_dataset()
    assert group["stimulus"].shape == (1, 30)
    schema.check(tree, "made")


def test_models_of_other_experiments_are_compared_by_label(tmp_path):
    fits = [*made(tmp_path), *made(tmp_path, (5,), model="second", places=PLACES[:2], recordings=("more",))]
    one = recorded(retina_fits.made(CNN, SHAPE, PLACES, 0))
    other = recorded(retina_fits.made(CNN, SHAPE, PLACES[:2], 5))
    more = {part: own | {"more": own["white"]} for part, own in rows().items()}
    features = retina_fits.features({"white": one, "more": other}, more)
    tree = attribute(features, fits, QUICK.model_copy(update={"others": ["second"]}), {})
    pairs = said(tree["agreement"], "pairs")
    assert {row["phenomenon"] for row in pairs} == {"step", "bar"}
    assert all(row["experiments"] for row in pairs)
    with pytest.raises(DataError, match="3 cells of main"):
        attribute(features, fits, QUICK.model_copy(update={"baselines": ["second"]}), {})


@pytest.mark.parametrize(
    ("change", "message"), [({"model": "maim"}, "attribute.model"), ({"baselines": ["maim"]}, "attribute.baselines")]
)
def test_unknown_models_are_refused(built, change, message):
    _, features, fits, _ = built
    with pytest.raises(DataError, match=message):
        attribute(features, fits, QUICK.model_copy(update=change), {})


def test_stimuli_that_do_not_fit_are_refused(built):
    _, features, fits, _ = built
    short = {"kind": "latency_steps", "contrasts": [-1.0], "after_rows": 4}
    with pytest.raises(ConfigError, match="after_rows"):
        attribute(features, fits, Settings(phenomena={"latency": short}), {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"baselines": ["main"]},
        {"others": ["a"], "baselines": ["a"]},
        {"sizes": [2, 1]},
        {"phenomena": {"probe_step": STEP}},
        {"phenomena": {"a/b": STEP}},
        {"phenomena": {"test_movie": STEP}},
        {"phenomena": {"step": {"kind": "stop"}}},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_without_phenomena_the_published_ones_are_shown(built):
    assert Settings().shown == PUBLISHED
    assert Settings(phenomena={}).shown == {}
    none = QUICK.model_copy(update={"phenomena": {}})
    assert set(attribute(built[1], built[2], none, {})["phenomena"].children) == {"test_movie"}
    with pytest.raises(DataError, match="at least one stimulus"):
        attribute(built[1], built[2], none.model_copy(update={"test_rows": 0}), {})
    assert list(QUICK.shown) == ["step", "bar"]


def test_responses_are_compared_with_the_teacher_where_it_is_known():
    rng = np.random.default_rng(0)
    true = rng.random((2, 30, 3))
    late = np.roll(true, 2, axis=1)
    true[:, :3] = np.nan
    assert measures.against(None, late) == []
    r, apart = measures.against(true, np.where(np.isnan(true), 5, true))
    np.testing.assert_allclose(r.value, 1)
    np.testing.assert_allclose(apart.value, 0)
    peak = np.zeros((1, 20, 2))
    peak[0, 8], moved = 1, np.zeros((1, 20, 2))
    moved[0, 10, 0] = moved[0, 7, 1] = 1
    _, apart = measures.against(peak, moved)
    assert apart.value.tolist() == [2, -1]
    assert apart.of_mean == 2
