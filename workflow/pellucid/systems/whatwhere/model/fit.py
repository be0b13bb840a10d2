"""One fit: draw images and neurons, locate fields, train each candidate of the penalties, let validation choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.artifacts import Features, Trained
from pellucid.errors import DataError
from pellucid.learning import loop
from pellucid.systems.whatwhere.model import dataset, location, regression, training
from pellucid.systems.whatwhere.model.core import ConvolutionalCore
from pellucid.systems.whatwhere.model.dataset import Data
from pellucid.systems.whatwhere.model.network import Network, Start, parameters
from pellucid.systems.whatwhere.model.polarity import polarity
from pellucid.systems.whatwhere.model.settings import Penalties, Settings

_POINTS = ("gaussian", "transformer")
"""Readouts without a mask, whose weights carry the sign."""

CONSTANT = -1
"""Choice of a neuron for which no candidate beats its mean training response."""


@dataclass(frozen=True)
class Sample:
    """What one fit is made from: some images and neurons of a fold.

    images     (image, channel, height, width) standardised
    responses  (image, neuron), NaN where nothing was recorded
    train, validation  rows
    neurons    their numbers among all of the dataset
    position   (neuron, 2) known centres of receptive fields, px, or NaN
    """

    images: np.ndarray
    responses: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    neurons: np.ndarray
    position: np.ndarray


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Fit one network, or the regressions it is compared with.

    seed  of the images and neurons drawn, of weights and of batches: repeats differ in stimuli, too
    Raises DataError if the fold has fewer images or neurons than the settings ask for.
    """
    device = loop.prepare(settings.device, seed)
    data = dataset.load(features, fold, ("train", "validation"), settings.recordings)
    sample = draw(data, dataset.neurons_of(features, settings.recordings), settings, seed)
    if settings.kind == "network":
        return _trained(sample, settings, seed, checkpoint, device)
    return _regressed(sample, settings, settings.kind)


def draw(data: Data, neurons: np.ndarray, settings: Settings, seed: int) -> Sample:
    """Return the images and neurons a fit uses, drawn by its seed; training and validation keep their proportion.

    neurons  numbers of those to draw from
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    train, validation = data.rows["train"], data.rows["validation"]
    total = len(train) + len(validation)
    wanted = settings.images or total
    _check_enough("images", wanted, total)
    _check_enough("neurons", settings.neurons or len(neurons), len(neurons))
    if wanted < total:
        held = max(1, round(wanted * len(validation) / total))
        validation = np.sort(generator.permutation(validation)[:held])
        train = np.sort(generator.permutation(train)[: wanted - held])
    chosen = np.sort(generator.permutation(neurons)[: settings.neurons or len(neurons)])
    responses = data.responses[:, chosen]
    if settings.permute:
        for rows in (train, validation):
            responses[rows] = responses[generator.permutation(rows)]
    return Sample(data.images, responses, train, validation, chosen, data.position[chosen])


def start_of(sample: Sample, network: Settings, offset: tuple[float, float], size: tuple[int, int]) -> Start:
    """Return where masks begin, from training responses.

    offset  (2,) px from a pixel of the map to its pixel of the image
    size    height and width of the map
    """
    images, responses = sample.images[sample.train], sample.responses[sample.train]
    known = ~np.isnan(responses)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, responses, 0).sum(0) / count
    unit = np.ones(len(mean))
    if network.scaled:
        spread = np.sqrt((np.where(known, responses - mean, 0) ** 2).sum(0) / count)
        unit = np.where(spread > 0, spread, 1)
    if network.readout.start == "random" or network.readout.kind == "dense":
        return Start(np.zeros((len(mean), 2)), np.ones(len(mean)), mean / unit, unit)
    found = _map(images, responses, network)
    position, _ = location.locate(found, margins=(int(offset[0]), int(offset[1])))
    half = max(1, (network.core.layers[0].kernel_px[0] - 1) // 2)
    peak = np.nan_to_num(location.signal(images, responses, position, half_px=half), nan=1.0)
    sign = network.readout.weights if network.readout.kind in _POINTS else network.readout.mask
    if sign == "signed" and network.core.linear:  # maps of other cores have features of their own for either sign
        peak = peak * polarity(images, responses, position, half)
    place = np.clip(np.floor(position - np.asarray(offset)), 0, np.asarray(size) - 1)
    return Start(place, peak / unit, mean / unit, unit)


def _map(images: np.ndarray, responses: np.ndarray, settings: Settings) -> np.ndarray:
    """Return where pixels drive each neuron, (neuron, height, width)."""
    readout = settings.readout
    return location.squared_average(
        images,
        responses,
        smoothing_px=readout.smoothing_px,
        statistic=readout.statistic,
        decorrelate=readout.decorrelate,
    )


def _trained(sample: Sample, settings: Settings, seed: int, checkpoint: Path, device: torch.device) -> Trained:
    responses = torch.from_numpy(sample.responses).to(device)
    weights: dict[str, np.ndarray] = {}
    history: list[Mapping[str, float]] = []
    lost, count = [], 0
    core = ConvolutionalCore(settings.core, sample.images.shape[1:])
    start = start_of(sample, settings, core.offset, core.maps[1:])
    first = Network(settings, sample.images.shape[1:], start)
    prepared = first.to(device).prepare(torch.from_numpy(sample.images).to(device))
    for index, penalties in enumerate(settings.penalties):
        torch.manual_seed(seed)
        network = Network(settings, sample.images.shape[1:], start).to(device)
        rows = training.train(
            network, prepared, responses, sample.train, sample.validation, penalties, settings,
            seed=seed, checkpoint=checkpoint / f"candidate{index}", name=_label(penalties),
        )  # fmt: skip
        history += [{"candidate": index, **row} for row in rows]
        network.eval()
        with torch.inference_mode():
            each = training.losses(network, prepared, responses, sample.validation, settings.training.batch)
        lost.append(each.cpu().numpy())
        weights |= {f"{index}.{name}": value for name, value in loop.arrays(network).items()}
        count = parameters(network)
    mean = start.mean * start.unit
    choice = _choose(np.stack(lost), _constant_loss(sample, first, mean), settings)
    kept = {name: value for name, value in weights.items() if int(name.split(".")[0]) in choice}
    kept |= {"choice": choice, "mean": mean.astype(np.float32), "neurons": sample.neurons}
    candidates = [
        {**penalties.model_dump(exclude_defaults=True), "validation": float(each.mean())}
        for penalties, each in zip(settings.penalties, lost)
    ]
    return Trained(kept, history, _notes(sample, count, candidates, choice))


def _choose(lost: np.ndarray, constant: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the candidate of each neuron, (neuron,), by validation loss.

    lost  (candidate, neuron); constant: (neuron,) loss of the mean training response
    """
    if settings.select == "fit":
        return np.full(lost.shape[1], int(lost.mean(1).argmin()), np.int64)
    best = lost.argmin(0)
    return np.where(lost.min(0) < constant, best, CONSTANT).astype(np.int64)


def _constant_loss(sample: Sample, network: Network, mean: np.ndarray) -> np.ndarray:
    """Return each neuron's validation loss of its mean training response, (neuron,)."""
    responses = torch.from_numpy(sample.responses[sample.validation])
    prediction = torch.from_numpy(mean.astype(np.float32)).expand(len(responses), -1)
    return network.cpu().loss(responses, prediction).numpy()


def _regressed(sample: Sample, settings: Settings, kind: regression.Kind) -> Trained:
    """Fit one regression per neuron on the window around its position."""
    train, validation = ((sample.images[rows], sample.responses[rows]) for rows in (sample.train, sample.validation))
    position = sample.position
    if settings.regression.position == "located":
        found = _map(*train, settings)
        position, _ = location.locate(found, margins=(0, 0))
    elif np.isnan(position).any():
        raise DataError(
            "fit.models, regression.position: known",
            expected="row and column of every neuron",
            found=f"none for {int(np.isnan(position).any(1).sum())} of {len(position)} neurons",
            remedy="Name them in `preprocess` (row, column), or set regression.position to located.",
        )
    found_fit = regression.fit(
        train, validation, position, kind=kind, window_px=settings.regression.window_px,
        penalties=settings.regression.penalties, intercept=settings.regression.intercept,
    )  # fmt: skip
    weights = {
        "filters": found_fit.filters, "intercept": found_fit.intercept, "penalty": found_fit.penalty,
        "position": position, "neurons": sample.neurons,
    }  # fmt: skip
    validated = float(np.nanmean(found_fit.loss))
    count = len(sample.neurons) * settings.regression.window_px**2
    notes = _notes(sample, count, [{"validation": validated}], np.zeros(len(sample.neurons), np.int64))
    return Trained(weights, [{"candidate": 0, "epoch": 0, "training": float("nan"), "validation": validated}], notes)


def _notes(sample: Sample, count: int, candidates: list[dict[str, float]], choice: np.ndarray) -> dict[str, Any]:
    return {
        "images": len(sample.train) + len(sample.validation),
        "neurons": len(sample.neurons),
        "parameters": count,
        "candidates": candidates,
        "chosen": int(choice[0]) if len(set(choice.tolist())) == 1 else None,
        "validation": min(float(row["validation"]) for row in candidates),
    }


def _label(penalties: Penalties) -> str:
    said = penalties.model_dump(exclude_defaults=True)
    return ", ".join(f"{name} {value:g}" for name, value in said.items()) or "no penalty"


def _check_enough(what: str, wanted: int, there: int) -> None:
    if wanted > there:
        raise DataError(
            f"fit.models, {what}",
            expected=f"at most the {there} {what} of the fold",
            found=str(wanted),
            remedy=f"Lower `{what}`, or leave it out to use all.",
        )
