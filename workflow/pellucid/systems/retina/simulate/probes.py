"""Full-field stimuli whose noiseless response is part of the truth: flashes, steps and omitted flashes."""

import numpy as np
import xarray as xr

from pellucid.systems.retina.simulate.settings import Settings
from pellucid.systems.retina.simulate.teacher import Teacher

PERIODS = (6, 8, 10, 12, 20)
"""Of the flashes, in frames."""

FLASH_FRAMES = 2
STEP_FRAMES = 40
REST_FRAMES = 20

OMITTED_FRAMES, LAST_FLASH = 140, 89
"""Length of a train's movie after 40 frames of history, and onset of its last flash (reference code)."""

PUBLISHED_HISTORY = 40


def movies(settings: Settings) -> dict[str, np.ndarray]:
    """Return full-field movies by name, each (time,) in s.d. of a pixel, beginning and ending in grey.

    dark_flash, bright_flash, dark_step and bright_step come after a history and 20 frames of grey; omitted_PP has dark
    flashes of 2 frames every PP frames, the last of them at frame 89, or later by what a history exceeds 40 frames.
    """
    before = settings.span + settings.lag + REST_FRAMES
    found = {}
    for name, frames in (("flash", FLASH_FRAMES), ("step", STEP_FRAMES)):
        for polarity, sign in (("dark", -1), ("bright", 1)):
            movie = np.zeros(before + frames + settings.span + REST_FRAMES)
            movie[before : before + frames] = sign * settings.contrast
            found[f"{polarity}_{name}"] = movie
    late = max(0, settings.span - PUBLISHED_HISTORY)
    for period in PERIODS:
        movie = np.zeros(OMITTED_FRAMES + late)
        for onset in range(LAST_FLASH + late, -1, -period):
            movie[onset : onset + FLASH_FRAMES] = -settings.contrast
        found[f"omitted_{period:02d}"] = movie
    return found


def groups(settings: Settings, teacher: Teacher, names: dict[str, np.ndarray]) -> dict[str, xr.Dataset]:
    """Return the responses to all probes as groups /probes/NAME.

    names  coordinates `neuron` and `kernel`
    Each has movie (time,), rate (time, neuron) in spikes per sample, and contribution (time, neuron, kernel), the parts
    of the drive less those without contrast; NaN in rows without a full history.
    """
    clock = {"rate_hz": settings.rate_hz, "start_s": 0.0}
    found = {}
    for name, movie in movies(settings).items():
        frames = np.broadcast_to(movie[:, None, None], (len(movie), *settings.shape))
        parts, _ = teacher.parts(frames, teacher.begin())
        rest, _ = teacher.parts(np.zeros_like(frames[:1]), teacher.begin())
        rate, contribution = teacher.rate(parts).astype(np.float32), (parts - rest).astype(np.float32)
        for values in (rate, contribution):
            values[: settings.span - 1 + settings.lag] = np.nan
        variables = {
            "movie": ("time", movie.astype(np.float32), {"units": "s.d."}),
            "rate": (("time", "neuron"), rate, {"units": "count"}),
            "contribution": (("time", "neuron", "kernel"), contribution, {"units": "1"}),
        }
        found[f"/probes/{name}"] = xr.Dataset(variables, names, {**clock, "contrast": settings.contrast})
    return found
