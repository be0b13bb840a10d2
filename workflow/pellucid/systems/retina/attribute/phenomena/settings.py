"""Settings of probe stimuli: one block per phenomenon, defaults as published; light to import.

Contrast is in standardised units: 0 is the mean grey, negative is dark, 1 is one s.d. of the training movie. Positions
are px from the middle of the image, positive to the right. A row is one response; `before_rows` counts the rows whose
newest frame comes before the event, so the frames shown before it are history - 1 + before_rows (Tanaka et al. 2019 and
Maheswaranathan et al. 2023: a history of 40 frames at 100 Hz, images of 50 x 50 px).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pellucid.settings import Block

PIXEL_UM = 50.0
"""Side of a pixel on the retina, um. Sources conflict: 50 is said to be the paper's, the reference code has 55 and
55.55, its notebooks 25, and the sizes of receptive fields suggest 25 as well."""

Contrasts = Annotated[tuple[float, ...], Field(min_length=1)]


class Omitted(Block):
    """Full-field flashes at a steady rate, of which one is left out (Tanaka et al. 2019, reference code)."""

    kind: Literal["omitted"] = "omitted"
    periods_frames: tuple[int, ...] = Field(
        (6, 8, 10, 12, 20), min_length=1, description="onset to onset of flashes; one condition each, rising"
    )
    flash_frames: int = Field(2, ge=1)
    contrast: float = Field(-2.0, description="of a flash")
    before_rows: int = Field(
        50, ge=1, description="rows before the last flash is the newest frame; flashes go back to the first frame"
    )
    after_rows: int = Field(50, ge=1, description="rows after that one")
    flashes: int | None = Field(
        None, ge=2, description="largest number of flashes; none: as many as fit (Maheswaranathan et al. 2023: 8)"
    )
    noise_sd: float = Field(
        0.0, ge=0, description="full-field Gaussian noise on every frame (Maheswaranathan et al. 2023: 0, 0.1 or 0.2)"
    )
    least_share: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share of the range of a cell's rate: by which it must differ from one period before for the "
        "omission to be felt, and by which a burst must exceed the rate at rest (ours)",
    )

    @model_validator(mode="after")
    def _check(self) -> "Omitted":
        periods = self.periods_frames
        if list(periods) != sorted(set(periods)) or periods[0] <= self.flash_frames:
            raise ValueError("`periods_frames` that rise, each longer than `flash_frames`")
        if self.after_rows <= 2 * periods[-1]:
            raise ValueError("`after_rows` of more than twice the longest period")
        return self


class _Latency(Block):
    threshold_hz: float = Field(3.0, ge=0, description="rates below count as 0 in the centre of mass")
    upsampled_s: float = Field(0.2, gt=0, description="time after the onset that is interpolated by a cubic spline")
    points: int = Field(1000, ge=10, description="of that interpolation")
    mass_s: float = Field(0.15, gt=0, description="time after the onset whose centre of mass is the latency")
    before_rows: int = Field(1, ge=1, description="rows before the onset is the newest frame")

    @model_validator(mode="after")
    def _check_times(self) -> "_Latency":
        if self.mass_s > self.upsampled_s:
            raise ValueError("`mass_s` of at most `upsampled_s`")
        return self


class LatencySteps(_Latency):
    """Full-field steps of rising contrast (Tanaka et al. 2019, reference code): latency is the argmax."""

    kind: Literal["latency_steps"] = "latency_steps"
    contrasts: Contrasts = Field(
        tuple(round(-0.05 * k, 2) + 0.0 for k in range(40)), description="published: 0 to -1.95, -0.05 apart"
    )
    after_rows: int = Field(40, ge=4, description="rows, and frames that the step is held for")


class LatencyFlashes(_Latency):
    """Full-field flashes of rising contrast (Maheswaranathan et al. 2023): latency is the centre of mass."""

    kind: Literal["latency_flashes"] = "latency_flashes"
    contrasts: Contrasts = Field(
        tuple(round(-0.15 * k, 2) + 0.0 for k in range(21)), description="published: 0 to -3 in 21 steps"
    )
    flash_frames: int = Field(2, ge=1)
    after_rows: int = Field(30, ge=4, description="rows from the onset on")

    @model_validator(mode="after")
    def _check(self) -> "LatencyFlashes":
        if self.flash_frames > self.after_rows:
            raise ValueError("`flash_frames` of at most `after_rows`")
        return self


class Anticipation(Block):
    """A bar moving right, the same moving left, and the same flashed (after Berry et al. 1999)."""

    kind: Literal["anticipation"] = "anticipation"
    speed_px: float = Field(
        0.08, gt=0, description="px per frame (0.44 mm/s at 55 um and 100 Hz; the published figure: 0.176)"
    )
    reach_px: float = Field(30.0, gt=0, description="the bar moves from -reach to reach and back")
    width_px: int = Field(
        2,
        ge=1,
        description="of the bar, full height; published notebooks: also 4 and 6. In whole px its centroid is exact",
    )
    contrast: float = Field(-1.0, description="of the bar")
    flash_frames: int = Field(2, ge=1, description="duration of a flashed bar")
    flashes_px: tuple[int, int] = Field((-25, 25), description="first and last position of flashed bars, 1 px apart")
    points_per_px: float = Field(
        20.0, ge=1, description="of the cubic interpolation that peaks are read from (published: 100 points over 24 px)"
    )
    smooth_px: float = Field(
        1.0, ge=0, le=3, description="length that profiles are averaged over before their peak is read (published: 0)"
    )

    @model_validator(mode="after")
    def _check(self) -> "Anticipation":
        if self.flashes_px[1] - self.flashes_px[0] < 3:
            raise ValueError("`flashes_px` of at least 4 positions, the first one first")
        return self


class Reversal(Block):
    """A bar that turns back, and the same bar passing on (after Schwartz et al. 2007, Chen et al. 2014)."""

    kind: Literal["reversal"] = "reversal"
    speed_px: float = Field(
        0.19, gt=0, description="px per frame (reference code: 0.19; its defaults 0.24, its figure 0.14)"
    )
    flips_px: tuple[float, ...] = Field(
        tuple(float(k) for k in range(-9, 3)), min_length=1, description="where the bar, coming from the left, turns"
    )
    width_px: int = Field(2, ge=1, description="of the bar, full height")
    contrast: float = Field(-1.0, description="of the bar")
    scales: tuple[float, ...] = Field(
        (1.0,), min_length=1, description="multiples of the contrast (published: a figure for each of 0.5, 1 ... 3.5)"
    )
    before_rows: int = Field(105, ge=1, description="rows before the turn is the newest frame (published: 210 rows)")
    after_rows: int = Field(105, ge=3, description="rows from the turn on")


class ContrastAdaptation(Block):
    """Noise of several contrasts: a filter and a nonlinearity each (Maheswaranathan et al. 2023).

    First comes noise that is new in every frame, for the filter; then held noise, for the nonlinearity.
    """

    kind: Literal["contrast_adaptation"] = "contrast_adaptation"
    contrasts: Contrasts = Field((0.5, 1.0, 1.5, 2.0), description="s.d. of the noise")
    space: Literal["pixels", "full_field"] = Field("pixels", description="published: independent pixels")
    filter_frames: int = Field(200, ge=2, description="frames whose mean gradient is the filter")
    frames: int = Field(9040, ge=100, description="frames for the nonlinearity")
    hold_frames: int = Field(3, ge=1, description="frames that each image of these is shown for")
    spectrum_s: float = Field(
        0.4, gt=0, description="length to which filters are filled with zeros before the spectrum; longer ones are kept"
    )
    points: int = Field(1000, ge=10, description="of the cubic interpolation of a filter before its spectrum")
    highest_hz: float = Field(
        15.0, gt=0, description="end of the spectrum whose centre of mass is taken (published: 7 bins, 0 to 15 Hz)"
    )
    bins: int = Field(40, ge=4, description="of equal counts, of the nonlinearity")


class ReversingGrating(Block):
    """A grating that reverses its contrast, in several phases (Maheswaranathan et al. 2023)."""

    kind: Literal["reversing_grating"] = "reversing_grating"
    bars_px: tuple[int, ...] = Field((5,), min_length=1, description="widths of a bar (published figure: 1 to 8)")
    phases: int = Field(8, ge=1, description="evenly over a period (published: 9 from 0 to 1, of which two are equal)")
    half_period_frames: int = Field(50, ge=1, description="between reversals (published figure: 25)")
    frames: int = Field(300, ge=2, description="(published figure: 140)")
    contrast: float = Field(1.0, description="of a bar")
    waveform: Literal["square", "sine"] = Field("square", description="over space (published figure: sine)")


class PolarityReversal(Block):
    """A flash in the middle, with and without a shift of the surround (after Geffen et al. 2007; constants ours).

    The published measure needs no stimulus of its own: the share of natural frames whose instantaneous receptive field
    points against the mean one (`polarity.reversed_share`).
    """

    kind: Literal["polarity_reversal"] = "polarity_reversal"
    contrast: float = Field(1.0, gt=0, description="of a bright flash; the dark one has the opposite")
    flash_frames: int = Field(10, ge=1)
    radius_px: float = Field(8.0, gt=0, description="of the disc that flashes")
    centre_px: tuple[float, float] | None = Field(None, description="row and column of its centre; none: the middle")
    bar_px: int = Field(3, ge=1, description="of the surround's grating, which shifts by one bar as the flash begins")
    grating_contrast: float = 1.0
    before_rows: int = Field(5, ge=1)
    after_rows: int = Field(50, ge=2, description="rows from the flash on")
    threshold: float = Field(
        0.001, gt=0, lt=0.5, description="share of reversed frames between which and 1 - it a cell reverses"
    )

    @model_validator(mode="after")
    def _check(self) -> "PolarityReversal":
        if self.flash_frames > self.after_rows:
            raise ValueError("`flash_frames` of at most `after_rows`")
        return self


class Step(Block):
    """A full-field step and back (reference code)."""

    kind: Literal["step"] = "step"
    contrasts: Contrasts = Field((-1.0, 1.0), description="published: -1")
    step_frames: int = Field(100, ge=4)
    before_rows: int = Field(11, ge=1, description="rows before the step is the newest frame")
    after_rows: int = Field(50, ge=2, description="rows after the step")


class PairedFlash(Block):
    """Two full-field flashes at several intervals, and one alone (reference code)."""

    kind: Literal["paired_flash"] = "paired_flash"
    intervals_frames: tuple[int, ...] = Field(
        tuple(range(2, 20)), min_length=1, description="grey frames between the two flashes"
    )
    flash_frames: int = Field(1, ge=1)
    contrast: float = -2.0
    before_rows: int = Field(1, ge=1)
    after_rows: int = Field(60, ge=3, description="rows from the first flash on")

    @model_validator(mode="after")
    def _check(self) -> "PairedFlash":
        if min(self.intervals_frames) < 1:
            raise ValueError("`intervals_frames` of at least 1")
        if 2 * self.flash_frames + max(self.intervals_frames) >= self.after_rows:
            raise ValueError("`after_rows` that hold both flashes and the response to the second")
        return self


class ObjectMotion(Block):
    """A disc on a grating that shifts alone, with it, or stays while the grating shifts (reference code)."""

    kind: Literal["object_motion"] = "object_motion"
    bar_px: int = Field(3, ge=1, description="of the gratings")
    contrast: float = Field(1.0, description="of a bar")
    radius_px: float = Field(5.0, gt=0, description="of the disc (reference code: 5 or 8)")
    centre_px: tuple[float, float] | None = Field(None, description="row and column of its centre; none: the middle")
    shift_px: float = Field(5.0, description="length of the shift, to the right")
    shift_frames: int = Field(7, ge=1, description="duration of the shift")
    phases: int = Field(4, ge=1, description="of the gratings, evenly over a period (reference code: 1)")
    before_rows: int = Field(5, ge=1)
    after_rows: int = Field(53, ge=2, description="rows from the shift's first frame on")

    @model_validator(mode="after")
    def _check(self) -> "ObjectMotion":
        if self.shift_frames > self.after_rows:
            raise ValueError("`shift_frames` of at most `after_rows`")
        return self


Phenomenon = Annotated[
    Omitted
    | LatencySteps
    | LatencyFlashes
    | Anticipation
    | Reversal
    | ContrastAdaptation
    | ReversingGrating
    | PolarityReversal
    | Step
    | PairedFlash
    | ObjectMotion,
    Field(discriminator="kind"),
]
