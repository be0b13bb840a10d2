"""Settings of one fit: what the decoder sees, its network, its training, and the labels of a null."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pellucid.learning.settings import Device, OneCycle, Schedule
from pellucid.settings import Block, with_preset
from pellucid.systems.cortex.model.presets import PRESETS, Preset


class Normalise(Block):
    """How an input is scaled on loading, with statistics of each recording."""

    kind: Literal["minmax", "zscore", "scalar", "none"] = Field(
        "minmax",
        description="minmax: each trace to 0..1 (published for ROIs); zscore: each trace or pixel by its own mean and "
        "s.d. over time; scalar: movies, each pixel's mean subtracted, divided by one s.d. over all pixels and frames "
        "(published, though that s.d. also holds the unevenness of the light)",
    )
    over: Literal["session", "training", "first"] = Field(
        "session",
        description="session: all frames of a session, those of a test session too (published; label-free, but not "
        "causal); training: training frames only, pooled for a held-out animal; first: the first `first_s` seconds",
    )
    first_s: float = Field(60.0, gt=0)


class Training(Block):
    """Adam on random windows; the weights of the epoch with the least validation loss are kept."""

    epochs: int = Field(30, ge=1)
    batch: int = Field(256, ge=1, description="windows (frames of a CNN alone) per step")
    windows: int | None = Field(
        None, ge=1, description="windows per epoch, drawn with replacement; none: as many as there are in training"
    )
    validation_windows: int = Field(20_000, ge=1, description="most validation windows scored after each epoch")
    rate: float = Field(1e-3, gt=0, description="learning rate; with `one_cycle` the highest")
    decay: float = Field(0.0, ge=0, description="decoupled weight decay; not of biases and normalisation")
    one_cycle: bool = Field(False, description="rate up to a quarter of the steps and down; momentum down and up")
    epsilon: float = Field(1e-7, gt=0, description="Adam's epsilon")
    smoothing: float = Field(0.001, ge=0, lt=0.5, description="labels y become (1 - smoothing) y + smoothing / 2")
    balanced: bool = Field(False, description="weight the two states by the inverse of their frequency in training")

    def schedule(self, windows: int) -> Schedule:
        """Return the schedule of the training loop for so many training windows."""
        return Schedule(
            epochs=self.epochs,
            steps=max(1, (self.windows or windows) // self.batch),
            batch=self.batch,
            rate=self.rate,
            patience=self.epochs,
            amsgrad=False,
            epsilon=self.epsilon,
            decay=self.decay,
            one_cycle=OneCycle() if self.one_cycle else None,
        )


class Linear(Block):
    """Logistic (state) or ridge (speed) regression on every n-th sample of the window."""

    every: int = Field(3, ge=1, description="samples between the lags used; the labelled frame is one of them")
    penalties: list[float] = Field(
        default=[1e-4, 1e-3, 1e-2, 1e-1, 1.0],
        min_length=1,
        description="of the squared coefficients, per training window; validation loss chooses",
    )
    windows: int = Field(20_000, ge=10, description="most training windows used, evenly spaced")


class Backbone(Block):
    """The network that turns an image (successive frames as channels) into features."""

    kind: Literal["small", "efficientnet_b0"] = Field(
        "small", description="small: two convolutions, for laptops; efficientnet_b0: 1280 features (published)"
    )
    frames: int = Field(3, ge=1, description="successive frames as channels, centred; published 3")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the head; efficientnet_b0 published with .2")
    frozen: bool = Field(
        False, description="cnn_rnn: keep the backbone of stage 1 as it is, its features computed once per image"
    )
    imagenet: Literal["no", "if_reachable", "required"] = Field(
        "no", description="efficientnet_b0: start from ImageNet weights, from `file` or the network"
    )
    file: str | None = Field(None, description="weights file of efficientnet-pytorch, in place of the network")

    @model_validator(mode="after")
    def _check(self) -> "Backbone":
        if self.imagenet != "no" and (self.kind != "efficientnet_b0" or self.frames != 3):
            raise ValueError("imagenet: no, except for efficientnet_b0 with three frames")
        if self.frames % 2 == 0:
            raise ValueError("an odd number of `frames`, so that the labelled one is in the middle")
        return self


class Released(Block):
    """Weights released by the authors, used as they are."""

    file: str = Field(description="Keras 2 HDF5 file with one GRU and one dense layer")
    sha256: str = Field(description="of the file")


class Settings(Block):
    """One decoder; defaults are those of the published ROI decoder with torch's GRU."""

    preset: Preset | None = Field(None, description="published settings to start from; what is said here goes first")
    kind: Literal["rnn", "linear", "cnn", "cnn_rnn"] = Field(
        "rnn",
        description="rnn: windows of traces; linear: the same without a network; cnn: single images; cnn_rnn: windows "
        "of images",
    )
    input: str = Field("roi", description="name of an input of `preprocess.inputs`")
    rois: list[str] | None = Field(None, min_length=1, description="ROI ids or area names used; none: all")
    without_rois: list[str] = Field(default=[], description="ROI ids or area names left out")
    target: Literal["state", "speed"] = "state"
    window_s: float = Field(0.5, ge=0, description="reach of the window to either side of the labelled frame")
    lag_s: float = Field(0.0, description="shift of the window against the labelled frame; positive: later signal")
    cell: Literal["gru", "lstm", "rnn", "keras_gru"] = Field(
        "gru", description="keras_gru: the cell of the released weights (reset gate first, hard sigmoid)"
    )
    units: int = Field(32, ge=1)
    layers: int = Field(1, ge=1)
    bidirectional: bool = False
    dropout: float = Field(0.0, ge=0, lt=1, description="between recurrent layers")
    backbone: Backbone = Backbone()
    normalise: Normalise = Normalise()
    swap: Literal["derangement", "shift", "trials"] | None = Field(
        None,
        description="null labels, on which a fit is scored, too; derangement: every session has the labels of another "
        "one of its animal; shift: its own, shifted in a circle by at least a fifth of it; trials: states 0 and 1 "
        "exchanged in half of its segments, for labels by the place of a frame in its trial",
    )
    linear: Linear = Linear()
    released: Released | None = Field(None, description="no training: keras_gru with released weights")
    stage_1: Training = Field(Training(), description="cnn_rnn: training of the backbone on single images")
    training: Training = Training()
    memory_mb: int = Field(4096, ge=1, description="movies up to this size (float32) are held; larger ones streamed")
    device: Device = Device()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: Any) -> Any:  # noqa: ANN401 - whatever was written
        return with_preset(PRESETS, raw)

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.cell == "keras_gru" and (self.bidirectional or self.layers > 1):
            raise ValueError("one layer in one direction with cell: keras_gru")
        if self.released and (self.kind != "rnn" or self.cell != "keras_gru" or self.target != "state"):
            raise ValueError("kind: rnn, cell: keras_gru and target: state with `released`")
        if self.kind in ("cnn", "cnn_rnn") and (self.rois or self.without_rois):
            raise ValueError("no `rois` with a movie")
        if self.kind == "cnn" and self.window_s:
            raise ValueError("window_s: 0 with kind: cnn, which sees single images")
        if self.swap and self.target == "speed":
            raise ValueError("target: state with `swap`")
        return self

    @property
    def of_movie(self) -> bool:
        """Whether the network begins with a backbone."""
        return self.kind in ("cnn", "cnn_rnn")


class Evaluate(Block):
    """How fits are scored on their test windows, and which of them are compared."""

    reference: str = Field("main", description="the model that others are compared with")
    controls: list[str] = Field(
        default=[], description="models that see what is not neural activity, or should not be needed"
    )
    margin: float = Field(
        0.02, ge=0, description="a control whose AUC is less than this below the reference is flagged"
    )
    keep: list[str] | None = Field(None, description="models whose predictions are stored; none: all")
    bootstrap: int = Field(1000, ge=100, description="resamples of bouts behind each interval")
    bins: int = Field(10, ge=2, description="of the expected calibration error")
    seed: int = 0
