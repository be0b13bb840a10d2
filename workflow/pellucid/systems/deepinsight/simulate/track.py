"""Calcium imaging of a mouse on a virtual track, in the layout of the deposit behind Frey et al. 2021 (figure 4E-H)."""

from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.readers import matlab
from pellucid.systems.deepinsight.simulate.behaviours import slow
from pellucid.systems.deepinsight.simulate.settings import Track

SPEED_S = 2.0
"""Memory of the speed."""


def simulate(settings: Track, seed: int, folder: Path) -> None:
    """Write track.mat with the struct `dataSave` (fields df_f, time x cells, and pos_dat in cm), and truth.zarr."""
    generator = np.random.default_rng(seed)
    position = laps(settings, generator)
    centres = fields(settings)
    traces = fluorescence(settings, position, centres, generator)
    matlab.write(folder / "track.mat", {"dataSave": {"df_f": traces, "pos_dat": position.astype(np.float32)}})
    store.write(folder / "truth.zarr", truth(settings, centres))


def laps(settings: Track, generator: np.random.Generator) -> np.ndarray:
    """Return the position in cm at each frame, shape (time,); NaN while the screen between two laps is black."""
    count = int(settings.duration_s * settings.rate_hz)
    speed = settings.speed_cm_s * (1 + np.tanh(slow(count, 1 / settings.rate_hz, SPEED_S, generator)) / 2)
    position, black = np.full(count, np.nan), round(settings.black_s * settings.rate_hz)
    frame = 0
    while frame < count:
        along = np.cumsum(speed[frame:]) / settings.rate_hz
        running = int(np.searchsorted(along, settings.track_cm))
        position[frame : frame + running] = along[:running]
        frame += running + black
    return position


def fields(settings: Track) -> np.ndarray:
    """Return the centre of each cell's place field in cm, shape (cell,); NaN for cells without one, at the end."""
    with_field = max(1, round(settings.place_cells * settings.cells))
    centres = np.full(settings.cells, np.nan)
    centres[:with_field] = (np.arange(with_field) + 0.5) / with_field * settings.track_cm
    return centres


def fluorescence(
    settings: Track, position: np.ndarray, centres: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return dF/F, shape (time, cell) float32: Poisson events that decay exponentially, and white noise.

    position  (time,) cm, NaN while the screen is black
    centres   (cell,) cm, NaN for a cell without a place field
    """
    from scipy.signal import lfilter

    decay = np.exp(-1 / (settings.decay_s * settings.rate_hz))
    traces = np.empty((len(position), settings.cells), np.float32)
    for cell, centre in enumerate(centres):
        near = np.exp(-(((position - centre) / settings.field_cm) ** 2) / 2)
        rate = settings.background_hz + settings.event_hz * np.nan_to_num(near)
        events = generator.poisson(rate / settings.rate_hz)
        trace = lfilter([settings.event_dff], [1.0, -decay], events)
        traces[:, cell] = trace + settings.noise_dff * generator.standard_normal(len(position))
    return traces


def truth(settings: Track, centres: np.ndarray) -> xr.DataTree:
    """Return the cells with place fields, and the band from the laps' rate to the decay's corner 1 / (2 pi tau)."""
    lap_s = settings.track_cm / settings.speed_cm_s + settings.black_s
    low, high = 1 / lap_s, 1 / (2 * np.pi * settings.decay_s)
    known = xr.Dataset(
        {
            "band_hz": ("output", np.array([np.sqrt(low * high)]), {"units": "Hz"}),
            "band_low_hz": ("output", np.array([low]), {"units": "Hz"}),
            "band_high_hz": ("output", np.array([high]), {"units": "Hz"}),
            "carries": (("channel", "output"), np.isfinite(centres)[:, None]),
        },
        coords={"output": np.array(["position"], object)},
        attrs={"informative": 1},
    )
    return xr.DataTree.from_dict({"/truth": known})
