"""From raw files to figures of one system, one stage after the other, below results/analyses/NAME."""

from pathlib import Path

from pellucid import config
from pellucid.artifacts import Features
from pellucid.stages import attribute, convert, evaluate, fetch, figures, fit, preprocess
from recordings import find


def raw_files(raw):
    """The files of a recording: one file, or all below a folder but the truth of a simulation."""
    raw = Path(raw)
    found = [raw] if raw.is_file() else sorted(path for path in raw.rglob("*") if path.is_file())
    return [path for path in found if "truth.zarr" not in path.parts]


class Run:
    """The stages of a system, as functions of the working directory."""

    def __init__(self, system):
        self.system = system

    def convert_all(self, name, recordings, settings):
        """Convert recordings (name -> block) and collect their features; returns the folder of the analysis."""
        base = Path("results/analyses") / name
        stores = []
        for recording, block in recordings.items():
            convert.convert(recording, block, raw_files(block["raw"]), Path(f"{recording}.zarr"))
            stores.append(base / "features" / f"{recording}.zarr")
            preprocess.preprocess(self.system, settings, Path(f"{recording}.zarr"), stores[-1])
        preprocess.collect_features(self.system, settings, stores, base / "features.json")
        return base

    def prepared(self, configuration, analysis, folder, monkeypatch):
        """Fetch from the mirror and convert the recordings of an analysis; returns its block and its folder."""
        monkeypatch.chdir(folder)
        block = configuration["analyses"][analysis]
        recordings = {
            name: one for name, one in configuration["recordings"].items() if one["dataset"] == block["dataset"]
        }
        for one in recordings.values():
            wanted = configuration["fetch"][Path(one["raw"]).name]
            found = [(find(Path(f["mirror"]).name, f["sha256"]), Path(f["mirror"])) for f in wanted["files"].values()]
            path, mirror = found[0]
            monkeypatch.setenv(fetch.MIRROR, str(path.parents[len(mirror.parts) - 1]))
            fetch.fetch(wanted, Path(one["raw"]))
        return block, self.convert_all(analysis, recordings, block["preprocess"])

    def fit_all(self, base, block, folds=None):
        """Fit every model of a block `fit` on some folds, or all."""
        count = len(Features.load(base / "features.json").folds)
        folders = []
        for model in block["models"]:
            for fold in range(count) if folds is None else folds:
                for seed in block.get("seeds", [0]):
                    folders.append(base / "fits" / model / f"{fold}-{seed}")
                    settings = config.fit_settings(block, model)
                    fit.fit(self.system, model, fold, seed, settings, base / "features.json", folders[-1])
        fit.collect_fits(base / "features.json", folders, base / "fits.json")

    def rest(self, name, base, truth=(), evaluated=None, attributed=None):
        """Evaluate, attribute and draw; returns the names of the figures."""
        inputs = (base / "features.json", base / "fits.json")
        made = [base / part for part in ("metrics.json", "predictions.zarr", "attribution.zarr", "figures")]
        raw = [Path(path) for path in truth]
        evaluate.evaluate(self.system, evaluated or {}, *inputs, *made[:2], raw)
        attribute.attribute(self.system, attributed or {}, *inputs, made[2], raw)
        figures.figures(name, self.system, {}, *inputs, *made, Path("page"))
        return set(figures.check(made[3]))
