"""Settings of training, shared by the systems; light to import."""

from typing import Literal

from pydantic import Field

from pellucid.settings import Block


class OneCycle(Block):
    """Rate up and down once over the whole training, momentum down and up (Smith 2018; fastai's defaults)."""

    rising: float = Field(0.25, gt=0, lt=1, description="share of the steps until the rate is highest")
    start: float = Field(25.0, ge=1, description="the first rate is the highest divided by it")
    end: float = Field(1e5, ge=1, description="the last rate is the highest divided by it")
    momentum: tuple[float, float] = Field((0.95, 0.85), description="at both ends, and where the rate is highest")
    second_moment: float = Field(0.99, gt=0, lt=1, description="decay of the mean of squared gradients")


class Schedule(Block):
    """How long and how fast a network learns; defaults are DeepInsight's published values."""

    epochs: int = Field(20, ge=1)
    steps: int = Field(250, ge=1, description="batches per epoch")
    batch: int = Field(8, ge=1, description="windows (trials, images) per batch")
    rate: float = Field(7e-4, gt=0, description="initial learning rate")
    factor: float = Field(0.2, gt=0, lt=1, description="the rate is multiplied by it on a plateau of validation loss")
    patience: int = Field(3, ge=1, description="epochs without improvement that make a plateau")
    improvement: float = Field(1e-4, ge=0, description="smallest decrease of validation loss that counts")
    burn_in: int = Field(0, ge=0, description="first epochs, which make no plateau")
    plateaus: int | None = Field(None, ge=1, description="stop at this plateau; none: never")
    rollback: bool = Field(False, description="go back to the best weights at each plateau")
    stop_after: int | None = Field(None, ge=1, description="stop after so many epochs without improvement; none: never")
    amsgrad: bool = True
    epsilon: float = Field(1e-7, gt=0, description="Adam's epsilon; 1e-7 is the default of the published code")
    decay: float = Field(0.0, ge=0, description="decoupled weight decay, of weights with several axes only")
    one_cycle: OneCycle | None = Field(None, description="instead of plateaus: `rate` is then the highest")


class Device(Block):
    """Where a fit runs; the number of threads is part of the result on a CPU."""

    name: Literal["auto", "cpu", "cuda", "mps"] = "cpu"
    threads: int = Field(1, ge=1)
