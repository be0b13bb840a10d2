"""Features and a network whose answers are known by hand: each output is a weighted sum of bands at the last row."""

import json

import numpy as np
import torch
import xarray as xr
from safetensors.numpy import save_file

from pellucid import artifacts, store
from pellucid.learning import loop
from pellucid.systems.deepinsight.model.fit import build
from pellucid.systems.deepinsight.model.losses import targets
from pellucid.systems.deepinsight.model.settings import Settings

BANDS = 26
OFFSET = 20.0
"""Keeps every ELU on its linear side."""

LINEAR = {"filters": 1, "units": 1}


def features(power, behaviour, folds, **units):
    """Features of one recording `r`, scaled by 1.

    power (time, frequency, channel); behaviour: target -> (time,); folds: list of test ranges
    units: spikes (time, neuron), unit_class (neuron), unit_channels (neuron, channel)
    """
    rows = len(power)
    names = np.array(list(behaviour), object)
    dims = {"spikes": ("time", "neuron"), "unit_class": ("neuron",), "unit_channels": ("neuron", "channel")}
    group = xr.Dataset(
        {
            "power": (("time", "frequency", "channel"), power.astype(np.float32)),
            "behaviour": (("time", "output"), np.stack(list(behaviour.values()), 1).astype(np.float32)),
            "label": ("output", names),
            "target": ("output", names),
            "scored": ("time", np.ones(rows, bool)),
            **{name: (dims[name], values) for name, values in units.items()},
        },
        coords={
            "time": np.arange(rows) / 20,
            "frequency": 1000 / 2 ** (np.arange(power.shape[1]) / 4),
            "channel": np.array([f"ch{i}" for i in range(power.shape[2])], object),
        },
        attrs={
            "reach_rows": 0,
            "targets": json.dumps({name: {"kind": "value", "period": 1.0, "units": "1"} for name in behaviour}),
        },
    )
    one = np.ones((len(folds), *power.shape[1:]), np.float32)
    statistics = {"median": xr.DataArray(0 * one), "mad": xr.DataArray(one)}
    parts = [artifacts.Fold({"r": []}, {"r": []}, {"r": [tuple(fold)]}) for fold in folds]
    return artifacts.Features({"r": xr.DataTree.from_dict({"/features": group})}, parts, statistics)


def linear(channels, weights):
    """A network with output = sum over (part, channel) of weight x sum of the part's bands in the last row.

    weights: target -> (2, channels); the first part are bands 0-9, the second bands 10-25: with an odd number of
    bands the strides in frequency pad one before, so that 26 become 13, {0}, {1, 2} ... 7, {0}, {1, 2} ... 4 and 2
    """
    found = targets(list(weights), list(weights), {})
    network = build(channels, BANDS, found, Settings.model_validate(LINEAR))
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for number in range(8):
        kernel = state[f"shared.{number}.convolution.weight"]
        if number % 2 == 0:
            kernel[0, 0, 1, 1] = 1  # of every two rows the later one
        else:
            kernel[0, 0, 1, :2] = 1  # of every two bands the sum
    state["shared.0.convolution.bias"][:] = OFFSET
    for name, weight in weights.items():
        flat = torch.as_tensor(weight, dtype=torch.float32).reshape(1, -1)
        state[f"heads.{name}.0.weight"][:] = flat
        state[f"heads.{name}.0.bias"][:] = 100 - OFFSET * (10 * sum(weight[0]) + 16 * sum(weight[1]))
        state[f"heads.{name}.2.weight"][:] = 1
        state[f"heads.{name}.4.weight"][:] = 1
        state[f"heads.{name}.4.bias"][:] = -100
    network.load_state_dict(state)
    return network


def fit(folder, network, channels, fold=0, seed=0, model="main", frequencies=BANDS, **settings):
    """Write a network as the stages would and return it as they would read it."""
    typed = Settings.model_validate({**LINEAR, "device": {"name": "cpu", "threads": 1}, **settings})
    own = folder / model / f"{fold}-{seed}"
    own.mkdir(parents=True)
    save_file(dict(loop.arrays(network)), own / "weights.safetensors")
    artifacts.write_table(own / "history.csv", [{"epoch": 1.0, "validation": 1.0}])
    notes = {"channels": channels, "frequencies": frequencies}
    about = {"model": model, "fold": fold, "seed": seed, "settings": typed.model_dump(), "notes": notes}
    store.write_json(own / "model.json", about)
    return artifacts.Fit.load(own)
