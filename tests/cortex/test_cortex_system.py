"""The whole system on small simulated mice: recovery of what was put in, confounds, folds, copies, resumption."""

import json
from pathlib import Path

import pytest

from killed_fit import check_resumes
from pellucid import config, store
from pellucid.errors import DataError
from pellucid.stages import preprocess, simulate
from recordings import ROOT
from whole_run import Run

CORTEX = Run("cortex")
DEMO = config.load(ROOT / "config.yaml")
QUICK = {"epochs": 3, "windows": 3000, "rate": 0.003}
ROI = {"roi": {"kind": "traces", "source": "/imaging/signal", "detrend_s": 33.3}}
NEXT = {"by": "subject", "pairs": "next", "folds": 3}


def cells(mice, sessions=1, raw="data/raw/cells"):
    """The recordings of simulated ROI traces."""
    return {
        f"m{mouse}_s{number}": {
            "dataset": "cells", "subject": f"mouse{mouse}", "raw": raw, "reader": "cortex_mat",
            "options": {"mouse": mouse, "session": number, "signal": f"signal_{mice}mice_raw"},
        }
        for mouse in range(1, mice + 1)
        for number in range(sessions)
    }  # fmt: skip


@pytest.mark.slow
def test_movies_become_figures_that_show_the_driving_areas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = DEMO["analyses"]["rest_or_run"]
    simulated = DEMO["simulate"]["running"]
    simulate.simulate("cortex", simulated["seed"], simulated["options"] | {"frames": 1500}, Path("data/raw/running"))
    recordings = {name: one for name, one in DEMO["recordings"].items() if one["dataset"] == "running"}
    base = CORTEX.convert_all("demo", recordings, block["preprocess"])
    CORTEX.fit_all(base, block["fit"], folds=[0])
    asked = block["attribute"] | {"windows": 40, "occlusion": {"windows": 300}}
    drawn = CORTEX.rest("demo", base, ["data/raw/running"], block["evaluate"], asked)
    assert {"examples", "training", "decoders", "importance", "occlusion", "controls", "deletion"} <= drawn
    table = {row["model"]: row for row in store.read_json(base / "metrics.json")["table"]}
    assert table["main"]["auc"] > 0.95
    assert table["cnn"]["auc"] > 0.7  # a third of the demo's frames: it learns, though not as well
    assert abs(table["null_labels"]["auc"] - 0.5) < 0.25
    tree = store.open_store(base / "attribution.zarr")
    importance = tree["importance"]["magnitude"].sel(fold=0, seed=0).sum("lag")
    top = importance["roi"].values[importance.values.argsort()[::-1][:4]]
    assert len(set(top) & {"6", "8", "31", "33"}) >= 3
    assert float(tree["importance"]["completeness"].max()) < 0.05
    assert float(abs(tree["occlusion"]["ones"]).max()) == 0.0
    before = store.digest(base / "figures")
    CORTEX.rest("demo", base, ["data/raw/running"], block["evaluate"], asked)
    assert store.digest(base / "figures") == before


@pytest.mark.slow
def test_controls_are_flagged_where_only_confounds_follow_running(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"scenario": "image", "mice": 3, "frames": 2400, "neural_drive": False}
    simulate.simulate("cortex", 1, options | {"haemodynamics": {"amplitude": 1.5}}, Path("data/raw/blood"))
    whole = config.load(ROOT / "configs" / "simulated-cortex" / "config.yaml")
    recordings = {
        name: one | {"raw": "data/raw/blood", "dataset": "blood"}
        for name, one in whole["recordings"].items()
        if one["dataset"] == "cx_confounds" and name != "cx_confounds_m4"
    }
    asked = whole["analyses"]["confounds"]["preprocess"]["inputs"]
    inputs = {name: asked[name] for name in ("roi", "violet")}
    base = CORTEX.convert_all("blood", recordings, {"inputs": inputs, "split": NEXT})
    models = {"main": {}, "violet": {"input": "violet"}}
    CORTEX.fit_all(base, {"shared": {"kind": "linear"}, "models": models})
    CORTEX.rest("blood", base, ["data/raw/blood"], {"controls": ["violet"]}, {"windows": 20, "baselines": 2})
    (control,) = store.read_json(base / "metrics.json")["controls"]
    assert control["flagged"]
    assert "haemodynamics" in control["said"]
    headline = store.read_json(base / "metrics.json")["headline"]
    assert any("FLAGGED" in row["note"] for row in headline)


def test_a_copy_under_another_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate.simulate("cortex", 0, {"scenario": "roi", "mice": 3, "sessions": 1, "frames": 300}, Path("data/raw/cells"))
    recordings = cells(3)
    recordings["m4_s0"] = recordings["m1_s0"] | {"subject": "mouse4"}
    with pytest.raises(DataError, match=r"m4_s0.*m1_s0|m1_s0.*m4_s0"):
        CORTEX.convert_all("cells", recordings, {"inputs": ROI, "split": NEXT})


def test_whole_mice_are_held_out_in_ordered_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"scenario": "roi", "mice": 4, "sessions": [1, 2, 1, 1], "frames": 300}
    simulate.simulate("cortex", 0, options, Path("data/raw/cells"))
    recordings = cells(4) | {name: one for name, one in cells(4, sessions=2).items() if name == "m2_s1"}
    with pytest.raises(DataError, match="folds: 12 for 4 mice"):
        CORTEX.convert_all("cells", recordings, {"inputs": ROI})
    base = CORTEX.convert_all("cells", recordings, {"inputs": ROI, "split": {"by": "subject", "folds": 12}})
    folds = store.read_json(base / "features.json")["folds"]
    assert len(folds) == 12
    pairs = {tuple(sorted({name[:2] for name in fold[part]})[0] for part in ("validation", "test")) for fold in folds}
    assert len(pairs) == 12
    for fold in folds:
        parts = [{name[:2] for name in fold[part]} for part in ("train", "validation", "test")]
        assert [len(part) for part in parts] == [2, 1, 1]
        assert len(set.union(*parts)) == 4
        assert all(rows == [[0, 300]] for part in ("train", "validation", "test") for rows in fold[part].values())


@pytest.mark.slow
def test_a_killed_fit_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate.simulate("cortex", 0, {"scenario": "roi", "mice": 3, "sessions": 1, "frames": 900}, Path("data/raw/cells"))
    CORTEX.convert_all("small", cells(3), {"inputs": ROI, "split": NEXT})
    check_resumes("cortex", {"training": {**QUICK, "epochs": 6}}, tmp_path)


def test_movies_of_any_length_give_the_same_features_in_blocks(tmp_path, monkeypatch):
    """Features of a session do not depend on other sessions: a dataset may grow without change to the old stores."""
    monkeypatch.chdir(tmp_path)
    simulate.simulate("cortex", 0, {"scenario": "roi", "mice": 3, "sessions": 1, "frames": 300}, Path("data/raw/cells"))
    base = CORTEX.convert_all("cells", cells(3), {"inputs": ROI, "split": NEXT})
    first = store.digest(base / "features" / "m2_s0.zarr")
    preprocess.preprocess("cortex", {"inputs": ROI}, Path("m2_s0.zarr"), Path("again.zarr"))
    assert store.digest(Path("again.zarr")) == first
    assert json.loads(json.dumps(store.read_json(base / "features.json")["folds"]))
