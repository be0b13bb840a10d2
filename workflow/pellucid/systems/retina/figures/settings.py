"""Settings of the figures of retina."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How figures look, which model they are about, and how much of many conditions, cells and channels they show."""

    dpi: int = Field(150, ge=40, le=600)
    model: str = Field("main", description="the model that is shown; the one that `attribute` explains")
    seconds: float = Field(4.0, gt=0, description="length of the shown traces of the test movie, s")
    conditions: int = Field(4, ge=1, le=5, description="conditions of a stimulus whose responses are shown, evenly")
    channels: int = Field(5, ge=1, le=8, description="channels whose contributions are shown, the strongest ones")
    cell: str | None = Field(
        None,
        description="cell whose responses to stimuli are shown; none: their mean, or the most responsive cell where "
        "a stimulus passes one cell after another",
    )
    measures: int = Field(3, ge=1, le=4, description="measures shown beside the responses to a stimulus")
    filters: int = Field(16, ge=1, le=32, description="first-layer kernels shown, the strongest ones")
    fields: int = Field(8, ge=1, le=16, description="cells whose receptive fields are shown, evenly over their number")
    interneurons: int = Field(6, ge=1, le=12, description="recorded interneurons shown, evenly over their scores")
    models: int = Field(16, ge=2, le=40, description="models in a figure that has a row for each")
