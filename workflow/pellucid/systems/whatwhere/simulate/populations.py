"""Neurons of a scenario: their places and types, and what they respond to images without noise."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from pellucid.systems.whatwhere.simulate import fields, teacher
from pellucid.systems.whatwhere.simulate.scenarios import Energy, Linear, Nonlinear, Row

UNITS = {"units": "1"}


@dataclass(frozen=True)
class Population:
    """The neurons.

    centre   (neuron, 2) row and column, px of an image
    type     (neuron,)
    sign     (neuron,) -1 where a linear field is flipped, else 1
    respond  images (image[, feature], height, width) -> responses (image, neuron), in units of the population's own
    scaled   whether these units are already such that the mean response is the row's
    filter   (neuron, height, width) linear receptive fields, if there are any
    groups   what else is known, by group of truth.zarr
    """

    centre: np.ndarray
    type: np.ndarray
    sign: np.ndarray
    respond: Callable[[np.ndarray], np.ndarray]
    scaled: bool = False
    filter: np.ndarray | None = None
    groups: dict[str, xr.Dataset] = field(default_factory=dict)


def build(row: Row, places: np.random.Generator, shapes: np.random.Generator) -> Population:
    """Draw the neurons of a row: neuron n is of type n modulo the number of types, at a random place.

    places  stream of where neurons are
    shapes  stream of their fields or their network
    """
    types = np.arange(row.neurons) % row.types
    grid = np.array(row.size_px) - row.field_px + 1
    corners = (places.random((row.neurons, 2)) * grid).astype(int)
    if isinstance(row.population, Linear):
        return _linear(row, row.population, types, corners, shapes)
    if isinstance(row.population, Nonlinear):
        return _nonlinear(row, row.population, types, corners, shapes)
    return _energy(row, row.population, types, corners)


def _linear(
    row: Row, population: Linear, types: np.ndarray, corners: np.ndarray, generator: np.random.Generator
) -> Population:
    """Return neurons y = RF . x; the centre of a field is its patch's corner + 8 px + mu."""
    draws = generator.random((row.neurons, 7))
    sign = _signs(np.arange(row.neurons) // row.types, population.off_share)
    patches = sign[:, None, None] * fields.centre_surround(population, types, draws, row.mean_response)
    filters = fields.place(patches, corners, row.size_px)
    flat = filters.reshape(row.neurons, -1).T
    mean = Linear(population.type_scales)
    kernels = fields.centre_surround(mean, np.arange(row.types), np.full((row.types, 7), 0.5), row.mean_response)
    kernel = (("kernel", "height", "width"), kernels.astype(np.float32), UNITS)
    return Population(
        centre=corners + fields.HALF_PX + fields.shifts(population, draws),
        type=types,
        sign=sign,
        respond=lambda images: images.reshape(len(images), -1) @ flat,
        scaled=True,
        filter=filters,
        groups={"/kernels": xr.Dataset({"kernel": kernel})},
    )


def _nonlinear(
    row: Row, population: Nonlinear, types: np.ndarray, corners: np.ndarray, generator: np.random.Generator
) -> Population:
    """Return neurons that are units of a network, at the centre of what these see: corner + 6 px."""
    network = teacher.build(population, row.colours, row.size_px, generator)
    return Population(
        centre=corners + row.field_px // 2,
        type=types,
        sign=np.ones_like(types),
        respond=lambda images: network.maps(images)[:, types, corners[:, 0], corners[:, 1]],
        groups=network.groups(),
    )


def _energy(row: Row, population: Energy, types: np.ndarray, corners: np.ndarray) -> Population:
    """Return neurons y = sqrt((even . x)^2 + (odd . x)^2) of two Gabor filters in quadrature."""
    pairs = fields.gabors(population.types)
    even, odd = (fields.place(pairs[types, part], corners, row.size_px).reshape(row.neurons, -1).T for part in range(2))
    dims = ("kernel", "feature", "height", "width")
    pair = xr.Dataset(
        {"filter": (dims, pairs.astype(np.float32), UNITS)}, {"feature": np.array(["even", "odd"], object)}
    )
    return Population(
        centre=corners + fields.HALF_PX,
        type=types,
        sign=np.ones_like(types),
        respond=lambda images: np.hypot(*(images.reshape(len(images), -1) @ filters for filters in (even, odd))),
        groups={"/gabors": pair},
    )


def _signs(place: np.ndarray, off_share: float) -> np.ndarray:
    """Return signs, shape (neuron,): of the first k neurons of a type, whole k off_share are -1, spread evenly.

    place  (neuron,) number of a neuron within its type
    """
    off = np.floor((place + 1) * off_share) > np.floor(place * off_share)
    return np.where(off, -1, 1)
