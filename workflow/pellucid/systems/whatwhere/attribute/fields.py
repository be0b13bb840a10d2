"""Receptive fields of one fit: gradients, maximally exciting images and spike-triggered averages."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.whatwhere.attribute.exciting import exciting
from pellucid.systems.whatwhere.attribute.gradients import mean_gradients
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model import location
from pellucid.systems.whatwhere.model.dataset import Data
from pellucid.systems.whatwhere.model.fit import CONSTANT
from pellucid.systems.whatwhere.model.restore import Fitted

FIELD = ("neuron", "feature", "height", "width")


@dataclass(frozen=True)
class Shown:
    """One fit with the training and test images of its fold.

    data      all neurons of the dataset
    baseline  (channel, height, width) mean training image; 0 where each pixel is z-scored
    """

    fitted: Fitted
    data: Data
    baseline: np.ndarray

    @property
    def test(self) -> np.ndarray:
        """Return the test images, (image, channel, height, width)."""
        return np.asarray(self.data.images[self.data.rows["test"]])

    def drawn(self, count: int, seed: int) -> np.ndarray:
        """Return places of test images among all, drawn without replacement, sorted, (image,)."""
        generator = np.random.default_rng(seed)
        return np.sort(generator.permutation(self.data.rows["test"])[:count])


def group(shown: Shown, settings: Settings, truth: np.ndarray | None) -> xr.Dataset:
    """Return fields of the first neurons of the dataset, as many as `most_values` allows.

    gradient       of the response at the mean image, per s.d. of a pixel
    mean_gradient  the same, averaged over test images
    mei            image of largest response among those with the median norm of test images; mei_response: to it,
                   mei_gain: over the largest response of the model to a test image
    average        spike-triggered average over training images, mean (y - mean y) x
    truth          (neuron, height, width) true linear fields, per unit of a pixel, if known
    NaN for neurons that the fit does not have, 0 (MEI: NaN) for those whose response is constant.
    """
    fitted, data = shown.fitted, shown.data
    count = min(len(data.names), max(1, settings.most_values // int(np.prod(data.shape))))
    rows = np.flatnonzero(fitted.neurons < count)
    found = _fields(shown, rows, settings)
    train = data.rows["train"]
    found["average"], _ = location.spike_triggered_average(
        data.images[train], data.responses[train][:, fitted.neurons[rows]]
    )
    variables: dict[str, Any] = {}
    for name, values in found.items():
        out = np.full((count, *values.shape[1:]), np.nan, np.float32)
        out[fitted.neurons[rows]] = values
        variables[name] = (FIELD[: values.ndim], out, {"units": "1"})
    if truth is not None:
        variables["truth"] = (("neuron", "height", "width"), truth[:count].astype(np.float32), {"units": "1"})
    return xr.Dataset(variables, attrs={"fold": fitted.fit.fold, "seed": fitted.fit.seed, "mei_norm": _norm(shown)})


def _norm(shown: Shown) -> float:
    return float(np.median(np.linalg.norm(shown.test.reshape(len(shown.test), -1), axis=1)))


def _fields(shown: Shown, rows: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """Return everything that needs the network, for some neurons of the fit."""
    fitted, test = shown.fitted, shown.test
    gradient = mean_gradients(fitted, rows, shown.baseline[None])
    averaged = mean_gradients(fitted, rows, shown.data.images[shown.drawn(settings.gradient_images, settings.seed)])
    predicted = fitted.predict(test)[:, rows]
    generator = np.random.default_rng(settings.seed)
    random = [generator.standard_normal(gradient.shape, np.float32) for _ in range(settings.mei_starts)]
    starts = [gradient, test[predicted.argmax(0)], *random]
    mei, response = exciting(fitted, rows, starts, _norm(shown), settings)
    most = np.where(fitted.choice[rows] == CONSTANT, np.nan, predicted.max(0))
    gain = np.divide(response, most, out=np.full(len(rows), np.nan), where=most > 0)
    return {
        "gradient": gradient,
        "mean_gradient": averaged,
        "mei": mei,
        "mei_response": response,
        "mei_gain": gain,
    }
