"""Settings of one fit: the model of the ganglion cells, what it sees, and its training."""

from typing import Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from pellucid.learning.settings import Device, Schedule
from pellucid.settings import Block, with_preset
from pellucid.systems.retina.model.presets import PRESETS, Preset


class Layer(Block):
    """One convolution, valid and with stride 1."""

    channels: int = Field(8, ge=1)
    kernel_px: tuple[int, int] = Field((15, 15), description="height and width")
    stacked: bool = Field(
        False, description="a stack of 3 x 3 convolutions without nonlinearity, exactly one kernel once trained"
    )

    @model_validator(mode="after")
    def _check(self) -> "Layer":
        height, width = self.kernel_px
        if min(height, width) < 1:
            raise ValueError("kernels of 1 px or more")
        if self.stacked and (height != width or height % 2 == 0 or height < 3):
            raise ValueError("square kernels of 3, 5, 7 ... px with `stacked`")
        return self


class Norm(Block):
    """Batch normalisation between a convolution and its ReLU."""

    per: Literal["unit", "channel"] = Field(
        "channel", description="unit: every place has its own scale (bn_cnn); channel: shared over places (convgc)"
    )
    positive: bool = Field(True, description="scales |gamma|, so that a channel keeps its sign")
    momentum: float = Field(0.1, gt=0, le=1, description="of running means; published .01, for thousands of steps")


class Readout(Block):
    """From the last layer to the cells; softplus follows."""

    kind: Literal["dense", "located"] = Field(
        "located", description="dense: a weight for every unit; located: a kernel per cell, read at one place"
    )
    kernel_px: tuple[int, int] = Field((11, 11), description="of a located readout")
    place: Literal["known", "sta"] = Field(
        "known", description="centre of the receptive field: as recorded, else from the STA; or always from the STA"
    )
    norm: bool = Field(True, description="batch normalisation over each cell, in place of a bias")


class Training(Block):
    """Adam on random windows with a Poisson loss; the weights of the epoch with the least validation loss are kept."""

    epochs: int = Field(30, ge=1)
    batch: int = Field(512, ge=1, description="windows per step")
    steps: int | None = Field(None, ge=1, description="batches per epoch; none: as many as see every window once")
    rate: float = Field(5e-3, gt=0, description="learning rate")
    factor: float = Field(0.5, gt=0, lt=1, description="the rate is multiplied by it on a plateau of validation loss")
    patience: int = Field(6, ge=1, description="epochs without improvement that make a plateau")
    improvement: float = Field(1e-3, ge=0, description="smallest decrease of validation loss that counts")
    stop_after: int | None = Field(None, ge=1, description="stop after so many epochs without improvement")
    activity: float = Field(0.0, ge=0, description="weight of the rates' sum over cells, mean over windows")
    weights: float = Field(0.0, ge=0, description="half of it times the sum of squares of kernels and readout weights")
    validation_rows: int = Field(20_000, ge=1, description="most validation windows scored after each epoch")

    def schedule(self, windows: int) -> Schedule:
        """Return the schedule of the training loop for so many training windows."""
        return Schedule(
            epochs=self.epochs,
            steps=self.steps or max(1, windows // self.batch),
            batch=self.batch,
            rate=self.rate,
            factor=self.factor,
            patience=self.patience,
            improvement=self.improvement,
            stop_after=self.stop_after,
            amsgrad=False,
            epsilon=1e-8,
        )


class LN(Block):
    """One linear filter per cell and a nonlinearity of its output; the best by cross-validation is kept per cell."""

    filters: list[Literal["sta", "ridge", "separable"]] = Field(
        default=["sta", "ridge", "separable"],
        min_length=1,
        description="sta: published; ridge: regularised, decorrelated; separable: rank one in space and time of either",
    )
    nonlinearities: list[Literal["polynomial", "spline", "softplus"]] = Field(
        default=["polynomial", "spline"], min_length=1, description="polynomial of degree 5: published"
    )
    degree: int = Field(5, ge=1)
    knots: int = Field(7, ge=3, description="of the spline, at quantiles of the filter's output")
    cutout_px: int | None = Field(
        None, ge=0, description="half width of the window around the cell's centre; published 11; none: all pixels"
    )
    penalties: list[PositiveFloat] = Field(
        default=[1e-3, 1e-2, 1e-1, 1.0, 10.0],
        min_length=1,
        description="of the ridge, times the mean variance of a pixel",
    )
    folds: int = Field(5, ge=2, description="contiguous parts of the training rows, for cross-validation")


class GLM(Block):
    """Poisson GLM with spike history, scored on rates it simulates itself."""

    history_ms: float = Field(100.0, gt=0, description="reach of the spike history")
    history_functions: int = Field(6, ge=1, description="raised cosines of the spike history, on a logarithmic axis")
    stimulus_functions: int = Field(10, ge=1, description="raised cosines of each pixel's history")
    coupling: bool = Field(False, description="the history of all other cells, too")
    cutout_px: int | None = Field(None, ge=0, description="half width of the window around the cell's centre")
    nonlinearity: Literal["exponential", "softplus"] = "exponential"
    penalties: list[PositiveFloat] = Field(
        default=[1e-4, 1e-3, 1e-2, 1e-1, 1.0], min_length=1, description="of the stimulus filter; validation chooses"
    )
    history_penalties: list[PositiveFloat] = Field(
        default=[1e-4, 1.0], min_length=1, description="of the spike history; validation chooses"
    )
    draws: int = Field(50, ge=1, description="simulated responses whose mean is the predicted rate")


class Settings(Block):
    """One model of the ganglion cells of one retina."""

    preset: Preset | None = Field(None, description="published settings to start from; what is said here goes first")
    kind: Literal["cnn", "ln", "glm"] = "cnn"
    recordings: list[str] = Field(
        default=[], description="recordings it is fitted to, all of the same cells; none: all of the dataset"
    )
    history: int = Field(40, ge=1, description="frames seen; published 40 at 100 Hz, 400 ms")
    lag: int = Field(1, ge=0, description="bins from the newest frame seen to the response; published 1")
    layers: list[Layer] = Field(default=[Layer(), Layer(kernel_px=(11, 11))], min_length=1)
    norm: Norm | None = Field(Norm(), description="none: no batch normalisation")
    noise: float = Field(0.05, ge=0, description="s.d. of Gaussian noise before each ReLU, in training")
    dropout: float = Field(0.0, ge=0, lt=1, description="between stacked convolutions")
    readout: Readout = Readout()
    moments: bool = Field(
        True, description="start each cell's output with the mean and s.d. of its training response; published: not"
    )
    swap: Literal["shift"] | None = Field(
        None, description="null: responses shifted in a circle by a third of the training rows of their recording"
    )
    training: Training = Training()
    ln: LN = LN()
    glm: GLM = GLM()
    device: Device = Device()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: Any) -> Any:  # noqa: ANN401 - whatever was written
        return with_preset(PRESETS, raw)

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.dropout and not any(layer.stacked for layer in self.layers):
            raise ValueError("a `stacked` layer with `dropout`, which lies between its convolutions")
        return self


class Evaluate(Block):
    """How fits are scored on test rows."""

    reference: str = Field("main", description="the model that others are compared with")
    bootstrap: int = Field(1000, ge=100, description="resamples of cells, and of blocks of test rows")
    block_s: float = Field(5.0, gt=0, description="length of the blocks of test rows that are resampled")
    splits: int = Field(20, ge=1, description="random halves of the repeats behind the noise ceiling")
    seed: int = 0
