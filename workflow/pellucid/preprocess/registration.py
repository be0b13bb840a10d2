"""Rigid shifts of frames against their mean image: whole pixels by phase correlation, fractions by least squares."""

import numpy as np

from pellucid.preprocess import streams
from pellucid.preprocess.streams import Stream

NOISE_FRAMES = 64
"""Evenly spaced frames that the noise of each spatial frequency is estimated from."""

STEPS = 4
"""Gauss-Newton steps of the fit that gives the fraction of a pixel."""

FARTHEST = 2.0
"""A fraction beyond so many pixels from the best whole one is no fit; the whole one is kept."""


def shifts(stream: Stream, label: str = "shifts") -> np.ndarray:
    """Return how far each frame is shifted down and to the right of the mean image, (time, 2) float64, px.

    stream  (time, height, width), read twice
    The phases of frame and mean image correlate best at the shift (Kuglin & Hines 1975); spatial frequencies are
    weighted by signal / (signal + noise) power, without which the many that hold noise only would hide the shift of a
    smooth image. From the best whole pixel within a quarter of each side, the fraction d is that of the least-squares
    fit a (m - d grad m + d' H d / 2) + c of the mean image m to the frame, so that a change of brightness is no shift:
    the peak itself is drawn to 0 by the window that the Fourier transform needs.
    """
    reference = streams.mean(stream, f"{label}, mean image")
    correlation, fit = _Correlation(stream, reference), _Fit(reference)
    out = np.empty((stream.shape[0], 2))
    for start, block in stream.blocks(label):
        frames = block.astype(np.float64)
        whole = np.array([correlation.best(frame) for frame in frames])
        products = np.array([fit.products(frame, at) for frame, at in zip(frames, whole)])
        for at in np.unique(whole, axis=0):
            own = (whole == at).all(axis=1)
            found = fit.fraction(products[own], at)
            near = (np.abs(found) <= FARTHEST).all(axis=1, keepdims=True)
            out[start : start + len(block)][own] = at + np.where(near, found, 0)
    return out


class _Correlation:
    """Correlation of the phases of frames with those of a reference."""

    def __init__(self, stream: Stream, reference: np.ndarray) -> None:
        from scipy import fft
        from scipy.signal import windows

        height, width = reference.shape
        self._window = windows.hann(height + 2)[1:-1, None] * windows.hann(width + 2)[1:-1]
        self._level, self._shape = reference.mean(), reference.shape
        self._spectrum = fft.rfft2((reference - self._level) * self._window)
        self._weight = self._signal_share(stream, reference)
        self._rows, self._columns = (np.fft.fftfreq(size, 1 / size).round().astype(int) for size in reference.shape)
        self._far = (np.abs(self._rows) > height // 4)[:, None] | (np.abs(self._columns) > width // 4)

    def _signal_share(self, stream: Stream, reference: np.ndarray) -> np.ndarray:
        """Return signal / (signal + noise) power at each spatial frequency, in [0, 1]; 0 without a signal."""
        from scipy import fft

        frames = np.unique(np.linspace(0, stream.shape[0] - 1, NOISE_FRAMES).round().astype(int))
        noise = np.zeros(self._spectrum.shape)
        for frame in frames:
            residual = (stream.read(int(frame), int(frame) + 1)[0] - reference) * self._window
            noise += np.abs(fft.rfft2(residual)) ** 2 / len(frames)
        signal = np.abs(self._spectrum) ** 2
        share = signal / np.where(signal + noise > 0, signal + noise, np.inf)
        share[0, 0] = 0  # the mean has no phase
        return np.asarray(share)

    def best(self, frame: np.ndarray) -> np.ndarray:
        """Return the shift in whole pixels with the highest correlation, (2,), within a quarter of each side."""
        from scipy import fft

        product = fft.rfft2((frame - self._level) * self._window) * self._spectrum.conj()
        size = np.abs(product)
        surface = fft.irfft2(self._weight * product / np.where(size > 0, size, np.inf), self._shape)
        surface[self._far] = -np.inf
        row, column = np.unravel_index(np.argmax(surface), surface.shape)
        return np.array([self._rows[row], self._columns[column]])


class _Fit:
    """Least-squares fit of the mean image, its derivatives up to the second and a constant to frames."""

    def __init__(self, reference: np.ndarray) -> None:
        self._level, self._unit = reference.mean(), float(reference.std()) or 1.0
        level = (reference - self._level) / self._unit
        down, right = _derivative(level, 0), _derivative(level, 1)
        second = [_derivative(down, 0), _derivative(down, 1), _derivative(right, 1)]
        self._basis = np.stack([level, down, right, *second, np.ones_like(level)])

    def _overlap(self, at: np.ndarray) -> np.ndarray:
        """Return the basis where the reference shows what a frame shifted by whole pixels shows, (7, pixel)."""
        return self._basis[(slice(None), *_inner(-at, self._basis.shape[1:]))].reshape(len(self._basis), -1)

    def products(self, frame: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the products of a frame, moved back by whole pixels, with the basis, (7,)."""
        return np.asarray(self._overlap(at) @ ((frame[_inner(at, frame.shape)].ravel() - self._level) / self._unit))

    def fraction(self, products: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the shift that is left, (frame, 2), from the products of frames moved by the same whole pixels."""
        basis = self._overlap(at)
        gram = basis @ basis.T
        found = np.zeros((len(products), 4))  # down, right, gain a, constant c
        found[:, 2] = 1
        for _ in range(STEPS):
            weights, slopes = _weights(found)
            gradient = np.einsum("fpb,fb->fp", slopes, products - weights @ gram)
            normal = slopes @ gram @ slopes.transpose(0, 2, 1)
            found = found + np.einsum("fpq,fq->fp", np.linalg.pinv(normal), gradient)
        return found[:, :2]


def _weights(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the basis, (frame, 7), and their derivatives by the four parameters, (frame, 4, 7)."""
    down, right, gain, constant = found.T
    none, one = np.zeros(len(found)), np.ones(len(found))
    shape = [one, -down, -right, down**2 / 2, down * right, right**2 / 2, none]
    weights = np.stack([*(gain * part for part in shape[:6]), constant], axis=1)
    slopes = [
        [none, -gain, none, gain * down, gain * right, none, none],
        [none, none, -gain, none, gain * down, gain * right, none],
        shape,
        [none] * 6 + [one],
    ]
    return weights, np.stack([np.stack(row, axis=1) for row in slopes], axis=1)


def _derivative(image: np.ndarray, axis: int) -> np.ndarray:
    """Return the derivative along one axis per px, by the five-point rule."""
    from scipy import ndimage

    return np.asarray(ndimage.correlate1d(image, np.array([1, -8, 0, 8, -1]) / 12, axis=axis, mode="nearest"))


def _inner(at: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the part of an image that shows what the other one shows too, without two pixels at the edges."""
    rows, columns = (slice(2 + max(0, move), size - 2 + min(0, move)) for move, size in zip(map(int, at), shape))
    return rows, columns
