"""Settings of the preprocessing of retinal recordings: responses, blocks, repeats and folds; light to import."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block


class Frozen(Block):
    """A segment of the movie that returns at a fixed period: one showing tests, all of them are its repeats."""

    start: int = Field(ge=0, description="first frame of the first showing, counted from 0")
    frames: int = Field(ge=2, description="frames of a showing")
    period: int = Field(ge=2, description="frames from the beginning of one showing to that of the next")

    @model_validator(mode="after")
    def _check(self) -> "Frozen":
        if self.period < self.frames:
            raise ValueError("a `period` of at least `frames`")
        return self


class Split(Block):
    """Which rows validate: contiguous runs of those that may be fitted, apart from the others by `history_frames`."""

    validation: float = Field(0.1, gt=0, lt=1, description="share of the rows that may be fitted")
    pieces: int = Field(1, ge=1, description="runs the validation rows are made of, evenly spaced over the recording")
    folds: int = Field(
        1, ge=1, description="positions of the validation rows, one fold each; fold 0 has them last. All test alike"
    )


class Settings(Block):
    """Preprocessing of one dataset of the retina."""

    response: Literal["rate", "counts", "spikes"] = Field(
        "rate",
        description="rate: firing rates in Hz as recorded (published: smoothed over 10 ms); counts: spikes per bin as "
        "recorded; spikes: spike times counted in frames. Of no meaning for recordings of interneurons",
    )
    skip_frames: int = Field(
        0, ge=0, description="frames left out at the beginning of each training block; published 0, or 6000 (60 s)"
    )
    blocks: int | None = Field(
        None,
        ge=1,
        description="blocks of equal length that the training frames were shown in, across which no window reaches; "
        "published 6 or 3; none: the blocks of the recording",
    )
    frozen: Frozen | None = Field(None, description="repeats inside the movie; none: the test rows of the recording")
    test_s: float | None = Field(None, gt=0, description="the last seconds test, where nothing was repeated")
    history_frames: int = Field(
        41,
        ge=1,
        description="largest history of any model plus its lag, in frames: rows of different parts are so far apart, "
        "and so many rows at the beginning of a block are seen only; published 40 + 1",
    )
    split: Split = Split()

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.frozen is not None and self.test_s is not None:
            raise ValueError("either `frozen` or `test_s`")
        return self
