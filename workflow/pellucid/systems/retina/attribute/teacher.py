"""The teacher of a simulation as a network: the same attribution and reduction work on it as on a fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from pellucid.artifacts import Features
from pellucid.learning import loop
from pellucid.systems.retina.model import truth as truths
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.restore import Fitted
from pellucid.systems.retina.model.settings import Layer, Readout, Settings

LABELS = {(1, 1): "ON fast", (1, 0): "ON slow", (-1, 1): "OFF fast", (-1, 0): "OFF slow"}


def network(channels: xr.Dataset, weights: xr.Dataset, cells: Sequence[str]) -> Network:
    """Return the teacher as a network of one layer, whose rates are those of the teacher over its gain.

    channels  group /teacher of the truth: filters, the channels' kernels, and thresholds, minus their biases
    weights   group /weights: those of a located readout as large as the map, and offsets, its biases
    cells     ids, in the order of the rates
    rate = gain softplus(sum_kxy weight_kxy max(0, (kernel_k * s)_xy - threshold_k) + offset), s in contrasts of the
    simulation.
    """
    kernel = channels["filter"].transpose("kernel", "lag", "height", "width").values.astype(np.float32)
    own = weights.sel(neuron=np.array(cells, object))
    weight = own["weight"].transpose("neuron", "kernel", "height", "width").values.astype(np.float32)
    count, history, *size = kernel.shape
    maps = (int(weight.shape[2]), int(weight.shape[3]))
    settings = Settings(
        history=history,
        lag=int(channels.attrs["lag"]),
        layers=[Layer(channels=count, kernel_px=(size[0], size[1]))],
        norm=None,
        readout=Readout(kind="located", kernel_px=maps, norm=False),
    )
    made = Network(settings, (maps[0] + size[0] - 1, maps[1] + size[1] - 1), [(0, 0)] * len(cells))
    values = {
        "convolutions.0.parts.0.weight": kernel,
        "convolutions.0.parts.0.bias": -channels["threshold"].values.astype(np.float32),
        "readout.weight": weight,
        "readout.bias": own["offset"].values.astype(np.float32),
    }
    places = {name: loop.arrays(made)[name] for name in ("readout.rows", "readout.columns")}
    loop.load(made, values | places)
    return made


@dataclass(frozen=True)
class Probe:
    """A stimulus of the simulation with its noiseless response.

    movie  (time,) or (time, height, width), contrasts of the simulation
    rate   (time, neuron) spikes per bin, row t as in a recording; NaN without a full history
    """

    movie: np.ndarray
    rate: np.ndarray


@dataclass(frozen=True)
class Known:
    """What a simulation says of the retina a model was fitted to.

    network    the teacher with rates of gain 1; None where its rate is no function of the window alone
    mechanism  "subunits" or "depression"
    history, lag  frames of its kernels, bins from the newest of them to the response
    labels     of its channels
    contrast   contrasts of the simulation per contrast of the model
    gain       rates in the model's unit per rate of `network`
    unit       rates in the model's unit per spike and bin
    probes     stimuli by name
    rates      noiseless rates of the recordings, (time, neuron) spikes per bin, by the name of their stimulus
    planted    /interneurons of the truth, None without
    """

    network: Network | None
    mechanism: str
    history: int
    lag: int
    labels: tuple[str, ...]
    contrast: float
    gain: float
    unit: float
    probes: Mapping[str, Probe]
    rates: Mapping[str, np.ndarray]
    planted: xr.Dataset | None

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates in the model's unit, (row, neuron), to frames in contrasts of the model."""
        assert self.network is not None
        with torch.inference_mode():
            return self.gain * self.network.respond(torch.from_numpy(self.frames(frames))).numpy()

    def frames(self, frames: np.ndarray) -> np.ndarray:
        """Return frames in contrasts of the simulation; grey stays grey."""
        return np.ascontiguousarray(frames * np.float32(self.contrast), np.float32)


def known(features: Features, fitted: Fitted, truth: Mapping[str, xr.DataTree]) -> Known | None:
    """Return what is known of the retina behind a fit, None for recordings that were not simulated.

    truth  simulated truth by the name of its raw folder, which is that of the recordings
    """
    tree = truths.of(features.stores[fitted.recordings[0]], truth)
    if tree is None or "teacher" not in tree.children:
        return None
    channels, below = tree["teacher"].to_dataset(), _below(tree, "probes")
    about = channels.attrs
    cells = [str(cell) for cell in fitted.neurons]
    named = [tree.children["weights"]] if "weights" in tree.children else [group for _, group in below]
    if any(not set(cells) <= {str(cell) for cell in group.to_dataset()["neuron"].values} for group in named):
        return None
    found: Network | None = None
    labels: tuple[str, ...] = ()
    if "filter" in channels and "weights" in tree.children:
        found = network(channels, tree.children["weights"].to_dataset(), cells)
        signs = zip(*(channels[name].values for name in ("sign", "fast")))
        labels = tuple(LABELS[int(sign), int(fast)] for sign, fast in signs)
    unit = fitted.rate_hz if fitted.units == "Hz" else 1.0
    return Known(
        network=found,
        mechanism=str(about["mechanism"]),
        history=int(about["history"]),
        lag=int(about["lag"]),
        labels=labels,
        contrast=fitted.scale.sd / float(about.get("movie_sd", fitted.scale.sd)),
        gain=unit * float(about.get("gain", 1.0)),
        unit=unit,
        probes={name: _probe(group.to_dataset(), cells) for name, group in below},
        rates={name: _rates(group, cells) for name, group in tree.children.items() if "rate" in group.dataset},
        planted=tree["interneurons"].to_dataset() if "interneurons" in tree.children else None,
    )


def _below(tree: xr.DataTree, name: str) -> list[tuple[str, xr.DataTree]]:
    return sorted(tree[name].children.items()) if name in tree.children else []


def _probe(group: xr.Dataset, cells: Sequence[str]) -> Probe:
    own = group.sel(neuron=np.array(cells, object))
    movie = own["movie"].values.astype(np.float32)
    return Probe(movie, own["rate"].transpose("time", "neuron").values.astype(np.float64))


def _rates(group: xr.DataTree, cells: Sequence[str]) -> np.ndarray:
    own = group.to_dataset().sel(neuron=np.array(cells, object))
    return own["rate"].transpose("time", "neuron").values.astype(np.float64)
