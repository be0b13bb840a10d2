"""Settings of the preprocessing of static images and responses; light to import."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pellucid.settings import Block

Pixels = Annotated[int, Field(ge=1)]
Row = Annotated[int, Field(ge=0)]


class Ranges(Block):
    """The image numbers of one fold, each part from the first one to before the last one."""

    train: tuple[Row, Row] = Field(description="[first, last + 1], counted from 0")
    validation: tuple[Row, Row] = Field(description="[first, last + 1]")
    test: tuple[Row, Row] = Field(description="[first, last + 1]")

    @model_validator(mode="after")
    def _check(self) -> "Ranges":
        spans = sorted((self.train, self.validation, self.test))
        if any(start >= stop for start, stop in spans):
            raise ValueError("each range to end after it starts")
        if any(before[1] > after[0] for before, after in pairwise(spans)):
            raise ValueError("ranges that do not overlap")
        return self


class Split(Block):
    """Which images train, validate and test in each fold; identical images are always in the same part."""

    by: Literal["set", "random", "index"] = Field(
        "random",
        description="set: the images of the set `test` test, and each fold draws other validation images; random: "
        "groups of identical images are dealt to the folds at random; index: one fold for each entry of `ranges`",
    )
    folds: int = Field(5, ge=1, description="number of folds; the number of `ranges` with `by: index`")
    ranges: list[Ranges] = Field(default=[], description="parts by image number, with `by: index`")
    validation: float = Field(
        0.2, gt=0, lt=1, description="share of the images that do not test kept for validation; published 0.2"
    )
    seed: int = Field(0, ge=0, description="of what is drawn at random")

    @model_validator(mode="after")
    def _check(self) -> "Split":
        if (self.by == "index") != bool(self.ranges):
            raise ValueError("`ranges` with `by: index`, and only there")
        if self.ranges and self.folds != len(self.ranges):
            raise ValueError(f"`folds: {len(self.ranges)}`, one for each entry of `ranges`")
        if self.by == "random" and self.folds < 2:
            raise ValueError("`folds` of at least 2 with `by: random`")
        return self


class Settings(Block):
    """From one recording to images (image, feature, height, width) and responses (repeat, image, neuron)."""

    images: str = Field(
        "/stimulus/images", description="/group/variable: (image, height, width), or (image, feature, height, width)"
    )
    responses: str = Field(
        "/responses/responses",
        description="/group/variable: (image, neuron), or (repeat, image, neuron), NaN where an image was not shown",
    )
    set: str | None = Field(
        None, description='/group/variable (image) of "train" and "test", e.g. /stimulus/set; none: all may train'
    )
    row: str | None = Field(
        None, description="/group/variable (neuron) of RF centres in px of the recorded image, along the height"
    )
    column: str | None = Field(None, description="the same along the width")
    crop_px: tuple[Pixels, Pixels] | None = Field(
        None, description="height and width of the centre that is kept; an odd pixel is cut from the end; none: all"
    )
    downsample: int = Field(1, ge=1, description="side of the blocks of pixels that are averaged, after cropping")
    invert: bool = Field(
        False,
        description="w - x for images x from 0 to w: the attribute `white` of the images, else 255 for uint8, else 1",
    )
    neurons: list[str | int] | None = Field(None, min_length=1, description="ids kept, in their order here; none: all")
    pixels: Literal["pixel", "global", "image"] = Field(
        "pixel",
        description="what is z-scored by training images; pixel: each by itself; global: all alike; image: each image "
        "by its own mean and s.d.",
    )
    split: Split = Split()

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if (self.row is None) != (self.column is None):
            raise ValueError("both `row` and `column`, or neither")
        if self.neurons is not None and len({str(name) for name in self.neurons}) != len(self.neurons):
            raise ValueError("each of `neurons` once")
        if self.crop_px is not None and any(side % self.downsample for side in self.crop_px):
            raise ValueError(f"sides of `crop_px` that `downsample: {self.downsample}` divides")
        return self
