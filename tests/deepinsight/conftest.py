"""Small DeepInsight datasets, made once."""

import dataclasses
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from pellucid import artifacts, store
from pellucid.stages.convert import convert
from pellucid.systems.deepinsight.features.collect import collect
from pellucid.systems.deepinsight.features.extract import extract
from pellucid.systems.deepinsight.features.settings import Settings as FeatureSettings
from pellucid.systems.deepinsight.model.fit import fit
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.simulate.settings import Settings as Simulation
from pellucid.systems.deepinsight.simulate.simulate import simulate


@dataclasses.dataclass
class Dataset:
    """One simulated recording, its features, and a way to fit models to it."""

    folder: Path
    settings: FeatureSettings
    features: artifacts.Features

    @property
    def truth(self):
        """Simulated truth, as the stages pass it."""
        return {"simulated": store.open_store(self.folder / "raw" / "truth.zarr")}

    def fit(self, name, fold, **settings):
        """Train one model and return it as the stages would read it."""
        typed = ModelSettings.model_validate(settings)
        trained = fit(self.features, fold, 0, typed, self.folder / "state" / f"{name}-{fold}")
        folder = self.folder / "fits" / name / f"{fold}-0"
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(trained.weights), folder / "weights.safetensors")
        artifacts.write_table(folder / "history.csv", trained.history)
        about = {"model": name, "fold": fold, "seed": 0, "settings": typed.model_dump(), "notes": trained.notes}
        store.write_json(folder / "model.json", about)
        return artifacts.Fit.load(folder)


def make(folder, seed=0, **options):
    """Simulate one recording and preprocess it with two folds."""
    (folder / "raw").mkdir(parents=True)
    simulate(Simulation.model_validate(options), seed, folder / "raw")
    block = {"dataset": "d", "subject": "s", "raw": "raw", "reader": "binary", "options": {}}
    convert("r", block, [folder / "raw"], folder / "r.zarr")
    settings = FeatureSettings.model_validate(
        {
            "targets": {"b": {"source": "/behaviour/b"}},
            "wavelets": {"block_samples": 50},
            "split": {"folds": 2},
        }
    )
    extract(store.open_store(folder / "r.zarr", kind="recording"), settings, folder / "features" / "r.zarr")
    stores = {"r": store.open_store(folder / "features" / "r.zarr")}
    collected = collect(stores, settings)
    return Dataset(folder, settings, artifacts.Features(stores, collected.folds, collected.statistics))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """60 s of three channels: an odd count, and quick."""
    return make(tmp_path_factory.mktemp("small"), duration_s=60, channels=3)


@pytest.fixture(scope="session")
def two_band(tmp_path_factory):
    """The two-band simulation in full: 300 s of eight channels."""
    return make(tmp_path_factory.mktemp("two_band"))
