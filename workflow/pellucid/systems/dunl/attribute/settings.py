"""Settings of DUNL's interpretation."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """What codes are compared with, and how it is tested."""

    model: str = Field(
        "main", description="the model of `fit.models` that is explained, its best restart in every fold"
    )
    window_event: str | None = Field(
        None,
        description="event whose response window gives raw counts; none: the event of the first kernel that has one",
    )
    window_bins: int = Field(24, ge=1, description="response window after the event; published 24 bins of 25 ms")
    slide_bins: int = Field(
        16, ge=1, description="starts of the sliding windows, 0 to one less; published 0 to 15 bins"
    )
    covariates: list[str] | None = Field(None, description="covariates that codes are compared with; none: all")
    within: list[str] = Field(default=[], description="trial types that enter correlations; none: all")
    plane: list[str] = Field(
        default=[], max_length=2, description="two kernels that share an onset, for the code plane"
    )
    plane_covariate: str | None = Field(None, description="covariate shown on the plane; none: the first")
    examples: int = Field(3, ge=1, description="trials per recording whose components are stored for figures")
    most_traces: int = Field(2000, ge=10, description="traces that faithfulness is measured on, drawn by the seed")
    bootstrap: int = Field(500, ge=100, description="resamples of trials behind each interval")
    permutations: int = Field(
        500, ge=100, description="permutations of a covariate, and shifts of a phase, that give the level of chance"
    )
    phase_bins: int = Field(
        16, ge=4, le=60, description="bins of a phase that tuning is shown in; resultants need none"
    )
    seed: int = 0
