"""Settings of the DeepInsight simulators."""

from pydantic import Field

from pellucid.settings import Block


class Settings(Block):
    """A wide-band recording in which two bands on two halves of the channels carry two slow behaviours."""

    duration_s: float = Field(300.0, gt=0)
    rate_hz: float = Field(1000.0, gt=0)
    channels: int = Field(8, ge=2)
    bands_hz: tuple[float, float] = Field((62.5, 7.8125), description="carrier of the first and second behaviour")
    gain: float = Field(0.7, ge=0, description="amplitude of each carrier, in s.d. of the noise")
    behaviour_rate_hz: float = Field(20.0, gt=0)
    time_constant_s: float = Field(2.0, gt=0, description="exponential memory of each behaviour")
    informative: bool = Field(True, description="false: the behaviours written are independent of the signals")
