"""Frames of the cortex: a Gaussian of light at every ROI, brighter with its calcium, under noise of the camera."""

from collections.abc import Iterator

import numpy as np

from pellucid.readers.cortex_mat import ROIS
from pellucid.systems.cortex.simulate import confounds
from pellucid.systems.cortex.simulate.signals import Session

BACKGROUND, STATIC, MODULATION, NOISE = 1000.0, 200.0, 20.0, 8.0
"""Counts: everywhere, of every ROI, per unit of dF/F, and s.d. of a pixel."""

SIGMA = 0.045
"""Width of a ROI's Gaussian, as a share of the side."""

RADIUS = 0.0385
"""Of a parcel, as a share of the side; the authors' circles are 0.077 wide."""

VIOLET = 0.5
"""Brightness of the second colour, as a share of the first one's."""

BLOCK_FRAMES = 128


def frames(session: Session, shape: tuple[int, int], weight: np.ndarray) -> Iterator[np.ndarray]:
    """Yield frames (height, width) uint16; with haemodynamics, those of the two colours by turns, calcium first.

    weight  (height, width) of haemodynamics, see blood
    F = 1000 + 200 sum_r B_r + 20 (sum_r x_r B_r + h W) + 8 white noise, B shifted by dy and dx, h where there is any,
    plus flicker at the border; the second colour is half as bright, with h alone.
    """
    h = session.haemodynamics
    calcium = session.activity + session.drift
    generator = np.random.default_rng(session.camera)
    static = np.full(calcium.shape[1], STATIC)
    for start in range(0, len(calcium), BLOCK_FRAMES):
        rows = slice(start, start + BLOCK_FRAMES)
        shift = np.zeros((1, 2)) if session.shift is None else session.shift[rows]
        light = confounds.border(shape) * (0 if session.flicker is None else session.flicker[rows, None, None])
        base = BACKGROUND + light + (0 if h is None else MODULATION * h[rows, None, None] * weight)
        block = [base + _lit(static + MODULATION * calcium[rows], shape, shift)]
        if h is not None:
            block.append(VIOLET * (base + _lit(static[None], shape, shift)))
        noisy = [colour + NOISE * generator.standard_normal((len(calcium[rows]), *shape)) for colour in block]
        for frame in np.stack(noisy, axis=1).reshape(-1, *shape):
            yield np.clip(np.round(frame), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def parcels(shape: tuple[int, int]) -> np.ndarray:
    """Return the map of ROIs, shape (height, width) uint16: a ROI's number within its circle, 0 outside."""
    rows, columns = _centres()
    y, x = _pixels(shape)
    distance = np.hypot(y[:, None, None] - rows, x[:, None] - columns)
    nearest = distance.argmin(axis=-1)
    inside = distance.min(axis=-1) <= max(RADIUS, 0.75 / min(shape))
    return np.where(inside, np.array(list(ROIS))[nearest], 0).astype(np.uint16)


def blood(vessels: np.ndarray) -> np.ndarray:
    """Return how strongly haemodynamics show, shape (height, width): 1 on vessels (height, width), else 0.4."""
    return confounds.CAPILLARIES + (1 - confounds.CAPILLARIES) * vessels


def _lit(brightness: np.ndarray, shape: tuple[int, int], shift: np.ndarray) -> np.ndarray:
    """Return sum_r a_r B_r, shape (time, height, width) in counts: brightness (time, roi), shift (time, 2) in px."""
    rows, columns = _centres()
    y, x = _pixels(shape)
    down = _bell(y - shift[:, :1] / shape[0], rows)
    along = _bell(x - shift[:, 1:] / shape[1], columns)
    return np.asarray((down * brightness[:, None, :]) @ along.transpose(0, 2, 1))


def _bell(pixels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return Gaussians, shape (time, pixel, roi), of pixels (time, pixel) about centres (roi,)."""
    return np.asarray(np.exp(-((pixels[..., None] - centres) ** 2) / (2 * SIGMA**2)))


def _centres() -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of every ROI, (roi,) each, as shares of height and width."""
    rows, columns, _ = zip(*ROIS.values(), strict=True)
    return np.array(rows), np.array(columns)


def _pixels(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of pixels along height and width, as shares of these."""
    height, width = ((np.arange(side) + 0.5) / side for side in shape)
    return height, width
