"""Small DUNL datasets made as the stages make them, fits as they are read back, and traces made by hand."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import xarray as xr
from safetensors.numpy import save_file

from pellucid import artifacts, store
from pellucid.artifacts import Features, Fold, row_indices
from pellucid.stages.convert import convert
from pellucid.systems.dunl.features.collect import collect
from pellucid.systems.dunl.features.extract import extract
from pellucid.systems.dunl.features.settings import Settings as FeatureSettings
from pellucid.systems.dunl.model.fit import fit
from pellucid.systems.dunl.model.settings import Settings as ModelSettings
from pellucid.systems.dunl.model.traces import ABSENT, Traces
from pellucid.systems.dunl.simulate.settings import Settings as Simulation
from pellucid.systems.dunl.simulate.simulate import simulate

KERNEL_TIMES = {"early": {"source": "/trials/kernel0_s"}, "late": {"source": "/trials/kernel1_s"}}
AT_EVENTS = {"early": {"event": "early", "code": "positive"}, "late": {"event": "late", "code": "positive"}}
ANYWHERE = {"kernel0": {"code": "positive"}, "kernel1": {"code": "positive"}}


@dataclasses.dataclass
class Dataset:
    """Features of some recordings, and a way to fit models to them."""

    folder: Path
    settings: FeatureSettings
    features: Features

    @property
    def truth(self):
        """Simulated truth by the name of its raw folder, as the stages pass it."""
        return artifacts.open_truth(sorted((self.folder / "raw").iterdir()))

    def fit(self, name, fold=0, seed=0, **settings):
        """Fit one model and return it as the stages would read it."""
        return fitted(self.features, self.folder, name, fold, seed, **settings)

    def changed(self, recording, change):
        """The same features with another signal in one recording: `change` maps (trial, time, neuron) to its like."""
        group = self.features.group(recording)
        signal = change(group["signal"].values.copy())
        groups = {"/features": group.assign(signal=(group["signal"].dims, signal, group["signal"].attrs))}
        groups["/trials"] = self.features.group(recording, "trials")
        stores = {**self.features.stores, recording: xr.DataTree.from_dict(groups)}
        return dataclasses.replace(self.features, stores=stores)

    def rows(self, fold, part, recording):
        """The rows of one part of a fold."""
        return row_indices(self.features.folds[fold].rows(part).get(recording, []))


def fitted(features, folder, name, fold=0, seed=0, **settings):
    """Fit one model, write it, and return it as the stages would read it."""
    typed = ModelSettings.model_validate(settings)
    place = folder / "fits" / name / f"{fold}-{seed}"
    trained = fit(features, fold, seed, typed, folder / "state" / name / f"{fold}-{seed}")
    place.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: np.ascontiguousarray(value) for key, value in trained.weights.items()}, place / "weights.safetensors"
    )
    artifacts.write_table(place / "history.csv", trained.history)
    about = {"model": name, "fold": fold, "seed": seed, "settings": typed.model_dump(mode="json")}
    store.write_json(place / "model.json", {**about, "notes": trained.notes})
    return artifacts.Fit.load(place)


def cut_trials(*times, **numbers):
    """The matlab reader's options for session.mat: a raster, times in s, and numbers of trials with their units."""
    variables = {"raster": {"dims": ["trial", "time", "neuron"], "units": "count"}}
    variables |= {name: {"dims": ["trial", "event"] if "kernel" in name else ["trial"], "units": "s"} for name in times}
    variables |= {name: {"dims": ["trial"], "units": units} for name, units in numbers.items()}
    return {"groups": {"trials": {"rate_hz": 1000, "start_s": 0, "variables": variables}}}


def simulated(folder, name="simulated", seed=0, **options):
    """Simulate one session into raw/NAME and return that folder."""
    raw = folder / "raw" / name
    raw.mkdir(parents=True)
    simulate(Simulation.model_validate(options), seed, raw)
    return raw


def make(folder, recordings, preprocess):
    """Convert and preprocess recordings.

    recordings  name -> its block, with `files`, the raw files or their folder
    """
    settings = FeatureSettings.model_validate(preprocess)
    for name, block in recordings.items():
        said = {"dataset": "d", "subject": name, "options": {}, "raw": str(block["files"]), **block}
        files = [said.pop("files")]
        convert(name, said, files, folder / f"{name}.zarr")
        opened = store.open_store(folder / f"{name}.zarr", kind="recording")
        extract(opened, settings, folder / "features" / f"{name}.zarr")
    stores = {name: store.open_store(folder / "features" / f"{name}.zarr") for name in sorted(recordings)}
    return Dataset(folder, settings, Features(stores, collect(stores, settings).folds, {}))


def two_kernels(folder, trials, seed=0, neurons=1, **preprocess):
    """The structured simulation: two nearly collinear kernels that start at the same two times in every trial."""
    raw = simulated(folder, seed=seed, scenario="structured", trials=trials, neurons=neurons)
    block = {"reader": "matlab", "options": cut_trials("kernel0_s", "kernel1_s"), "files": raw}
    settings = {"bin_ms": 25, "events": KERNEL_TIMES, "baseline_s": [0, 0.5], "split": {"folds": 2}, **preprocess}
    return make(folder, {"r": block}, settings)


def rewards(folder, trials, neurons, seed=0):
    """The dopamine simulation: cue, salience and value, with the reward's size as covariate."""
    raw = simulated(folder, seed=seed, scenario="dopamine", trials=trials, neurons=neurons)
    options = cut_trials("cue_s", "reward_s", reward_ul="uL", trial_type="1")
    settings = {
        **{"bin_ms": 25, "baseline_s": [0, 1], "trial_type": "/trials/trial_type", "split": {"folds": 2}},
        "events": {"cue": {"source": "/trials/cue_s"}, "reward": {"source": "/trials/reward_s"}},
        "covariates": {"reward": {"source": "/trials/reward_ul", "units": "uL"}},
    }
    return make(folder, {"r": {"reader": "matlab", "options": options, "files": raw}}, settings)


def features_of(signal, onset, kinds, events, *, bin_s=0.025, most_counts=25, counts=True):
    """Features of one recording of one neuron or more with two folds, made from arrays alone.

    signal  (trial, time, neuron); onset (trial, event) in bins, ABSENT; kinds (trial, event) index into `events`
    """
    trials, bins, neurons = signal.shape
    group = xr.Dataset(
        {
            "signal": (("trial", "time", "neuron"), signal.astype(np.float32), {"units": "1"}),
            "onset": (("trial", "event"), np.where(onset == ABSENT, np.nan, onset * bin_s), {"units": "s"}),
            "event_kind": (("trial", "event"), np.where(onset == ABSENT, ABSENT, kinds).astype("i2"), {"units": "1"}),
            "trial_type": ("trial", np.full(trials, "all", object)),
            "source": ("trial", np.arange(trials), {"units": "1"}),
        },
        coords={
            "time": ("time", np.arange(bins) * bin_s, {"units": "s"}),
            "neuron": np.arange(neurons).astype(str).astype(object),
        },
        attrs={
            **{"kind": "counts" if counts else "values", "bin_s": bin_s, "most_counts": most_counts if counts else 0},
            **{"events": json.dumps(list(events)), "covariates": "{}", "baseline_s": "null"},
        },
    )
    third = trials // 3
    parts = [(0, third), (third, 2 * third), (2 * third, trials)]
    folds = [Fold(*({"r": [parts[place]]} for place in order)) for order in ((0, 1, 2), (2, 1, 0))]
    return Features({"r": xr.DataTree.from_dict({"/features": group, "/trials": xr.Dataset()})}, folds, {})


def traces_of(signal, *, valid=None, onset=None, kinds=None, events=("event",), counts=True, most_counts=25):
    """Traces of one neuron, one a trial, made from arrays (trace, time) alone."""
    count = len(signal)
    valid = np.ones(signal.shape, bool) if valid is None else valid
    onset = np.full((count, 1), ABSENT) if onset is None else onset
    own = np.arange(count)
    return Traces(
        **{"signal": np.where(valid, signal, 0), "valid": valid, "before": np.zeros_like(valid), "onset": onset},
        **{"event_kind": np.where(onset == ABSENT, ABSENT, 0) if kinds is None else kinds, "trial": own, "row": own},
        **{"neuron": np.zeros(count, int), "recording": np.zeros(count, int)},
        **{"trial_type": np.full(count, "all", object), "events": tuple(events), "neurons": ("r/0",)},
        **{"recordings": ("r",), "bin_s": 0.025, "start_s": 0.0, "kind": "counts" if counts else "values"},
        most_counts=most_counts if counts else 0,
    )
