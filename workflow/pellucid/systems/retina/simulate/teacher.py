"""Ganglion cells that pool rectified subunits, each a linear filter of the movie.

rate = GAIN softplus(sum_k sum_xy weight_kxy max(0, (kernel_k * s)_xy - THRESHOLD) + offset), in spikes per sample.
"""

from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from pellucid.systems.retina.simulate import stimuli
from pellucid.systems.retina.simulate.settings import Pathway, Settings

PATHWAYS: dict[Pathway, tuple[int, bool, float]] = {
    "off_fast": (-1, True, 1.0),
    "on_fast": (1, True, 0.8),
    "off_slow": (-1, False, -0.6),
}
"""Sign of the kernel, whether it is fast, and the weight of the channel."""

SCALE = {True: 1 / 12, False: 1 / 6}
"""Time constant of a fast and a slow kernel, as a share of the history."""

THRESHOLD = 0.5
"""In s.d. of a subunit's drive under white noise."""

SPACE, POOL = 0.2, 0.3
"""Widths of the Gaussians of a kernel and of the pooling, as shares of the kernel's side."""

PLACE, WIDTH = 0.12, 0.15
"""Cells lie up to this share of the map from its centre; their pooling differs by up to this share in width."""

DRIVE_MEAN, DRIVE_SD, GAIN = 1.5, 2.0, 2.0
"""Of what enters the softplus under white noise, for every cell; and the factor behind it."""

CALIBRATION_FRAMES = 4000

State: TypeAlias = np.ndarray


class Teacher(Protocol):
    """What responds to a movie, block after block; contrasts in s.d. of a pixel."""

    @property
    def names(self) -> list[str]:
        """Return the names of the channels."""

    def begin(self) -> State:
        """Return the state after a long time of grey."""

    def parts(self, frames: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Return each channel's part of the drive, (time, neuron, kernel), of frames (time, height, width)."""

    def rate(self, parts: np.ndarray) -> np.ndarray:
        """Return spikes per sample, (time, neuron)."""


@dataclass(frozen=True)
class Subunits:
    """A retina of rectified subunits.

    names   (kernel,)
    time    (kernel, lag) oldest first, with the sign of the channel
    space   (side,) of the kernels along either axis
    weight  (neuron, kernel, height, width) of every unit of the valid map
    offset  (neuron,)
    centre  (neuron, 2) row and column in the image, px
    lag     samples from the newest frame of a window to the response
    """

    names: list[str]
    time: np.ndarray
    space: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    centre: np.ndarray
    shape: tuple[int, int]
    lag: int

    @property
    def kernel(self) -> np.ndarray:
        """The filters, (kernel, lag, height, width)."""
        return self.time[:, :, None, None] * np.outer(self.space, self.space)

    def begin(self) -> State:
        """Return the frames before a movie: grey."""
        return np.zeros((self.time.shape[1] - 1 + self.lag, *self.shape))

    def drive(self, frames: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Return kernel * s, (time, kernel, height, width) of the valid map, and the state after the frames.

        frames  (time, height, width), contrasts
        state   the frames before them
        """
        seen = np.concatenate([state, frames])
        rows, columns = (_band(self.space, length) for length in self.shape)
        mapped = rows @ seen[: len(seen) - self.lag] @ columns.T
        bands = np.stack([_band(kernel, len(mapped)) for kernel in self.time], axis=1)
        maps = bands.reshape(-1, len(mapped)) @ mapped.reshape(len(mapped), -1)
        return maps.reshape(*bands.shape[:2], *mapped.shape[1:]), seen[-len(state) :]

    def parts(self, frames: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Return each channel's part of the drive, (time, neuron, kernel); 0 without contrast."""
        maps, state = self.drive(frames, state)
        rectified = np.maximum(maps - THRESHOLD, 0).reshape(*maps.shape[:2], -1)
        weight = self.weight.reshape(*self.weight.shape[:2], -1)
        pooled = [rectified[:, kernel] @ weight[:, kernel].T for kernel in range(len(self.names))]
        return np.stack(pooled, axis=2), state

    def rate(self, parts: np.ndarray) -> np.ndarray:
        """Return spikes per sample, (time, neuron), from the parts of the drive (time, neuron, kernel)."""
        return np.asarray(GAIN * np.logaddexp(0, parts.sum(axis=2) + self.offset))


def build(settings: Settings, seed: int) -> Subunits:
    """Draw the cells, more of them beginning with the same ones, and scale their drive on white noise of its own."""
    places, shapes = stimuli.stream(seed, "teacher").spawn(2)
    side = settings.kernel_px
    maps = np.array(settings.shape) - side + 1
    place = places.uniform(-PLACE, PLACE, (settings.cells, 2))
    widths = shapes.uniform(1 - WIDTH, 1 + WIDTH, (settings.cells, len(PATHWAYS)))
    chosen = [index for index, name in enumerate(PATHWAYS) if name in settings.pathways]
    names = [name for name in PATHWAYS if name in settings.pathways]
    centre = (maps - 1) / 2 + place * maps
    sigma = POOL * side * widths[:, chosen]
    pools = [_gaussian(centre[:, axis, None], sigma, length) for axis, length in enumerate(maps)]
    pool = pools[0][..., :, None] * pools[1][..., None, :]
    weight = pool * np.array([PATHWAYS[name][2] for name in names])[:, None, None]
    time = np.stack([PATHWAYS[name][0] * temporal(settings.span, PATHWAYS[name][1]) for name in names])
    space = _gaussian(np.array((side - 1) / 2), np.array(SPACE * side), side)
    still = np.zeros(settings.cells)
    raw = Subunits(list(names), time, space, weight, still, centre + (side - 1) / 2, settings.shape, 0)
    return replace(_calibrated(raw, settings, seed), lag=settings.lag)


def temporal(span: int, fast: bool) -> np.ndarray:
    """Return tau^2 exp(-tau) (1 - tau / 4.5), (lag,), oldest first; tau in time constants before the newest frame."""
    tau = (np.arange(span)[::-1] + 0.5) / (SCALE[fast] * span)
    return np.asarray(tau**2 * np.exp(-tau) * (1 - tau / 4.5))


def _calibrated(raw: Subunits, settings: Settings, seed: int) -> Subunits:
    """Return the retina with subunits of s.d. 1, and drives of the mean and s.d. asked for, under white noise."""
    generator = stimuli.stream(seed, "calibration")
    frames = max(1, CALIBRATION_FRAMES // settings.hold) * settings.hold
    blocks = list(stimuli.noise("white", settings, frames, generator))
    state, sums, count = raw.begin(), np.zeros((2, len(raw.names))), 0
    for block in blocks:
        maps, state = raw.drive(stimuli.standardised(block), state)
        sums += np.stack([maps.sum(axis=(0, 2, 3)), (maps**2).sum(axis=(0, 2, 3))])
        count += maps[:, 0].size
    sd = np.sqrt(sums[1] / count)
    scaled = replace(raw, time=raw.time / sd[:, None])
    state, pooled = scaled.begin(), []
    for block in blocks:
        parts, state = scaled.parts(stimuli.standardised(block), state)
        pooled.append(parts.sum(axis=2))
    drive = np.concatenate(pooled)
    factor = DRIVE_SD / drive.std(axis=0)
    offset = DRIVE_MEAN - factor * drive.mean(axis=0)
    return replace(scaled, weight=scaled.weight * factor[:, None, None, None], offset=offset)


def _gaussian(centre: np.ndarray, sigma: np.ndarray, length: int) -> np.ndarray:
    """Return Gaussians of sum 1 on `length` places, along a last axis behind those of centre and sigma."""
    bell = np.exp(-0.5 * ((np.arange(length) - centre[..., None]) / sigma[..., None]) ** 2)
    return np.asarray(bell / bell.sum(axis=-1, keepdims=True))


def _band(kernel: np.ndarray, length: int) -> np.ndarray:
    """Return the valid cross-correlation with a kernel as a matrix, (length - side + 1, length)."""
    band = np.zeros((length - len(kernel) + 1, length))
    for place, row in enumerate(band):
        row[place : place + len(kernel)] = kernel
    return band
