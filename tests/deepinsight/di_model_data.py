"""Small hand-made features with any targets, spikes and trials, and fits on them as the stages would read them."""

import json

import numpy as np
import xarray as xr
from safetensors.numpy import save_file

from pellucid import artifacts, store
from pellucid.systems.deepinsight.model.fit import fit as train
from pellucid.systems.deepinsight.model.settings import Settings

QUICK = {"filters": 4, "merge_filters": 4, "units": 8, "schedule": {"epochs": 2, "steps": 4, "batch": 4}}


def recording(targets, power, *, rate=20.0, spikes=None, trials=None, scored=None, time=None):
    """One recording; targets: name -> (kind, values (time, dimension)); power (time, frequency, channel)."""
    rows, bands, channels = power.shape
    labels = [f"{name}_{i}" for name, (_, values) in targets.items() for i in range(values.shape[1])]
    names = [name for name, (_, values) in targets.items() for _ in range(values.shape[1])]
    variables = {
        "power": (("time", "frequency", "channel"), power.astype(np.float32)),
        "behaviour": (("time", "output"), np.concatenate([v for _, v in targets.values()], 1).astype(np.float32)),
        "label": ("output", np.array(labels, object)),
        "target": ("output", np.array(names, object)),
        "scored": ("time", np.ones(rows, bool) if scored is None else scored),
    }
    if spikes is not None:
        variables["spikes"] = (("time", "neuron"), spikes.astype(np.int32))
    if trials is not None:
        variables["group"] = ("time", trials)
    described = {name: {"kind": kind, "period": 1.0, "units": "u"} for name, (kind, _) in targets.items()}
    coords = {
        "time": np.arange(rows) / rate if time is None else time,
        "frequency": 500 / 2 ** (np.arange(bands) / 2),
        "channel": np.array([f"ch{i}" for i in range(channels)], object),
    }
    attrs = {"reach_rows": 0, "targets": json.dumps(described)}
    return xr.DataTree.from_dict({"/features": xr.Dataset(variables, coords, attrs)})


def features(recordings, folds):
    """Features scaled by median 0 and MAD 1; folds: list of (train, validation, test), each name -> ranges."""
    shape = next(iter(recordings.values()))["features"]["power"].shape[1:]
    one = np.ones((len(folds), *shape), np.float32)
    statistics = {"median": xr.DataArray(0 * one), "mad": xr.DataArray(one)}
    return artifacts.Features(recordings, [artifacts.Fold(*parts) for parts in folds], statistics)


def fit(found, folder, name="m", fold=0, seed=0, **settings):
    """Train one model and return it as read back."""
    typed = Settings.model_validate(settings)
    trained = train(found, fold, seed, typed, folder / "state" / f"{name}-{fold}-{seed}")
    own = folder / "fits" / name / f"{fold}-{seed}"
    own.mkdir(parents=True)
    save_file(dict(trained.weights), own / "weights.safetensors")
    about = {"model": name, "fold": fold, "seed": seed, "settings": typed.model_dump(), "notes": trained.notes}
    store.write_json(own / "model.json", about)
    return artifacts.Fit.load(own)


def slow(generator, rows, columns=1, steps=40):
    """Slow behaviour, z-scored, shape (rows, columns)."""
    kernel = np.exp(-np.arange(steps * 4) / steps)
    white = generator.standard_normal((rows + len(kernel), columns))
    found = np.stack([np.convolve(one, kernel, "valid")[:rows] for one in white.T], 1)
    return (found - found.mean(0)) / found.std(0)
