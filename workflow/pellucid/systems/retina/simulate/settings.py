"""Settings of the simulated retinas: which mechanism, which stimuli, how large and how long."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block

Pathway = Literal["off_fast", "on_fast", "off_slow"]
Stimulus = Literal["white", "mixed", "flicker"]


class Settings(Block):
    """A simulated retina (a design of ours, no published one); a key left out has the scenario's value."""

    scenario: Literal["subunits", "depression"] = Field(
        "subunits",
        description="subunits: rectified linear subunits, pooled with signed weights; depression: full-field "
        "excitation and inhibition through a depressing synapse, after Ebert et al. 2024",
    )
    cells: int = Field(4, ge=1, description="ganglion cells")
    pathways: list[Pathway] = Field(
        ["off_fast", "on_fast", "off_slow"], min_length=1, description="channels of the teacher; subunits only"
    )
    stimuli: list[Stimulus] | None = Field(
        None,
        min_length=1,
        description="one recording for each: white (noise in every checker), mixed (white, smooth and full-field "
        "noise; subunits: both) or flicker (full-field noise and trains of flashes; depression)",
    )
    frames: int = Field(12000, ge=2, description="training rows of each recording, in samples")
    blocks: int = Field(4, ge=1, description="parts of equal length in which training rows are shown")
    test_frames: int = Field(1000, ge=2, description="rows of the test movie")
    repeats: int = Field(10, ge=1, description="of the test movie")
    hold: int = Field(1, ge=1, description="samples for which each frame of noise is shown")
    checker_px: int = Field(1, ge=1, description="side of the squares of white noise")
    size_px: tuple[int, int] | None = Field(None, description="height and width; subunits 16 x 16, depression 1 x 1")
    kernel_px: int = Field(5, ge=1, description="side of a subunit's kernel; subunits only")
    history: int | None = Field(None, ge=4, description="frames a kernel spans; subunits 12, depression 40")
    lag: int = Field(1, ge=0, description="samples from the newest frame that counts to the response")
    rate_hz: float = Field(100.0, gt=0)
    probe_contrast: float | None = Field(
        None,
        gt=0,
        le=4,
        description="of flashes, steps and omitted flashes, in s.d. of a pixel; subunits .35, depression 2",
    )
    interneurons: int = Field(0, ge=0, description="subunits whose drive is recorded in a file of its own")
    interneuron_frames: int = Field(4000, ge=2)
    interneuron_noise: float = Field(0.3, ge=0, description="s.d. of the noise, in s.d. of the drive")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if len(set(self.pathways)) != len(self.pathways) or len(set(self.shown)) != len(self.shown):
            raise ValueError("each of `pathways` and `stimuli` once")
        if self.frames % self.blocks:
            raise ValueError(f"frames in {self.blocks} blocks of equal length")
        flicker = [name for name in self.shown if name == "flicker"]
        if self.scenario == "depression":
            if len(flicker) != len(self.shown) or self.interneurons:
                raise ValueError("stimuli [flicker] and no interneurons for depression")
        elif flicker or min(self.shape) < self.kernel_px:
            raise ValueError(f"stimuli white and mixed, and size_px of at least kernel_px, {self.kernel_px}")
        return self

    @property
    def shown(self) -> list[Stimulus]:
        """The stimulus of each recording."""
        default: list[Stimulus] = ["flicker"] if self.scenario == "depression" else ["white", "mixed"]
        return default if self.stimuli is None else self.stimuli

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image in px."""
        default = (1, 1) if self.scenario == "depression" else (16, 16)
        return default if self.size_px is None else self.size_px

    @property
    def span(self) -> int:
        """Frames of a kernel."""
        return self.history or (40 if self.scenario == "depression" else 12)

    @property
    def contrast(self) -> float:
        """Contrast of the probe stimuli, in s.d. of a pixel."""
        return self.probe_contrast or (2.0 if self.scenario == "depression" else 0.35)
