"""Probe stimuli of retinal phenomena, and what is measured on responses to them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pellucid.systems.retina.attribute.phenomena.settings import PIXEL_UM, Phenomenon

if TYPE_CHECKING:
    import numpy as np

    from pellucid.systems.retina.attribute.phenomena.probe import Conditions, Measure

MODULES = {
    "omitted": "omitted",
    "latency_steps": "latency",
    "latency_flashes": "latency",
    "anticipation": "anticipation",
    "reversal": "reversal",
    "contrast_adaptation": "contrast",
    "reversing_grating": "grating",
    "polarity_reversal": "polarity",
    "step": "step",
    "paired_flash": "paired",
    "object_motion": "motion",
}
"""Module of this package for every kind of phenomenon."""


def conditions(
    settings: Phenomenon, *, history: int, lag: int, rate_hz: float, shape: tuple[int, int], seed: int
) -> "Conditions":
    """Return the conditions of a phenomenon for a model with some history and image size.

    history, lag  frames in a window, and bins from its newest frame to the response
    shape         height and width of the image, px
    seed          of noise; only `contrast_adaptation` and `omitted` with noise draw any
    Raises ConfigError where the stimulus does not fit the history, the rate or the image.
    """
    from pellucid.systems.retina.attribute.phenomena.probe import Scale

    made: Conditions = _module(settings).conditions(settings, Scale(history, lag, rate_hz), shape, seed)
    return made


def measure(
    settings: Phenomenon,
    conditions: "Conditions",
    rate: "np.ndarray",
    *,
    history: int,
    lag: int,
    rate_hz: float,
    pixel_um: float = PIXEL_UM,
    units: Literal["Hz", "count"] = "Hz",
    kernels: "np.ndarray | None" = None,
    projection: "np.ndarray | None" = None,
) -> "list[Measure]":
    """Return what a phenomenon is judged by.

    rate        (trial, row, neuron) responses to `conditions`, in `units` (Hz, or count per bin)
    kernels     for contrast_adaptation: mean gradient over the rows of `conditions.window`, (trial, neuron, lag) summed
                over space or (trial, neuron, lag, height, width), the oldest frame first; without, nothing is measured
    projection  for polarity_reversal: instantaneous receptive fields of natural frames on their mean, (frame, neuron)
    """
    from pellucid.systems.retina.attribute.phenomena.probe import Scale

    extra: dict[str, Any] = {}
    if settings.kind == "contrast_adaptation":
        extra["kernels"] = kernels
    if settings.kind == "polarity_reversal":
        extra["projection"] = projection
    scale = Scale(history, lag, rate_hz, pixel_um, units)
    made: list[Measure] = _module(settings).measure(settings, conditions, rate, scale, **extra)
    return made


def _module(settings: Phenomenon) -> Any:  # noqa: ANN401 - a module
    return import_module(f"{__name__}.{MODULES[settings.kind]}")
