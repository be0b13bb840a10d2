"""Wavelet power of a wide-band recording, one row per block of samples, streamed in bounded memory.

Frey et al. 2021 (eLife 10:e66551, Methods and released code) average the Morlet power of every channel, as Torrence &
Compo 1998 define it, over blocks of 1000 samples. The same numbers come from `wavelet_bank` at a small part of the
work. Segments overlap by a halo of 5 s of the lowest band, where its envelope has fallen to exp(-5²/2) = 4e-6, and the
ends of the recording are mirrored; `edges: published` follows the released code instead, see `published_segments`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pellucid.errors import ConfigError
from pellucid.preprocess.settings import Wavelets
from pellucid.preprocess.wavelet_bank import PERIOD_PER_SCALE, row_reach, scale_s, support_s
from pellucid.preprocess.wavelet_input import (
    Read,
    Recording,
    Segment,
    centred,
    check_finite,
    common_average,
    data_error,
    halo_segments,
    overlapping,
    published_segments,
    rows,
)
from pellucid.preprocess.wavelet_segments import LEAST_BATCH, SegmentBank, segment_bank

__all__ = ["block_power", "frequencies", "row_times", "rows", "stream_block_power", "support_s"]

SEGMENT_BYTES = 2**28  # raw samples of all channels held at once
SEGMENT_SAMPLES = 2**20  # longer transforms leave the cache
MOST_BATCHES = 4  # batches of channels transformed side by side, each in some 200 MB


def frequencies(rate_hz: float, samples: int, settings: Wavelets) -> NDArray[np.float64]:
    """Frequencies of the bands in Hz, highest first: (frequency,).

    rate_hz   sampling rate
    samples   length of the recording
    settings  `bands_hz`, or the grid f_j = rate/2 · 2^(-j dj), j = 0 … J, strictly between lowest_hz and highest_hz
    J = int(log2(N dt/s0)/dj), where s0 has the Fourier period 2 dt (Torrence & Compo 1998, eqs 9 and 10), and N is
    the recording, or the window with `edges: published`.
    """
    if rate_hz <= 0 or not np.isfinite(rate_hz):
        raise data_error("sampling rate", "a positive number of Hz", f"{rate_hz}", "Correct the rate of the recording.")
    if settings.bands_hz is not None:
        bands = np.array(settings.bands_hz, dtype=np.float64)
        return _checked_bands(bands, rate_hz)
    length = min(samples, settings.window_samples) if settings.edges == "published" else samples
    s0 = 2 / PERIOD_PER_SCALE  # in samples
    octaves = settings.dj * np.arange(int(np.log2(max(length / s0, 1)) / settings.dj) + 1)
    grid: NDArray[np.float64] = rate_hz / 2 * np.exp2(-octaves)
    highest = np.inf if settings.highest_hz is None else settings.highest_hz
    return _checked_bands(grid[(grid > settings.lowest_hz) & (grid < highest)], rate_hz)


def row_times(samples: int, rate_hz: float, settings: Wavelets) -> NDArray[np.float64]:
    """Moment of each row in seconds after the first sample, (row,): start, centre or end of its block (`align`)."""
    start = np.arange(rows(samples, settings)) * settings.block_samples
    stop = np.minimum(start + settings.block_samples, samples)
    return {"start": start, "centre": (start + stop) / 2, "end": stop}[settings.align] / rate_hz


def block_power(
    signal: ArrayLike, rate_hz: float, settings: Wavelets, *, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Block means of the Morlet power of a recording in memory.

    signal    (time, channel) samples in any unit u and any real type
    rate_hz   sampling rate
    settings  bands, blocks, reference and edges
    returns   (time, frequency, channel) in u²: white noise of variance v has power v in every band below Nyquist
    """
    array = np.asarray(signal)
    if array.ndim != 2:
        raise data_error("signal", "two axes (time, channel)", f"{array.ndim}", "Add or remove an axis.")
    blocks = stream_block_power(lambda start, stop: array[start:stop], len(array), rate_hz, settings, device=device)
    return np.concatenate(list(blocks))


def stream_block_power(
    read: Read,
    samples: int,
    rate_hz: float,
    settings: Wavelets,
    *,
    device: torch.device | str = "cpu",
    segment_blocks: int | None = None,
    rows: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Block means of the Morlet power of a recording read piece by piece, in order.

    read            read(start, stop) gives samples [start, stop) as (time, channel), any unit u and real type
    samples         length of the recording
    rate_hz         sampling rate
    settings        bands, blocks, reference and edges
    segment_blocks  rows computed at once; none: as many as a fixed memory holds, whatever the length
    rows            only rows [start, stop), bit for bit those of the whole recording: its segments are computed and cut
    progress        called with (rows done, rows in all) after each piece
    returns         an iterator over pieces (row, frequency, channel) in u², `rows(samples, settings)` rows in all
    Raises DataError for a signal that cannot be used, or has no such rows, and ConfigError for settings that clash.
    """
    bands = frequencies(rate_hz, samples, settings)
    _check_causal(settings)
    _check_length(samples, settings)
    sample = np.asarray(read(0, 1))
    _check_kind(sample)
    if settings.edges == "published":
        each, segments = published_segments(samples, settings)
    else:
        most = segment_blocks or _fitting_rows(sample, bands, rate_hz, settings)
        each, segments = halo_segments(samples, most, settings)
    bank = segment_bank(
        each,
        rate_hz,
        tuple(bands.tolist()),
        settings.block_samples,
        settings.nyquist == "sampled",
        settings.causal,
        torch.device(device),
    )
    return _transform(Recording(read, samples, rate_hz, settings), bank, overlapping(segments, rows), progress)


def _transform(
    recording: Recording,
    bank: SegmentBank,
    segments: list[tuple[Segment, slice]],
    progress: Callable[[int, int], None] | None,
) -> Iterator[NDArray[np.float32]]:
    done, total = 0, sum(wanted.stop - wanted.start for _, wanted in segments)
    for segment, wanted in segments:
        power = _segment_power(recording, bank, segment)[wanted]
        done += len(power)
        if progress is not None:
            progress(done, total)
        yield power


def _segment_power(recording: Recording, bank: SegmentBank, segment: Segment) -> NDArray[np.float32]:
    """Rows of one segment, (row, frequency, channel); channels are transformed a few at a time."""
    published = recording.settings.edges == "published"
    index = recording.index(segment, bank)
    raw = recording.signal(index)
    stop = segment.skip + segment.rows
    cut = max(0, segment.start + stop * bank.block_samples - recording.samples)
    odd = (stop - 1, bank.block_samples - cut) if cut else None
    common = common_average(raw) if recording.settings.reference == "common_average" else None
    power = np.empty((segment.rows, bank.bands, raw.shape[1]), dtype=np.float32)
    first = bank.before * bank.block_samples if published else 0

    def transform(columns: slice) -> None:
        signal = centred(raw[:, columns], common, published)
        check_finite(signal, raw, index, recording.rate_hz)
        x = torch.zeros(len(signal), bank.samples, device=bank.device)
        x[:, first : first + signal.shape[1]] = torch.from_numpy(signal)
        power[..., columns] = bank(x, odd)[..., segment.skip : stop].permute(2, 1, 0).cpu().numpy()

    with _one_thread_each(bank.device) as threads, ThreadPoolExecutor(threads) as pool:
        share = ceil(raw.shape[1] / threads / LEAST_BATCH) * LEAST_BATCH
        batch = min(bank.channels, share)
        for _ in pool.map(transform, [slice(at, at + batch) for at in range(0, raw.shape[1], batch)]):
            pass
    return power


@contextmanager
def _one_thread_each(device: torch.device) -> Iterator[int]:
    """Let torch's threads take a batch of channels each: one short transform shared by several only makes them wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield min(threads, MOST_BATCHES) if device.type == "cpu" else 1
    finally:
        torch.set_num_threads(threads)


def _fitting_rows(sample: NDArray[Any], bands: NDArray[np.float64], rate_hz: float, settings: Wavelets) -> int:
    """Rows of a segment that fits SEGMENT_BYTES, unless that would leave less than three quarters of its halo."""
    reach = max(ceil(row_reach(scale_s(f) * rate_hz, settings.block_samples)) for f in bands.tolist())
    most: int = min(SEGMENT_SAMPLES, SEGMENT_BYTES // (sample.shape[1] * sample.itemsize))
    return max(1, max(most - 2 * reach, 3 * reach // 2) // settings.block_samples)


def _checked_bands(bands: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    where = "wavelets, frequencies"
    if bands.size == 0:
        remedy = "Widen lowest_hz and highest_hz, or take a longer recording."
        raise data_error(where, f"at least one band up to {rate_hz / 2:g} Hz", "none", remedy)
    if bands.max() > rate_hz / 2 or bands.min() <= 0:
        wrong = bands.max() if bands.max() > rate_hz / 2 else bands.min()
        remedy = f"Remove it, or check the sampling rate of {rate_hz:g} Hz."
        raise data_error(
            where, f"above 0 and at most half the sampling rate, {rate_hz / 2:g} Hz", f"{wrong:g} Hz", remedy
        )
    return bands


def _check_causal(settings: Wavelets) -> None:
    if settings.causal and (settings.edges, settings.nyquist) != ("halo", "sampled"):
        raise ConfigError(
            "wavelets.causal",
            expected="edges: halo and nyquist: sampled, whose wavelets end",
            found=f"edges: {settings.edges} and nyquist: {settings.nyquist}",
            remedy="Change them, or set causal: false.",
        )


def _check_length(samples: int, settings: Wavelets) -> None:
    least = max(2, settings.block_samples)
    if samples < least:
        remedy = "Take a longer recording, or a smaller block_samples."
        raise data_error("signal, axis time", f"at least {least} samples", f"{samples}", remedy)


def _check_kind(sample: NDArray[Any]) -> None:
    if sample.ndim != 2 or sample.shape[1] == 0 or sample.dtype.kind not in "iufb":
        found = f"{sample.dtype} of shape (time, {', '.join(map(str, sample.shape[1:]))})"
        raise data_error("signal", "real samples (time, channel)", found, "Give one column per channel.")
