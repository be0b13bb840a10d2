"""Settings of DUNL's preprocessing; times in s are on the clock of a trial unless said otherwise."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from pellucid.preprocess import settings as shared
from pellucid.settings import Block


def text(value: object) -> str:
    """Return a label as text: 3 and 3.0 are "3", true is "1", NaN is "nan"."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(int(value)) if value == value and float(value).is_integer() else str(float(value))
    return str(value)


Label = Annotated[str, BeforeValidator(text), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})]
"""A label of a condition; numbers are the same as their text."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Equals(Block):
    """Where a variable has one of some values."""

    source: str = Field(description="/group/variable of the recording")
    equals: list[Label] = Field(min_length=1, description="values or labels")


class Trials(Block):
    """How trials are cut; without `around` and `every_s` the recording has trials already."""

    around: str | None = Field(
        None, description="/group/variable with times in s on the clock of the recording: one trial around each"
    )
    every_s: float | None = Field(None, gt=0, description="length of windows that follow each other without a gap")
    window_s: tuple[float, float] | None = Field(
        None, description="first and last moment of a trial; for trials cut already, the part to keep, none: all"
    )
    observed_s: tuple[float, float] | None = Field(
        None,
        description="stretch of the recording in which spikes were observed, s on its clock; needed with `every_s` on "
        "spike times; none: they were observed around every event",
    )
    ends: Literal["drop", "pad"] = Field(
        "drop", description="trials that the recording does not cover whole: dropped, or padded with missing values"
    )
    overlap: Literal["drop", "keep"] = Field(
        "drop",
        description="trials that begin before the one before them ends; kept, their samples may lie in training and "
        "test rows at once",
    )

    @model_validator(mode="after")
    def _check(self) -> "Trials":
        if self.around is not None and self.every_s is not None:
            raise ValueError("either `around` or `every_s`")
        if (self.around is not None) > (self.window_s is not None) or (self.every_s and self.window_s):
            raise ValueError("`window_s` with `around`, and not with `every_s`")
        for name in ("window_s", "observed_s"):
            span = getattr(self, name)
            if span is not None and not span[0] < span[1]:
                raise ValueError(f"`{name}` as [start, stop] with start before stop")
        return self


class Event(Block):
    """One kind of event: its times, or one time in every trial.

    A bin is closed on the left: an event at second 0 of trials from -1 s in bins of 25 ms lies in bin 40. The
    published code puts it into bin 39, the last millisecond before; `offset_s: -0.001` does the same.
    """

    source: str | None = Field(
        None,
        description="/group/variable of times in s, NaN where absent; (trial) or (trial, event) on the clock of trials "
        "cut already, or of any shape on the clock of a continuous recording: then every event in a trial counts",
    )
    at_s: float | None = Field(None, description="time in every trial, instead of `source`")
    backwards: bool = Field(
        False,
        description="times of `source` count back from second 0, as the latency of what trials are aligned to does",
    )
    offset_s: float = Field(0.0, description="added to the times of `source`")
    when: Equals | None = Field(
        None, description="only events whose entry in this variable matches, or those of trials whose entry does"
    )
    kind: Name | None = Field(
        None, description="kind that kernels know it by, if other than its name: several entries may be of one kind"
    )

    @model_validator(mode="after")
    def _check(self) -> "Event":
        if (self.source is None) == (self.at_s is None):
            raise ValueError("either `source` or `at_s`")
        return self


class Covariate(Block):
    """A number for each trial, such as the size of its reward."""

    source: str = Field(description="/group/variable with one value per trial, or per event that trials are cut around")
    map: dict[Label, float] | None = Field(None, description="value or label -> number; others are missing")
    transform: Literal["none", "log"] = Field("none", description="log: natural logarithm, after `map`")
    units: str = Field("1", description="unit of the numbers in the end")


class Drop(Block):
    """Trials that are left out."""

    trial_type: list[Label] = Field(default=[], description="labels of conditions to leave out")
    nan: bool = Field(True, description="leave out trials without a label")
    silent: bool = Field(
        False, description="leave out trials without a spike, as published; this biases units of low rate"
    )


class Inside(Block):
    """Bins in which a behaviour exceeds a threshold; the others count as missing."""

    source: str = Field(description="/group/variable (time), or (trial, time) as long as trials cut already")
    threshold: float = Field(description="inside is above it")
    share: float = Field(1.0, gt=0, le=1, description="least share of a bin that must be inside")


class Phase(Block):
    """The phase of a circular behaviour, such as whisking, that codes and spikes may be locked to.

    Bins must be much shorter than a cycle: locking to a cycle of length T looks sin(x) / x weaker in bins of length b,
    x = pi b / T.
    """

    source: str = Field(description="/group/variable (time), or (trial, time) as long as trials cut already")
    period: float = Field(
        2 * math.pi, gt=0, description="one cycle in the unit of `source`: 2 pi for rad, 360 for degrees"
    )


class Fibre(Block):
    """Which columns of a photometry recording belong together."""

    signal: str = Field(description="id of the fluorescence on the axis roi or channel")
    second: str | None = Field(None, description="id of the isosbestic or red signal")


class Photometry(shared.Photometry):
    """Correction of fibre photometry, fibre by fibre."""

    fibres: dict[str, Fibre] | None = Field(
        None, min_length=1, description="name of a fibre -> its signals; none: the first column, and the second"
    )


class HeldOut(Block):
    """Test trials that are chosen by a covariate, the same for every fit."""

    covariate: Name
    least: float = Field(description="trials with at least this value are tested")


class Split(shared.Parts):
    """Which trials train, validate and test in each fold."""

    by: Literal["stratified", "block", "group", "subject", "published_order", "covariate"] = Field(
        "stratified",
        description="stratified: trials of each type dealt to the folds at random; block: contiguous blocks; group: "
        "contiguous runs of one trial type; subject: leave one subject out; published_order: one fold that tests the "
        "last trials in order of trial type; covariate: one fold whose test trials `test` names",
    )
    folds: int = Field(
        5, ge=1, description="number of folds; subjects with `by: subject`, 1 with `published_order` and `covariate`"
    )
    test: HeldOut | None = Field(None, description="needed by `by: covariate`")
    test_share: float = Field(0.2, gt=0, lt=1, description="share tested with `by: published_order`; published 0.2")

    @model_validator(mode="after")
    def _check(self) -> "Split":
        single = self.by in ("published_order", "covariate")
        if single != (self.folds == 1):
            raise ValueError(f"`folds: 1` with `by: {self.by}`" if single else f"`folds` of at least 2 by {self.by}")
        if (self.by == "covariate") != (self.test is not None):
            raise ValueError("`test` with `by: covariate`, and only there")
        return self


class Settings(Block):
    """From one recording to binned trials (trial, time, neuron), with events, types and covariates of the trials."""

    source: str = Field(
        "/trials/raster",
        description="/group/variable: (trial, time, neuron), or (time, neuron|roi|channel), or times of spikes (spike)",
    )
    kind: Literal["counts", "values"] = Field("counts", description="counts of spikes, or values such as dF/F")
    bin_ms: float | None = Field(
        25.0, gt=0, description="counts are summed over bins, values averaged; none (values): every sample is a bin"
    )
    most_counts: int | None = Field(
        None, ge=1, description="largest possible count of a bin, for the binomial; none: one per millisecond"
    )
    neurons: Equals | None = Field(None, description="only neurons for which a variable (neuron) has one of the values")
    photometry: Photometry | None = Field(None, description="correct fibre photometry first; none: as recorded")
    normalise: Literal["none", "zscore", "minmax_centred"] = Field(
        "none", description="values of each neuron over the recording; minmax_centred: to [0, 1], minus the mean"
    )
    trials: Trials = Trials()
    events: dict[Name, Event] = Field(default={}, description="name -> kind of event")
    trial_type: str | None = Field(None, description="/group/variable with the label of each trial; none: all alike")
    covariates: dict[Name, Covariate] = Field(default={}, description="name -> number of each trial")
    keep: Equals | None = Field(None, description="only trials for which a variable has one of the values")
    drop: Drop = Drop()
    inside: Inside | None = Field(None, description="bins outside a behaviour count as missing; none: all are used")
    phase: Phase | None = Field(
        None, description="phase of a circular behaviour in each bin that is `inside`; none: not asked for"
    )
    baseline_s: tuple[float, float] | None = Field(
        None, description="window of the baseline; none: everything before the first event of a trial"
    )
    split: Split = Split()

    @property
    def kinds(self) -> list[str]:
        """The kinds of events, each once."""
        return list(dict.fromkeys(event.kind or name for name, event in self.events.items()))

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.kind == "counts" and (self.bin_ms is None or self.normalise != "none" or self.photometry is not None):
            raise ValueError("counts with `bin_ms`, and without `normalise` and `photometry`")
        if self.kind == "values" and (self.drop.silent or self.most_counts is not None):
            raise ValueError("`drop.silent` and `most_counts` with `kind: counts` only")
        if self.baseline_s is not None and not self.baseline_s[0] < self.baseline_s[1]:
            raise ValueError("`baseline_s` as [start, stop] with start before stop")
        if "trial" in self.covariates:
            raise ValueError("a covariate of another name than `trial`, which names the axis")
        if self.split.test is not None and self.split.test.covariate not in self.covariates:
            raise ValueError(f"`split.test.covariate` among the covariates ({', '.join(self.covariates) or 'none'})")
        return self
