"""Settings of the figures of cortex."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How the figures look, which decoder they are about and how much of a long list they show."""

    dpi: int = Field(150, ge=40, le=600)
    model: str = Field("main", description="the model that is shown; the one that `attribute` explains")
    control: str | None = Field(
        None, description="a second decoder in the examples; None: the first control, else the first null"
    )
    seconds: float = Field(40.0, gt=0, description="length of the example, s")
    traces: int = Field(6, ge=1, le=16, description="ROIs in the example, the most important ones")
    frames: int = Field(6, ge=2, le=10, description="frames of a movie in the example, evenly spaced")
    models: int = Field(24, ge=2, le=60, description="models in a figure that has a row for each")
    rois: int = Field(60, ge=2, le=120, description="ROIs in a figure that has a row for each, the most important ones")
    named: int = Field(8, ge=0, le=30, description="ROIs named in maps and scatter plots, the most important ones")
