"""Training: random windows, a Poisson loss, and validation with correlation and calibration."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.learning import loop
from pellucid.systems.retina.model.dataset import Data
from pellucid.systems.retina.model.network import CHUNK, Network
from pellucid.systems.retina.model.settings import Training

TINY = 1e-8
"""Added to rates in the logarithm (Maheswaranathan et al. 2023, reference code)."""


def poisson(rate: Tensor, response: Tensor) -> Tensor:
    """Return mean(r - y log r) over the responses that are known: the Poisson loss without what does not depend on r.

    rate, response  (row, neuron); NaN responses count for nothing
    """
    known = torch.isfinite(response)
    each = rate - torch.where(known, response, torch.zeros_like(response)) * torch.log(rate + TINY)
    return (each * known).sum() / known.sum().clamp(min=1)


def train(network: Network, data: Data, settings: Training, *, seed: int, checkpoint: Path) -> loop.History:
    """Fit a network to the training rows; the weights of the epoch with the least validation loss stay in it.

    The loss is Poisson's + `activity` times the sum of rates over cells, mean over windows, + half of `weights` times
    the sum of squares of kernels and readout weights; validation has the first of them alone, with the mean over cells
    of the correlation with the response and of the slope of the response on the prediction.
    """
    device = next(network.parameters()).device
    rows = data.rows["train"]
    held = evenly(data.rows["validation"], settings.validation_rows)
    truth = torch.from_numpy(data.responses(held))
    schedule = settings.schedule(len(rows))
    penalised = network.weights()

    def loss(generator: np.random.Generator) -> Tensor:
        drawn = rows[generator.integers(len(rows), size=min(schedule.batch, len(rows)))]
        rate = network(data.windows(drawn).to(device))
        value = poisson(rate, torch.from_numpy(data.responses(drawn)).to(device))
        if settings.activity:
            value = value + settings.activity * rate.sum(1).mean()
        if settings.weights:
            value = value + settings.weights / 2 * sum((weight**2).sum() for weight in penalised)
        return value

    def validate() -> dict[str, float]:
        rate = predict(network, data, held)
        r, slope = agreement(rate, truth.numpy())
        return {"validation": float(poisson(torch.from_numpy(rate), truth)), "r": r, "slope": slope}

    return loop.train(network, loss, validate, schedule, seed=seed, checkpoint=checkpoint, name="retina")


def predict(network: Network, data: Data, rows: np.ndarray) -> np.ndarray:
    """Return rates, (row, neuron), of rows (row, 2)."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [
            network(data.windows(rows[start : start + CHUNK]).to(device)).cpu().numpy()
            for start in range(0, len(rows), CHUNK)
        ]
    return np.concatenate(parts)


def agreement(rate: np.ndarray, response: np.ndarray) -> tuple[float, float]:
    """Return the mean over cells of correlation and of calibration slope, the response's on the rate.

    rate, response  (row, neuron); a constant rate has correlation 0 and no slope, a constant response neither
    """
    r, slope = [], []
    for predicted, observed in zip(rate.T.astype(float), response.T.astype(float)):
        known = np.isfinite(observed)
        x, y = predicted[known] - predicted[known].mean(), observed[known] - observed[known].mean()
        if y @ y > 0:
            varied = x @ x > 1e-12 * len(x) * max(1e-12, predicted.max() ** 2)
            r.append(float(x @ y / np.sqrt((x @ x) * (y @ y))) if varied else 0.0)
            slope.append(float(x @ y / (x @ x)) if varied else float("nan"))
    return _mean(r), _mean([value for value in slope if np.isfinite(value)])


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
