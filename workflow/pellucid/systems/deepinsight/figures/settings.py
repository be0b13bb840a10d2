"""Settings of DeepInsight's figures."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How the figures look, which model and stretch of time they show, and how much of many models and recordings."""

    dpi: int = Field(150, ge=40, le=600)
    seconds: float = Field(60.0, gt=0, description="length of the stretch shown in traces")
    model: str = Field("main", description="the model whose predictions are shown")
    position: str | None = Field(
        None, description="the target drawn in space; none: the first of kind position or circular, or named position"
    )
    recordings: int = Field(3, ge=1, le=6, description="recordings shown in a figure that has a panel for each")
    models: int = Field(
        8, ge=2, le=40, description="models in figures that compare all; variants have figures of their own"
    )
    bins: int = Field(20, ge=4, le=100, description="bins along the longer side of the space in the map of errors")
    least_rows: int = Field(5, ge=1, description="test rows that a bin of the map of errors must have to be shown")
