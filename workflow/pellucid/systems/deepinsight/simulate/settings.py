"""Settings of the DeepInsight simulators."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block

Format = Literal["binary", "nwb", "open_ephys_nwb1", "matlab"]
"""A raw format, by the name of its reader."""

FORMATS: dict[str, tuple[Format, ...]] = {
    "two_band": ("binary", "nwb"),
    "spikes": ("binary", "nwb", "open_ephys_nwb1"),
    "replay": ("binary", "nwb", "open_ephys_nwb1"),
    "tones": ("binary", "nwb"),
    "track": ("matlab",),
    "fingers": ("matlab",),
}
"""Scenario -> the raw formats it can be written in, first the one that is taken where none is named."""


class Spikes(Block):
    """A rat on a circular track under tetrodes, in which spikes of two classes and theta carry three behaviours.

    Place units follow the position, interneurons the direction of the head, and the amplitude of theta is proportional
    to speed. Constants were chosen before any fit.
    """

    duration_s: float = Field(240.0, gt=0)
    rate_hz: float = Field(30_000.0, ge=12_000)
    tetrodes: int = Field(3, ge=2, description="of four channels; the first has place units only, the last none")
    place_units: int = Field(8, ge=0)
    interneurons: int = Field(4, ge=0)
    noise_uv: float = Field(10.0, gt=0, description="s.d. of the white noise")
    place_uv: float = Field(60.0, ge=0, description="peak of a place unit's waveform on its loudest channel")
    interneuron_uv: float = Field(80.0, ge=0, description="peak of an interneuron's waveform on its loudest channel")
    place_hz: float = Field(30.0, gt=0, description="rate in the centre of a place field")
    field_share: float = Field(0.06, gt=0, lt=0.5, description="s.d. of a place field as share of the track")
    interneuron_hz: float = Field(25.0, gt=0, description="mean rate of an interneuron")
    modulation: float = Field(0.8, ge=0, le=1, description="share of an interneuron's rate that follows the heading")
    track_m: float = Field(4.0, gt=0, description="circumference of the track")
    speed_m_s: float = Field(0.2, gt=0, description="mean speed; speed varies between 0 and twice the mean")
    speed_s: float = Field(2.0, gt=0, description="exponential memory of the speed")
    turning_rad_s: float = Field(0.4, ge=0, description="s.d. of the head's angular velocity, of the same memory")
    theta_hz: float = Field(15_000 / 2**11, gt=0, description="the band nearest to 8 Hz on the published grid")
    theta_uv: float = Field(1.0, ge=0, description="amplitude of theta at the mean speed")
    behaviour_rate_hz: float = Field(30.0, gt=0)

    @model_validator(mode="after")
    def _check_sampling(self) -> "Spikes":
        if self.rate_hz % 1000:
            raise ValueError("`rate_hz` in whole kHz")
        return self


class Replay(Spikes):
    """The same rat with rests, in whose middle a ripple replays the whole track."""

    duration_s: float = Field(120.0, gt=0)
    rest_every_s: float = Field(10.0, gt=0, description="from one rest to the next")
    rest_s: float = Field(2.0, gt=0, description="length of a rest")
    ripple_s: float = Field(0.1, gt=0, description="length of a ripple, in which the place units sweep the track once")
    ripple_hz: float = Field(15_000 / 2**6.5, gt=0, description="the band of the published grid within 150-250 Hz")
    ripple_uv: float = Field(10.0, ge=0, description="amplitude of a ripple at its maximum")
    gain: float = Field(10.0, ge=1, description="rates of place units are multiplied by it in a ripple")

    @model_validator(mode="after")
    def _check_rests(self) -> "Replay":
        if not self.ripple_s < self.rest_s < self.rest_every_s:
            raise ValueError("`ripple_s` below `rest_s` below `rest_every_s`")
        return self


class Tones(Block):
    """Auditory cortex under pure tones: power in two bands follows the logarithm of the tone's frequency."""

    rate_hz: float = Field(30_000.0, gt=0)
    channels: int = Field(64, ge=2)
    tones: int = Field(41, ge=2, description="different tones; published 41 from 4 to 64 kHz")
    lowest_hz: float = Field(4000.0, gt=0)
    step_octaves: float = Field(0.1, gt=0)
    repeats: int = Field(20, ge=1, description="presentations of each tone, shuffled within a repeat; published 20")
    tone_s: float = Field(0.2, gt=0)
    ramp_s: float = Field(0.005, ge=0, description="rise and fall of a tone; published 5 ms")
    gap_s: tuple[float, float] = Field((0.5, 0.51), description="shortest and longest silence between tones")
    bands_hz: tuple[float, float] = Field(
        (15_000 / 2**4.5, 15_000 / 2**6.5), description="carriers on the first and second half of the channels"
    )
    noise_uv: float = Field(10.0, gt=0)
    gain: float = Field(0.4, ge=0, description="amplitude of a carrier at the middle tone, in s.d. of the noise")
    behaviour_rate_hz: float = Field(1000.0, gt=0, description="samples of the tone's frequency per second")

    @model_validator(mode="after")
    def _check_times(self) -> "Tones":
        if not (2 * self.ramp_s <= self.tone_s and 0 < self.gap_s[0] <= self.gap_s[1]):
            raise ValueError("two ramps within `tone_s`, and `gap_s` in order")
        return self


class Track(Block):
    """Calcium imaging of a mouse that runs laps on a virtual track, black screens between them."""

    duration_s: float = Field(2436.0, gt=0)
    rate_hz: float = Field(30.0, gt=0)
    cells: int = Field(685, ge=2)
    place_cells: float = Field(0.5, gt=0, le=1, description="share of cells with a place field")
    track_cm: float = Field(230.0, gt=0)
    black_s: float = Field(2.0, ge=0, description="black screen between two laps")
    speed_cm_s: float = Field(20.0, gt=0, description="mean speed; speed varies between half and one and a half of it")
    field_cm: float = Field(12.0, gt=0, description="s.d. of a place field")
    event_hz: float = Field(6.0, gt=0, description="calcium events in the centre of a place field")
    background_hz: float = Field(0.05, ge=0, description="calcium events elsewhere, and of the other cells")
    decay_s: float = Field(0.7, gt=0, description="decay of a calcium event")
    event_dff: float = Field(0.5, gt=0, description="height of a calcium event")
    noise_dff: float = Field(0.1, gt=0)


class Fingers(Block):
    """Electrocorticography of a subject who moves one finger at a time; each finger has channels of its own."""

    train_s: float = Field(400.0, gt=0)
    test_s: float = Field(200.0, gt=0)
    rate_hz: float = Field(1000.0, gt=0)
    channels: int = Field(48, ge=5, description="48 to 64 in the competition")
    band_hz: float = Field(500 / 2**2.5, gt=0, description="carrier whose amplitude follows the finger")
    gain: float = Field(0.7, ge=0, description="amplitude of the carrier at full flexion, in s.d. of the noise")
    cue_s: float = Field(2.0, gt=0, description="movement of one finger")
    pause_s: float = Field(2.0, ge=0, description="rest after it")
    flexions: int = Field(4, ge=1, description="flexions in one movement")


class Settings(Block):
    """Which recording is simulated; by default two bands on two halves of the channels carry two slow behaviours."""

    scenario: Literal["two_band", "spikes", "replay", "tones", "track", "fingers"] = "two_band"
    format: Format | None = Field(None, description="raw format; none: binary, or matlab for track and fingers")
    duration_s: float = Field(300.0, gt=0)
    rate_hz: float = Field(1000.0, gt=0)
    channels: int = Field(8, ge=2)
    bands_hz: tuple[float, float] = Field((62.5, 7.8125), description="carrier of the first and second behaviour")
    redundant_hz: float | None = Field(
        None, gt=0, description="second carrier of the first behaviour, on the same channels; none: there is one"
    )
    gain: float = Field(0.7, ge=0, description="amplitude of each carrier, in s.d. of the noise")
    behaviour_rate_hz: float = Field(20.0, gt=0)
    time_constant_s: float = Field(2.0, gt=0, description="exponential memory of each behaviour")
    informative: bool = Field(True, description="false: the behaviours written are independent of the signals")
    spikes: Spikes = Spikes()
    replay: Replay = Replay()
    tones: Tones = Tones()
    track: Track = Track()
    fingers: Fingers = Fingers()

    @model_validator(mode="after")
    def _check_scenario(self) -> "Settings":
        own = {name for name in Settings.model_fields if name not in (*FORMATS, "scenario", "format")}
        allowed = own if self.scenario == "two_band" else {self.scenario}
        foreign = sorted(self.model_fields_set - allowed - {"scenario", "format"})
        if foreign:
            where = "beside `scenario`" if self.scenario == "two_band" else f"in `{self.scenario}`"
            raise ValueError(f"settings of scenario {self.scenario} {where}, not {', '.join(foreign)}")
        if self.format not in (None, *FORMATS[self.scenario]):
            raise ValueError(f"scenario {self.scenario} in one of the formats {', '.join(FORMATS[self.scenario])}")
        return self

    @property
    def raw(self) -> Format:
        """The raw format that is written."""
        return self.format or FORMATS[self.scenario][0]
