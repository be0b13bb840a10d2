"""Electrocorticography of finger movements, in the layout of BCI Competition IV, data set 4 (Schalk et al. 2007)."""

from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.readers import matlab
from pellucid.systems.deepinsight.simulate.settings import Fingers

NAMES = ("thumb", "index", "middle", "ring", "little")
"""Fingers in the order of the data glove."""

GLOVE_HZ = 25.0
"""Samples of the data glove per second, which the files repeat up to the rate of the electrodes."""

STEP = 1e-3
"""Resolution of the simulated amplifier, in s.d. of the noise."""


def simulate(settings: Fingers, seed: int, folder: Path) -> None:
    """Write sub1_comp.mat (train_data, test_data, train_dg), sub1_testlabels.mat (test_dg) and truth.zarr."""
    generator = np.random.default_rng(seed)
    train, test = (int(seconds * settings.rate_hz) for seconds in (settings.train_s, settings.test_s))
    glove = flexion(settings, train + test, generator)
    signal = cortex(settings, glove, generator)
    matlab.write(
        folder / "sub1_comp.mat",
        {"train_data": signal[:train], "test_data": signal[train:], "train_dg": glove[:train]},
    )
    matlab.write(folder / "sub1_testlabels.mat", {"test_dg": glove[train:]})
    store.write(folder / "truth.zarr", truth(settings))


def flexion(settings: Fingers, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return the flexion of the fingers, shape (time, finger) float32, 0 at rest and 1 at the most.

    One finger at a time, drawn anew, bends and stretches some times within a cue, then all rest.
    """
    times = np.arange(count) / settings.rate_hz
    times = np.floor(times * GLOVE_HZ + 1e-9) / GLOVE_HZ
    period = settings.cue_s + settings.pause_s
    cue, since = (times / period).astype(int), np.mod(times, period)
    bent = np.sin(np.pi * settings.flexions * since / settings.cue_s) ** 2 * (since < settings.cue_s)
    finger = generator.integers(0, len(NAMES), cue[-1] + 1)[cue]
    return np.asarray(bent[:, None] * (finger[:, None] == np.arange(len(NAMES)))).astype(np.float32)


def cortex(settings: Fingers, glove: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the signal, shape (time, channel) int16 in steps of STEP: white noise and g b_k(t) sin(2 pi f t + phi_c).

    glove  (time, finger) b; channel c carries finger k = c mod 5
    """
    times = np.arange(len(glove)) / settings.rate_hz
    phase = generator.uniform(0, 2 * np.pi, settings.channels)
    signal = np.empty((len(glove), settings.channels), "<i2")
    for channel in range(settings.channels):
        wave = glove[:, channel % len(NAMES)] * np.sin(2 * np.pi * settings.band_hz * times + phase[channel])
        trace = generator.standard_normal(len(glove)) + settings.gain * wave
        signal[:, channel] = np.clip(np.round(trace / STEP), -32768, 32767)
    return signal


def truth(settings: Fingers) -> xr.DataTree:
    """Return the carrier's band and the channels of each finger."""
    carries = np.arange(settings.channels)[:, None] % len(NAMES) == np.arange(len(NAMES))
    known = xr.Dataset(
        {
            "band_hz": ("output", np.full(len(NAMES), settings.band_hz), {"units": "Hz"}),
            "carries": (("channel", "output"), carries),
        },
        coords={"output": np.array(NAMES, object)},
        attrs={"informative": 1},
    )
    return xr.DataTree.from_dict({"/truth": known})
