"""Whether fields and attributions are those of the model: test images without their pixels, and completeness."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pellucid.systems.whatwhere.attribute.fields import Shown
from pellucid.systems.whatwhere.attribute.gradients import chunks, integrated, mean_gradients, respond
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model import scores
from pellucid.systems.whatwhere.model.network import Network

_EACH = ("inside", "outside", "variance_inside", "variance_outside", "correlation", "pixels", "residual")


def group(shown: Shown, settings: Settings) -> xr.Dataset:
    """Return what neurons lose without the pixels of their field, and without equally many pixels outside it.

    Field: the pixels of largest squared mean gradient that hold `field_share` of its sum, at most half of the image.
    They are replaced by those of the mean training image, outside pixels are drawn several times and averaged over.
    inside, outside  (neuron,) test correlation with the observed responses that is lost
    variance_inside, variance_outside  (neuron,) mean (f(x) - f(x'))^2 / var f(x) over test images
    correlation      (neuron,) with nothing replaced; pixels: share of the image that the field covers
    residual         (neuron,) sum |sum IG - (f(x) - f(x0))| / sum |f(x) - f(x0)| over test images, of integrated
                     gradients from the mean image
    Test images are those with a response of the neuron. NaN for neurons that are not checked or predicted.
    """
    fitted = shown.fitted
    rows = _spread(np.arange(len(fitted.neurons)), settings.checked)
    field = mean_gradients(fitted, rows, shown.data.images[shown.drawn(settings.gradient_images, settings.seed)])
    energy = dict(zip(rows.tolist(), (field.astype(float) ** 2).sum(1)))
    found = {name: np.full(len(shown.data.names), np.nan) for name in _EACH}
    observed = shown.data.responses
    for network, own in chunks(fitted, rows, settings.images):
        for row in own:
            neuron = int(fitted.neurons[row])
            generator = np.random.default_rng([settings.seed, neuron])
            test = shown.data.rows["test"]
            drawn = generator.permutation(test[np.isfinite(observed[test, neuron])])[: settings.images]
            if len(drawn) < 3 or not energy[int(row)].any():
                continue
            images = torch.from_numpy(shown.data.images[np.sort(drawn)])
            masks = pixel_masks(energy[int(row)], settings, generator)
            values = _lost(network, int(row), images, shown.baseline, masks, observed[np.sort(drawn), neuron])
            values["residual"] = _residual(network, int(row), images[: settings.path_images], shown.baseline, settings)
            for name, value in values.items():
                found[name][neuron] = value
    variables: dict[str, Any] = {name: ("neuron", values, {"units": "1"}) for name, values in found.items()}
    return xr.Dataset(variables, attrs={"fold": fitted.fit.fold, "seed": fitted.fit.seed})


def pixel_masks(energy: np.ndarray, settings: Settings, generator: np.random.Generator) -> np.ndarray:
    """Return the pixels of a field, and as many outside it for each draw, (1 + draw, height, width) bool.

    energy  (height, width) squared gradient; the field is at most half of the pixels
    """
    order = np.argsort(-energy.ravel(), kind="stable")
    held = np.cumsum(energy.ravel()[order])
    count = min(int(np.searchsorted(held, settings.field_share * held[-1])) + 1, energy.size // 2)
    masks = np.zeros((1 + settings.draws, energy.size), bool)
    masks[0, order[:count]] = True
    for mask in masks[1:]:
        mask[generator.permutation(order[count:])[:count]] = True
    return masks.reshape(-1, *energy.shape)


def _lost(
    network: Network, row: int, images: Tensor, baseline: np.ndarray, masks: np.ndarray, observed: np.ndarray
) -> dict[str, float]:
    """Return losses of one neuron; images (image, channel, height, width), observed (image,)."""
    mean = torch.from_numpy(baseline)
    with torch.no_grad():
        whole = respond(network, np.array([row]), images).numpy()
        without = [
            respond(network, np.array([row]), torch.where(torch.from_numpy(mask), mean, images)).numpy()
            for mask in masks
        ]
    predicted = np.concatenate([whole, *without], axis=1).astype(float)
    spread = predicted[:, 0].var()
    correlation = scores.correlation(np.repeat(observed[:, None], predicted.shape[1], axis=1), predicted)
    variance = (
        ((predicted[:, 1:] - predicted[:, :1]) ** 2).mean(0) / spread if spread > 0 else np.full(len(masks), np.nan)
    )
    lost = correlation[0] - correlation[1:]
    return {
        "inside": lost[0],
        "outside": lost[1:].mean(),
        "variance_inside": variance[0],
        "variance_outside": variance[1:].mean(),
        "correlation": correlation[0],
        "pixels": masks[0].mean(),
    }


def _residual(network: Network, row: int, images: Tensor, baseline: np.ndarray, settings: Settings) -> float:
    attributed, change = integrated(network, row, images, torch.from_numpy(baseline), settings.path_steps)
    residual, total = (attributed.flatten(1).sum(1) - change).abs().sum(), change.abs().sum()
    return float(residual / total) if total > 0 else float("nan")


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` of the rows, evenly spread."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
