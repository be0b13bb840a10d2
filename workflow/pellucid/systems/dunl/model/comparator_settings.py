"""Settings of the models that DUNL is compared with; light to import."""

from typing import Annotated, Literal

from pydantic import Field

from pellucid.settings import Block

ComparatorKind = Literal["constant", "psth", "gain", "glm", "pca", "nmf"]
LikelihoodName = Literal["gaussian", "poisson", "binomial"]

Positive = Annotated[float, Field(gt=0)]
Width = Annotated[float, Field(ge=0)]


class Comparator(Block):
    """Models of the same trials without kernels and codes, all scored on the same held-out bins."""

    widths_bins: list[Width] = Field(
        default=[0.0, 1.0, 2.0, 4.0, 8.0],
        min_length=1,
        description="psth, gain: candidate s.d. of the Gaussian that smooths time courses, bins; 0: none",
    )
    shrinkages: list[Positive] = Field(
        default=[0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0],
        min_length=1,
        description="gain: candidate precisions of the prior of a trial's gain about 1; its variance is the inverse",
    )
    bases: int = Field(5, ge=2, description="glm: raised cosines after each kind of event; published 2 or 5")
    span_s: float = Field(0.6, gt=0, description="glm: time after an event that the raised cosines cover, s")
    time: Literal["linear", "log"] = Field("linear", description="glm: raised cosines evenly spaced in time or its log")
    penalties: list[Positive] = Field(
        default=[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
        min_length=1,
        description="glm: candidate weights of |coefficients|^2 / 2 beside the mean loss per bin",
    )
    components: int = Field(2, ge=1, description="pca, nmf: components; published 2")
    score_penalties: list[Positive] = Field(
        default=[0.01, 0.1, 1.0, 10.0, 100.0],
        min_length=1,
        description="pca: candidate weights of |scores|^2 beside the squared error of a trial's observed bins",
    )
    floor_hz: float = Field(
        0.1, gt=0, description="smallest expected rate, so that a spike never has probability 0; counts only"
    )
    chunk_bins: int = Field(2, ge=1, description="bins of a chunk that is observed or held out as a whole")
    seed: int = Field(0, ge=0, description="seed of the chunks of validation trials and of the start of NMF")
