"""Settings of the simulated mice: ROI signals or movies, how many, and which confounds."""

from typing import Literal

from pydantic import Field, model_validator

from pellucid.settings import Block

ROI_SESSIONS, ROI_FRAMES, ROI_DRIFT = 2, 4500, 12.0
IMAGE_SESSIONS, IMAGE_FRAMES, IMAGE_DRIFT = 1, 3000, 2.0


class Haemodynamics(Block):
    """Blood volume, which dims both colours: h = -amplitude (shared activity + run drive), a second later."""

    amplitude: float = Field(0.6, gt=0, description="of h, in units of dF/F as the signals")
    independent: bool = Field(
        False, description="h follows a slow random process of its own, not shared activity and running"
    )
    violet_noise: float = Field(0.05, ge=0, description="s.d. of white noise of each ROI at 405 nm; scenario roi")


class Motion(Block):
    """Rigid shifts of the image while the mouse runs."""

    jitter_px: float = Field(0.3, gt=0, description="mean shift in a run, and twice its s.d. along each axis")


class Flicker(Block):
    """Light that leaks in at the borders of the image while the mouse runs."""

    counts: float = Field(15.0, gt=0, description="mean brightness added to the outer sixteenth of every side")


class Settings(Block):
    """Mice that rest and run by turns (a design of ours, no published one); a confound left out is not simulated."""

    scenario: Literal["roi", "image"] = Field(
        "roi", description="roi: 50 traces in merged MATLAB files; image: 16-bit TIFF movies, a .csv beside each"
    )
    mice: int = Field(5, ge=1)
    sessions: int | list[int] | None = Field(
        None, description="of every mouse, or of each; roi: 2, image: 1; published [11, 12, 14, 15, 12]"
    )
    frames: int | None = Field(None, ge=2, description="of a session; roi: 4500, image: 3000, published 18000")
    rate_hz: float = Field(30.0, gt=0)
    size_px: int | tuple[int, int] = Field(32, description="side of a square image, or height and width; published 128")
    drift: float | None = Field(None, ge=0, description="size of the slow drift of every signal; roi: 12, image: 2")
    neural_drive: bool = Field(True, description="whether running drives calcium; if not, confounds alone tell of it")
    haemodynamics: Haemodynamics | None = Field(
        None, description="added to calcium and present in a second colour: a merged file, or every second frame"
    )
    motion: Motion | None = Field(None, description="scenario image only")
    flicker: Flicker | None = Field(None, description="scenario image only")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if len(self.counts) != self.mice or min(self.counts) < 1:
            raise ValueError(f"sessions: one number, or one for each of {self.mice} mice, all at least 1")
        if min(self.shape) < 16:
            raise ValueError("size_px of at least 16, where ROIs are still apart")
        if self.scenario == "roi" and (self.motion or self.flicker):
            raise ValueError("scenario image for motion and flicker")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Sessions of each mouse."""
        if isinstance(self.sessions, list):
            return tuple(self.sessions)
        default = ROI_SESSIONS if self.scenario == "roi" else IMAGE_SESSIONS
        return (default if self.sessions is None else self.sessions,) * self.mice

    @property
    def length(self) -> int:
        """Frames of a session."""
        return self.frames or (ROI_FRAMES if self.scenario == "roi" else IMAGE_FRAMES)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image in px."""
        return (self.size_px, self.size_px) if isinstance(self.size_px, int) else self.size_px

    @property
    def drift_size(self) -> float:
        """Size of the drift, in units of dF/F."""
        return (ROI_DRIFT if self.scenario == "roi" else IMAGE_DRIFT) if self.drift is None else self.drift
