"""Settings of what/where's interpretation; light to import."""

from pydantic import Field, model_validator

from pellucid.settings import Block


class Settings(Block):
    """Positions, bar codes, types and fields of one network, and what they are checked against."""

    model: str = Field(
        "main", description="network of `fit.models` that is explained; in each fold its best seed by validation loss"
    )
    null_model: str | None = Field(
        None,
        description="network of `fit.models` that positions and types are compared with, e.g. one with `permute`; "
        "none: the same network untrained, begun without data",
    )
    clusters: tuple[int, int] = Field((2, 10), description="least and largest number of types tried")
    least_neurons: int = Field(10, ge=2, description="neurons below which no types are looked for")
    tolerance: float = Field(
        0.02, ge=0, description="numbers of types this close to the most stable one, in adjusted Rand index, are equal"
    )
    bootstrap: int = Field(20, ge=2, description="resamples of neurons behind the stability of types")
    permutations: int = Field(5, ge=2, description="of features over neurons, for codes without types")
    gradient_images: int = Field(32, ge=1, description="test images that gradients are averaged over")
    most_values: int = Field(
        5_000_000,
        ge=1,
        description="neurons x pixels of each kind of field that is stored; later neurons are left out",
    )
    mei_steps: int = Field(40, ge=1, description="of gradient ascent to the maximally exciting image (MEI)")
    mei_step: float = Field(
        0.3, gt=0, le=1, description="length of the first step as a share of the image's norm; falls linearly to 0"
    )
    mei_starts: int = Field(1, ge=1, description="random starts, beside the gradient and the best test image")
    checked: int = Field(
        100, ge=1, description="neurons that faithfulness and completeness are measured on, evenly spread over all"
    )
    field_share: float = Field(
        0.9, gt=0, lt=1, description="share of a gradient's squared sum that its field's pixels hold, the largest first"
    )
    images: int = Field(128, ge=3, description="test images per neuron for faithfulness, drawn by the seed")
    draws: int = Field(3, ge=1, description="of equally many pixels outside a field")
    path_images: int = Field(4, ge=1, description="test images per neuron for integrated gradients")
    path_steps: int = Field(32, ge=1, description="midpoints between the mean image and the image")
    resamples: int = Field(1000, ge=100, description="of neurons behind each interval")
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if not 2 <= self.clusters[0] <= self.clusters[1]:
            raise ValueError("`clusters` of at least 2, the least first")
        return self
