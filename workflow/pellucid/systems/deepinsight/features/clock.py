"""The rows of the features: which samples each one stands for, at which moment, and how far its wavelets reach."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.deepinsight.features.settings import Settings

APART = 1.5
"""Rows without a rate that are further apart than so many median intervals are not neighbours."""


@dataclass(frozen=True)
class Clock:
    """One row per block of samples.

    times        (row,) s, the moment behaviour is taken at
    starts       (row,) s, when the block of a row starts
    stops        (row,) s, when it ends
    borders      (row + 1,) numbers of the first samples of the blocks, and that after the last
    frequencies  (frequency,) Hz; 0 without a transform
    reach_rows   rows that the longest wavelet reaches on either side
    seen         rows before and after a row that its power depends on
    stop_s       s, end of the recording
    """

    times: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    borders: np.ndarray
    frequencies: np.ndarray
    reach_rows: int
    seen: tuple[int, int]
    stop_s: float

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.times)


def clock(group: xr.Dataset, signal: xr.DataArray, settings: Settings) -> Clock:
    """Return the rows that the features of a signal have. Raises DataError for wavelets of an irregular clock."""
    return _samples(group, signal) if settings.transform == "none" else _blocks(group, signal, settings)


def rate_hz(group: xr.Dataset, settings: Settings) -> float:
    """Return the sampling rate of the signal in Hz. Raises DataError if its clock is irregular."""
    if "rate_hz" not in group.attrs:
        raise DataError(
            settings.signal,
            expected="a regular clock with attribute rate_hz",
            found="irregular times",
            remedy="Resample the signal before wavelets, or give its rate to the reader.",
        )
    return float(group.attrs["rate_hz"])


def _samples(group: xr.Dataset, signal: xr.DataArray) -> Clock:
    """One row per sample, which lasts until the next one."""
    frequencies = signal.coords["frequency"].values if "frequency" in signal.dims else np.zeros(1)
    times = schema.sample_times(group)
    if "rate_hz" in group.attrs:
        lasts = np.full(len(times), 1 / float(group.attrs["rate_hz"]))
    else:
        steps = np.diff(times) if len(times) > 1 else np.zeros(1)
        usual = float(np.median(steps))
        lasts = np.minimum(np.append(steps, usual)[: len(times)], APART * usual)
    stops = times + lasts
    borders = np.arange(len(times) + 1)
    return Clock(times, times, stops, borders, np.asarray(frequencies, float), 0, (0, 0), float(stops[-1]))


def _blocks(group: xr.Dataset, signal: xr.DataArray, settings: Settings) -> Clock:
    """One row per block of samples that wavelets are averaged over."""
    from pellucid.preprocess import wavelet_bank, wavelets

    rate, block, samples = rate_hz(group, settings), settings.wavelets.block_samples, len(signal)
    frequencies = wavelets.frequencies(rate, samples, settings.wavelets)
    start = float(schema.sample_times(group, 0, 1)[0])
    reach = wavelet_bank.row_reach(wavelet_bank.scale_s(frequencies.min()) * rate, block)
    rows = int(np.ceil(reach / block))
    times = start + wavelets.row_times(samples, rate, settings.wavelets)
    borders = np.minimum(np.arange(len(times) + 1) * block, samples)
    edges = start + borders / rate
    seen = (2 * rows, 0) if settings.wavelets.causal else (rows, rows)
    return Clock(times, edges[:-1], edges[1:], borders, frequencies, rows, seen, start + samples / rate)
