"""The transform of Frey et al. 2021, written plainly from its description: time domain, float64, one scale at a time.

An independent truth for `pellucid.preprocess.wavelets`, sharing no line with it.
"""

import numpy as np
from scipy.signal import fftconvolve

FOURIER_FACTOR = 4 * np.pi / (6 + np.sqrt(2 + 6**2))


def wavelet_power(signal, rate_hz, frequency_hz):
    """|W|² of one channel at every sample, zeros beyond its ends: W = √(dt/s) Σ x ψ, ψ sampled over ±5 s."""
    s = 1 / (FOURIER_FACTOR * frequency_hz)
    reach = int(5 * s * rate_hz)
    t = np.arange(-reach, reach + 1) / rate_hz / s
    psi = np.pi**-0.25 * (np.exp(6j * t) - np.exp(-18)) * np.exp(-(t**2) / 2)
    full = fftconvolve(np.asarray(signal, dtype=np.float64), psi, mode="full")
    return np.abs(np.sqrt(1 / (rate_hz * s)) * full[reach : reach + len(signal)]) ** 2


def analytic_power(signal, rate_hz, frequency_hz):
    """|W|² of one channel at every sample, circular: the wavelet's transform, cut at zero and at Nyquist."""
    s = 1 / (FOURIER_FACTOR * frequency_hz)
    omega = 2 * np.pi * np.fft.fftfreq(len(signal), 1 / rate_hz)
    omega[len(signal) // 2] = np.pi * rate_hz if len(signal) % 2 == 0 else omega[len(signal) // 2]
    psi = np.pi**-0.25 * (np.exp(-((s * omega - 6) ** 2) / 2) - np.exp(-18 - (s * omega) ** 2 / 2))
    psi *= np.sqrt(2 * np.pi * s * rate_hz) * (omega > 0)
    return np.abs(np.fft.ifft(np.fft.fft(np.asarray(signal, dtype=np.float64)) * psi)) ** 2


def block_means(power, samples):
    """Means over blocks of so many samples, the last of them over what is left."""
    return np.array([power[at : at + samples].mean() for at in range(0, len(power), samples)])


def published_power(signal, rate_hz, frequencies_hz, *, block, window):
    """Block means (row, frequency, channel) over half-overlapping windows, a quarter cut at each inner edge."""
    signal = signal - signal.mean(axis=1, keepdims=True)
    step, quarter = window // 2, window // 4
    windows = len(signal) // step - 1
    pieces = []
    for w in range(windows):
        x = signal[w * step : w * step + window]
        x = x - x.mean(axis=0)
        power = np.array([[wavelet_power(c, rate_hz, f) for c in x.T] for f in frequencies_hz])
        rows = power.reshape(*power.shape[:2], -1, block).mean(-1).transpose(2, 0, 1)
        pieces.append(rows[0 if w == 0 else quarter // block : None if w == windows - 1 else -(quarter // block)])
    return np.concatenate(pieces)
