"""Settings of DUNL's figures."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How the figures look and which examples they show."""

    dpi: int = Field(150, ge=40, le=600)
    model: str = Field("main", description="the model that is shown; the one that `attribute` explains")
    examples: int = Field(3, ge=1, le=5, description="trials shown one by one, a column each")
    neurons: int = Field(1, ge=1, le=4, description="neurons shown trial by trial, below each other")
    points: int = Field(2000, ge=10, description="single trials drawn per panel; of more, evenly spaced ones are drawn")
    levels: int = Field(12, ge=2, description="a covariate with at most so many values is shown value by value")
    quantiles: int = Field(8, ge=2, description="bins of equal numbers of trials for a covariate with more values")
