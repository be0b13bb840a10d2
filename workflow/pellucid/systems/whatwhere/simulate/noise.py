"""Noise of single presentations, from a stream for each neuron: more neurons or images change none of the others."""

from collections.abc import Iterator

import numpy as np

from pellucid.systems.whatwhere.simulate.scenarios import Noise

BLOCK_CELLS = 1 << 22
"""Responses drawn at once."""


def presentations(
    response: np.ndarray, repeats: int, noise: Noise, counts_per_unit: float, seed: np.random.SeedSequence
) -> Iterator[np.ndarray]:
    """Yield noisy responses to blocks of images, shape (repeat, image, neuron).

    response         (image, neuron) without noise, y
    repeats          presentations of each image
    noise            gaussian: y + N(0, |y|), variance as large as the mean (Klindt et al. 2017, reference code,
                     generate_data.py); poisson: Poisson(c y) / c; none: y
    counts_per_unit  c
    """
    generators = [np.random.default_rng(child) for child in seed.spawn(response.shape[1])]
    step = max(1, BLOCK_CELLS // (repeats * response.shape[1]))
    for start in range(0, len(response), step):
        mean = response[start : start + step].astype(float)
        block = np.empty((repeats, *mean.shape))
        for neuron, generator in enumerate(generators):
            block[..., neuron] = _drawn(mean[:, neuron], repeats, noise, counts_per_unit, generator).T
        yield block


def _drawn(
    mean: np.ndarray, repeats: int, noise: Noise, counts_per_unit: float, generator: np.random.Generator
) -> np.ndarray:
    """Draw one neuron's responses, shape (image, repeat), about their means, shape (image,)."""
    wide = np.repeat(mean[:, None], repeats, axis=1)
    if noise == "gaussian":
        wide += np.sqrt(np.abs(wide)) * generator.standard_normal(wide.shape)
    elif noise == "poisson":
        wide = generator.poisson(counts_per_unit * wide) / counts_per_unit
    return wide
