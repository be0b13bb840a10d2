"""The parts that probe stimuli are made of: flashes, bars, gratings, discs and noise, in standardised contrast.

Pixel j of a row of pixels is the interval [j, j + 1]; an edge inside a pixel gives it the exact share of its area.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np

DISC_SAMPLES = 16
"""Points along each side of a pixel, by which the share of it inside a disc is counted."""


def full_field(frames: int, spans: Iterable[tuple[int, int, float]]) -> np.ndarray:
    """Return a grey movie with flashes, (time,) float32.

    spans  first frame, frame after the last, and contrast of each flash; frames outside the movie are left out
    """
    movie = np.zeros(frames, np.float32)
    for start, stop, contrast in spans:
        movie[max(start, 0) : max(stop, 0)] = contrast
    return movie


def bar(position_px: np.ndarray, width_px: int, columns: int, contrast: float) -> np.ndarray:
    """Return a vertical bar on grey, (time, width) float32.

    position_px  (time,) centre of the bar, px to the right of the image's middle; NaN: no bar
    A pixel has the contrast times the share of it that the bar covers. As the width is in whole px, the centroid of the
    drawn bar is its position wherever it lies inside the image.
    """
    position = np.nan_to_num(np.asarray(position_px, float), nan=np.inf)[:, None] + columns / 2
    left = np.arange(columns)
    covered = np.minimum(position + width_px / 2, left + 1) - np.maximum(position - width_px / 2, left)
    return np.asarray(contrast * np.clip(np.where(np.isfinite(position), covered, 0), 0, 1), np.float32)


def grating(
    shift_px: np.ndarray | float,
    bar_px: int,
    columns: int,
    contrast: float,
    waveform: Literal["square", "sine"] = "square",
) -> np.ndarray:
    """Return vertical bars of alternating contrast, (..., width) float32, each pixel the mean over its area.

    shift_px  (...) of the grating to the right; at 0 a bright bar begins at the left border
    """
    edges = np.arange(columns + 1) - np.asarray(shift_px, float)[..., None]
    if waveform == "sine":
        integral = -np.cos(np.pi * edges / bar_px) * bar_px / np.pi
    else:
        phase = np.mod(edges, 2 * bar_px)
        integral = np.minimum(phase, 2 * bar_px - phase)
    return np.asarray(contrast * np.diff(integral, axis=-1), np.float32)


def disc(shape: tuple[int, int], centre_px: tuple[float, float] | None, radius_px: float) -> np.ndarray:
    """Return the share of each pixel inside a disc, (height, width) float32.

    centre_px  row and column of the centre, pixel centres being whole numbers; None: the middle of the image
    """
    row, column = centre_px or ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    inside = (np.arange(DISC_SAMPLES) + 0.5) / DISC_SAMPLES - 0.5
    rows = (np.arange(shape[0])[:, None] + inside).ravel() - row
    columns = (np.arange(shape[1])[:, None] + inside).ravel() - column
    held = rows[:, None] ** 2 + columns**2 <= radius_px**2
    parts = held.reshape(shape[0], DISC_SAMPLES, shape[1], DISC_SAMPLES)
    return np.asarray(parts.mean((1, 3)), np.float32)


def noise(generator: np.random.Generator, frames: int, shape: tuple[int, ...], hold_frames: int = 1) -> np.ndarray:
    """Return Gaussian noise of s.d. 1, (time, *shape) float32, every image held for some frames."""
    drawn = generator.standard_normal((-(-frames // hold_frames), *shape), np.float32)
    return np.repeat(drawn, hold_frames, axis=0)[:frames] if hold_frames > 1 else drawn
