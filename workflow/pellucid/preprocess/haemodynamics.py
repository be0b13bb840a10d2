"""Removal of haemodynamic absorption from calcium signals by a second, calcium-independent channel (470 and 405 nm).

The regression is that of wfield (Couto et al. 2021, Nat Protoc): both channels about their means and high-passed, one
coefficient per ROI or pixel, b = sum F470 F405 / sum F405^2, and F470 - b F405. Filters are local, so that a movie can
be streamed: zero-phase windowed sincs (Hamming) of finite reach in place of wfield's Butterworth filters.
"""

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess import calcium, streams
from pellucid.preprocess.streams import Stream

REACH = 1.65
"""Reach of a filter in periods of its cut-off: its transition band is then as wide as the cut-off (3.3 / width)."""


def kernel(cutoff_hz: float, rate_hz: float) -> np.ndarray:
    """Return a symmetric low-pass with half its amplitude at the cut-off and unit sum, (lag,), odd.

    Raises DataError for a cut-off that is not below half the rate.
    """
    from scipy import signal

    if not cutoff_hz < rate_hz / 2:
        raise DataError(
            "violet channel, filter",
            expected=f"a cut-off below half the frame rate, {rate_hz / 2:g} Hz",
            found=f"{cutoff_hz:g} Hz",
            remedy="Lower `highpass_hz` or `lowpass_hz`.",
        )
    reach = int(np.ceil(REACH * rate_hz / cutoff_hz))
    weights = signal.firwin(2 * reach + 1, cutoff_hz, fs=rate_hz, window="hamming")
    return np.asarray(weights / weights.sum())


def lowpass(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the values after a symmetric filter, shape (time, ...).

    weights  (lag,), odd. At the ends the filter is cut to the samples there are and divided by the sum of the rest
    """
    return streams.columnwise(lambda columns: _filtered(columns, weights), values)


def highpass(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the values minus their low-pass, shape (time, ...); a constant becomes 0. weights: of the low-pass."""
    return streams.columnwise(lambda columns: columns - _filtered(columns, weights), values)


def prepared(
    signal: Stream, violet: Stream, rate_hz: float, *, highpass_hz: float = 0.1, lowpass_hz: float | None = None
) -> tuple[Stream, Stream]:
    """Return both channels as the regression sees them.

    signal, violet  dF/F (or any unit), (time, ...) of one shape; rate_hz: frames per second
    highpass_hz     both are high-passed
    lowpass_hz      violet alone is low-passed, too: the remedy for a noisy violet channel, whose noise biases the
                    coefficient towards 0 and is added to the signal. What is faster, such as the pulse, then stays
    """
    high = kernel(highpass_hz, rate_hz)
    reach = len(high) // 2
    found = [stream.local(lambda values: highpass(values, high), reach, reach) for stream in (signal, violet)]
    if lowpass_hz is not None:
        low = kernel(lowpass_hz, rate_hz)
        found[1] = found[1].local(lambda values: lowpass(values, low), len(low) // 2, len(low) // 2)
    return found[0], found[1]


def coefficient(signal: Stream, violet: Stream, label: str = "violet channel") -> np.ndarray:
    """Return b = sum F470 F405 / sum F405^2 over time, float64, for each ROI or pixel; 0 where violet is 0."""
    product, power = np.zeros(signal.shape[1:]), np.zeros(signal.shape[1:])
    both = Stream(signal.read, signal.shape, max(signal.reach, violet.reach))
    for start, block in both.blocks(label):
        second = violet.read(start, start + len(block))
        product += np.einsum("t...,t...->...", block, second, dtype=np.float64)
        power += np.einsum("t...,t...->...", second, second, dtype=np.float64)
    return np.asarray(product / np.where(power > 0, power, np.inf))


def regressed(
    signal: Stream, violet: Stream, rate_hz: float, *, highpass_hz: float = 0.1, lowpass_hz: float | None = None
) -> tuple[Stream, np.ndarray]:
    """Return F470 - b F405 as a stream, and b for each ROI or pixel; see `prepared` for the arguments.

    b is fitted to the whole session, test frames included, but to no labels.
    """
    calcium_channel, second = prepared(signal, violet, rate_hz, highpass_hz=highpass_hz, lowpass_hz=lowpass_hz)
    slope = coefficient(calcium_channel, second)
    return calcium_channel.joined(second, lambda values, control: _minus(values, slope, control)), slope


def ratio(signal: Stream, violet: Stream, where: str = "violet channel") -> Stream:
    """Return (F470 / F470_0) / (F405 / F405_0) - 1 of two streams of dF/F.

    Raises DataError where the violet channel is not above 0.
    """
    return signal.joined(violet, lambda values, control: calcium.relative(values + 1, control + 1, where))


def _minus(values: np.ndarray, slope: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.asarray((values - slope * control).astype(values.dtype, copy=False))


def _filtered(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    from scipy import signal

    present = signal.oaconvolve(np.ones(len(columns)), weights, mode="same")
    rows = np.ascontiguousarray(columns.T)  # twice as fast along neighbours in memory
    return np.asarray((signal.oaconvolve(rows, weights[None], mode="same", axes=1) / present).T)
