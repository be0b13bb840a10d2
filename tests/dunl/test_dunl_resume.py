"""A fit that stopped after any epoch goes on from its checkpoint and ends with the same bytes."""

import shutil

import pytest
from dunl_data import ANYWHERE, AT_EVENTS, fitted

from killed_fit import check_resumes
from pellucid import store
from pellucid.stages.preprocess import collect_features

TRAINING = {"steps": 2, "rate": 0.1}
LOOSE = {"tolerance": 0.01}
MODELS = {
    "all_trials": {"kernels": AT_EVENTS},  # codes of one step start the next
    "batches": {"kernels": AT_EVENTS, "training": {"batch": 7, "steps": None}},
    "inferred": {"kernels": AT_EVENTS, "baseline": "inferred", "ridge": 0.01, "dictionary": "neuron"},
    "sparse": {"kernels": ANYWHERE, "penalty": 30, "initial": "chunks", "encoder": LOOSE},
    "pursuit": {"kernels": ANYWHERE, "initial": "chunks", "encoder": {"solver": "pursuit", "top": 1, **LOOSE}},
    "unrolled": {"kernels": AT_EVENTS, "encoder": {"solver": "unrolled", "layers": 5}, "validation": "objective"},
}


def settings_of(name, epochs):
    """Settings of one model for so many epochs."""
    training = {**TRAINING, **MODELS[name].get("training", {}), "epochs": epochs}
    return {"lag_bins": 16, **MODELS[name], "train_trials": 16, "training": training}


@pytest.mark.parametrize("name", MODELS)
def test_an_interrupted_fit_equals_an_uninterrupted_one(dunl_structured, name, tmp_path):
    features = dunl_structured.features
    whole = fitted(features, tmp_path / "whole", name, **settings_of(name, 3))
    fitted(features, tmp_path / "cut", name, **settings_of(name, 2))
    state = tmp_path / "cut" / "state" / name / "0-0" / "state.pt"
    assert state.is_file()
    cut = fitted(features, tmp_path / "cut", name, **settings_of(name, 3))
    assert len(cut.history()) == 3
    assert store.digest(cut.folder) == store.digest(whole.folder)


def test_the_seed_decides_everything(dunl_structured, tmp_path):
    one, same, other = (
        fitted(dunl_structured.features, tmp_path / folder, "batches", seed=seed, **settings_of("batches", 2))
        for folder, seed in (("one", 5), ("same", 5), ("other", 6))
    )
    assert store.digest(one.folder) == store.digest(same.folder)
    assert (other.weights()["kernels"] != one.weights()["kernels"]).any()


@pytest.mark.slow
def test_a_killed_fit_ends_with_the_same_bytes(dunl_structured, tmp_path):
    analysis = tmp_path / "results/analyses/small"
    shutil.copytree(dunl_structured.folder / "features" / "r.zarr", analysis / "features" / "r.zarr")
    settings = dunl_structured.settings.model_dump(mode="json")
    collect_features("dunl", settings, [analysis / "features" / "r.zarr"], analysis / "features.json")
    params = {"lag_bins": 16, "kernels": AT_EVENTS, "training": {"epochs": 8, "steps": 25, "batch": 30, "rate": 0.1}}
    check_resumes("dunl", params, tmp_path)
