"""From raw files to figures, one stage after the other, below results/analyses/NAME."""

from pathlib import Path

from pellucid import config
from pellucid.artifacts import Features
from pellucid.stages import attribute, convert, evaluate, figures, fit, preprocess


def convert_all(name, recordings, settings):
    """Convert recordings (name -> block) and collect their features; returns the folder of the analysis."""
    base = Path("results/analyses") / name
    stores = []
    for recording, block in recordings.items():
        raw = Path(block["raw"])
        files = [raw] if raw.is_file() else sorted(p for p in raw.iterdir() if p.is_file())
        convert.convert(recording, block, files, Path(f"{recording}.zarr"))
        stores.append(base / "features" / f"{recording}.zarr")
        preprocess.preprocess("cortex", settings, Path(f"{recording}.zarr"), stores[-1])
    preprocess.collect_features("cortex", settings, stores, base / "features.json")
    return base


def fit_all(base, block, folds=None):
    """Fit every model of a block `fit` on some folds, or all."""
    count = len(Features.load(base / "features.json").folds)
    folders = []
    for model in block["models"]:
        for fold in range(count) if folds is None else folds:
            for seed in block.get("seeds", [0]):
                folders.append(base / "fits" / model / f"{fold}-{seed}")
                settings = config.fit_settings(block, model)
                fit.fit("cortex", model, fold, seed, settings, base / "features.json", folders[-1])
    fit.collect_fits(base / "features.json", folders, base / "fits.json")


def rest(name, base, truth=(), evaluated=None, attributed=None):
    """Evaluate, attribute and draw; returns the names of the figures."""
    inputs = (base / "features.json", base / "fits.json")
    raw = [Path(path) for path in truth]
    evaluate.evaluate("cortex", evaluated or {}, *inputs, base / "metrics.json", base / "predictions.zarr", raw)
    attribute.attribute("cortex", attributed or {}, *inputs, base / "attribution.zarr", raw)
    made = [base / part for part in ("metrics.json", "predictions.zarr", "attribution.zarr", "figures")]
    figures.figures(name, "cortex", {}, *inputs, *made, Path("page"))
    return set(figures.check(base / "figures"))
