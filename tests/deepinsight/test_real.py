"""The configuration of the real recording, on the recording itself."""

from pathlib import Path

import numpy as np
import pytest

import recordings
from pellucid import config, store
from pellucid.artifacts import Features, row_indices
from pellucid.learning import baselines, metrics
from pellucid.preprocess import behaviour
from pellucid.stages.convert import convert
from pellucid.systems.deepinsight.features.collect import collect
from pellucid.systems.deepinsight.features.extract import extract
from pellucid.systems.deepinsight.features.settings import Settings
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import Windows, stretches

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wake(tmp_path_factory):
    """The hippocampal recording, converted and preprocessed as its configuration says."""
    found = config.read(ROOT / "configs/real-deepinsight/config.yaml")
    ((name, file),) = found["fetch"]["hippocampus_wake"]["files"].items()
    path = recordings.find(file["mirror"], file["sha256"])
    folder = tmp_path_factory.mktemp("wake")
    convert("hippocampus_wake", found["recordings"]["hippocampus_wake"], [path], folder / "wake.zarr")
    settings = Settings.model_validate(found["analyses"]["hippocampus_position"]["preprocess"])
    extract(store.open_store(folder / "wake.zarr", kind="recording"), settings, folder / "features.zarr")
    stores = {"wake": store.open_store(folder / "features.zarr")}
    collected = collect(stores, settings)
    assert name == path.name
    return Features(stores, collected.folds, collected.statistics)


@pytest.mark.recording
def test_rows_laps_and_folds(wake):
    group = wake.group("wake")
    assert group["power"].shape == (2650, 1, 128)
    assert group["spikes"].shape == (2650, 77)
    assert int(group["scored"].sum()) == 2061
    assert len(np.unique(group["group"])) == 47
    tested = np.concatenate([row_indices(fold.test["wake"]) for fold in wake.folds])
    assert sorted(tested) == list(range(2650))
    for fold in wake.folds:
        laps = [set(group["group"].values[row_indices(fold.rows(part)["wake"])]) for part in ("train", "test")]
        assert not laps[0] & laps[1]


@pytest.mark.recording
def test_a_linear_decoder_reads_position_from_amplitude(wake):
    """Ridge on single bins, fold 0: its median error lies below every one of 200 circular shifts."""
    parts = {part: Windows(stretches(wake, 0, part, ModelSettings()), 1) for part in ("train", "validation", "test")}
    flat = {part: (w.flat(np.arange(len(w))), w.last_behaviour()) for part, w in parts.items()}
    coefficients, intercepts, _ = baselines.ridge(flat["train"], flat["validation"], [10.0, 100.0, 1000.0])
    inputs, true = flat["test"]

    def median_error(b, p):
        decoded = (behaviour.decircular(values, 2.9) for values in (b, p))
        return np.array([np.median(behaviour.circular_error(*decoded, 2.9))])

    predicted = inputs @ coefficients + intercepts
    generator = np.random.default_rng(0)
    chance = metrics.circular_shifts([true], [predicted], median_error, count=200, least=60, generator=generator)
    print(f"median error {median_error(true, predicted)[0]:.3f} m, chance {np.median(chance):.3f} m")
    assert median_error(true, predicted)[0] < chance.min()
