"""Settings of retina's attribution; light to import."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block
from pellucid.systems.retina.attribute.phenomena.settings import (
    PIXEL_UM,
    Anticipation,
    ContrastAdaptation,
    LatencyFlashes,
    LatencySteps,
    ObjectMotion,
    Omitted,
    PairedFlash,
    Phenomenon,
    PolarityReversal,
    Reversal,
    ReversingGrating,
    Step,
)

PUBLISHED: dict[str, Phenomenon] = {
    "omitted": Omitted(),
    "latency": LatencySteps(),
    "latency_flashes": LatencyFlashes(),
    "anticipation": Anticipation(),
    "reversal": Reversal(),
    "contrast_adaptation": ContrastAdaptation(),
    "reversing_grating": ReversingGrating(),
    "polarity_reversal": PolarityReversal(),
    "step": Step(),
    "paired_flash": PairedFlash(),
    "object_motion": ObjectMotion(),
}
"""The phenomena of Tanaka et al. 2019 and Maheswaranathan et al. 2023 with their published stimuli."""


TEST_MOVIE = "test_movie"
"""Name of the phenomenon that the test movie is attributed as."""


class Distribution(Block):
    """Whether a stimulus drives the first layer within the range of its training."""

    rows: int = Field(20_000, ge=1, description="most training rows behind the range, in evenly spread pieces")
    margin: float = Field(
        0.1, ge=0, description="of the range's width, by which a channel's mean drive may leave it in a row"
    )
    share: float = Field(0.02, ge=0, lt=1, description="of rows outside, above which a stimulus counts as outside")


class Fields(Block):
    """Instantaneous receptive fields: gradients of rates with respect to the stimulus."""

    rows: int = Field(
        2000, ge=1, description="most test rows averaged over, from the first (published: 10 000 of noise)"
    )


class Interneurons(Block):
    """Recorded interneurons against hidden units (Maheswaranathan et al. 2023)."""

    drop_first: int = Field(40, ge=0, description="frames of each block left out, adaptation and history (published)")
    contrast: Literal["file", "own"] = Field(
        "file",
        description="file: the movie is in contrast units as it is read, +-1 (published); own: it is standardised with "
        "its own mean and s.d.",
    )
    draws: int = Field(200, ge=20, description="potentials shifted in a circle, for the null")
    least_shift: float = Field(0.1, gt=0, lt=0.5, description="shortest shift as a share of the recording")
    untrained: int = Field(3, ge=0, description="networks with random weights per fit, for the other null")


class Sufficiency(Block):
    """When a reduced circuit is enough."""

    explained: float = Field(0.9, gt=0, le=1, description="least share of the variance of r - r(0)")
    shift_bins: int = Field(1, ge=0, description="most bins by which the main peak may move")


class Settings(Block):
    """Which circuits make the responses of a fitted network to probe stimuli."""

    model: str = Field("main", description="model of `fit.models` that is attributed, with all its seeds")
    baselines: list[str] = Field(default=[], description="models that are shown the same stimuli, not attributed")
    others: list[str] = Field(
        default=[], description="models of other experiments, attributed too and compared with `model` by label"
    )
    phenomena: dict[str, Phenomenon] | None = Field(
        None, description="stimuli by a name of their own; none given: all published ones, for 50 x 50 px at 100 Hz"
    )
    probes: bool = Field(True, description="show the probe stimuli of a simulation, whose responses are known")
    test_rows: int = Field(
        300, ge=0, description="first rows of the test movie that are attributed, as phenomenon test_movie; 0: none"
    )
    lag_rows: int = Field(
        100, ge=1, description="of these, rows whose contributions are split over the frames of the window, too"
    )
    pixel_um: float = Field(
        PIXEL_UM,
        gt=0,
        description="side of a pixel on the retina; sources conflict: 50 as the paper is said to have, 55 or 55.55 in "
        "the reference code, 25 in its notebooks and by the sizes of receptive fields",
    )
    tolerance: float = Field(1e-3, gt=0, description="largest residual of an attribution, as a share of max |r - r(0)|")
    rows: int = Field(
        1000, ge=1, description="most rows of a condition that are attributed, the first of its response window"
    )
    fast_ms: float | None = Field(
        None, gt=0, description="peaks before the response up to which a channel is fast; none: the widest gap of peaks"
    )
    sizes: list[int] = Field(default=[1, 2, 3], min_length=1, description="channels of reduced circuits")
    sufficiency: Sufficiency = Sufficiency()
    distribution: Distribution = Distribution()
    fields: Fields = Fields()
    interneurons: Interneurons = Interneurons()
    seed: int = Field(0, description="of noise stimuli, shifts and random weights")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if len({self.model, *self.baselines, *self.others}) != 1 + len(self.baselines) + len(self.others):
            raise ValueError("each of `model`, `baselines` and `others` once")
        if self.sizes != sorted(set(self.sizes)) or self.sizes[0] < 1:
            raise ValueError("`sizes` that rise from 1 or more")
        wrong = [
            name for name in self.phenomena or {} if name.startswith("probe_") or "/" in name or name == TEST_MOVIE
        ]
        if wrong:
            raise ValueError(f"names of phenomena without /, not {TEST_MOVIE} or probe_..., unlike {wrong[0]!r}")
        return self

    @property
    def shown(self) -> dict[str, Phenomenon]:
        """The phenomena by name."""
        return dict(PUBLISHED if self.phenomena is None else self.phenomena)
