"""Auditory cortex under a pseudo-random series of pure tones, as Frey et al. 2021 (Methods, auditory recording)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.systems.deepinsight.simulate import formats
from pellucid.systems.deepinsight.simulate.settings import Format, Tones
from pellucid.systems.deepinsight.simulate.spikes import BIT_UV, CHANNELS, carrier

BLOCK_BYTES = 1 << 24
"""Samples of all channels held at once, as float32."""


@dataclass(frozen=True)
class Series:
    """The tones in order.

    starts  (event,) s
    hertz   (event,) frequency
    end     s, after the last silence
    """

    starts: np.ndarray
    hertz: np.ndarray
    end: float


def simulate(settings: Tones, seed: int, form: Format, folder: Path) -> None:
    """Write one recording in a raw format, with the frequency that plays (0 in silence), and truth.zarr."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)]
    series = tone_series(settings, streams[0])
    raw = formats.Raw(
        blocks=signal(settings, series, streams[1]),
        samples=int(series.end * settings.rate_hz),
        rate_hz=settings.rate_hz,
        scale_uv=BIT_UV,
        channels=[f"ch{index}" for index in range(settings.channels)],
        groups=[f"tetrode{index // CHANNELS}" for index in range(settings.channels)],
        behaviour={"tone": formats.Trace(playing(settings, series), "Hz")},
        behaviour_rate_hz=settings.behaviour_rate_hz,
    )
    formats.write(raw, form, folder)
    store.write(folder / "truth.zarr", truth(settings))


def tone_series(settings: Tones, generator: np.random.Generator) -> Series:
    """Return every tone once in each repeat, in an order of its own, after a silence of random length each."""
    order = np.concatenate([generator.permutation(settings.tones) for _ in range(settings.repeats)])
    gaps = generator.uniform(*settings.gap_s, len(order) + 1)
    starts = np.cumsum(gaps[:-1]) + settings.tone_s * np.arange(len(order))
    hertz = settings.lowest_hz * 2 ** (settings.step_octaves * order)
    return Series(starts, hertz, float(starts[-1] + settings.tone_s + gaps[-1]))


def playing(settings: Tones, series: Series) -> np.ndarray:
    """Return the frequency in Hz that plays at each sample of the behaviour, 0 in silence, shape (time,)."""
    times = np.arange(int(series.end * settings.behaviour_rate_hz)) / settings.behaviour_rate_hz
    tone, since = _current(series, times)
    return np.where((since >= 0) & (since < settings.tone_s), series.hertz[tone], 0.0)


def signal(
    settings: Tones, series: Series, generator: np.random.Generator, block: int | None = None
) -> Iterator[np.ndarray]:
    """Yield the samples, (time, channel) int16 in steps of BIT_UV, the same whatever the length of a block.

    While a tone plays, noise of s.d. v has g v (1/2 + u) sin(2 pi f t + phi_c) added to it: u rises from 0 for the
    lowest to 1 for the highest tone in proportion to the logarithm of its frequency, f is the first band on the first
    half of the channels and the second on the others. Phases are spread evenly within a half.
    """
    samples, half = int(series.end * settings.rate_hz), settings.channels // 2
    block = block or max(1, BLOCK_BYTES // 4 // settings.channels)
    octaves = settings.step_octaves * (settings.tones - 1)
    parts = ((0, half, settings.bands_hz[0]), (half, settings.channels, settings.bands_hz[1]))
    for start in range(0, samples, block):
        times = np.arange(start, min(start + block, samples)) / settings.rate_hz
        part = generator.standard_normal((len(times), settings.channels), dtype=np.float32)
        tone, since = _current(series, times)
        level = 0.5 + np.log2(series.hertz[tone] / settings.lowest_hz) / octaves
        amplitude = settings.gain * level * _ramped(since, settings)
        loud = np.flatnonzero(amplitude)
        for first, last, hertz in parts:
            phase = 2 * np.pi * np.arange(last - first) / (last - first)
            part[loud, first:last] += carrier(amplitude[loud], hertz, times[loud], phase)
        part *= np.float32(settings.noise_uv / BIT_UV)
        yield np.clip(np.round(part), -32768, 32767).astype("<i2")


def truth(settings: Tones) -> xr.DataTree:
    """Return the two bands that carry the tone, each on half of the channels."""
    known = xr.Dataset(
        {
            "band_hz": ("output", np.array(settings.bands_hz[:1]), {"units": "Hz"}),
            "redundant_hz": ("output", np.array(settings.bands_hz[1:]), {"units": "Hz"}),
            "carries": (("channel", "output"), np.ones((settings.channels, 1), bool)),
        },
        coords={"output": np.array(["tone"], object)},
        attrs={"informative": 1},
    )
    return xr.DataTree.from_dict({"/truth": known})


def _current(series: Series, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the last tone that began, and the time since then (negative before the first)."""
    tone = np.maximum(np.searchsorted(series.starts, times, "right") - 1, 0)
    return tone, times - series.starts[tone]


def _ramped(since: np.ndarray, settings: Tones) -> np.ndarray:
    """Return the envelope of a tone, 0 to 1, with linear ramps."""
    edge = np.minimum(since, settings.tone_s - since)
    return np.asarray(np.clip(edge / max(settings.ramp_s, 1e-9), 0, 1))
