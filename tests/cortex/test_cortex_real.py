"""Whisking from parcels and whisker deflections from voltage frames (configs/real-cortex), from the mirror's files."""

import pytest

from pellucid import config, store
from pellucid.errors import DataError
from recordings import ROOT
from whole_run import Run

CORTEX = Run("cortex")
CONFIG = config.load(ROOT / "configs" / "real-cortex" / "config.yaml")

pytestmark = [pytest.mark.recording, pytest.mark.slow]


def test_parcels_tell_high_from_low_whisking(tmp_path, monkeypatch):
    block, base = CORTEX.prepared(CONFIG, "isfn_whisking", tmp_path, monkeypatch)
    models = {"linear": block["fit"]["models"]["linear"], "main": {}}
    shared = block["fit"]["shared"] | {"training": block["fit"]["shared"]["training"] | {"epochs": 4}}
    CORTEX.fit_all(base, {"shared": shared, "models": models}, folds=range(0, 8, 2))
    drawn = CORTEX.rest(
        "isfn", base, attributed={"windows": 40, "baselines": 2, "deletion": {"windows": 200, "draws": 2}}
    )
    assert {"importance", "decoders", "examples"} <= drawn
    aucs = {row["model"]: row["auc"] for row in store.read_json(base / "metrics.json")["models"]}
    # a plain median split gave a linear decoder .79 (.72 to .89 by block); hysteresis leaves out what lies between
    assert 0.74 < aucs["linear"] < 0.92
    assert 0.7 < aucs["main"] < 0.92


def test_voltage_frames_tell_response_from_before_once_prepared(tmp_path, monkeypatch):
    block, base = CORTEX.prepared(CONFIG, "jedi_whisker", tmp_path, monkeypatch)
    models = {name: block["fit"]["models"][name] for name in ("linear", "raw_linear")}
    models["unmasked_linear"] = models["linear"] | {"input": "unmasked"}
    CORTEX.fit_all(base, {"shared": block["fit"]["shared"], "models": models | {"main": {"training": {"epochs": 2}}}})
    with pytest.raises(DataError, match="a CNN of a movie"):
        CORTEX.rest("jedi", base, attributed={"model": "linear"})
    drawn = CORTEX.rest("jedi", base, attributed={"occlusion": {"windows": 40}})
    assert {"occlusion", "decoders", "examples"} <= drawn
    aucs = {row["model"]: row["auc"] for row in store.read_json(base / "metrics.json")["models"]}
    assert aucs["linear"] > 0.95  # .99 to 1.0 was measured elsewhere with two training mice; here there is one
    assert 0.35 < aucs["raw_linear"] < 0.65
    assert aucs["unmasked_linear"] < aucs["linear"] - 0.05  # outlier pixels alone spoil it
    assert aucs["main"] > 0.6  # two epochs of its twenty
