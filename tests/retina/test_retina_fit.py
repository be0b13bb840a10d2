"""Fits: windows against a loop, borders, scales, learning of planted cells, nulls, and the way through files."""

import json

import numpy as np
import pytest
import retina_data
import torch
from safetensors.numpy import save_file

from pellucid.artifacts import Fit, Fold, row_indices
from pellucid.errors import ConfigError, DataError
from pellucid.systems.retina.model import dataset, training
from pellucid.systems.retina.model.fit import average, fit
from pellucid.systems.retina.model.restore import restore
from pellucid.systems.retina.model.settings import Settings

SMALL = {
    "history": 8,
    "layers": [{"channels": 4, "kernel_px": [3, 3]}, {"channels": 3, "kernel_px": [3, 3]}],
    "readout": {"kernel_px": [3, 3]},
    "recordings": ["white"],
    "training": {"epochs": 12, "batch": 128, "rate": 0.01},
}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return retina_data.two_stimuli(tmp_path_factory.mktemp("retina"))


def settings(**over):
    return Settings.model_validate(SMALL | over)


def fitted(features, folder, asked, seed=0):
    """A fit restored from its files."""
    trained = fit(features, 0, seed, asked, folder / "checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in trained.weights.items()}, folder / "weights.safetensors")
    notes = json.loads(json.dumps(dict(trained.notes)))
    return restore(Fit("main", 0, seed, asked.model_dump(mode="json"), notes, folder), features), trained


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_windows_are_the_frames_before_a_response(features, lag):
    data = dataset.load(features, 0, settings(recordings=["white", "mixed"], lag=lag))
    rows = data.rows["train"][[5, 900, -1, 1800]]
    windows, responses = data.windows(rows), data.responses(rows)
    for index, (number, row) in enumerate(rows):
        name = data.recordings[number].name
        movie = features.group(name, "stimulus")["movie"].values.astype(np.float64)
        frames = np.stack([movie[row - lag - back] for back in range(7, -1, -1)])
        expected = (frames - data.scale.mean) / data.scale.sd
        np.testing.assert_allclose(windows[index].numpy(), expected, atol=1e-5)  # single precision
        np.testing.assert_array_equal(responses[index], features.group(name, "responses")["response"].values[row])


def test_movies_are_held_once_in_the_type_they_are_stored_in(features):
    data = dataset.load(features, 0, settings())
    assert data.recordings[0].frames.dtype == np.uint8
    assert data.windows(data.rows["train"][:3]).dtype == torch.float32


def test_scale_is_that_of_the_training_frames_of_all_recordings(features):
    found = dataset.scale(features, 0, ["white", "mixed"])
    frames = [
        features.group(name, "stimulus")["movie"].values[row_indices(features.folds[0].train[name])].astype(float)
        for name in ("white", "mixed")
    ]
    pooled = np.concatenate([part.ravel() for part in frames])
    # statistics may also take in the frames that training rows see but are not themselves: a few of thousands
    assert abs(found.mean - pooled.mean()) < 0.3
    assert abs(found.sd / pooled.std() - 1) < 0.01


def test_longer_windows_than_parts_are_apart_are_refused(features):
    with pytest.raises(DataError, match="history_frames"):
        dataset.load(features, 0, settings(history=60))


def test_training_windows_with_test_rows_are_refused(features):
    fold = features.folds[0]
    (start, stop), *rest = fold.train["white"]
    inside = Fold({"white": [(start, stop), *rest]}, {"white": [(start + 30, start + 40)]}, fold.test)
    broken = type(features)(features.stores, [inside], features.statistics)
    with pytest.raises(DataError, match="hold such rows"):
        dataset.load(broken, 0, settings())


def test_recordings_are_checked(features, tmp_path):
    with pytest.raises(ConfigError, match="mixed, white"):
        dataset.load(features, 0, settings(recordings=["wite"]))
    with pytest.raises(ConfigError, match="ganglion cells"):
        dataset.load(features, 0, settings(recordings=["inter"]))
    trees = {"white": retina_data.recording(0), "other": retina_data.recording(1, cells=3, subject="retina2")}
    others = retina_data.features(tmp_path, trees)
    with pytest.raises(DataError, match="recordings of the same cells"):
        dataset.load(others, 0, settings(recordings=[]))


def test_a_network_learns_planted_cells(features, tmp_path):
    model, trained = fitted(features, tmp_path, settings())
    rows = row_indices(features.folds[0].test["white"])
    group = features.group("white", "stimulus")
    truth = 10 * retina_data.rates(group["movie"].values, retina_data.places(), group["block"].values)[rows]
    rate = model.predict("white", rows)
    r, slope = training.agreement(rate, truth)
    # each cell is a softplus of one filtered pixel; 2 600 training rows
    assert r > 0.9
    assert 0.8 < slope < 1.25
    assert trained.history[-1]["r"] > 0.8
    assert trained.notes["clamped"] == []
    assert model.neurons.tolist() == [f"cell{i:02d}" for i in range(4)]


def test_predictions_are_responses_to_the_movie(features, tmp_path):
    model, _ = fitted(features, tmp_path, settings(training={"epochs": 1, "batch": 128, "steps": 3}))
    rows = row_indices(features.folds[0].test["white"])
    movie = model.standardise(features.group("white", "stimulus")["movie"].values)
    whole = model.respond(movie)
    first = rows - model.lag - model.history + 1
    np.testing.assert_allclose(model.predict("white", rows), whole[first], atol=1e-4, rtol=1e-4)  # other order of sums


@pytest.mark.parametrize("kind", ["ln", "glm"])
def test_baselines_go_through_the_same_files(features, tmp_path, kind):
    model, trained = fitted(features, tmp_path, settings(kind=kind, glm={"draws": 10, "penalties": [1e-3]}))
    rows = row_indices(features.folds[0].test["white"])
    group = features.group("white", "stimulus")
    truth = 10 * retina_data.rates(group["movie"].values, retina_data.places(), group["block"].values)[rows]
    rate = model.predict("white", rows)
    # cells are linear-nonlinear; the GLM's exponential is not quite their softplus, and ten draws are few
    assert training.agreement(rate, truth)[0] > (0.95 if kind == "ln" else 0.85)
    assert model.network is None
    assert model.parameters == trained.notes["parameters"]
    assert model.respond(np.zeros(20, np.float32)).shape == (13, 4)


def test_equal_seeds_give_equal_bytes(features, tmp_path):
    asked = settings(training={"epochs": 2, "batch": 64, "steps": 4})
    first, again = (fit(features, 0, 3, asked, tmp_path / name) for name in ("a", "b"))
    other = fit(features, 0, 4, asked, tmp_path / "c")
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not np.array_equal(first.weights["readout.weight"], other.weights["readout.weight"])


def test_a_cell_of_unknown_place_is_found_by_reverse_correlation(tmp_path):
    tree = retina_data.recording(0, frames=6000)
    tree["responses"] = tree["responses"].to_dataset().drop_vars(["row", "column"])
    features = retina_data.features(tmp_path, {"white": tree})
    asked = settings(training={"epochs": 1, "batch": 64, "steps": 1})
    trained = fit(features, 0, 0, asked, tmp_path / "checkpoint")
    middle = trained.weights["places"] + 3  # 1 + 1 + 1 px of three kernels of 3 px
    assert np.abs(middle - retina_data.places()).max() <= 1
    data = dataset.load(features, 0, asked)
    assert average(data).shape == (4, 8, *retina_data.SIZE)


def test_a_shifted_null_learns_nothing(features, tmp_path):
    _, trained = fitted(features, tmp_path, settings(swap="shift"))
    assert abs(min(trained.history, key=lambda row: row["validation"])["r"]) < 0.25  # 300 validation rows


def test_poisson_loss_is_torchs_and_leaves_out_what_is_missing():
    rate, response = torch.rand(30, 3) + 0.1, torch.poisson(torch.rand(30, 3) * 4)
    expected = torch.nn.functional.poisson_nll_loss(rate, response, log_input=False, eps=training.TINY)
    assert torch.allclose(training.poisson(rate, response), expected)
    response[4] = float("nan")
    known = torch.isfinite(response[:, 0])
    expected = torch.nn.functional.poisson_nll_loss(rate[known], response[known], log_input=False, eps=training.TINY)
    assert torch.allclose(training.poisson(rate, response), expected)


def test_agreement_is_correlation_and_regression():
    rng = np.random.default_rng(0)
    rate = rng.random((50, 2))
    response = 2.5 * rate + 1
    np.testing.assert_allclose(training.agreement(rate, response), (1.0, 2.5), atol=1e-9)
    response[3, 0] = np.nan
    assert training.agreement(np.ones((50, 2)), response)[0] == 0.0
    np.testing.assert_allclose(training.agreement(rate, response), (1.0, 2.5), atol=1e-9)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_an_accelerator_gives_the_rates_of_the_cpu(features, tmp_path, kind):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[kind]
    if not there:
        pytest.skip(f"no {kind} device on this machine")
    model, _ = fitted(features, tmp_path, settings(training={"epochs": 1, "batch": 128, "steps": 3}))
    x = torch.randn(16, 8, *retina_data.SIZE)
    with torch.inference_mode():
        here = model.network(x)
        away = model.network.to(kind)(x.to(kind)).cpu()
    assert torch.allclose(here, away, rtol=1e-3, atol=1e-4)
