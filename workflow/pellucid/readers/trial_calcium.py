"""Calcium of trials of different lengths (VarMag_*.mat): fluorescence and frame times in cells, one per trial.

`DFoF_corrraw_fissa{i}` is frames x neurons, `CellsTimeStamps{i}` the time of each frame in s, `States(i)` (a cell or a
struct array) the times of Reward, Stimulus1Delivery and Stimulus7Delivery as [start, end] in s, NaN where absent;
`Session.RewardDelivered(:, 1)` the amounts, `Session.TrialTypes` the types.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from pellucid.errors import DataError
from pellucid.readers import layout, matfile
from pellucid.readers.assemble import assemble, load
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

SIGNAL, STAMPS = "DFoF_corrraw_fissa", "CellsTimeStamps"
STATES = {"stimulus1_s": "Stimulus1Delivery", "stimulus7_s": "Stimulus7Delivery", "reward_s": "Reward"}
"""Variable -> the state that it is the beginning of."""

SLACK = 0.05
"""How far the frames' median rate may be from `rate_hz`, as a part of it."""


class Settings(Block):
    """The clock of the frames."""

    rate_hz: float = Field(15.0, gt=0, description="frames per second")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the file that `read` will use. Raises MissingError if there is none, DataError if there are several."""
    return [layout.single(files, ".mat")]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a session as a recording without its identity.

    files     one .mat file
    settings  see Settings
    Gives /trials signal (trial, time, neuron) float32, NaN after a trial's last frame; stimulus1_s, stimulus7_s and
    reward_s (trial,) in s, NaN where absent; reward in uL and trial_type (trial,). A trial's clock counts its frames:
    frame i is at i / rate_hz, and an onset between two frames lies between them in proportion, so that scanning that
    is not quite regular moves no onset to another frame.
    Raises DataError: damage, frames without times, another rate than `rate_hz`, trials with other neurons.
    """
    (path,) = select(files, settings)
    content, label = matfile.contents(path), str(path)
    signals = _cells(content, SIGNAL, label)
    stamps = [found.ravel().astype("float64") for found in _cells(content, STAMPS, label)]
    _check(signals, stamps, settings.rate_hz, label)
    amounts = load(content, "Session.RewardDelivered", label)
    sources: dict[str, np.ndarray] = {
        "signal": _padded(signals),
        "reward": (amounts[:, 0] if len(amounts) == len(signals) else amounts.ravel()).astype("float64"),
        "trial_type": load(content, "Session.TrialTypes", label).ravel().astype("float64"),
        **{name: _onsets(content, state, stamps, settings.rate_hz, label) for name, state in STATES.items()},
    }
    group = {
        "rate_hz": settings.rate_hz,
        "variables": {
            "signal": {"dims": ["trial", "time", "neuron"], "units": "dF/F"},
            "reward": {"dims": ["trial"], "units": "uL"},
            "trial_type": {"dims": ["trial"]},
            **{name: {"dims": ["trial"], "units": "s"} for name in STATES},
        },
    }
    return assemble(sources, {"trials": layout.Group.model_validate(group)}, label)


def write(
    path: Path,
    signals: "Sequence[np.ndarray]",
    stamps: "Sequence[np.ndarray]",
    onsets: "Mapping[str, np.ndarray]",
    *,
    reward: "np.ndarray",
    trial_type: "np.ndarray",
) -> None:
    """Write a session; equal values give equal bytes.

    signals     of each trial, shape (time, neuron)
    stamps      times of each trial's frames in s, shape (time,), all on one clock
    onsets      variable of STATES -> times in s on the clock of the stamps, shape (trial,), NaN where absent
    reward      in uL, shape (trial,)
    trial_type  shape (trial,)
    """
    import numpy as np

    states = [
        {state: np.array([[onsets[name][trial], onsets[name][trial]]]) for name, state in STATES.items()}
        for trial in range(len(signals))
    ]
    session = {"RewardDelivered": np.stack([reward, reward], axis=-1), "TrialTypes": np.reshape(trial_type, (1, -1))}
    matfile.write(path, {SIGNAL: list(signals), STAMPS: list(stamps), "States": states, "Session": session})


def _cells(content: Mapping[str, layout.Array], name: str, label: str) -> "list[np.ndarray]":
    """Return the arrays of a cell, up to the first element that is none."""
    names = itertools.takewhile(lambda each: each in content, (f"{name}[{index}]" for index in itertools.count()))
    return [load(content, each, label) for each in names] or [load(content, f"{name}[0]", label)]


def _check(signals: "list[np.ndarray]", stamps: "list[np.ndarray]", rate_hz: float, label: str) -> None:
    """Raise DataError unless each trial has frames of the same neurons, increasing times for them, and the rate."""
    import numpy as np

    if len(stamps) != len(signals):
        raise DataError(
            f"{label}, {STAMPS}",
            expected=f"{len(signals)} trials, as in {SIGNAL}",
            found=str(len(stamps)),
            remedy="Save both with an array for every trial.",
        )
    for trial, (signal, times) in enumerate(zip(signals, stamps, strict=True)):
        if signal.ndim != 2 or signal.shape != (len(times), signals[0].shape[1]) or len(times) < 1:
            raise DataError(
                f"{label}, {SIGNAL}[{trial}]",
                expected=f"{len(times)} frames (as {STAMPS} has) x {signals[0].shape[-1]} neurons",
                found=f"shape {signal.shape}",
                remedy="Restore the file, or leave the trial out.",
            )
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
            raise DataError(
                f"{label}, {STAMPS}[{trial}]",
                expected="finite, increasing times",
                found="a time that is missing or steps back",
                remedy="Restore the file, or leave the trial out.",
            )
    steps = np.concatenate([np.diff(times) for times in stamps])
    found = 1 / float(np.median(steps)) if steps.size else rate_hz
    if abs(found / rate_hz - 1) > SLACK:
        raise DataError(
            f"{label}, {STAMPS}",
            expected=f"about {rate_hz:g} frames per second",
            found=f"{found:.4g}",
            remedy="Correct `options.rate_hz`.",
        )


def _padded(signals: "list[np.ndarray]") -> "np.ndarray":
    """Return trials in one array, shape (trial, time, neuron) float32, NaN after each trial's end."""
    import numpy as np

    padded = np.full((len(signals), max(map(len, signals)), signals[0].shape[1]), np.nan, dtype="float32")
    for trial, signal in enumerate(signals):
        padded[trial, : len(signal)] = signal
    return padded


def _onsets(
    content: Mapping[str, layout.Array], state: str, stamps: "list[np.ndarray]", rate_hz: float, label: str
) -> "np.ndarray":
    """Return when a state begins on each trial's clock in s, shape (trial,); outside the frames at their mean pace."""
    import numpy as np

    found = np.full(len(stamps), math.nan)
    for trial, times in enumerate(stamps):
        begun = load(content, f"States[{trial}].{state}", label).ravel()
        if begun.size and math.isfinite(second := float(begun[0])):
            inside = min(max(second, times[0]), times[-1])
            found[trial] = np.interp(inside, times, np.arange(len(times))) / rate_hz + second - inside
    return found
