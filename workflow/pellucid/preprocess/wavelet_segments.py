"""A stretch of a recording through the wavelets: short ones in short pieces that stay in the cache, long ones at once.

The halo of a transform must hold its longest wavelet. Most of the work lies in the highest bands, whose wavelets are
short; they see the stretch as a batch of overlapping pieces, the others as a whole.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import torch
from scipy.fft import next_fast_len

from pellucid.preprocess.wavelet_bank import OddBlock, WaveletBank, row_reach, scale_s

PIECE_SAMPLES = 2**15  # what the short wavelets are transformed in
SHORT = PIECE_SAMPLES // 16  # reach of a short wavelet in samples
BATCH_SAMPLES = {"cpu": 2**22, "other": 2**27}  # transformed in one call
LEAST_BATCH = 8  # segments in one call: fewer leave the vector units of a CPU idle


@dataclass(frozen=True)
class _Group:
    """Bands that share a transform: `pieces` segments every `step` blocks, `before` blocks of halo in front."""

    bands: list[int]
    bank: WaveletBank
    pieces: int
    step: int
    before: int


class SegmentBank:
    """The wavelets of all bands for stretches of `rows` blocks.

    rows           blocks whose power is wanted
    rate_hz        sampling rate
    frequencies    (frequency,) Fourier frequencies in Hz
    block_samples  M
    sampled        wavelets sampled in time; otherwise cut at Nyquist
    causal         delay each band by its reach
    The signal of a stretch begins `before` blocks in front of its first row and has `samples` samples.
    """

    def __init__(
        self,
        rows: int,
        rate_hz: float,
        frequencies: tuple[float, ...],
        block_samples: int,
        *,
        sampled: bool,
        causal: bool,
        device: torch.device,
    ) -> None:
        self.rows, self.block_samples, self.device, self.bands = rows, block_samples, device, len(frequencies)
        self.groups: list[_Group] = []
        reach = [row_reach(scale_s(f) * rate_hz, block_samples) for f in frequencies]
        for short in (True, False):
            bands = [b for b in range(self.bands) if (reach[b] <= SHORT) == short]
            if not bands:
                continue
            halo = ceil(max(reach[b] for b in bands) / block_samples)
            before, after = (2 * halo, 0) if causal else (halo, halo)
            wanted = min(rows, max(1, PIECE_SAMPLES // block_samples)) if short else rows
            length = int(next_fast_len(wanted + before + after))
            step = length - before - after
            chosen = [frequencies[b] for b in bands]
            bank = WaveletBank(
                length * block_samples, rate_hz, chosen, block_samples, sampled=sampled, causal=causal, device=device
            )
            self.groups.append(_Group(bands, bank, ceil(rows / step), step, before))
        self.before = max(g.before for g in self.groups)
        ends = [(g.pieces - 1) * g.step + g.bank.blocks - g.before for g in self.groups]
        self.samples = (self.before + max(ends)) * block_samples
        self.batch = BATCH_SAMPLES["cpu" if device.type == "cpu" else "other"]

    @property
    def channels(self) -> int:
        """How many channels to give at once."""
        return _aligned(max(LEAST_BATCH, self.batch // self.samples))

    def __call__(self, signal: torch.Tensor, odd: tuple[int, int] | None = None) -> torch.Tensor:
        """Block means of the power.

        signal   (channel, samples) float32, in any unit u
        odd      number and samples, 1 … M, of the row that is shorter than the others, if there is one
        returns  (channel, frequency, row) in u²
        """
        power = signal.new_empty(len(signal), self.bands, self.rows)
        for group in self.groups:
            size = group.pieces * group.bank.samples
            batch = _aligned(max(ceil(LEAST_BATCH / group.pieces), self.batch // size))
            for at in range(0, len(signal), batch):
                power[at : at + batch, group.bands] = self._group(signal[at : at + batch], group, odd)
        return power

    def _group(self, signal: torch.Tensor, group: _Group, odd: tuple[int, int] | None) -> torch.Tensor:
        bank, step = group.bank, group.step
        first = (self.before - group.before) * self.block_samples
        extent = (group.pieces - 1) * step * self.block_samples + bank.samples
        pieces = signal[:, first : first + extent].unfold(1, bank.samples, step * self.block_samples)
        short = None
        if odd is not None:
            piece, block = divmod(odd[0], step)
            short = OddBlock(slice(piece, None, group.pieces), group.before + block, odd[1])
        means = bank(pieces.reshape(-1, bank.samples), short)[..., group.before : group.before + step]
        apart = means.reshape(len(signal), group.pieces, len(group.bands), step)
        return apart.transpose(1, 2).reshape(len(signal), len(group.bands), -1)[..., : self.rows]


def _aligned(channels: int) -> int:
    """Return the largest batch up to so many channels that is a multiple of LEAST_BATCH or divides it.

    A transform in the remainder of a batch that does not fill the vector units differs in its last bit: with aligned
    batches it is always the same channels', however many threads share the work.
    """
    return channels // LEAST_BATCH * LEAST_BATCH or 1 << channels.bit_length() - 1


@lru_cache(maxsize=4)
def segment_bank(
    rows: int,
    rate_hz: float,
    frequencies: tuple[float, ...],
    block_samples: int,
    sampled: bool,
    causal: bool,
    device: torch.device,
) -> SegmentBank:
    """A bank for stretches of this many rows; the last few are kept, since recordings of one length share theirs."""
    return SegmentBank(rows, rate_hz, frequencies, block_samples, sampled=sampled, causal=causal, device=device)
