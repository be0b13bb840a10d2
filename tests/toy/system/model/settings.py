from typing import Literal

from pydantic import Field

from pellucid.learning.settings import Device
from pellucid.settings import Block


class Settings(Block):
    kind: Literal["ridge", "nearest_mean"] = "ridge"
    penalty: float = Field(1.0, gt=0)
    pause_s: float = Field(0.0, ge=0)
    device: Device = Device()


class Evaluate(Block):
    threshold: float = 0.0
