"""The whole system on a small population of two types, from raw files to figures and their page."""

from pathlib import Path

import pytest
from whatwhere_layout import layout

from pellucid import store
from pellucid.stages import attribute, convert, evaluate, figures, fit, preprocess, simulate

FEATURES = {
    "set": "/stimulus/set",
    "row": "/responses/row",
    "column": "/responses/column",
    "split": {"by": "set", "folds": 1},
}
SHARED = {
    "preset": "fig5",
    "core": {
        "layers": [{"kernel_px": 7, "maps": 3, "activation": "relu"}, {"kernel_px": 7, "maps": 2, "activation": "elu"}]
    },
    "penalties": [{"mask_l1": 0.003, "weight_l1": 0.01}],
    "training": {"steps": 4, "epochs": 3, "batch": 32},
}
MODELS = {
    "main": {},
    "few": {"images": 120},
    "gaussian": {"readout": {"kind": "gaussian"}, "penalties": [{"weight_l1": 0.01}]},
    "dense": {"readout": {"kind": "dense", "start": "random"}, "penalties": [{"weight_l2": 1}]},
    "ridge": {"kind": "ridge", "regression": {"window_px": 9}},
    "permuted": {"permute": True},
}
FEW = {"gradient_images": 4, "mei_steps": 4, "checked": 4, "images": 16, "path_steps": 8, "clusters": [2, 3]}


@pytest.mark.slow
def test_raw_files_become_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base, raw = Path("results/analyses/small"), Path("data/raw/small")
    options = {
        "scenario": "nonlinear",
        "types": 2,
        "neurons": 12,
        "images": 200,
        "test_images": 40,
        "size_px": [38, 42],
    }
    simulate.simulate("whatwhere", 0, options, raw)
    options = layout("feature", "height", "width")
    block = {"dataset": "small", "subject": "s", "raw": str(raw), "reader": "numpy", "options": options}
    convert.convert("small", block, [raw], Path("small.zarr"))
    stores = [base / "features" / "small.zarr"]
    preprocess.preprocess("whatwhere", FEATURES, Path("small.zarr"), stores[0])
    preprocess.collect_features("whatwhere", FEATURES, stores, base / "features.json")
    folders = []
    for model, settings in MODELS.items():
        for seed in (0, 1):
            folders.append(base / "fits" / model / f"0-{seed}")
            fit.fit("whatwhere", model, 0, seed, {**SHARED, **settings}, base / "features.json", folders[-1])
    fit.collect_fits(base / "features.json", folders, base / "fits.json")
    inputs = (base / "features.json", base / "fits.json")
    evaluate.evaluate("whatwhere", {}, *inputs, base / "metrics.json", base / "predictions.zarr", [raw])
    params = {"null_model": "permuted", **FEW}
    attribute.attribute("whatwhere", params, *inputs, base / "attribution.zarr", [raw])
    made = [base / name for name in ("metrics.json", "predictions.zarr", "attribution.zarr", "figures")]
    figures.figures("small", "whatwhere", {}, *inputs, *made, Path("page"))
    drawn = set(figures.check(base / "figures"))
    assert {
        "performance",
        "neurons",
        "samples",
        "kernels",
        "masks",
        "bar_codes",
        "fields",
        "ceiling",
        "training",
    } <= drawn
    assert (Path("page") / "index.html").is_file()
    table = store.read_json(base / "metrics.json")["table"]
    assert len(table) == 2 * len(MODELS)
    assert {row["images"] for row in table if row["model"] == "few"} == {120}
    before = store.digest(base / "figures")
    figures.figures("small", "whatwhere", {}, *inputs, *made, Path("page"))
    assert store.digest(base / "figures") == before
