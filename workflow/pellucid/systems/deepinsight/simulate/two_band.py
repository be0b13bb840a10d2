"""Noise in which the power of two bands, by default 62.5 and 7.8 Hz, follows two behaviours or is unrelated."""

from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.systems.deepinsight.simulate import formats
from pellucid.systems.deepinsight.simulate.settings import Settings

BIT_UV = 5e-4
"""Resolution of the simulated int16 recording, in units of the noise s.d. (called 1 uV)."""


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the signal and the behaviours b1 and b2 in a raw format, and truth.zarr.

    The first half of the channels adds g (1 + tanh b1) sin(2 pi f1 t + phi_c) to unit white noise, the second half
    the same with b2 and f2. With `redundant_hz` the first half adds a second carrier of b1. With `informative: false`
    other behaviours are written than those the signal carries.
    """
    generator = np.random.default_rng(seed)
    carried = slow_behaviours(settings, generator)
    signal = wideband(settings, carried, generator)
    written = carried if settings.informative else slow_behaviours(settings, generator)
    raw = formats.Raw(
        blocks=iter([np.clip(np.round(signal / BIT_UV), -32768, 32767).astype("<i2")]),
        samples=len(signal),
        rate_hz=settings.rate_hz,
        scale_uv=BIT_UV,
        channels=[f"ch{index}" for index in range(settings.channels)],
        behaviour={"behaviour": formats.Trace(written, "1", ("b1", "b2"), variable="b")},
        behaviour_rate_hz=settings.behaviour_rate_hz,
    )
    formats.write(raw, settings.raw, folder)
    store.write(folder / "truth.zarr", truth(settings))


def slow_behaviours(settings: Settings, generator: np.random.Generator) -> np.ndarray:
    """Return two z-scored behaviours, shape (time, 2): white noise filtered by exp(-t / time_constant_s)."""
    from scipy.signal import lfilter

    count = int(settings.duration_s * settings.behaviour_rate_hz)
    decay = np.exp(-1 / (settings.time_constant_s * settings.behaviour_rate_hz))
    slow = lfilter([1.0], [1.0, -decay], generator.standard_normal((count, 2)), axis=0)
    return np.asarray((slow - slow.mean(0)) / slow.std(0))


def wideband(settings: Settings, behaviour: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the signal, shape (time, channel), in s.d. of its white noise."""
    time = np.arange(int(settings.duration_s * settings.rate_hz)) / settings.rate_hz
    grid = np.arange(len(behaviour)) / settings.behaviour_rate_hz
    phase = generator.uniform(0, 2 * np.pi, settings.channels)
    signal = generator.standard_normal((len(time), settings.channels))
    second = None if settings.redundant_hz is None else generator.uniform(0, 2 * np.pi, settings.channels)
    for channel in range(settings.channels):
        which = carrier(settings, channel)
        envelope = settings.gain * (1 + np.tanh(np.interp(time, grid, behaviour[:, which])))
        signal[:, channel] += envelope * np.sin(2 * np.pi * settings.bands_hz[which] * time + phase[channel])
        if settings.redundant_hz is not None and second is not None and which == 0:
            signal[:, channel] += envelope * np.sin(2 * np.pi * settings.redundant_hz * time + second[channel])
    return signal


def truth(settings: Settings) -> xr.DataTree:
    """Return what is to be recovered: the band (Hz) and the channels that carry each behaviour."""
    carries = np.array([[carrier(settings, c) == k for c in range(settings.channels)] for k in range(2)])
    carries &= settings.informative
    group = xr.Dataset(
        {
            "band_hz": ("output", np.array(settings.bands_hz), {"units": "Hz"}),
            "carries": (("channel", "output"), carries.T),
        },
        coords={"output": np.array(["b1", "b2"], object)},
        attrs={"informative": int(settings.informative)},
    )
    if settings.redundant_hz is not None:
        group["redundant_hz"] = ("output", np.array([settings.redundant_hz, np.nan]), {"units": "Hz"})
    return xr.DataTree.from_dict({"/truth": group})


def carrier(settings: Settings, channel: int) -> int:
    """Return which behaviour a channel carries: 0 in the first half, 1 in the second."""
    return int(channel >= settings.channels // 2)
