"""Settings of one fit: core, readout, output, penalties to choose from, and training."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pellucid.learning.settings import Device, Schedule
from pellucid.settings import Block, with_preset
from pellucid.systems.whatwhere.model.presets import PRESETS, Preset

Sign = Literal["signed", "nonnegative"]


class Gaussian(Block):
    """One Gaussian of a kernel that is known: weight times a normal density of unit volume."""

    weight: float
    sd_px: float = Field(gt=0)


class Layer(Block):
    """One convolution: kernel, normalisation (see Core), activation."""

    kernel_px: tuple[int, int] = Field((17, 17), description="height and width; one number for a square")
    maps: int = Field(1, ge=1)
    padding: Literal["valid", "same"] = "valid"
    activation: Literal["identity", "relu", "elu", "softplus"] = "identity"
    smooth: bool = Field(False, description="penalties.smoothness acts on its kernels")
    group: bool = Field(False, description="penalties.group_sparsity acts on its kernels")

    @field_validator("kernel_px", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        return (value, value) if isinstance(value, int) else value

    @field_validator("kernel_px")
    @classmethod
    def _check(cls, value: tuple[int, int]) -> tuple[int, int]:
        if min(value) < 1:
            raise ValueError("a kernel of at least 1 px")
        return value


class Core(Block):
    """The convolutions that all neurons share; without layers the readout sees the image itself."""

    layers: list[Layer] = Field(default=[Layer()])
    normalisation: Literal["batch", "unit", "none"] = Field(
        "unit",
        description="keeps an L1 penalty on masks from being evaded by large kernels; unit: each kernel divided by its "
        "L2 norm (published for Fig. 4); batch: batch norm (published elsewhere)",
    )
    centre: bool = Field(True, description="batch norm: learn an offset of each map (beta)")
    scale: bool = Field(False, description="batch norm: learn a scale of each map (gamma); published: no")
    decay: float = Field(0.9, ge=0, lt=1, description="batch norm: of running statistics; published .998 and .9")
    reestimate: bool = Field(
        True, description="batch norm: statistics of training images anew before each validation, not running ones"
    )
    initial_sd: float = Field(0.01, gt=0, description="of the kernels, normal")
    shared_by: int | None = Field(
        None,
        ge=1,
        description="neurons that share a core, 1 for one of its own for each; none: all. Linear cores with masks only",
    )
    known: list[Gaussian] = Field(
        default=[], description="the first layer's one kernel is this sum of Gaussians and is not learnt"
    )

    @model_validator(mode="after")
    def _check_known(self) -> "Core":
        if self.known and (not self.layers or self.layers[0].maps != 1):
            raise ValueError("`known` gives one kernel: a first layer of one map")
        if self.shared_by and not self.linear:
            raise ValueError("`shared_by` with one layer, padding: valid, activation: identity and no batch norm")
        return self

    @property
    def linear(self) -> bool:
        """Whether maps are one linear convolution of the image, free of statistics of a batch."""
        plain = len(self.layers) == 1 and self.normalisation != "batch"
        return plain and self.layers[0].activation == "identity" and self.layers[0].padding == "valid"


class Readout(Block):
    """How a neuron reads the maps: where (mask or position) and what (feature weights)."""

    kind: Literal["factorised", "fixed", "dense", "gaussian", "transformer"] = Field(
        "factorised",
        description="factorised: mask x feature weights (Klindt et al. 2017); fixed: one pixel where located; "
        "dense: a weight for every pixel of every map; gaussian: one position, sampled in training (Lurz et al. 2021); "
        "transformer: one position by interpolation (Sinz et al. 2018)",
    )
    mask: Sign = "signed"
    weights: Sign = Field("signed", description="sign of the feature weights, taken by their absolute value")
    start: Literal["located", "random"] = Field("located", description="where masks and positions begin")
    statistic: Literal["average", "energy", "both"] = Field(
        "average",
        description="what locates a neuron: its spike-triggered average, squared; that of squared pixels, for cells "
        "without an average; or both",
    )
    smoothing_px: float = Field(2.0, gt=0, description="s.d. of the Gaussian over the squared average")
    decorrelate: bool = Field(
        False,
        description="divide the average by the covariance of pixels first, for images whose pixels are correlated",
    )
    peak: float | None = Field(
        None, gt=0, description="of a located mask; none: the s.d. of the response that stimuli explain, estimated"
    )
    mask_sd: float = Field(0.001, ge=0, description="s.d. of the other pixels of a mask at the start")
    weight: float | None = Field(None, description="feature weights at the start; none: 1 / maps")
    weight_sd: float = Field(0.01, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1, description="dense: share of map pixels left out in training")
    pool_steps: int = Field(0, ge=0, description="transformer: coarser scales read besides, each averaged over pool_px")
    pool_px: int = Field(2, ge=2)
    position_sd: float = Field(
        0.1, gt=0, description="gaussian: s.d. of positions at the start, of half the map's extent"
    )


class Penalties(Block):
    """One candidate of the penalties: sums over neurons, as the loss is (which is averaged over images)."""

    mask_l1: float = Field(0, ge=0, description="times sum |m|; dense: times sum |w|")
    weight_l1: float = Field(0, ge=0, description="times sum |w_feature|")
    product_l1: float = Field(0, ge=0, description="times sum_n (sum |m_n|)(sum |w_n|): no trade of scale pays")
    weight_l2: float = Field(0, ge=0, description="dense: times sum w^2 / 2")
    activity_l1: float = Field(0, ge=0, description="times the mean over images of sum_n |response|")
    smoothness: float = Field(
        0, ge=0, description="times sum |Laplacian * kernel|^2 / |kernel|^2 of layers with `smooth`"
    )
    group_sparsity: float = Field(
        0, ge=0, description="times the sum of the L2 norms of the kernels of layers with `group`"
    )
    readout_smoothness: float = Field(0, ge=0, description="dense: as smoothness, on each neuron's weights")


class Training(Schedule):
    """Adam with reductions of its rate on plateaus; the epoch is the number of steps between validations."""

    epochs: int = Field(100, ge=1)
    steps: int = Field(100, ge=1, description="steps between validations")
    batch: int = Field(256, ge=1, description="images per batch; the rest of an epoch that fills no batch is dropped")
    rate: float = Field(1e-3, gt=0)
    factor: float = Field(0.1, gt=0, lt=1, description="the rate is multiplied by it on a plateau of validation loss")
    patience: int = Field(5, ge=1, description="validations without a new best that make a plateau")
    improvement: float = Field(0.0, ge=0)
    plateaus: int | None = Field(3, ge=1, description="stop at this plateau; none: never")
    amsgrad: bool = False
    epsilon: float = Field(1e-8, gt=0)


class Regression(Block):
    """Least squares on the window around each neuron's position; the penalty is chosen on validation images."""

    window_px: int = Field(17, ge=1, description="height and width of the window; odd")
    penalties: list[Annotated[float, Field(ge=0)]] | None = Field(
        None, min_length=1, description="scikit-learn's alpha; none: those published for ridge, or for lasso"
    )
    intercept: bool = Field(True, description="published: none, as linear populations have no mean")
    position: Literal["known", "located"] = Field(
        "known", description="known: the recording's row and column; located: from training responses"
    )


class Settings(Block):
    """One network, or one regression per neuron; defaults are those of Fig. 3 with unit-norm kernels."""

    preset: Preset | None = Field(None, description="published settings to start from; what is said here goes first")
    kind: Literal["network", "ols", "ridge", "lasso"] = "network"
    recordings: list[str] | None = Field(
        None, min_length=1, description="recordings of the dataset that are used, each with its own neurons; none: all"
    )
    images: int | None = Field(
        None, ge=4, description="images used, validation included, drawn by the seed; none: all of the fold"
    )
    neurons: int | None = Field(None, ge=1, description="neurons used, drawn by the seed; none: all")
    permute: bool = Field(False, description="null: training and validation responses permuted over images")
    core: Core = Core()
    readout: Readout = Readout()
    output: Literal["linear", "softplus", "exp"] = "linear"
    bias: bool = Field(False, description="a learnt bias of each neuron; begins at its mean response")
    loss: Literal["squared", "poisson"] = "squared"
    scaled: bool = Field(
        False,
        description="fit responses in units of each neuron's s.d. over training images, so penalties mean the same "
        "for all; published: no",
    )
    penalties: list[Penalties] = Field(
        default=[Penalties()], min_length=1, description="candidates; validation images choose"
    )
    select: Literal["fit", "neuron"] = Field(
        "fit",
        description="one candidate for all neurons, or for each neuron the best of all and of the constant response "
        "(published for Fig. 5)",
    )
    regression: Regression = Regression()
    training: Training = Training()
    device: Device = Device()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: Any) -> Any:  # noqa: ANN401 - whatever was written
        return with_preset(PRESETS, raw)

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        readout, core = self.readout, self.core
        for penalties in self.penalties:
            used = penalties.model_dump(exclude_defaults=True)
            wrong = [name for name in used if name not in _MEANT[readout.kind]]
            if self.kind == "network" and wrong:
                raise ValueError(f"no penalty {wrong[0]} with a {readout.kind} readout")
        if self.output == "linear" and self.loss == "poisson":
            raise ValueError("an output that is positive (softplus, exp) with loss: poisson")
        if core.shared_by and readout.kind not in ("factorised", "fixed"):
            raise ValueError("a factorised or fixed readout with core.shared_by")
        if self.scaled and self.loss == "poisson":
            raise ValueError("`scaled: false` with loss: poisson, which is about counts")
        if not core.layers and readout.kind != "dense":
            raise ValueError("a dense readout where the core has no layers")
        return self


_CORE_PENALTIES = {"smoothness", "group_sparsity", "activity_l1"}
_MEANT = {
    "factorised": {*_CORE_PENALTIES, "mask_l1", "weight_l1", "product_l1"},
    "fixed": {*_CORE_PENALTIES, "weight_l1"},
    "dense": {*_CORE_PENALTIES, "mask_l1", "weight_l2", "readout_smoothness"},
    "gaussian": {*_CORE_PENALTIES, "weight_l1"},
    "transformer": {*_CORE_PENALTIES, "weight_l1"},
}


class Evaluate(Block):
    """How fits are scored on their test images."""

    keep: list[str] | None = Field(None, description="models whose predictions are stored; none: all")
    batch: int = Field(512, ge=1, description="images predicted at once")
    bootstrap: int = Field(1000, ge=100, description="resamples behind each interval")
    seed: int = 0
