"""Settings of DeepInsight's influence."""

from pydantic import Field

from pellucid.settings import Block


class Group(Block):
    """Inputs shuffled together: redundant bands hide each other's influence when they are shuffled one by one."""

    bands_hz: list[float] | None = Field(None, description="the nearest bands; none: all")
    channels: list[str] | None = Field(None, description="channels by id; none: all")


class Settings(Block):
    """Influence of bands, channels and groups on every output of one model."""

    model: str = Field("main", description="entry of `fit.models` that is explained")
    repeats: int = Field(5, ge=1, description="shuffles of every input; published 1")
    every_rows: int = Field(
        4,
        ge=1,
        description="score every n-th test row; neighbouring rows say nearly the same. 1, 2, 4 and 8 share most",
    )
    channels: bool = Field(True, description="score every channel as well as every band")
    groups: dict[str, Group] = Field(default={}, description="name -> inputs shuffled together")
    block_rows: int | None = Field(
        None, ge=2, description="none: permute rows, as published; a number: permute blocks, keeping autocorrelation"
    )
    blocks: int = Field(10, ge=2, description="contiguous blocks of test rows per fold that intervals resample")
    bootstrap: int = Field(2000, ge=100)
    null_shifts: int = Field(20, ge=1, description="circular shifts of behaviour that give influence under the null")
    least_shift_rows: int = Field(64, ge=1, description="smallest of these shifts")
    deletion: list[int] = Field(
        default=[1, 2, 4, 8], description="how many bands the faithfulness check shuffles at once"
    )
    seed: int = 0
