"""From a design to what is recorded: spikes at 1 ms, or samples of a photometry signal.

The drive z = a + sum_k h_k * x_k has few nonzero codes, so a trial's convolution is the product of a matrix of shifted
kernels, (time, event), with amplitudes, (event, neuron). Trials are worked through in chunks of bounded memory.
"""

from collections.abc import Iterator

import numpy as np

from pellucid.systems.dunl.simulate.events import Design
from pellucid.systems.dunl.simulate.scenarios import Noise, Row

CHUNK_CELLS = 1 << 23
"""Numbers held at once: drives, and shifted kernels."""

LARGEST_EXPONENT = 80.0
"""Its exponential is still a finite float32."""

DECIMALS = 5
"""Of a recorded photometry signal."""


def spikes(
    row: Row, design: Design, kernels: np.ndarray, baseline: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw spikes, shape (trial, time, neuron), uint8 of 0 and 1 at 1 ms: Bernoulli(sigmoid(z)).

    kernels   (kernel, lag) at 1 ms, unit norm
    baseline  (neuron,) logit of the probability of a spike in 1 ms
    """
    raster = np.empty((row.trials, row.samples, row.neurons), np.uint8)
    for trials in chunks(row, design):
        z = drive(row, design, kernels, baseline, trials)
        np.clip(np.negative(z, out=z), None, LARGEST_EXPONENT, out=z)
        np.exp(z, out=z)
        z += 1
        z *= generator.random(z.shape, np.float32)
        raster[trials] = z < 1  # u < 1 / (1 + exp(-z))
    return raster


def samples(
    row: Row, noise: Noise, design: Design, kernels: np.ndarray, baseline: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw photometry, shape (trial, time, neuron): drive, white noise and slow noise; NaN after a trial's end.

    kernels   (kernel, lag) at the samples, unit norm
    baseline  (neuron,) in units of the signal
    The slow noise is a stationary autoregression of order 1. Trials that end early do so from 1 s after their last
    event on.
    """
    from scipy.signal import lfilter

    z = np.concatenate([drive(row, design, kernels, baseline, trials) for trials in chunks(row, design)])
    decay = np.exp(-row.step_ms / (1000 * noise.drift_s))
    steps = noise.drift_sd * generator.standard_normal(z.shape)
    steps[:, 1:] *= np.sqrt(1 - decay**2)
    signal = z + lfilter([1.0], [1.0, -decay], steps, axis=1) + noise.noise_sd * generator.standard_normal(z.shape)
    ends = generator.integers((np.nanmax(design.onset_ms, axis=1) + 1000) // row.step_ms, row.samples)
    ends = np.where(generator.random(row.trials) < noise.short_share, ends, row.samples)
    return np.where((np.arange(row.samples) < ends[:, None])[..., None], np.round(signal, DECIMALS), np.nan)


def drive(row: Row, design: Design, kernels: np.ndarray, baseline: np.ndarray, trials: slice) -> np.ndarray:
    """Return z = a + sum_k h_k * x_k of some trials, shape (trial, time, neuron), float32."""
    onset, kernel = design.onset_ms[trials], design.kernel[trials]
    there = np.isfinite(onset)
    start = np.where(there, onset / row.step_ms, row.samples).astype(np.int32)
    lag = np.arange(row.samples, dtype=np.int32)[:, None] - start[:, None]
    inside = (lag >= 0) & (lag < kernels.shape[1])
    shifted = kernels.astype(np.float32)[kernel[:, None], np.where(inside, lag, 0)] * inside
    amplitude = np.where(there[..., None], design.amplitude[trials], 0).astype(np.float32)
    return np.asarray(shifted @ amplitude + baseline.astype(np.float32))


def chunks(row: Row, design: Design) -> Iterator[slice]:
    """Yield slices of trials, in order, whose arrays stay within CHUNK_CELLS where a single trial's do."""
    cells = row.samples * (row.neurons + 4 * design.onset_ms.shape[1])
    step = max(1, CHUNK_CELLS // cells)
    for start in range(0, row.trials, step):
        yield slice(start, min(start + step, row.trials))
