"""Settings of DeepInsight's decoders and of their evaluation; defaults are the published values."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pellucid.learning.settings import Device, Schedule
from pellucid.settings import Block


class Output(Block):
    """How one target is decoded: its loss and its weight in the total."""

    loss: Literal["squared", "absolute", "euclidean", "cyclic"] = Field(
        "squared",
        description="squared or absolute error per dimension; euclidean distance over dimensions; "
        "cyclic: smallest absolute difference of angles in radians",
    )
    weight: float = Field(1.0, gt=0, description="published: position 1, head direction 25, speed 2")


class Bands(Block):
    """The bands a decoder sees: those inside an open interval, or those nearest to named frequencies."""

    above_hz: float | None = Field(None, ge=0, description="bands above this frequency only")
    below_hz: float | None = Field(None, gt=0, description="bands below this frequency only")
    only_hz: list[float] | None = Field(None, min_length=1, description="the bands nearest to these frequencies")

    @model_validator(mode="after")
    def _one_way(self) -> "Bands":
        interval = self.above_hz is not None or self.below_hz is not None
        if interval == (self.only_hz is not None):
            raise ValueError("above_hz and below_hz, or only_hz")
        return self


class Svm(Block):
    """Support vector regression of every behaviour dimension; the article names kernels, cost and gamma only."""

    kernel: Literal["linear", "rbf"] = Field("rbf", description="rbf: gamma = 1 / (features x variance), as published")
    cost: float = Field(100.0, gt=0, description="C; published 100")


class Bayes(Block):
    """The Poisson decoder on spikes."""

    bins: int = Field(50, ge=2, description="bins of each dimension of the decoded variable")
    bin_size: float | None = Field(
        None, gt=0, description="width of a bin in the target's unit, instead of `bins`; published 2 cm; not for angles"
    )
    smoothing_bins: float = Field(1.5, ge=0, description="s.d. of the smoothing of rate maps; published 1.5")
    rows: int | None = Field(
        None, ge=1, description="rows whose spikes are decoded together (published 0.5 s); null: chosen on validation"
    )
    continuity_s: float | None = Field(None, gt=0, description="V of the continuity prior, published 1 s; null: none")
    steps: int = Field(4, ge=1, description="continuity prior: past steps over which speed is averaged; published 4")
    least_speed: float | None = Field(
        None,
        gt=0,
        description="rate maps from faster rows only, in the target's unit per second (published 3 cm/s); every test "
        "row is decoded, as the network does",
    )


class Settings(Block):
    """One decoder: the shared-weight network, or a baseline on the same windows."""

    kind: Literal["cnn", "ridge", "svm", "bayes"] = Field(
        "cnn",
        description="cnn: the published network; ridge: linear, on the window; svm: support vectors, on the window; "
        "bayes: Poisson decoder on spikes",
    )
    input: Literal["power", "spikes"] = Field("power", description="spikes: counts named by `preprocess.spikes`")
    decode: list[str] | None = Field(None, min_length=1, description="targets this model decodes; null: all")
    bands: Bands | None = Field(None, description="bands the model sees; null: all")
    window_rows: int = Field(64, ge=1, description="rows of history in one window; published 64, ECoG 128")
    average_rows: int = Field(
        1, ge=1, description="rows averaged into each row of a window (trailing mean; every row still ends a window)"
    )
    train_s: float | None = Field(None, gt=0, description="train on the first so many seconds of training rows")
    shift_s: float | None = Field(
        None,
        description="chance: behaviour is rolled by so many seconds against the features of each recording before "
        "training and scoring; well beyond the memory of behaviour, and not half a recording",
    )
    filters: int = Field(64, ge=1, description="filters of the layers shared over channels")
    merge_filters: int = Field(128, ge=1, description="filters of the layers that merge channels")
    units: int = Field(1024, ge=1, description="units of the two dense layers of each output")
    noise: float = Field(1.0, ge=0, description="s.d. of the noise added to normalised input in training")
    outputs: dict[str, Output] = Field(
        default={}, description="target -> loss and weight; a target left out: squared, 1"
    )
    schedule: Schedule = Schedule()
    device: Device = Device()
    penalties: list[float] = Field(
        default=[1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6], min_length=1, description="ridge: candidates, chosen on validation"
    )
    svm: Svm = Svm()
    bayes: Bayes = Bayes()

    @field_validator("window_rows")
    @classmethod
    def _whole_strides(cls, rows: int) -> int:
        if rows != 1 and rows % 16:
            raise ValueError("a multiple of 16 rows (four strides of 2), or 1")
        return rows

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.input == "spikes" and self.bands is not None:
            raise ValueError("bands are of power: remove `bands` or set input: power")
        if self.kind == "bayes" and self.average_rows > 1:
            raise ValueError("bayes decodes counts, not averages: use `bayes.rows`")
        if self.kind == "bayes" and (self.bayes.rows or 1) > self.window_rows:
            raise ValueError(f"bayes.rows at most window_rows ({self.window_rows}), the history of the scored rows")
        return self

    @property
    def span_rows(self) -> int:
        """Rows of the features that one window covers."""
        return self.window_rows * self.average_rows


class Evaluate(Block):
    """How predictions are scored."""

    chance: Literal["shifts", "trials"] = Field(
        "shifts",
        description="shifts: behaviour shifted circularly; trials: behaviour of whole trials exchanged among the test "
        "trials of equal length",
    )
    shifts: int = Field(500, ge=20, description="circular shifts (or exchanges of trials) that give chance")
    least_shift_rows: int = Field(64, ge=1, description="smallest shift; at least the memory of the behaviour")
    seed: int = 0
    bootstrap: int = Field(2000, ge=100, description="resamples behind each interval")
    blocks: int = Field(10, ge=2, description="contiguous blocks of test rows per fold that are resampled")
