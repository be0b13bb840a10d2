"""Morlet power of many bands from one Fourier transform, averaged over blocks without ever existing at full rate.

The power of band b is P = |W|², W the part of the signal's spectrum that the band's wavelet passes. A band of width
σ = 1/s needs only some 7 σ samples per second, so its spectrum is cropped (a shift to baseband leaves |W| unchanged),
folded and inverted at that short length; the transform of P, times that of a box of M samples, folded to the block
rate, gives the exact mean of P over every block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len

OMEGA0 = 6.0  # dimensionless frequency of the wavelet, Torrence & Compo 1998, table 1
PERIOD_PER_SCALE = 4 * pi / (OMEGA0 + sqrt(2 + OMEGA0**2))  # the Fourier period of scale 1, ibid.
REACH = 5.0  # a wavelet ends at ±5 s in time and ±5/s in frequency, where its envelope is exp(-5²/2) = 4e-6
ALIASING = 3e-6  # r.m.s. error of a block mean of white noise, relative to the band's mean power


def scale_s(frequency_hz: float) -> float:
    """Scale s in seconds of the wavelet whose Fourier period is 1/frequency_hz (Torrence & Compo 1998, table 1)."""
    return 1 / (PERIOD_PER_SCALE * frequency_hz)


def support_s(frequency_hz: float) -> float:
    """Seconds that one wavelet reaches to either side of its centre, 5 s, where its envelope has fallen to 4e-6."""
    return REACH * scale_s(frequency_hz)


@dataclass(frozen=True)
class _Band:
    """What one band needs: rows of the spectrum, their weights, the length to invert at, the box of one block."""

    first: int  # first bin of the signal's spectrum
    weights: torch.Tensor  # (bin,) √(s/dt) ψ̂(sω)/samples
    length: int  # samples at which |W|² is evaluated
    box: torch.Tensor  # (length/2 + 1,) see WaveletBank.box


class WaveletBank:
    """The wavelets of all bands for segments of one length, which must be a whole number of blocks.

    samples        length of a segment
    rate_hz        sampling rate
    frequencies    (frequency,) Fourier frequencies in Hz
    block_samples  M, samples averaged into one row
    sampled        wavelets sampled in time, whose spectra wrap around Nyquist; otherwise cut at Nyquist
    causal         delay each band by its own support
    """

    def __init__(
        self,
        samples: int,
        rate_hz: float,
        frequencies: Sequence[float],
        block_samples: int,
        *,
        sampled: bool = False,
        causal: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.samples, self.rate_hz, self.block_samples = samples, rate_hz, block_samples
        self.blocks = samples // block_samples
        self.device = torch.device(device)
        self.delays = [support_s(f) * rate_hz if causal else 0.0 for f in frequencies]
        self.bands = [self._band(f, delay, sampled) for f, delay in zip(frequencies, self.delays, strict=True)]

    def _band(self, frequency_hz: float, delay: float, sampled: bool) -> _Band:
        s = scale_s(frequency_hz) * self.rate_hz  # in samples
        bin_width = 2 * pi * s / self.samples  # sω of one bin
        first = max(1, int(np.ceil((OMEGA0 - REACH) / bin_width)))
        last = int((OMEGA0 + REACH) / bin_width)
        last = min(last, self.samples - first if sampled else self.samples // 2)
        bins = np.arange(first, last + 1)
        # √(s/dt) ψ̂(sω) = √(2π s/dt) π^-¼ exp(-(sω - ω0)²/2), Torrence & Compo 1998, eqs 6 and table 1;
        # the correction that removes the mean is below 1e-8 of it over these bins.
        weights = sqrt(2 * pi * s) * pi**-0.25 * np.exp(-((bins * bin_width - OMEGA0) ** 2) / 2)
        length = next_fast_len(int(np.ceil(_bandwidth(s, self.block_samples) / bin_width)), real=True)
        # the inverse transform divides by `length`, where one of the whole signal divides by `samples`
        weights *= length / self.samples
        box = self.box(length, -delay, self.block_samples)
        return _Band(first, torch.from_numpy(weights.astype(np.float32)).to(self.device), length, box)

    def box(self, length: int, first: float, samples: int) -> torch.Tensor:
        """What turns the spectrum of `length` values of |W|² into its mean over `samples` samples from sample `first`.

        mean = Re Σ_k box_k P̂_k,  box_k = c_k/length · (1/m) Σ_{n=first}^{first+m-1} e^{2πi kn/N},  k = 0 … length/2,
        with m samples in the box, N in the segment and c_k = 2 for the bins that stand for ±k, 1 for the others.
        """
        k = np.arange(length // 2 + 1)
        angle = pi * k[1:] / self.samples
        kernel = np.ones(len(k), dtype=np.complex128)
        kernel[1:] = np.sin(samples * angle) / (samples * np.sin(angle))
        kernel *= np.exp(2j * pi * k / self.samples * (first + (samples - 1) / 2)) / length
        kernel[1 : (length + 1) // 2] *= 2
        return torch.from_numpy(kernel.astype(np.complex64)).to(self.device)

    def tails(self, first: int, samples: int) -> list[torch.Tensor]:
        """Boxes of one odd block of `samples` samples that starts at sample `first`, one per band."""
        pairs = zip(self.bands, self.delays, strict=True)
        return [self.box(band.length, first - delay, samples) for band, delay in pairs]

    def __call__(self, signal: torch.Tensor, tails: Sequence[torch.Tensor] = ()) -> tuple[torch.Tensor, torch.Tensor]:
        """Block means of the power, and those over one odd block where its boxes are given.

        signal   (channel, samples) float32, in any unit u
        returns  (channel, frequency, block) and (channel, frequency) in u²: white noise of variance v has power v
        """
        spectrum = torch.fft.rfft(signal)
        folded = spectrum.new_zeros(len(signal), len(self.bands), self.blocks)
        odd = signal.new_zeros(len(signal), len(self.bands))
        for b, band in enumerate(self.bands):
            power = torch.fft.rfft(_square(torch.fft.ifft(self._crop(spectrum, band))))
            if tails:
                odd[:, b] = (power @ tails[b]).real
            _fold(power.mul_(band.box), folded[:, b])
        return torch.fft.ifft(folded, norm="forward").real, odd

    def _crop(self, spectrum: torch.Tensor, band: _Band) -> torch.Tensor:
        """The band's part of the spectrum times its wavelet, folded to the band's length: (channel, length)."""
        weights, first = band.weights, band.first
        last = first + len(weights)
        if last > spectrum.shape[1]:  # beyond Nyquist, where the spectrum of a real signal is its own mirror image
            start = self.samples - last + 1
            beyond = spectrum[:, start : self.samples - spectrum.shape[1] + 1].flip(1).conj()
            part = torch.cat([spectrum[:, first:], beyond], 1)
        else:
            part = spectrum[:, first:last]
        width = min(len(weights), band.length)
        cropped = spectrum.new_empty(len(spectrum), band.length)
        torch.mul(part[:, :width], weights[:width], out=cropped[:, :width])
        cropped[:, width:] = 0
        for at in range(width, len(weights), band.length):
            more = weights[at : at + band.length]
            cropped[:, : len(more)].addcmul_(part[:, at : at + band.length], more)
        return cropped


@lru_cache(maxsize=4)
def wavelet_bank(
    samples: int,
    rate_hz: float,
    frequencies: tuple[float, ...],
    block_samples: int,
    sampled: bool,
    causal: bool,
    device: torch.device,
) -> WaveletBank:
    """A bank for segments of this length; the last few are kept, since recordings of one length share theirs."""
    return WaveletBank(samples, rate_hz, frequencies, block_samples, sampled=sampled, causal=causal, device=device)


def _square(wave: torch.Tensor) -> torch.Tensor:
    real, imaginary = torch.view_as_real(wave).unbind(-1)
    return real.square().addcmul_(imaginary, imaginary)


def _fold(spectrum: torch.Tensor, out: torch.Tensor) -> None:
    """Add every stretch of the spectrum (channel, bin) to out (channel, block): sampling at the block rate aliases."""
    blocks = out.shape[1]
    whole = spectrum.shape[1] // blocks * blocks
    if whole:
        torch.sum(spectrum[:, :whole].view(len(spectrum), -1, blocks), 1, out=out)
    rest = spectrum[:, whole:]
    out[:, : rest.shape[1]] += rest


@lru_cache(maxsize=256)
def _bandwidth(scale_samples: float, block_samples: int) -> float:
    """Rate, in units of 1/s (angular), at which |W|² may be sampled before block means err by ALIASING.

    The spectral density of |W|² for white noise is a Gaussian of standard deviation σ = 1/s at distance D; what lies
    beyond half the rate r returns at D - r, where the box passes at most 1/(π (D - r) M/fs) of its amplitude.
    """
    distance: NDArray[np.float64] = np.linspace(0, 20, 4001)
    density = np.exp(-(distance**2) / 2) / sqrt(2 * pi)
    rate = 2.0
    while rate < 16:
        beyond = distance > rate / 2
        box = 1 / np.maximum(1, np.abs(distance[beyond] - rate) * block_samples / (2 * scale_samples))
        if 2 * np.sum(density[beyond] * box**2) * distance[1] < ALIASING**2:
            break
        rate += 0.05
    return rate
