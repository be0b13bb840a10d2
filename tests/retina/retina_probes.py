"""Analytic cells that probe stimuli are shown to, and small settings of every phenomenon."""

import numpy as np
from pydantic import TypeAdapter

from pellucid.systems.retina.attribute import phenomena
from pellucid.systems.retina.attribute.phenomena.settings import Phenomenon

CLOCK = {"history": 12, "lag": 1, "rate_hz": 100.0}
SHAPE = (14, 16)

SMALL = {
    "omitted": {"kind": "omitted"},
    "latency_steps": {"kind": "latency_steps", "contrasts": [0.0, -0.5, -1.0, -1.5]},
    "latency_flashes": {"kind": "latency_flashes", "contrasts": [-2.0, -1.0, 1.0]},
    "anticipation": {"kind": "anticipation", "speed_px": 0.16, "reach_px": 12, "flashes_px": [-7, 7]},
    "reversal": {
        "kind": "reversal", "speed_px": 0.3, "flips_px": [-3, -2, -1, 0, 1], "before_rows": 30, "after_rows": 30,
    },
    "contrast_adaptation": {"kind": "contrast_adaptation", "filter_frames": 100, "frames": 1500, "hold_frames": 1},
    "reversing_grating": {"kind": "reversing_grating", "bars_px": [2, 4], "half_period_frames": 20, "frames": 112},
    "polarity_reversal": {
        "kind": "polarity_reversal", "radius_px": 3.0, "bar_px": 2, "flash_frames": 4, "after_rows": 20,
    },
    "step": {"kind": "step", "step_frames": 40, "after_rows": 30},
    "paired_flash": {"kind": "paired_flash", "intervals_frames": [2, 4, 8, 12], "after_rows": 40},
    "object_motion": {"kind": "object_motion", "bar_px": 2, "radius_px": 3.0, "shift_px": 3.0, "after_rows": 20},
}  # fmt: skip
"""Settings for images of about 16 x 16 px, a history of 12 frames and 100 Hz."""


def settings(kind, **over):
    """Settings of one kind: those given, or the published ones with them."""
    return TypeAdapter(Phenomenon).validate_python({"kind": kind, **over})


def small(kind, **over):
    """Settings of one kind for a small retina."""
    return settings(**(SMALL[kind] | over))


def shown(probe, shape=SHAPE, seed=0, **clock):
    """The conditions of a phenomenon."""
    return phenomena.conditions(probe, shape=shape, seed=seed, **(CLOCK | clock))


def measured(probe, conditions, rate, **more):
    """What is measured, by name, or by name and condition."""
    found = phenomena.measure(probe, conditions, np.asarray(rate, float), **(CLOCK | more))
    return {one.name if np.isnan(one.at) else (one.name, one.at): one for one in found}


def windows(frames, history):
    """All windows of a movie, (row, lag, height | 1, width | 1)."""
    frames = frames.reshape(frames.shape + (1,) * (3 - frames.ndim)) if frames.ndim != 2 else frames[:, None]
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(frames, history, axis=0), -1, 1)


def respond(conditions, history, cells):
    """Responses of cells, each a function from windows to rates, (trial, row, neuron)."""
    return np.stack([np.stack([cell(windows(own, history)) for cell in cells], -1) for own in conditions.frames])


def bump(rows, centre, width=1.5, height=1.0):
    """A Gaussian course, (row,)."""
    return height * np.exp(-((np.arange(rows) - centre) ** 2) / (2 * width**2))
