"""The whole system on a small simulated retina: subunits recovered, figures drawn, resumption."""

import json
from pathlib import Path

import numpy as np
import pytest
import retina_data

from killed_fit import check_resumes
from pellucid import config, store
from pellucid.stages import simulate
from recordings import ROOT
from whole_run import Run

DEMO = config.load(ROOT / "config.yaml")
RETINA = Run("retina")


@pytest.mark.slow
def test_subunits_of_a_simulated_retina_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block, simulated = DEMO["analyses"]["few_interneurons"], DEMO["simulate"]["subunits"]
    simulate.simulate("retina", simulated["seed"], simulated["options"], Path("data/raw/subunits"))
    recordings = {name: one for name, one in DEMO["recordings"].items() if one["dataset"] == "subunits"}
    base = RETINA.convert_all("demo", recordings, block["preprocess"])
    RETINA.fit_all(base, block["fit"] | {"seeds": [0]})
    drawn = RETINA.rest("demo", base, ["data/raw/subunits"], block["evaluate"], block["attribute"])
    assert {"performance", "traces", "filters", "circuits", "interneurons", "phenomenon_step", "distribution"} <= drawn
    rows = {(row["model"], row["recording"]): row for row in store.read_json(base / "metrics.json")["table"]}
    main, ln = rows["main", "subunits_mixed"], rows["ln", "subunits_mixed"]
    assert main["r_noiseless"] > 0.94
    assert main["r_noiseless"] > ln["r_noiseless"] + 0.2
    assert 0.8 < main["slope_noiseless"] < 1.25
    assert rows["white", "subunits_white"]["r_noiseless"] > 0.88
    tree = store.open_store(base / "attribution.zarr")
    probes = json.loads(tree["recovery"].attrs["probes"])
    assert min(row["share"] for row in probes) >= 0.85
    assert min(row["r"] for row in probes) >= 0.95
    assert max(abs(row["peak_difference"]) for row in probes) <= 1
    step = json.loads(tree["phenomena/step"].attrs["distribution"])
    assert {row["model"] for row in step if row["outside"]} == {"white"}
    assert float(tree["phenomena/step"].attrs["completeness"]) < 1e-3


@pytest.mark.slow
def test_a_killed_fit_resumes_to_the_same_bytes(tmp_path):
    folder = tmp_path / "results/analyses/small"
    retina_data.features(folder, {"white": retina_data.recording(0)})
    layers = [{"channels": 4, "kernel_px": [3, 3]}]
    params = {"history": 8, "layers": layers, "readout": {"kernel_px": [5, 5]}, "training": {"epochs": 4, "batch": 64}}
    check_resumes("retina", params, tmp_path)


def test_the_native_configuration_asks_for_the_published_sizes():
    whole = config.read(ROOT / "configs" / "simulated-retina" / "config.yaml")
    block = whole["analyses"]["rt_native"]["fit"]
    sizes = {}
    for model in ("main", "bn_cnn", "mcintosh"):
        asked = config.fit_settings(block, model)
        assert np.prod(whole["simulate"]["rt_native"]["options"]["size_px"]) == 2500
        sizes[model] = asked["preset"]
    assert sizes == {"main": "convgc", "bn_cnn": "bn_cnn", "mcintosh": "mcintosh_2016"}
