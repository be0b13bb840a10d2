"""One simulated recording: images, a population's responses to them, raw files and the truth behind them."""

from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.errors import DataError
from pellucid.systems.whatwhere.simulate import formats, populations, stimuli
from pellucid.systems.whatwhere.simulate.noise import presentations
from pellucid.systems.whatwhere.simulate.populations import UNITS, Population
from pellucid.systems.whatwhere.simulate.scenarios import Row
from pellucid.systems.whatwhere.simulate.settings import Settings

PX = {"units": "px"}


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the raw files of one recording (see formats) and truth.zarr.

    Neurons, images and noise have random streams of their own, and training and test images too. Raises DataError if a
    neuron responds to no training image.
    """
    row = settings.row()
    places, shapes, train, test, train_noise, test_noise = np.random.SeedSequence(seed).spawn(6)
    population = populations.build(row, *map(np.random.default_rng, (places, shapes)))
    shown = formats.write_images(
        folder,
        row,
        stimuli.blocks(row, row.images, np.random.default_rng(train)),
        stimuli.blocks(row, row.test_images, np.random.default_rng(test)),
    )
    response = np.concatenate([population.respond(block).astype(np.float32) for block in shown])
    if not population.scaled:
        _scale(response, row)
    options = (row.noise, row.counts_per_unit)
    formats.write_responses(
        folder,
        row,
        population.centre,
        presentations(response[: row.images], 1, *options, train_noise),
        presentations(response[row.images :], row.repeats, *options, test_noise),
    )
    store.write(folder / "truth.zarr", truth(settings, row, population, response))


def truth(settings: Settings, row: Row, population: Population, response: np.ndarray) -> xr.DataTree:
    """Return what is to be recovered.

    response  (image, neuron) without noise
    """
    variables = {
        "response": (("image", "neuron"), response, UNITS),
        "row": (("neuron",), population.centre[:, 0].astype(np.float32), PX),
        "column": (("neuron",), population.centre[:, 1].astype(np.float32), PX),
        "type": (("neuron",), population.type.astype(np.int16), UNITS),
        "sign": (("neuron",), population.sign.astype(np.int16), UNITS),
    }
    if population.filter is not None:
        variables["filter"] = (("neuron", "height", "width"), population.filter, UNITS)
    attrs = {"scenario": settings.scenario, "noise": row.noise, "mean_response": row.mean_response}
    return xr.DataTree.from_dict({"/truth": xr.Dataset(variables, attrs=attrs), **population.groups})


def _scale(response: np.ndarray, row: Row) -> None:
    """Divide responses, shape (image, neuron), by each neuron's mean over training images, times mean_response."""
    mean = response[: row.images].mean(axis=0, dtype=float)
    if not mean.all():
        raise DataError(
            f"simulated neuron {int(np.argmin(mean))}",
            expected="a response to some training image",
            found=f"none to {row.images} images",
            remedy="Simulate more `images`, or another seed.",
        )
    response *= (row.mean_response / mean).astype(np.float32)
