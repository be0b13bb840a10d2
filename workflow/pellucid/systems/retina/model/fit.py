"""Fit one model of the ganglion cells of one retina."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.artifacts import Features, Trained
from pellucid.learning import loop
from pellucid.systems.retina.model import dataset, glm_fit, linear_nonlinear, location, sta, training
from pellucid.systems.retina.model.dataset import Data
from pellucid.systems.retina.model.glm import CoupledGLM
from pellucid.systems.retina.model.linear_nonlinear import LinearNonlinear
from pellucid.systems.retina.model.network import Network, check_size
from pellucid.systems.retina.model.settings import Settings
from pellucid.systems.retina.model.stacks import parameters


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Return a trained model; its notes say cells, recordings, scale of the stimulus and where readouts look.

    Raises ConfigError or DataError if the settings do not fit the recordings.
    """
    data = dataset.load(features, fold, settings)
    if settings.kind == "cnn":
        return _network(data, settings, seed, checkpoint)
    return _cell_by_cell(data, settings, seed)


def make(settings: Settings, shape: tuple[int, int], places: np.ndarray) -> Network:
    """Return an untrained network; places (neuron, 2) first row and column of each cell's readout."""
    return Network(settings, shape, [(int(row), int(column)) for row, column in places])


def _network(data: Data, settings: Settings, seed: int, checkpoint: Path) -> Trained:
    device = loop.prepare(settings.device, seed)
    found = _places(data, settings)
    network = make(settings, data.shape, found.corners)
    if settings.moments:
        network.readout.begin(data.mean, data.sd)
    network = network.to(device)
    history = training.train(network, data, settings.training, seed=seed, checkpoint=checkpoint)
    network = network.cpu().eval()
    best = min(history, key=lambda row: row["validation"])
    notes = {
        **_notes(data),
        "clamped": [str(cell) for cell in data.neurons[found.clamped]],
        "parameters": parameters(network),
        "parameters_collapsed": _collapsed(network),
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "validation": best["validation"],
        "validation_r": best["r"],
        "validation_slope": best["slope"],
    }
    return Trained({**loop.arrays(network), "places": found.corners.astype(np.int64)}, history, notes)


def _cell_by_cell(data: Data, settings: Settings, seed: int) -> Trained:
    """Return an LN model or a GLM of each cell."""
    frames = data.joined()
    train, held = (data.ordered(part) for part in ("train", "validation"))
    history, lag, centres = settings.history, settings.lag, data.centre
    found: LinearNonlinear | CoupledGLM
    said: dict[str, Any]
    if settings.kind == "ln":
        found = linear_nonlinear.fit(frames, *train, history=history, lag=lag, settings=settings.ln, centres=centres)
        rate, said = found.respond(frames)[held[0] - lag - history + 1], {"choices": found.choices}
    else:
        found = glm_fit.fit(
            frames, train, held, history=history, lag=lag, rate_hz=data.rate_hz, units=data.units,
            settings=settings.glm, seed=seed, centres=centres,
        )  # fmt: skip
        rate, said = glm_fit.shown(found, frames, held[0], lag).rate, {"capped": found.capped.tolist()}
    r, slope = training.agreement(rate, held[1])
    lost = float(training.poisson(torch.from_numpy(rate), torch.from_numpy(held[1])))
    notes = {
        **_notes(data),
        **said,
        "parameters": found.parameters,
        "epochs": 1,
        "best_epoch": 0,
        "validation": lost,
        "validation_r": r,
        "validation_slope": slope,
    }
    row = {"epoch": 0.0, "training": float("nan"), "validation": lost, "r": r, "slope": slope}
    return Trained(found.weights(), [row], notes)


def _places(data: Data, settings: Settings) -> location.Places:
    """Return where located readouts look; cells whose place is not recorded are found by reverse correlation."""
    maps = check_size(settings, data.shape)
    if settings.readout.kind == "dense":
        zero = np.zeros((len(data.neurons), 2), int)
        return location.Places(zero, np.zeros(len(zero), bool))
    centre = data.centre.copy()
    unknown = np.isnan(centre).any(1) if settings.readout.place == "known" else np.ones(len(centre), bool)
    if unknown.any():
        centre[unknown] = location.centres(average(data))[unknown]
    return location.places(centre, settings.layers, settings.readout.kernel_px, maps)


def average(data: Data) -> np.ndarray:
    """Return spike-triggered averages of the training rows of all recordings, (neuron, lag, height, width)."""
    total = np.zeros((len(data.neurons), data.history, *data.shape))
    for index, recording in enumerate(data.recordings):
        rows = data.rows["train"][data.rows["train"][:, 0] == index, 1]
        frames = data.scale.standardise(recording.frames)
        found = sta.sta(frames, rows, recording.response[rows], history=data.history, lag=data.lag)
        total += found * len(rows) / len(data.rows["train"])
    return total


def _notes(data: Data) -> dict[str, Any]:
    return {
        "neurons": [str(cell) for cell in data.neurons],
        "recordings": [recording.name for recording in data.recordings],
        "stimulus_mean": data.scale.mean,
        "stimulus_sd": data.scale.sd,
        "shape": list(data.shape),
        "units": data.units,
        "rate_hz": data.rate_hz,
        "response_mean": data.mean.tolist(),
        "rows": {part: len(rows) for part, rows in data.rows.items()},
    }


def _collapsed(network: Network) -> int:
    """Return the number of values with every stack as one kernel."""
    kernels = network.convolution_list()
    stacked = sum(parameters(convolution) for convolution in kernels)
    with torch.no_grad():
        plain = sum(convolution.kernel().numel() + convolution.bias.numel() for convolution in kernels)
    return parameters(network) - stacked + plain
