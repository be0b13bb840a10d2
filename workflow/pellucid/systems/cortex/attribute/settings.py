"""Settings of cortex's interpretation; light to import."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block


class Deletion(Block):
    """Test AUC without the ROIs of largest importance, and without random ones."""

    windows: int = Field(2000, ge=10, description="test windows predicted again for every set, evenly spaced")
    draws: int = Field(5, ge=2, description="random orders of ROIs that the order by importance is compared with")


class Occlusion(Block):
    """What hiding patches of the movie costs."""

    mask_px: int | None = Field(
        None,
        ge=2,
        description="side of a square patch and diameter of a circular one, half of it apart; none: a quarter of the "
        "image's shorter side (published: 32 of 128 px)",
    )
    windows: int | None = Field(
        None, ge=10, description="test windows predicted for every mask, evenly spaced; none: all of them (published)"
    )


class Settings(Block):
    """Importance of ROIs for one model of traces, and occlusion of one model of a movie."""

    model: str = Field("main", description="model of `fit.models` that is explained, of traces or of a movie")
    movie_model: str | None = Field(
        None, description="model of a movie that is occluded besides, where `model` is one of traces"
    )
    null_model: str | None = Field(
        None, description="model of traces with `null` labels, whose importance is shown beside that of `model`"
    )
    explain: Literal["logit", "probability"] = Field(
        "logit",
        description="logit: windows count by how much they speak for a state; probability (published): gradients "
        "vanish where the sigmoid saturates, so windows that are decoded with certainty hardly count",
    )
    windows: int = Field(400, ge=10, description="test windows explained per fit, evenly spaced (published: all)")
    baselines: int = Field(
        8, ge=1, description="windows of the background that each window is compared with (published: 10 000)"
    )
    background: Literal["train", "test"] = Field(
        "train", description="where baselines come from; published: the test animal's own windows"
    )
    steps: int = Field(
        24,
        ge=2,
        description="Gauss-Legendre nodes between a baseline and a window; twice as many, up to three times, "
        "for windows whose completeness error is above `tolerance`",
    )
    tolerance: float = Field(
        0.05, gt=0, description="completeness error above which the result carries a warning, as a share of the change"
    )
    deletion: Deletion = Deletion()
    occlusion: Occlusion = Occlusion()
    seed: int = Field(0, description="of baselines, untrained weights and random orders")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.model in (self.movie_model, self.null_model):
            raise ValueError("`movie_model` and `null_model` other than `model`")
        return self
