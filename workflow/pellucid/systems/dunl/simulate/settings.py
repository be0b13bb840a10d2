"""Settings of the DUNL simulators: which published simulation, and what is to differ from it."""

from dataclasses import fields, replace
from typing import Any

from pydantic import Field, model_validator

from pellucid.settings import Block
from pellucid.systems.dunl.simulate.scenarios import (
    PHOTOMETRY_CUE_MS,
    PHOTOMETRY_DELAY_MS,
    REWARD_MS,
    SCENARIOS,
    STRUCTURED_MS,
    Draw,
    Grid,
    Layout,
    Name,
    Noise,
    Row,
    Shift,
)

LARGEST_BYTES = 2**31 - 1
"""Of a variable in a MATLAB v5 file."""

_LAYOUTS: dict[Name, tuple[Layout, ...]] = {
    "dopamine": ("session", "eshel"),
    "whisker": ("session", "whisker"),
    "photometry": ("session", "flmm"),
}


class Settings(Block):
    """A published simulation and the values that differ from its row; a key left out has the row's value."""

    scenario: Name = Field("dopamine", description="row of the published table, or photometry, a design of ours")
    layout: Layout | None = Field(
        None,
        description="raw files: session (session.mat), eshel (dopamine: a .mat file a neuron on one session clock), "
        "whisker (Dir1/Neuron*/Stim3/*.mat), flmm (photometry: a table with a row a trial)",
    )
    trials: int | None = Field(None, gt=0)
    neurons: int | None = Field(None, gt=0, description="neurons, or fibres")
    trial_ms: int | None = Field(None, gt=0, description="length of a trial")
    bin_ms: int | None = Field(
        None,
        gt=0,
        description="bin that truth.zarr is made for, which changes no raw file; photometry: sample interval",
    )
    baseline_hz: float | None = Field(None, gt=0, lt=1000, description="mean baseline rate")
    baseline_sd: float | None = Field(None, ge=0, description="over neurons, on the logit of the rate per ms")
    amplitudes: tuple[float, ...] | None = Field(
        None,
        description="mean amplitude of each kernel of 1 ms; dopamine: cue, salience, largest value; photometry: cue, "
        "reward per uL",
    )
    amplitude_sds: tuple[float, ...] | None = Field(None, description="s.d. of each kernel's amplitude")
    amplitude_draw: Draw | None = Field(
        None, description="one amplitude for all events of a kernel in a trial, or one for each event"
    )
    events: tuple[int, ...] | None = Field(
        None, min_length=1, description="numbers of events of each kernel in a trial, one of which is drawn"
    )
    spacing_ms: int | None = Field(None, gt=0, description="spacing D of the grid that event times lie on")
    first_event_ms: int | None = Field(None, ge=0, description="no event before; see grid_shift")
    grid_shift: Shift | None = Field(
        None, description="first multiple of D used: ceil, or as published floor, which lets events begin at 400 ms"
    )
    value_offset: tuple[float, float] | None = Field(None, description="range of a neuron's offset of value amplitudes")
    noise_sd: float | None = Field(None, ge=0, description="white noise of a photometry sample")
    drift_sd: float | None = Field(None, ge=0, description="slow noise of a photometry signal")
    drift_s: float | None = Field(None, gt=0, description="time constant of the slow noise")
    short_share: float | None = Field(None, ge=0, le=1, description="share of photometry trials that end early")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        _check_row(self.scenario, self.row())
        return self

    def row(self) -> Row:
        """Return the scenario's row with what the settings change. Raises ValueError for what it does not have."""
        row = SCENARIOS[self.scenario]
        given = {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name) is not None}
        del given["scenario"]
        grid = _taken(given, Grid)
        noise = _taken(given, Noise)
        for name, wanted, there in (("grid", grid, row.grid), ("noise", noise, row.noise)):
            if wanted and there is None:
                raise ValueError(f"no {', '.join(wanted)} in scenario {self.scenario!r}, which has no {name}")
        if row.grid is not None:
            given["grid"] = replace(row.grid, **grid)
        if row.noise is not None:
            given["noise"] = replace(row.noise, **noise)
        for name in ("baseline_hz", "value_offset"):
            if name in given and getattr(row, name) is None:
                raise ValueError(f"no {name} in scenario {self.scenario!r}")
        return replace(row, **given)


def _taken(given: dict[str, Any], part: type[Grid] | type[Noise]) -> dict[str, Any]:
    """Take the values of one part of a row out of those given."""
    return {field.name: given.pop(field.name) for field in fields(part) if field.name in given}


def _check_row(scenario: Name, row: Row) -> None:
    """Raise ValueError for values that do not go together."""
    kernels = len(SCENARIOS[scenario].amplitudes)
    if {len(row.amplitudes), len(row.amplitude_sds)} != {kernels} or min(row.amplitude_sds) < 0:
        raise ValueError(f"{kernels} amplitudes and {kernels} amplitude_sds of at least 0")
    layouts = _LAYOUTS.get(scenario, ("session",))
    if row.layout not in layouts:
        raise ValueError(f"layout among {', '.join(layouts)} for scenario {scenario!r}")
    if row.trial_ms % row.bin_ms or row.kernel_ms % row.bin_ms:
        raise ValueError(f"bin_ms that divides the {row.trial_ms} ms of a trial and the {row.kernel_ms} ms of a kernel")
    if row.trials * row.neurons * row.samples > LARGEST_BYTES:
        raise ValueError("fewer trials, neurons or ms: at most 2 GB of raw data, which is all a MATLAB v5 file holds")
    if row.grid is not None:
        places = len(row.grid.onsets_ms(row.trial_ms, row.kernel_ms))
        if min(row.grid.events) < 0 or not 1 <= max(row.grid.events) <= places:
            raise ValueError(f"events from 0 to {places}, the places there are in a trial, and not 0 only")
    elif row.trial_ms < _last_ms(scenario) + row.kernel_ms:
        raise ValueError(f"trial_ms of at least {_last_ms(scenario) + row.kernel_ms}, the end of the last response")
    if row.layout == "flmm" and row.neurons > 1:
        raise ValueError("one fibre in layout flmm, whose rows are trials; for more use layout session")
    if row.layout == "whisker" and row.trials < 2:
        raise ValueError("two trials or more, to train and to test")


def _last_ms(scenario: Name) -> int:
    """Return the latest time of an event in a simulation without a grid."""
    last = {"structured": STRUCTURED_MS[1], "dopamine": REWARD_MS}
    return last.get(scenario, PHOTOMETRY_CUE_MS + PHOTOMETRY_DELAY_MS[1])
