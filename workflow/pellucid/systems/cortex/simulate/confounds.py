"""What follows running without being neural: blood volume, shifts of the image and light at its borders."""

import numpy as np

from pellucid.systems.cortex.simulate.behaviour import slow
from pellucid.systems.cortex.simulate.settings import Flicker, Haemodynamics, Motion

PEAK_S = 1.0
GAMMA_SHAPE = 2.3
KERNEL_S = 10.0

OWN_S = 1.65
"""Time constant of an independent haemodynamic process, that of the shared activity."""

CAPILLARIES = 0.4
"""Weight of haemodynamics where no vessel is seen, 1 on vessels."""

VESSELS = 4
"""Visible vessels from the midline to either side."""

ANGLE, ANGLE_SD = np.pi / 4, 0.3
"""Where a running mouse pushes the image, about the same in all mice of one rig, in rad from columns to rows."""

BORDER = 1 / 16
"""Width of the border that flickers, as a share of a side."""


def kernel(rate_hz: float) -> np.ndarray:
    """Return how blood volume follows activity, shape (lag,), sum 1: a gamma density, peak at 1 s, 10 s long."""
    t = np.arange(round(KERNEL_S * rate_hz)) / rate_hz
    shape = (t / PEAK_S) ** (GAMMA_SHAPE - 1) * np.exp(-(GAMMA_SHAPE - 1) * t / PEAK_S)
    return np.asarray(shape / shape.sum())


def haemodynamics(
    options: Haemodynamics, shared: np.ndarray, drive: np.ndarray, rate_hz: float, generator: np.random.Generator
) -> np.ndarray:
    """Return h, shape (time,): -amplitude (shared + drive), or -amplitude times an independent process, filtered.

    shared  (time,) activity of the whole cortex, of variance 1
    drive   (time,) by running
    """
    own = slow(len(shared), 1, OWN_S, rate_hz, generator)[:, 0]
    cause = own if options.independent else shared + drive
    return np.asarray(-options.amplitude * np.convolve(cause, kernel(rate_hz))[: len(cause)])


def angle(generator: np.random.Generator) -> float:
    """Draw the direction in which a mouse pushes the image, in rad."""
    return float(generator.normal(ANGLE, ANGLE_SD))


def shifts(options: Motion, run: np.ndarray, direction: float, generator: np.random.Generator) -> np.ndarray:
    """Draw dy and dx, shape (time, 2) in px: in a run jitter (u + n / 2), n white; else 0.

    direction  of u, of length 1, in rad
    """
    white = generator.standard_normal((len(run), 2))
    u = np.array([np.sin(direction), np.cos(direction)])
    return np.asarray(options.jitter_px * run[:, None] * (u + 0.5 * white))


def flicker(options: Flicker, run: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw the brightness added to the border, shape (time,) in counts: in a run counts x U(0.5, 1.5), else 0."""
    return np.asarray(options.counts * run * generator.uniform(0.5, 1.5, len(run)))


def border(shape: tuple[int, int]) -> np.ndarray:
    """Return 1 at the border and 0 inside, shape (height, width)."""
    inner = np.ones(shape)
    rows, columns = (max(1, round(BORDER * side)) for side in shape)
    inner[rows:-rows, columns:-columns] = 0
    return inner


def vessels(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Draw a map of vessels, shape (height, width) uint8: one along the midline, and some from there to the sides."""
    height, width = shape
    rows, columns = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width) + 0.5) / width
    found = np.abs(columns - 0.5) < max(0.015, 0.5 / width)
    found = np.broadcast_to(found, shape).copy()
    lateral = np.abs(columns - 0.5)
    for side in (columns < 0.5, columns >= 0.5):
        for start in (np.arange(VESSELS) + generator.uniform(0, 1, VESSELS)) / VESSELS:
            slope, phase = generator.uniform(-0.6, 0.6), generator.uniform(0, 2 * np.pi)
            course = start + slope * lateral + 0.03 * np.sin(12 * lateral + phase)
            found |= side & (np.abs(rows - course) < max(0.01, 0.5 / height))
    return found.astype(np.uint8)
