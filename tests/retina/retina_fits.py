"""Fits of networks made by hand, and small features of recordings in memory."""

import numpy as np
import torch
import xarray as xr
from safetensors.numpy import save_file

from pellucid.artifacts import Features, Fit, Fold
from pellucid.learning import loop
from pellucid.systems.retina.model.network import Network

RATE = 100.0


def made(settings, shape, places, seed=0, gain=3.0):
    """A network with random weights that are large enough for its nonlinearities to matter."""
    torch.manual_seed(seed)
    network = Network(settings, shape, places).eval()
    with torch.no_grad():
        for convolution in network.convolution_list():
            convolution.parts[-1].weight.mul_(gain)
            convolution.bias.uniform_(-0.3, 0.3)
        for norm in network.norms:
            norm.mean.uniform_(-0.1, 0.1)
            norm.variance.uniform_(0.5, 1.5)
            norm.shift.uniform_(-0.2, 0.2)
    return network


def fit(folder, settings, network, places, *, model="main", fold=0, seed=0, recordings=("white",), units="count"):
    """The fit of a network, as the stage writes it."""
    place = folder / f"{model}-{fold}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    save_file({**loop.arrays(network), "places": np.array(places, np.int64)}, place / "weights.safetensors")
    notes = {
        "neurons": [f"cell{i:02d}" for i in range(network.neurons)],
        "recordings": list(recordings),
        "stimulus_mean": 0.0,
        "stimulus_sd": 1.0,
        "shape": list(network.shape),
        "units": units,
        "rate_hz": RATE,
        "response_mean": [1.0] * network.neurons,
        "parameters": 1,
    }
    return Fit(model, fold, seed, settings.model_dump(mode="json"), notes, place)


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


def cells(movie, response, *, block=None, test=None, subject="a", units="count"):
    """The store of a recording of ganglion cells; movie (time, height, width), response (time, neuron)."""
    names = np.array([f"cell{i:02d}" for i in range(response.shape[1])], object)
    zero = np.zeros(len(movie), np.int32)
    clock = {"rate_hz": RATE, "start_s": 0.0}
    stimulus = {
        "movie": variable("time height width", movie.astype(np.float32)),
        "block": variable("time", zero if block is None else block),
        "test": variable("time", (zero if test is None else test).astype(np.int8)),
    }
    responses = {"response": variable("time neuron", response.astype(np.float32), units)}
    tree = {
        "/": xr.Dataset(attrs={"subject": subject, "session": "1", "recording": subject, "stimulus": "white"}),
        "/stimulus": xr.Dataset(stimulus, attrs=clock),
        "/responses": xr.Dataset(responses, coords={"neuron": names}, attrs={**clock, "units": units}),
    }
    return xr.DataTree.from_dict(tree)


def interneurons(movie, potential, *, block=None):
    """The store of a recording of interneurons; movie (time, height, width), potential (time, neuron)."""
    names = np.array([f"bipolar{i}" for i in range(potential.shape[1])], object)
    zero = np.zeros(len(movie), np.int32)
    clock = {"rate_hz": RATE, "start_s": 0.0}
    stimulus = {
        "movie": variable("time height width", movie.astype(np.float32)),
        "block": variable("time", zero if block is None else block),
        "test": variable("time", zero.astype(np.int8)),
    }
    recorded = {"potential": variable("time neuron", potential.astype(np.float32), "mV")}
    tree = {
        "/": xr.Dataset(attrs={"subject": "i", "session": "1", "recording": "i", "stimulus": "boxes"}),
        "/stimulus": xr.Dataset(stimulus, attrs=clock),
        "/potential": xr.Dataset(recorded, coords={"neuron": names}, attrs=clock),
    }
    return xr.DataTree.from_dict(tree)


def features(stores, rows):
    """Features of one fold; rows: part -> recording -> ranges."""
    parts = {part: rows.get(part, {}) for part in ("train", "validation", "test")}
    return Features(stores, [Fold(**parts)], {})
