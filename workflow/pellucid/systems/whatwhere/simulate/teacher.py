"""A fixed convolutional network whose units are the neurons of the nonlinear population.

Two valid layers of 7 px, both rectified: 8 maps of oriented band-pass kernels with colour preferences, then a map for
each type, which sums some of the first maps and subtracts others, each around a place of its own.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.systems.whatwhere.simulate import stimuli
from pellucid.systems.whatwhere.simulate.scenarios import TEACHER_PX, Nonlinear

SIDE = 7
MAPS = 8

CANDIDATES = 128
"""Last-layer units drawn, from which those least correlated with each other are chosen as types."""

CALIBRATION_IMAGES = 1024
"""Thresholds are quantiles over these; each gives four places."""

ACTIVE = (0.3, 0.5)
"""Range of the share of images that a unit of the last layer responds to."""

FIRST_THRESHOLD_SD = 0.5
"""Threshold of a first-layer map, in s.d. of what it rectifies."""


@dataclass(frozen=True)
class Layer:
    """Rectified valid cross-correlation, max(0, kernel * x - threshold).

    kernel     (map, map of the layer before, side, side)
    threshold  (map,)
    """

    kernel: np.ndarray
    threshold: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return maps, shape (image, map, height - side + 1, width - side + 1), float32, of x (image, map, ...)."""
        return np.maximum(_correlate(x, self.kernel) - self.threshold.astype(np.float32)[:, None, None], 0)


@dataclass(frozen=True)
class Teacher:
    """The layers in order; where types are mixtures of maps, a third layer of 1 px mixes them."""

    layers: tuple[Layer, ...]

    def maps(self, images: np.ndarray) -> np.ndarray:
        """Return a map for each type, (image, type, height - 12, width - 12).

        images  (image, colour, height, width)
        """
        for layer in self.layers:
            images = layer(images)
        return images

    def groups(self) -> dict[str, xr.Dataset]:
        """Return the layers as groups of a store: kernel (kernel, feature, height, width) and threshold (kernel)."""
        units = {"units": "1"}
        return {
            f"/teacher/layer{number}": xr.Dataset(
                {
                    "kernel": (("kernel", "feature", "height", "width"), layer.kernel.astype(np.float32), units),
                    "threshold": (("kernel",), layer.threshold.astype(np.float32), units),
                }
            )
            for number, layer in enumerate(self.layers, start=1)
        }


def build(population: Nonlinear, colours: int, size_px: tuple[int, int], generator: np.random.Generator) -> Teacher:
    """Draw a network, its thresholds set on images of its own. Fewer types are the first ones of more, unless mixed."""
    patches = _patches(colours, size_px, generator)
    active = generator.uniform(*ACTIVE, CANDIDATES)
    kernel = _first_kernels(colours, generator)
    candidates = _second_kernels(generator)
    rotation, _ = np.linalg.qr(generator.standard_normal((population.types, population.types)))
    kernel = kernel / _correlate(patches, kernel).std(axis=(0, 2, 3))[:, None, None, None]
    first = Layer(kernel, np.full(MAPS, FIRST_THRESHOLD_SD))
    hidden = first(patches)
    every = _thresholded(candidates, hidden, active)
    chosen = _least_correlated(every(hidden)[:, :, 0, 0], population.types)
    second = Layer(every.kernel[chosen], every.threshold[chosen])
    if not population.mixed:
        return Teacher((first, second))
    maps = second(hidden)
    mixture = (rotation / maps.std(axis=(0, 2, 3)))[:, :, None, None]
    return Teacher((first, second, _thresholded(mixture, maps, active[: population.types])))


def _patches(colours: int, size_px: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Draw what units at the four corners see, shape (4 x image, colour, 13, 13)."""
    images = stimuli.coloured(CALIBRATION_IMAGES, colours, size_px, generator)
    ends = (slice(None, TEACHER_PX), slice(-TEACHER_PX, None))
    return np.concatenate([images[:, :, rows, columns] for rows in ends for columns in ends])


def _first_kernels(colours: int, generator: np.random.Generator) -> np.ndarray:
    """Draw Gabor kernels, shape (map, colour, 7, 7), each with a colour of its own and without a mean in any plane."""
    line = np.arange(SIDE) - SIDE // 2
    envelope = np.exp(-(line[:, None] ** 2 + line**2) / (2 * 1.7**2))
    angle = np.pi * (np.arange(MAPS) + generator.uniform(-0.3, 0.3, MAPS))[:, None, None] / MAPS
    frequency, phase = generator.uniform([[0.15], [0.0]], [[0.25], [2 * np.pi]], (2, MAPS))[..., None, None]
    wave = np.cos(2 * np.pi * frequency * (np.sin(angle) * line[:, None] + np.cos(angle) * line) + phase)
    gabor = envelope * (wave - (envelope * wave).sum((1, 2), keepdims=True) / envelope.sum())
    opponent = generator.standard_normal((MAPS, colours))
    opponent -= opponent.mean(axis=1, keepdims=True)
    return np.asarray((1 + opponent)[:, :, None, None] * gabor[:, None])


def _second_kernels(generator: np.random.Generator) -> np.ndarray:
    """Draw units, shape (candidate, map, 7, 7): weights of either sign on maps, each on a Gaussian blob.

    The blobs' centres, weighted with the size of the weights, have their mean at the centre of the kernel.
    """
    line = np.arange(SIDE) - SIDE // 2
    weight = generator.standard_normal((CANDIDATES, MAPS)) ** 3  # few large ones
    centre = generator.uniform(-1.5, 1.5, (CANDIDATES, MAPS, 2))
    share = np.abs(weight) / np.abs(weight).sum(axis=1, keepdims=True)
    centre -= (share[..., None] * centre).sum(axis=1, keepdims=True)
    rows, columns = (np.exp(-((line - centre[..., axis, None]) ** 2) / (2 * 1.2**2)) for axis in (0, 1))
    return np.asarray(weight[..., None, None] * rows[..., :, None] * columns[..., None, :])


def _thresholded(kernel: np.ndarray, x: np.ndarray, active: np.ndarray) -> Layer:
    """Return a layer whose units respond to the given shares of x (image, map, height, width)."""
    drive = _correlate(x, kernel)
    return Layer(kernel, np.array([np.quantile(drive[:, unit], 1 - share) for unit, share in enumerate(active)]))


def _least_correlated(response: np.ndarray, types: int) -> np.ndarray:
    """Choose units of (image, candidate), each next one with the smallest largest correlation with those before."""
    correlation = np.abs(np.corrcoef(response.T))
    chosen = [0]
    while len(chosen) < types:
        largest = correlation[chosen].max(axis=0)
        largest[chosen] = np.inf
        chosen.append(int(np.argmin(largest)))
    return np.array(chosen)


def _correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the valid cross-correlation, float32, of x (image, map, height, width) with (unit, map, side, side)."""
    import torch

    images, weights = (torch.from_numpy(np.asarray(array, np.float32)) for array in (x, kernel))
    return np.asarray(torch.nn.functional.conv2d(images, weights).numpy())
