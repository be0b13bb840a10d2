"""Images that neurons are shown, drawn block by block: white noise, and noise with the spectrum of natural images.

The images come one after the other from one stream, so their number and the size of blocks change none of them.
"""

from collections.abc import Iterator

import numpy as np

from pellucid.systems.whatwhere.simulate.scenarios import Linear, Row

BLOCK_CELLS = 1 << 22
"""Pixels drawn at once, colour planes and margins included."""

PLANE_CORRELATION = 0.7
"""Of any two colour planes."""

MARGIN = 1.4
"""Side of the field that 1/f images are cut from, in sides of an image: opposite edges shall not be neighbours."""


def blocks(row: Row, images: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield blocks of images, shape (image[, feature], height, width) float32: white for linear types, else 1/f."""
    if isinstance(row.population, Linear):
        for count in _counts(images, row.size_px):
            yield generator.standard_normal((count, *row.size_px), np.float32)
        return
    for count in _counts(images, _field(row.size_px), row.colours):
        block = coloured(count, row.colours, row.size_px, generator)
        yield block if row.colours > 1 else block[:, 0]


def coloured(images: int, planes: int, size_px: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return noise with an amplitude spectrum of 1/f, shape (image, plane, height, width) float32.

    Any two planes are correlated by PLANE_CORRELATION. Each plane of each image has mean 0; a pixel's variance is 1,
    averaged over the places in an image and over all the images that might be drawn.
    """
    from scipy import fft

    field = _field(size_px)
    gain = _gain(field, size_px)
    noise = generator.standard_normal((images, planes, *field), np.float32)
    correlation = np.full((planes, planes), PLANE_CORRELATION) + (1 - PLANE_CORRELATION) * np.eye(planes)
    noise = np.einsum("cd,ndhw->nchw", np.linalg.cholesky(correlation).astype(np.float32), noise)
    smooth = fft.irfft2(fft.rfft2(noise) * gain, field)[..., : size_px[0], : size_px[1]]
    return np.asarray(smooth - smooth.mean((2, 3), keepdims=True), np.float32)


def _gain(field: tuple[int, int], size_px: tuple[int, int]) -> np.ndarray:
    """Return the filter 1/f on a field, shape of its half spectrum, scaled for a mean variance of 1 once cut out.

    The variance of a cut-out about its own mean is that of a pixel less that of the mean, which is the response to a
    box of height 1 / (height width): sum_f |A W|^2 / cells, W the box's spectrum.
    """
    rows, columns = np.fft.fftfreq(field[0])[:, None], np.fft.fftfreq(field[1])
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    box = np.zeros(field)
    box[: size_px[0], : size_px[1]] = 1 / np.prod(size_px)
    variance = np.mean(frequency**-2.0 * (1 - np.abs(np.fft.fft2(box)) ** 2))
    return np.asarray((1 / frequency / np.sqrt(variance))[:, : field[1] // 2 + 1], np.float32)


def _field(size_px: tuple[int, int]) -> tuple[int, int]:
    from scipy import fft

    height, width = (int(fft.next_fast_len(round(MARGIN * side), real=True)) for side in size_px)
    return height, width


def _counts(images: int, size: tuple[int, int], planes: int = 1) -> Iterator[int]:
    step = max(1, BLOCK_CELLS // (size[0] * size[1] * planes))
    for start in range(0, images, step):
        yield min(step, images - start)
