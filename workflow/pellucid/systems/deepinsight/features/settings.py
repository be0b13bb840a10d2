"""Settings of DeepInsight's preprocessing; defaults are the published values."""

from typing import Literal

from pydantic import Field

from pellucid.preprocess.settings import Split, Wavelets
from pellucid.settings import Block


class Target(Block):
    """One variable to decode, as it is written into the features."""

    source: str = Field(description="/group/variable of the recording")
    kind: Literal["value", "angle", "circular"] = Field(
        "value", description="value: as it is; angle: radians, wrapped; circular: encoded as (sin, cos)"
    )
    scale: float = Field(1.0, description="multiplies the variable first, to bring it into `units`")
    units: str = Field("1", description="unit after scaling, for errors and axes")
    period: float = Field(1.0, gt=0, description="period of a circular variable, in `units`")


class Above(Block):
    """Rows where a variable exceeds a threshold."""

    source: str
    threshold: float


class Laps(Block):
    """Laps of a circular track, counted from position."""

    source: str
    period: float = Field(1.0, gt=0)


class Settings(Block):
    """From one recording to rows of power (time, frequency, channel) with behaviour (time, output)."""

    transform: Literal["wavelets", "none"] = Field(
        "wavelets", description="none: the signal already is a feature, (time, channel) or (time, frequency, channel)"
    )
    signal: str = Field("/ephys/signal", description="/group/variable that is decoded from")
    bad_channels: list[str] = Field(default=[], description="channels left out, by id")
    wavelets: Wavelets = Wavelets()
    targets: dict[str, Target] = Field(min_length=1, description="name -> variable to decode")
    spikes: str | None = Field(
        None, description="/group/variable of spike counts (time, neuron), for the Bayes baseline"
    )
    scored: Above | None = Field(None, description="only these rows are trained on and scored; none: all")
    laps: Laps | None = Field(None, description="labels whole laps for `split.by: group`")
    window_rows: int = Field(64, ge=1, description="the longest window of any model, for the purge; published 64")
    split: Split = Split()
