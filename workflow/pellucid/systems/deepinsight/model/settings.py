"""Settings of DeepInsight's decoders and of their evaluation; defaults are the published values."""

from typing import Literal

from pydantic import Field, field_validator

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


class Settings(Block):
    """One decoder: the shared-weight network, or a baseline on the same windows."""

    kind: Literal["cnn", "ridge", "bayes"] = Field(
        "cnn", description="cnn: the published network; ridge: linear, on the window; bayes: Poisson decoder on spikes"
    )
    input: Literal["power", "spikes"] = Field("power", description="spikes: counts named by `preprocess.spikes`")
    window_rows: int = Field(64, ge=1, description="rows of history in one window; published 64, ECoG 128")
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
    bins: int = Field(50, ge=2, description="bayes: bins of the decoded circular variable")
    smoothing_bins: float = Field(1.5, ge=0, description="bayes: s.d. of the smoothing of rate maps; published 1.5")

    @field_validator("window_rows")
    @classmethod
    def _whole_strides(cls, rows: int) -> int:
        if rows != 1 and rows % 16:
            raise ValueError("a multiple of 16 rows (four strides of 2), or 1")
        return rows


class Evaluate(Block):
    """How predictions are scored."""

    shifts: int = Field(500, ge=20, description="circular shifts of behaviour against prediction that give chance")
    least_shift_rows: int = Field(64, ge=1, description="smallest shift; at least the memory of the behaviour")
    seed: int = 0
    bootstrap: int = Field(2000, ge=100, description="resamples behind each interval")
    blocks: int = Field(10, ge=2, description="contiguous blocks of test rows per fold that are resampled")
