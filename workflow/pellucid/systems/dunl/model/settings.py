"""Settings of DUNL's fits and of their evaluation; `presets` holds the published ones."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pellucid.learning.settings import Device, Schedule
from pellucid.settings import Block
from pellucid.systems.dunl.model.comparator_settings import Comparator
from pellucid.systems.dunl.model.presets import PRESETS


class Kernel(Block):
    """One recurring response."""

    event: str | None = Field(None, description="kind of event it follows, as named in preprocess; none: at any time")
    nonnegative: bool = Field(False, description="the kernel itself may not be negative")
    code: Literal["positive", "negative", "free"] = Field("free", description="sign of its codes")
    penalty: float | None = Field(None, ge=0, description="lambda of this kernel; none: that of the model")


class Encoder(Block):
    """How codes are inferred from a trace."""

    solver: Literal["converged", "pursuit", "unrolled"] = Field(
        "converged",
        description="converged: to tolerance; pursuit: events at unknown times one by one, while they pay for their "
        "cost; unrolled: R layers, as published, R being a hidden regulariser",
    )
    event_cost: float | None = Field(
        None, gt=0, description="pursuit: nats an event has to gain; none: 1.5 log(bins), for its time and its size"
    )
    tolerance: float = Field(1e-4, gt=0, description="converged: largest violation of the optimality conditions")
    layers: int = Field(100, ge=1, description="unrolled: R; published 100 (known events) to 1000")
    step: float | None = Field(None, gt=0, description="unrolled: alpha; none: 1 / Lipschitz bound")
    momentum: bool = Field(True, description="unrolled: FISTA, as in every published configuration, or ISTA")
    decay: float = Field(1.0, gt=0, le=1, description="unrolled: lambda of layer r is lambda decay^r; published 1")
    hard: bool = Field(False, description="unrolled: hard instead of soft threshold")
    truncate: int | None = Field(None, ge=1, description="unrolled: only so many last layers carry gradients")
    group: float = Field(0.0, ge=0, description="weight of the l2 norm of codes over neurons recorded together")
    competition: list[list[float]] | None = Field(
        None,
        description="unrolled: Q times its scale, (kernel, kernel) in alphabetical order; strong kernels suppress "
        "their competitors",
    )
    top: int | None = Field(None, ge=1, description="unrolled and pursuit: most codes per kernel and trace")
    top_every: int = Field(10, ge=1, description="unrolled: layers between two selections of the largest codes")

    @model_validator(mode="after")
    def _check(self) -> "Encoder":
        layered = {"competition": self.competition is not None, "hard": self.hard}
        if self.solver == "converged":
            layered["top"] = self.top is not None
        if self.solver == "pursuit":
            layered["group"] = self.group > 0
        wrong = [name for name, used in layered.items() if used]
        if self.solver != "unrolled" and wrong:
            raise ValueError(f"another solver for {', '.join(wrong)}: `unrolled`, which works layer by layer")
        return self


class Training(Block):
    """How long and how fast kernels learn (Adam)."""

    epochs: int = Field(40, ge=1)
    steps: int | None = Field(None, ge=1, description="batches per epoch; none: one pass over the training trials")
    batch: int | None = Field(None, ge=1, description="trials per batch, all their neurons together; none: all trials")
    rate: float = Field(0.02, gt=0, description="learning rate; published 0.01")
    epsilon: float = Field(1e-8, gt=0, description="Adam's epsilon; published 1e-3, which throttles the step")
    factor: float = Field(0.5, gt=0, lt=1, description="the rate is multiplied by it on a plateau of validation loss")
    patience: int = Field(4, ge=1, description="epochs without improvement that make a plateau")
    stop_after: int | None = Field(10, ge=1, description="stop after so many epochs without improvement; none: never")

    def schedule(self, trials: int) -> Schedule:
        """Return the schedule of the shared loop for so many training trials."""
        batch = min(self.batch or trials, trials)
        steps = self.steps or -(-trials // batch)
        kept = self.model_dump(include={"epochs", "rate", "epsilon", "factor", "patience", "stop_after"})
        return Schedule(**kept, steps=steps, batch=batch, amsgrad=False, improvement=1e-7)


class Settings(Block):
    """One fit: kernels learnt from the training trials of a fold, or a comparator on the same trials."""

    preset: Literal[tuple(PRESETS)] | None = Field(  # type: ignore[valid-type]
        None, description="published settings (published) that hold wherever this block says nothing else"
    )
    kind: Literal["dunl", "constant", "psth", "gain", "glm", "pca", "nmf"] = "dunl"
    likelihood: Literal["gaussian", "poisson", "binomial"] = "binomial"
    bin_weight: Literal["counts", "published"] = Field(
        "counts",
        description="counts: a binomial bin of N counts N times; published: once, so lambda depends on the bin",
    )
    kernels: dict[str, Kernel] = Field(default={}, description="name -> kernel; kept in alphabetical order")
    lag_bins: int = Field(24, ge=2, description="length of a kernel, after `coarsen`")
    dictionary: Literal["shared", "neuron"] = Field("shared", description="one set of kernels, or one per neuron")
    baseline: Literal["trial", "pooled", "inferred", "zero"] = Field(
        "pooled",
        description="trial: from the bins before each trial's first event (published); pooled: over a neuron's "
        "training trials; inferred: with the codes of each trace; zero: signals that were centred",
    )
    floor: float = Field(1e-3, gt=0, lt=0.5, description="least mean of a baseline from counts; published 0.001")
    penalty: float = Field(0.0, ge=0, description="lambda of every kernel")
    ridge: float = Field(0.0, ge=0, description="inverse prior variance of codes; holds codes of silent traces finite")
    code_penalty: float | None = Field(
        None, ge=0, description="unrolled: weight of mean |x| in the training loss; none: lambda"
    )
    smoothness: float = Field(0.0, ge=0, description="weight of the squared differences of neighbouring kernel bins")
    encoder: Encoder = Encoder()
    initial: Literal["random", "average", "chunks", "sinusoid"] = Field(
        "random",
        description="random: Gaussian noise (published); average: event-triggered mean, plus noise; "
        "chunks: random stretches of the signal; sinusoid: one period (simulated whisker, published)",
    )
    initial_smoothing: float = Field(0.0, ge=0, description="s.d. of a Gaussian over bins applied to initial kernels")
    fixed: bool = Field(False, description="kernels are not learnt: those given in `given` or the initial ones stay")
    given: dict[str, list[float]] = Field(default={}, description="kernel -> initial values, one per bin")
    validation: Literal["held_out", "objective"] = Field(
        "held_out",
        description="held_out: likelihood of bins hidden from the encoder, on validation trials; objective: the "
        "training objective on validation trials (published), which more kernels always lower",
    )
    training: Training = Training()
    precision: Literal["float64", "float32"] = "float64"
    device: Device = Device()
    comparator: Comparator = Comparator()
    train_trials: int | None = Field(None, ge=2, description="only so many training trials, drawn by the seed")
    recordings: list[str] | None = Field(None, description="only these recordings; none: all of the fold")
    coarsen: int = Field(1, ge=1, description="bins summed (counts) or averaged (values) into one before fitting")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:  # noqa: ANN401 - raw input, checked afterwards
        """Put what the block says onto its preset, and kernels in the order of their names, as JSON keeps them."""
        if not isinstance(data, dict):
            return data
        made = _merged(PRESETS[data["preset"]], data) if data.get("preset") in PRESETS else dict(data)
        if isinstance(made.get("kernels"), dict):
            made["kernels"] = dict(sorted(made["kernels"].items(), key=lambda item: str(item[0])))
        return made

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        unknown = sorted(set(self.given) - set(self.kernels))
        if unknown:
            raise ValueError(f"`given` for kernels of `kernels` only, not {', '.join(unknown)}")
        wrong = [name for name, values in self.given.items() if len(values) != self.lag_bins]
        if wrong:
            raise ValueError(f"{self.lag_bins} values (`lag_bins`) in `given.{wrong[0]}`")
        matrix = self.encoder.competition
        if matrix is not None and self.kernels and {len(matrix), *map(len, matrix)} != {len(self.kernels)}:
            raise ValueError(f"a {len(self.kernels)} x {len(self.kernels)} matrix in `encoder.competition`")
        return self


class Evaluate(Block):
    """How fits are scored on test trials."""

    reference: str = Field("constant", description="model that the held-out likelihood of every other is compared with")
    select: list[str] = Field(default=[], description="models among which validation chooses; none: every dunl model")
    chunk_bins: int = Field(2, ge=1, description="bins that are hidden or shown together")
    tolerances_s: list[float] = Field(default=[0.025, 0.05, 0.075], description="of event detection, s")
    detect: dict[str, str] = Field(
        default={},
        description="kernel without events -> kind of event its codes are scored against; simulated truth otherwise",
    )
    smoothing_taus: list[float] = Field(
        default=[1.0, 10.0, 20.0, 30.0], description="smoothing detector, bins; published"
    )
    smoothing_levels: int = Field(
        20, ge=2, description="thresholds of the smoothing detector, from .025 to .3; published 20"
    )
    bootstrap: int = Field(1000, ge=100, description="resamples of trials behind each interval")
    shifts: int = Field(100, ge=20, description="circular shifts of detections that give their chance level")
    seed: int = 0


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the preset with what the block says itself, key by key at any depth; kernels are replaced as a whole."""
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "kernels"
        merged[key] = _merged(merged[key], value) if nested else value
    return merged
