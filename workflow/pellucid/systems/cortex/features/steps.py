"""The steps between recorded and stored values, the same for traces and movies: dF/F, violet channel, detrending."""

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess import calcium, haemodynamics
from pellucid.preprocess.streams import Stream
from pellucid.systems.cortex.features.inputs import Clock
from pellucid.systems.cortex.features.settings import Source


def processed(
    signal: Stream, violet: Stream | None, item: Source, clock: Clock, name: str
) -> tuple[Stream, np.ndarray | None]:
    """Return a signal after the steps its settings ask for, and the coefficient of the violet channel if there is one.

    signal, violet  (time, ...) of one shape; name: of the input
    Raises DataError for what cannot be divided by, or for filters in trials.
    """
    _check_continuous(item, clock, name)
    slope = None
    if item.dff is not None:
        signal = _relative(signal, item, clock, f"inputs.{name}, dff")
        violet = None if violet is None else _relative(violet, item, clock, f"inputs.{name}, reference, dff")
    if violet is not None and item.reference is not None:
        if item.reference.method == "ratio":
            signal = haemodynamics.ratio(signal, violet, f"inputs.{name}, reference")
        else:
            high, low = item.reference.highpass_hz, item.reference.lowpass_hz
            signal, slope = haemodynamics.regressed(signal, violet, clock.rate_hz, highpass_hz=high, lowpass_hz=low)
    if item.detrend_s is not None:
        signal = calcium.detrended(signal, calcium.samples(item.detrend_s, clock.rate_hz))
    return signal, slope


def units(recorded: str, item: Source) -> str:
    """Return the units of a signal after the steps."""
    return "dF/F" if item.dff is not None else recorded


def _relative(signal: Stream, item: Source, clock: Clock, where: str) -> Stream:
    assert item.dff is not None
    return calcium.dff(signal, clock.rate_hz, **item.dff.model_dump(), where=where)


def _check_continuous(item: Source, clock: Clock, name: str) -> None:
    """Raise DataError for steps that would reach from one trial into the next."""
    asked = {
        "detrend_s": item.detrend_s is not None,
        "reference": item.reference is not None and item.reference.method == "regression",
        "dff": item.dff is not None and item.dff.baseline != "mean",
    }
    reaching = [step for step, wanted in asked.items() if wanted]
    if clock.trial_frames is not None and reaching:
        raise DataError(
            f"inputs.{name}, {reaching[0]}",
            expected="a continuous session",
            found=f"trials of {clock.trial_frames} frames",
            remedy="Leave it out: it would reach from one trial into the next. `centre: segment` acts within trials.",
        )
