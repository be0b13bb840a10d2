"""Maximally exciting images (MEI): gradient ascent of a neuron's response among images of one norm."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.whatwhere.attribute.gradients import chunks, own_gradients
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model.restore import Fitted

Gradients = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images (row, channel, height, width) -> responses (row, 1) and gradients (row, 1, channel, height, width)."""


def exciting(
    fitted: Fitted, rows: np.ndarray, starts: Sequence[np.ndarray], norm: float, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return each neuron's MEI, (row, channel, height, width), and its response to it, (row,).

    rows    places of neurons in the fit, ascending; NaN for those whose response is constant
    starts  each (row, channel, height, width), of any norm; a start of zeros is not used
    norm    L2 norm of the images. Pixels are not bounded otherwise
    The best image on the way from any start is kept.
    """
    image = np.full(starts[0].shape, np.nan, np.float32)
    response = np.full(len(rows), np.nan)
    for network, own in chunks(fitted, rows, 1):
        place = np.searchsorted(rows, own)
        best, most = torch.zeros(len(own), *image.shape[1:]), torch.full((len(own),), -torch.inf)
        for start in starts:
            first = _on_sphere(torch.from_numpy(np.ascontiguousarray(start[place], np.float32)), norm)
            found, said = _ascend(lambda x: own_gradients(network, own, x[:, None]), first, norm, settings)  # noqa: B023
            better = (said > most) & (first.flatten(1).norm(dim=1) > 0)
            best[better], most[better] = found[better], said[better]
        image[place], response[place] = best.numpy(), most.numpy()
    return image, response


def _ascend(gradients: Gradients, image: Tensor, norm: float, settings: Settings) -> tuple[Tensor, Tensor]:
    """Return the best of the images that ascent passes through, and the responses to them, one per neuron."""
    best, most = image, torch.full((len(image),), -torch.inf)
    for step in range(settings.mei_steps + 1):
        said, gradient = gradients(image)
        better = said[:, 0] > most
        best = torch.where(better[:, None, None, None], image, best)
        most = torch.where(better, said[:, 0], most)
        length = settings.mei_step * norm * (1 - step / settings.mei_steps)
        image = _on_sphere(image + _on_sphere(gradient[:, 0], length), norm)
    return best, most


def _on_sphere(images: Tensor, norm: float) -> Tensor:
    """Return images of a given L2 norm; zeros stay zeros."""
    own = images.flatten(1).norm(dim=1)[:, None, None, None]
    return images * (norm / torch.where(own > 0, own, torch.ones(())))
