"""Morlet power of many bands from one Fourier transform, averaged over blocks without ever existing at full rate.

The power of a band is P = |W|², W the part of the signal's spectrum that its wavelet passes. With σ = 1/s, P holds
next to nothing beyond ±5 σ, so the spectrum of W is cropped (a shift to baseband leaves |W| unchanged), folded, and
inverted at some 9 σ values per second, q in each block. The mean of P over the M samples of a block is the mean of
its q values and a correction at either edge that involves a few values around it, as in Gregory's formula.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len

OMEGA0 = 6.0  # dimensionless frequency of the wavelet, Torrence & Compo 1998, table 1
PERIOD_PER_SCALE = 4 * pi / (OMEGA0 + sqrt(2 + OMEGA0**2))  # the Fourier period of scale 1, ibid.
REACH = 5.0  # a wavelet ends at ±5 s in time and ±5/s in frequency, where its envelope is exp(-5²/2) = 4e-6
ERROR = 3e-6  # r.m.s. error of block means of white noise allowed to the values kept, relative to the band's mean
TAPS = 6  # values on each side of an edge that its correction involves


def scale_s(frequency_hz: float) -> float:
    """Scale s in seconds of the wavelet whose Fourier period is 1/frequency_hz (Torrence & Compo 1998, table 1)."""
    return 1 / (PERIOD_PER_SCALE * frequency_hz)


def support_s(frequency_hz: float) -> float:
    """Seconds that one wavelet reaches to either side of its centre, 5 s, where its envelope has fallen to 4e-6."""
    return REACH * scale_s(frequency_hz)


@dataclass(frozen=True)
class OddBlock:
    """A block that has fewer samples than the others, at the end of a recording."""

    segments: slice  # in which segments of a batch
    block: int  # its number there
    samples: int  # 1 … M


@dataclass(frozen=True)
class _Band:
    """One wavelet in the spectrum of a segment, and how its power is summed."""

    scale: float  # s in samples
    values: int  # q, at which |W|² is evaluated in each block
    first: int  # first bin of the signal's spectrum
    weights: torch.Tensor  # (bin,) complex, √(s/dt) ψ̂(sω), times q/M for the shorter inverse transform
    edge: torch.Tensor  # (2 TAPS,) correction at the start of a block
    around: torch.Tensor  # (block · 2 TAPS,) values around the start of each block


class WaveletBank:
    """The wavelets of all bands for segments of one length, which must be a whole number of blocks.

    samples        N, length of a segment
    rate_hz        sampling rate 1/dt
    frequencies    (frequency,) Fourier frequencies in Hz
    block_samples  M, samples averaged into one row
    sampled        wavelets sampled in time, whose spectra wrap around Nyquist; otherwise cut at Nyquist
    causal         delay each band by its reach, so that no block involves later samples
    """

    def __init__(
        self,
        samples: int,
        rate_hz: float,
        frequencies: Sequence[float],
        block_samples: int,
        *,
        sampled: bool = True,
        causal: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.samples, self.rate_hz, self.block_samples = samples, rate_hz, block_samples
        self.blocks = samples // block_samples
        self.device = torch.device(device)
        self.bands = [self._band(scale_s(f) * rate_hz, sampled, causal) for f in frequencies]

    def _band(self, scale: float, sampled: bool, causal: bool) -> _Band:
        width = 2 * pi * scale / self.samples  # sω of one bin
        first = max(1, ceil((OMEGA0 - REACH) / width))
        last = min(int((OMEGA0 + REACH) / width), self.samples - first if sampled else self.samples // 2)
        bins = np.arange(first, last + 1)
        # √(s/dt) ψ̂(sω) = √(2π s/dt) π^-¼ exp(-(sω - ω0)²/2), Torrence & Compo 1998, eq. 6 and table 1; the term
        # that removes the mean is below 1e-8 of the maximum over these bins.
        weights = sqrt(2 * pi * scale) * pi**-0.25 * np.exp(-((bins * width - OMEGA0) ** 2) / 2)
        values = values_per_block(scale, self.block_samples)
        weights *= values / self.block_samples
        delay = row_reach(scale, self.block_samples) if causal else 0.0
        wavelet = (weights * np.exp(-2j * pi * bins / self.samples * delay)).astype(np.complex64)
        edge, _ = edge_correction(scale, self.block_samples, values)
        starts = values * np.arange(self.blocks)
        around = (starts[:, None] + np.arange(-TAPS, TAPS)) % (values * self.blocks)
        return _Band(scale, values, first, self._tensor(wavelet), self._tensor(edge), self._tensor(around.ravel()))

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def __call__(self, signal: torch.Tensor, odd: OddBlock | None = None) -> torch.Tensor:
        """Block means of the power of segments, each taken as periodic.

        signal   (segment, N) float32, in any unit u
        odd      the block that is shorter than the others, if there is one
        returns  (segment, frequency, block) in u²: white noise of variance v has power v
        """
        spectrum = torch.fft.rfft(signal)
        means = signal.new_empty(len(signal), len(self.bands), self.blocks)
        for b, band in enumerate(self.bands):
            wave = torch.fft.ifft(self._crop(spectrum, band))
            blocks = torch.view_as_real(wave).view(len(wave), self.blocks, 2 * band.values)
            around = _square(wave.index_select(1, band.around)).view(len(wave), self.blocks, -1) @ band.edge
            total = torch.linalg.vector_norm(blocks, dim=2).square_().sub_(around).add_(around.roll(-1, 1))
            torch.mul(total, 1 / band.values, out=means[:, b])
            if odd is not None:
                rows = odd.segments
                means[rows, b, odd.block] = self._odd(wave[rows], band, around[rows], odd)
        return means.clamp_min_(0)  # corrections next to an artefact may leave less than nothing

    def _crop(self, spectrum: torch.Tensor, band: _Band) -> torch.Tensor:
        """The band's part of the spectrum times its wavelet, folded to the values kept: (segment, value)."""
        length, weights, last = band.values * self.blocks, band.weights, band.first + len(band.weights)
        cropped = spectrum.new_empty(len(spectrum), length)
        cropped[:, len(weights) :] = 0
        nyquist = spectrum.shape[1]
        _place(cropped, 0, spectrum[:, band.first : last], weights[: nyquist - band.first])
        if last > nyquist:  # beyond Nyquist the spectrum of a real signal is its own mirror image
            mirror = spectrum[:, self.samples - last + 1 : self.samples - nyquist + 1].flip(1).conj_physical_()
            _place(cropped, nyquist - band.first, mirror, weights[nyquist - band.first :])
        return cropped

    def _odd(self, wave: torch.Tensor, band: _Band, around: torch.Tensor, odd: OddBlock) -> torch.Tensor:
        """Mean power over the first samples of one block, (segment,)."""
        step = self.block_samples / band.values
        whole = int(odd.samples / step)
        edge, _ = edge_correction(band.scale, self.block_samples, band.values, odd.samples - whole * step)
        start = odd.block * band.values
        at = (start + whole + torch.arange(-TAPS, TAPS, device=self.device)) % wave.shape[1]
        total = _square(wave[:, start : start + whole]).sum(1) - around[:, odd.block]
        return (total + _square(wave[:, at]) @ self._tensor(edge)) * (step / odd.samples)


def row_reach(scale: float, block_samples: int) -> float:
    """Samples to either side of a block of M that its mean power involves, for a wavelet of this scale in samples."""
    values = values_per_block(scale, block_samples)
    return REACH * scale + (0 if values == block_samples else TAPS * block_samples / values)


@lru_cache(maxsize=256)
def values_per_block(scale: float, block_samples: int) -> int:
    """The fewest values of |W|² per block of M samples, q <= M, whose sum with corrected edges errs by ERROR."""
    values = max(1, ceil(7.5 / scale * block_samples / (2 * pi)))
    while values < block_samples:
        values = int(next_fast_len(values))
        if edge_correction(scale, block_samples, values)[1] < ERROR:
            return values
        values += ceil(values / 50)
    return block_samples


def edge_correction(
    scale: float, block_samples: int, values: int, beyond: float = 0.0
) -> tuple[NDArray[np.float32], float]:
    """What a sum over values must gain where the sum over samples begins, and the r.m.s. error of a mean it leaves.

    scale    s in samples
    values   q in each block of M samples, one every h = M/q samples
    beyond   samples from the value on which the correction is centred to the edge
    Sums over n < edge of e^{iDn}, samples against values, differ by
        z(D) = e^{iD·beyond}/(h (e^{iD} - 1)) - 1/(e^{iDh} - 1),
    which Σ_k c_k e^{iDhk}, k = -TAPS … TAPS - 1, must equal wherever P has power. The c are its least-squares fit,
    weighted by the spectral density of P for white noise, a Gaussian of standard deviation 1/s.
    """
    distance = np.linspace(0, 7, 301)[1:]  # in units of 1/s
    density = np.exp(-(distance**2) / 2) / sqrt(2 * pi)
    inside = distance / scale < 1.9 * pi
    distance, density = distance[inside], density[inside]
    angle, step = distance / scale, block_samples / values
    target = np.exp(1j * angle * beyond) / (step * np.expm1(1j * angle)) - 1 / np.expm1(1j * angle * step)
    waves = np.exp(1j * np.outer(angle * step, np.arange(-TAPS, TAPS)))
    root = np.sqrt(density)
    left, right = root[:, None] * waves, root * target
    c, *_ = np.linalg.lstsq(
        np.concatenate([left.real, left.imag]), np.concatenate([right.real, right.imag]), rcond=1e-9
    )
    residual = np.abs(left @ c - right) ** 2
    # both signs of D, and two edges
    error = sqrt(4 * float(residual.sum()) * (distance[1] - distance[0])) / values
    return c.astype(np.float32), error


def _place(out: torch.Tensor, at: int, part: torch.Tensor, weights: torch.Tensor) -> None:
    """Write part · weights, (segment, bin), to `out` from position `at` on; what lies beyond its end is folded in."""
    done, length = 0, out.shape[1]
    while done < part.shape[1]:
        row = (at + done) % length
        step = min(length - row, part.shape[1] - done)
        piece, factor = part[:, done : done + step], weights[done : done + step]
        if at + done < length:
            torch.mul(piece, factor, out=out[:, row : row + step])
        else:
            out[:, row : row + step].addcmul_(piece, factor)
        done += step


def _square(wave: torch.Tensor) -> torch.Tensor:
    real, imaginary = torch.view_as_real(wave).unbind(-1)
    return real.square().addcmul_(imaginary, imaginary)
