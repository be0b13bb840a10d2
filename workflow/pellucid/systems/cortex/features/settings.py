"""Settings of the preprocessing of cortex-wide imaging: inputs of decoders, labels and folds; light to import."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pellucid.preprocess.settings import Parts
from pellucid.settings import Block

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

RESERVED = ("behaviour", "parcels")
"""Groups of the features that are no inputs."""

Frame = Annotated[int, Field(ge=0)]


class Dff(Block):
    """Relative fluorescence, (F - F0) / F0."""

    baseline: Literal["mean", "percentile", "first"] = Field(
        "mean",
        description="F0; mean: over the session; percentile: a rolling one, computed about once a second and "
        "interpolated; first: the mean of the first `first_s` seconds, which no later frame changes",
    )
    percentile: float = Field(10.0, ge=0, le=100, description="of `baseline: percentile`")
    window_s: float = Field(60.0, gt=0, description="width of the window of `baseline: percentile`, centred")
    first_s: float = Field(60.0, gt=0, description="length of `baseline: first`")


class Reference(Block):
    """Removal of haemodynamic absorption by a violet (405 nm) channel."""

    source: str = Field(description="/group/variable of the violet channel, with the axes of the signal")
    method: Literal["regression", "ratio"] = Field(
        "regression",
        description="regression: both channels high-passed, F470 - b F405 with one b per ROI or pixel fitted to the "
        "session (wfield); ratio: (F470 / F0) / (F405 / F0) - 1, with `dff`",
    )
    highpass_hz: float = Field(0.1, gt=0, description="of both channels, with `method: regression`")
    lowpass_hz: float | None = Field(
        None,
        gt=0,
        description="of the violet channel, before fit and subtraction: its noise biases b towards 0 and is added to "
        "the signal. 1 Hz keeps the haemodynamic response, not the pulse; with `method: regression`",
    )


class Source(Block):
    """What traces and movies have in common. Order of the steps: pixels, dF/F, violet channel, detrending."""

    source: str = Field(description="/group/variable of the recording")
    dff: Dff | None = Field(None, description="none: values as recorded")
    reference: Reference | None = None
    detrend_s: float | None = Field(
        None,
        gt=0,
        description="a centred moving mean of this length is subtracted; published 33.3, which is 1000 samples at "
        "30 Hz, see pellucid.preprocess.calcium.samples; none: no detrending",
    )

    @model_validator(mode="after")
    def _check_ratio(self) -> "Source":
        if self.reference is not None and self.reference.method == "ratio" and self.dff is None:
            raise ValueError("`dff` with `reference.method: ratio`")
        return self


class Traces(Source):
    """One signal for each ROI, or for each of a control's measures."""

    kind: Literal["traces"] = "traces"
    of: Literal["roi", "parcels", "pixels", "border", "global", "shifts"] = Field(
        "roi",
        description="roi: the source is (time, roi) already; of a movie, parcels: mean over each parcel; pixels: over "
        "`mask`; border: over each of four strips along the sides; global: over all pixels; shifts: movement of each "
        "frame down and right against the mean image, px",
    )
    parcels: str | None = Field(
        None,
        description="/group/variable (height, width) of labels, 0 outside; label k is ROI k. Needed with "
        "`of: parcels`; with `of: roi` it gives ROI centres that the recording does not have",
    )
    mask: str | None = Field(None, description="/group/variable (height, width), not 0 inside, with `of: pixels`")
    border_px: int = Field(4, ge=1, description="width of the strips of `of: border`")

    @model_validator(mode="after")
    def _check(self) -> "Traces":
        if self.of == "parcels" and self.parcels is None:
            raise ValueError("`parcels` with `of: parcels`")
        if self.parcels is not None and self.of not in ("parcels", "roi"):
            raise ValueError("`parcels` with `of: parcels` or `of: roi` only")
        if (self.of == "pixels") != (self.mask is not None):
            raise ValueError("`mask` with `of: pixels`, and only there")
        if self.of == "shifts" and (self.dff or self.reference):
            raise ValueError("neither `dff` nor `reference` with `of: shifts`")
        return self


class Bad(Block):
    """Pixels that a model sets to 0: those that are always 0, and outliers of scale.

    The scale of a pixel is the median of |value| over the recording, without labels. Its limit is fitted to the pixels
    of all training recordings of a fold: median + deviations x 1.4826 MAD.
    """

    deviations: float = Field(8.0, gt=0, description="robust s.d. above the median")


class Movie(Source):
    """Frames, for decoders of images."""

    kind: Literal["movie"] = "movie"
    bin_px: int = Field(1, ge=1, description="side of the blocks of pixels that are averaged")
    centre: Literal["none", "segment"] = Field(
        "none",
        description="segment: subtract from each segment (a trial, or a whole continuous session) its mean over time. "
        "Label-free, but a frame is changed by later ones",
    )
    bad: Bad | None = Field(None, description="rule for pixels that are left out; none: all are used")


Input = Annotated[Traces | Movie, Field(discriminator="kind")]


class TrialFrames(Block):
    """States by the place of a frame in its trial, counted from 0; frames in neither list are not scored."""

    before: list[Frame] = Field(min_length=1, description="frames of state 0")
    response: list[Frame] = Field(min_length=1, description="frames of state 1")

    @model_validator(mode="after")
    def _check(self) -> "TrialFrames":
        if set(self.before) & set(self.response):
            raise ValueError("no frame in both `before` and `response`")
        return self


class Label(Block):
    """The behavioural state: recorded as 0 and 1, by thresholds of a trace, or by the place of a frame in its trial."""

    source: str | None = Field(None, description="/group/variable (time), or (time, output) with `output`")
    output: str | None = Field(None, description="which column of a source with several")
    threshold: float | Literal["median"] | None = Field(
        None,
        description="state 1 above it, in the unit of the source; median: that of each fold's training frames; none: "
        "the source is recorded as 0 and 1",
    )
    low: float | None = Field(
        None, description="with a number as `threshold`: back to state 0 at or below it; none: at the threshold"
    )
    hysteresis: float = Field(
        0.0,
        ge=0,
        description="with `threshold: median`: distance of the two thresholds, half on either side of the median, in "
        "interquartile ranges of the training frames",
    )
    smooth_s: float | None = Field(None, gt=0, description="centred moving mean of the trace before the threshold")
    least_s: float = Field(0.0, ge=0, description="shortest bout; shorter ones go to their neighbours")
    bridge_s: float = Field(0.0, ge=0, description="pauses in state 1 shorter than this are filled first")
    trials: TrialFrames | None = Field(None, description="in place of `source`, with inputs (trial, time, ...)")

    @model_validator(mode="after")
    def _check(self) -> "Label":
        if (self.source is None) == (self.trials is None):
            raise ValueError("either `source` or `trials`")
        given = self.hysteresis or self.smooth_s or self.least_s or self.bridge_s
        if self.threshold is None and (given or self.low is not None):
            raise ValueError("`threshold` with `low`, `hysteresis`, `smooth_s`, `least_s` or `bridge_s`")
        if self.trials is not None and (self.threshold is not None or self.output is not None):
            raise ValueError("neither `threshold` nor `output` with `trials`")
        if self.low is not None and (not isinstance(self.threshold, float) or self.low > self.threshold):
            raise ValueError("`low` with a number as `threshold`, and not above it")
        if self.hysteresis and self.threshold != "median":
            raise ValueError("`hysteresis` with `threshold: median`; use `low` with a number")
        return self


class Split(Parts):
    """Which mice, or blocks of frames, train, validate and test in each fold."""

    by: Literal["subject", "block"] = Field(
        "subject",
        description="subject: whole mice, no session is split; block: contiguous blocks of each session (of whole "
        "segments where it has several)",
    )
    pairs: Literal["all", "next"] = Field(
        "all",
        description="with `by: subject`; all: one fold for every ordered pair (validation, test) of mice, 20 for 5 "
        "(published); next: one fold for each mouse, which tests, while the next one validates",
    )
    folds: int = Field(
        20,
        ge=2,
        description="how many there are: blocks with `by: block`; of n mice with `by: subject` n (n - 1) for `pairs: "
        "all`, which is 20 for 5, and n for `pairs: next`",
    )
    purge_s: float = Field(
        1.0,
        ge=0,
        description="with `by: block`, seconds dropped from training on either side of test and validation frames: at "
        "least the reach of the longest window with its lag; twice that, so that no frame is in windows of two parts. "
        "`purge_rows` goes first",
    )


class Settings(Block):
    """From one recording to the inputs of decoders and a behavioural state, all on the clock of the frames."""

    inputs: dict[Name, Input] = Field(min_length=1, description="name -> traces or movie, of equal length")
    label: Label = Label(source="/behaviour/run")
    speed: str | None = Field(None, description="/group/variable (time), a second target; none: not decoded")
    split: Split = Split()

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        for name in RESERVED:
            if name in self.inputs:
                raise ValueError(f"another name than {name!r} for an input")
        maps = {item.parcels for item in self.inputs.values() if isinstance(item, Traces) and item.parcels}
        if len(maps) > 1:
            raise ValueError(f"one map of parcels for all inputs, not {', '.join(sorted(maps))}")
        return self

    @property
    def parcels(self) -> str | None:
        """The map of parcels that inputs name, if any does."""
        maps = [item.parcels for item in self.inputs.values() if isinstance(item, Traces) and item.parcels]
        return maps[0] if maps else None
