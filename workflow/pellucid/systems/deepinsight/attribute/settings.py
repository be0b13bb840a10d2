"""Settings of DeepInsight's influence."""

from typing import Literal

from pydantic import Field

from pellucid.settings import Block


class Group(Block):
    """Inputs shuffled together: redundant bands hide each other's influence when they are shuffled one by one."""

    bands_hz: list[float] | None = Field(None, description="the nearest bands; none: all")
    channels: list[str] | None = Field(None, description="channels by id; none: all")


class Elimination(Block):
    """How the power at the spikes of one class of units is taken away."""

    bands_hz: list[float] | None = Field(
        None, description="the nearest bands; none: all. Published 469 and 663 Hz; scrambled 3750 and 5304 Hz"
    )
    how: Literal["replace", "scramble"] = Field(
        "replace", description="by the median of training rows, or by values of rows without such spikes"
    )
    neighbours: int = Field(0, ge=0, description="rows before and after each spike's row that are changed as well")


class Settings(Block):
    """Influence of bands, channels and groups on every output of one model, and what is derived from it."""

    model: str = Field("main", description="entry of `fit.models` that is explained")
    repeats: int = Field(5, ge=1, description="shuffles of every input; published 1")
    every_rows: int = Field(
        4,
        ge=1,
        description="score every n-th test row; neighbouring rows say nearly the same. 1, 2, 4 and 8 share most",
    )
    channels: bool = Field(True, description="score every channel as well as every band")
    groups: dict[str, Group] = Field(default={}, description="name -> inputs shuffled together")
    pairs: bool = Field(False, description="interaction of every pair of bands; published for 325 pairs")
    profiles: list[str] = Field(
        default=[],
        description="further networks whose influence profile is compared (amount of data, windows, factors)",
    )
    elimination: dict[str, Elimination] = Field(
        default={}, description="class of units -> how the power at its spikes is taken away"
    )
    classes: bool = Field(False, description="power of every band at the spikes of every class of units")
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
