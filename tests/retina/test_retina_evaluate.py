"""Evaluation on small recordings: every stimulus of the same cells, truth, repeats, nulls and comparisons."""

import json

import numpy as np
import pytest
import retina_data
import xarray as xr
from safetensors.numpy import save_file

from pellucid import schema
from pellucid.artifacts import HEADLINE, Fit, row_indices
from pellucid.errors import ConfigError, DataError
from pellucid.stages.evaluate import check
from pellucid.systems.retina.model.evaluate import evaluate
from pellucid.systems.retina.model.fit import fit
from pellucid.systems.retina.model.settings import Evaluate, Settings

SMALL = {
    "history": 8,
    "layers": [{"channels": 4, "kernel_px": [3, 3]}],
    "readout": {"kernel_px": [5, 5]},
    "recordings": ["white"],
    "training": {"epochs": 6, "batch": 128, "rate": 0.01},
}
MODELS = {
    "main": {},
    "ln": {"kind": "ln"},
    "mixed": {"kind": "ln", "recordings": ["mixed"]},
    "shifted": {"swap": "shift"},
}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return retina_data.two_stimuli(tmp_path_factory.mktemp("retina"))


@pytest.fixture(scope="module")
def fits(features, tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("fits"), []
    for model, over in MODELS.items():
        asked = Settings.model_validate(SMALL | over)
        trained = fit(features, 0, 0, asked, folder / "checkpoint" / model)
        place = folder / model
        place.mkdir()
        save_file({k: np.ascontiguousarray(v) for k, v in trained.weights.items()}, place / "weights.safetensors")
        notes = json.loads(json.dumps(dict(trained.notes)))
        found.append(Fit(model, 0, 0, asked.model_dump(mode="json"), notes, place))
    return found


def truth(features):
    """Noiseless rates of both stimuli, as a simulation stores them."""
    tree = {}
    for name in ("white", "mixed"):
        group = features.group(name, "stimulus")
        rate = 10 * retina_data.rates(group["movie"].values, retina_data.places(), group["block"].values)
        cells = features.group(name, "responses")["neuron"].values.astype(object)
        variables = {"rate": (("time", "neuron"), rate, {"units": "count"})}
        tree[f"/{name}"] = xr.Dataset(variables, {"neuron": cells}, {"rate_hz": 100.0, "start_s": 0.0})
    return {"small": xr.DataTree.from_dict(tree)}


def row(metrics, model, recording):
    (found,) = [r for r in metrics["table"] if (r["model"], r["recording"]) == (model, recording)]
    return found


def test_every_model_is_scored_on_every_stimulus_of_its_cells(features, fits):
    metrics, predictions = evaluate(features, fits, Evaluate(), {})
    check(metrics, "metrics")
    schema.check(predictions, "predictions")
    assert len(metrics["table"]) == len(MODELS) * 2
    assert len(metrics["cells"]) == len(MODELS) * 2 * retina_data.CELLS
    assert row(metrics, "main", "white")["trained"]
    assert not row(metrics, "main", "mixed")["trained"]
    assert row(metrics, "ln", "white")["r"] > 0.9
    assert row(metrics, "ln", "white")["r"] <= row(metrics, "ln", "white")["ceiling"] + 0.02
    assert abs(row(metrics, "shifted", "white")["r"]) < 0.3
    assert row(metrics, "shifted", "white")["null"] == "shift"
    assert np.isnan(row(metrics, "main", "white")["r_noiseless"])
    assert all(set(one) == set(HEADLINE) for one in metrics["headline"])


def test_predictions_stand_beside_what_they_are_scored_on(features, fits):
    metrics, predictions = evaluate(features, fits, Evaluate(), {})
    group = predictions["white"].to_dataset()
    rows = row_indices(features.folds[0].test["white"])
    assert group["frame"].values.tolist() == rows.tolist()
    repeats = features.group("white", "repeats")
    place = {int(frame): index for index, frame in enumerate(repeats["frame"].values)}
    mean = repeats["response"].values[:, [place[int(r)] for r in rows]].mean(0)
    np.testing.assert_allclose(group["response"].values, mean, rtol=1e-5)
    rate = group["prediction"].sel(model="ln", fold=0, seed=0).values
    found = np.mean([np.corrcoef(rate[:, cell], mean[:, cell])[0, 1] for cell in range(4)])
    assert found == pytest.approx(row(metrics, "ln", "white")["r"], abs=1e-5)


def test_simulated_truth_is_scored_where_it_is_known(features, fits):
    metrics, predictions = evaluate(features, fits, Evaluate(), truth(features))
    known = row(metrics, "ln", "white")
    assert known["r_noiseless"] > known["r"]
    assert 0.8 < known["slope_noiseless"] < 1.25
    assert "rate" in predictions["white"]


def test_models_are_compared_cell_by_cell(features, fits):
    metrics, _ = evaluate(features, fits, Evaluate(), {})
    (found,) = [
        r for r in metrics["comparisons"] if (r["model"], r["recording"], r["score"]) == ("shifted", "white", "r")
    ]
    assert found["better"] == retina_data.CELLS
    assert found["low"] > 0.3
    again, _ = evaluate(features, fits, Evaluate(), {})
    assert json.dumps(again) == json.dumps(metrics)


def test_what_cannot_be_evaluated_is_refused(features, fits):
    with pytest.raises(ConfigError, match="main, ln, mixed, shifted"):
        evaluate(features, fits, Evaluate(reference="mian"), {})
    fold = features.folds[0]
    empty = type(features)(features.stores, [type(fold)(fold.train, fold.validation, {})], features.statistics)
    with pytest.raises(DataError, match="test rows"):
        evaluate(empty, fits, Evaluate(), {})
