"""Settings of DeepInsight's preprocessing; defaults are the published values."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pellucid.preprocess.settings import Split, Wavelets
from pellucid.settings import Block

TRACKED = ("position", "heading", "speed")
"""Kinds of target that are computed from tracked lights."""


class Target(Block):
    """One variable to decode, as it is written into the features."""

    source: str = Field(description="/group/variable of the recording, or /group of spike times for a rate")
    kind: Literal["value", "angle", "circular", "position", "heading", "speed", "tone", "choice", "rate"] = Field(
        "value",
        description="value: as it is; angle: radians, wrapped; circular: encoded as (sin, cos); of tracked lights "
        "(x1, y1[, x2, y2]) position: their midpoint, heading: radians, from two of them, speed: of their midpoint; "
        "tone: log10 of the frequency that plays; choice: 0 and 1, constant within a trial, as -1 and +1; "
        "rate: spikes per s of all units of a group of spike times, in the block of each row",
    )
    scale: float = Field(1.0, description="multiplies the variable first, to bring it into `units`")
    units: str = Field("1", description="unit after scaling, for errors and axes")
    period: float = Field(1.0, gt=0, description="period of a circular variable, in `units`")
    smooth_samples: int = Field(
        1,
        ge=1,
        description="trailing mean of tracked lights over so many samples, which delays them by half as many; "
        "published 5",
    )
    most_gap_s: float | None = Field(
        None,
        gt=0,
        description="rows between known samples further apart than this are not scored; none: 1 s for tracked lights, "
        "any gap is bridged for value, angle and circular, as published",
    )
    silence: float = Field(-1.0, description="value of a tone while none plays; published -1")

    @model_validator(mode="after")
    def _check(self) -> "Target":
        if self.smooth_samples > 1 and self.kind not in TRACKED:
            raise ValueError(f"`smooth_samples` for the kinds {', '.join(TRACKED)} only")
        if self.most_gap_s is not None and self.kind in ("tone", "choice", "rate"):
            raise ValueError(f"no `most_gap_s` for the kind {self.kind}, which interpolates nothing")
        return self

    @property
    def gap_s(self) -> float | None:
        """Longest gap in s that is bridged; None: any."""
        return 1.0 if self.most_gap_s is None and self.kind in TRACKED else self.most_gap_s


class Above(Block):
    """Rows where a variable exceeds a threshold."""

    source: str
    threshold: float


class Laps(Block):
    """Laps of a circular track, counted from position."""

    source: str
    period: float = Field(1.0, gt=0)


class Missing(Block):
    """Samples of the signal that are interpolated; NaN always is one of them."""

    rail: tuple[float, float] | None = Field(
        None, description="samples at or below the first or at or above the second are clipped, as stored, unscaled"
    )
    mask_s: list[tuple[float, float]] = Field(
        default=[], description="stretches [from, to) in s that are left out, with all rows whose wavelets reach them"
    )
    most_share: float = Field(0.1, ge=0, le=1, description="rows with a larger share of missing samples are left out")

    @field_validator("rail")
    @classmethod
    def _check_rail(cls, rail: tuple[float, float] | None) -> tuple[float, float] | None:
        if rail is not None and not rail[0] < rail[1]:
            raise ValueError("the lower rail first")
        return rail

    @field_validator("mask_s")
    @classmethod
    def _check_mask(cls, mask: list[tuple[float, float]]) -> list[tuple[float, float]]:
        if any(not start < stop for start, stop in mask):
            raise ValueError("stretches [from, to) with from < to")
        return mask


class Settings(Block):
    """From one recording to rows of power (time, frequency, channel) with behaviour (time, output)."""

    transform: Literal["wavelets", "none"] = Field(
        "wavelets", description="none: the signal already is a feature, (time, channel) or (time, frequency, channel)"
    )
    signal: str = Field("/ephys/signal", description="/group/variable that is decoded from")
    phase: str | None = Field(
        None,
        description="/group/variable of phases (time, channel) in rad of a signal that is an amplitude, with "
        "`transform: none`; decoded from is then a cos(phi) and a sin(phi) of every channel",
    )
    bad_channels: list[str] = Field(default=[], description="channels left out, by id")
    missing: Missing | None = Field(
        None, description="samples interpolated before the transform, and rows left out of scores and scales for them"
    )
    wavelets: Wavelets = Wavelets()
    targets: dict[str, Target] = Field(min_length=1, description="name -> variable to decode")
    spikes: str | None = Field(
        None,
        description="/group/variable of spike counts (time, neuron) on the rows, or /spikes: the times of spikes, "
        "counted in the block of each row; for the decoders from spikes",
    )
    scored: Above | None = Field(None, description="only these rows are trained on and scored; none: all")
    laps: Laps | None = Field(None, description="labels whole laps for `split.by: group`")
    trials: str | None = Field(None, description="/group/variable of trial numbers, which label `split.by: group`")
    window_rows: int = Field(64, ge=1, description="the longest window of any model, for the purge; published 64")
    split: Split = Split()
    parts: int = Field(1, ge=1, description="jobs that share the transform of one recording; the features are the same")

    @model_validator(mode="after")
    def _check_trials(self) -> "Settings":
        if self.phase is not None and self.transform != "none":
            raise ValueError("`phase` with `transform: none` only: the signal is an amplitude")
        if self.trials is not None and self.laps is not None:
            raise ValueError("`laps` or `trials`, not both: either labels the groups")
        if self.trials is None and any(target.kind == "choice" for target in self.targets.values()):
            raise ValueError("`trials` for a target of kind choice, which is scored per trial")
        return self
