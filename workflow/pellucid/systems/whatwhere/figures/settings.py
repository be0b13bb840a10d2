"""Settings of the figures of what/where."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How the figures look and how much of a large population they show."""

    dpi: int = Field(150, ge=40, le=600)
    model: str = Field("main", description="the model that is shown; the one that `attribute` explains")
    examples: int = Field(12, ge=1, le=40, description="neurons in the gallery of masks, evenly over their scores")
    fields: int = Field(6, ge=1, le=12, description="neurons whose fields and predictions are shown, likewise")
    kernels: int = Field(10, ge=1, le=16, description="learned kernels shown of each model")
    models: int = Field(24, ge=2, le=40, description="models in a figure that has a row for each")
    points: int = Field(300, ge=10, description="neurons or images drawn per row or panel; of more, evenly spaced ones")
