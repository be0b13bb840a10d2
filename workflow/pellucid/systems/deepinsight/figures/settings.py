"""Settings of DeepInsight's figures."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """How the figures look and which stretch of time they show."""

    dpi: int = Field(150, ge=40, le=600)
    seconds: float = Field(60.0, gt=0, description="length of the stretch shown in traces")
    model: str = Field("main", description="the model whose predictions are shown")
