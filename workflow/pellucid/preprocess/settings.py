"""Settings of shared preprocessing steps; light to import, so that configurations are checked without torch."""

from typing import Literal

from pydantic import Field, field_validator

from pellucid.settings import Block


class Wavelets(Block):
    """Morlet power of every channel, averaged over blocks of samples (Torrence & Compo 1998; Frey et al. 2021)."""

    dj: float = Field(0.5, gt=0, le=2, description="spacing of the scales in octaves; published 0.5")
    lowest_hz: float = Field(2.0, gt=0, description="bands strictly above this frequency are kept; published 2 Hz")
    highest_hz: float | None = Field(None, gt=0, description="bands strictly below are kept; none: up to Nyquist")
    bands_hz: list[float] | None = Field(
        None, description="explicit frequencies in Hz, highest first, instead of the grid"
    )
    block_samples: int = Field(1000, ge=1, description="samples averaged into one row; published 1000 at 30 kHz")
    reference: Literal["common_average", "none"] = Field(
        "common_average", description="subtract the mean over channels, sample by sample"
    )
    nyquist: Literal["analytic", "sampled"] = Field(
        "sampled",
        description="bands near Nyquist; sampled: the wavelet sampled in time, as published, which aliases; "
        "analytic: its spectrum cut at Nyquist, so that the top band rings far beyond its support",
    )
    edges: Literal["halo", "published"] = Field(
        "halo",
        description="halo: every block sees its whole kernel, ends mirrored; "
        "published: windows of 100 000 samples every 50 000, their means removed, 25 000 cut at inner edges",
    )
    window_samples: int = Field(100_000, ge=4, description="window of `edges: published`; half of it is the step")
    align: Literal["start", "centre", "end"] = Field(
        "start", description="the moment of a block its behaviour is taken at; published: its first sample"
    )
    causal: bool = Field(
        False,
        description="delay each band by its own reach, so that no row sees later samples; with `edges: halo` and "
        "`nyquist: sampled`",
    )


class Photometry(Block):
    """Denoising, bleaching and motion of a fluorescence with a second signal (Simpson et al. 2024 and its tutorial)."""

    median_samples: int = Field(5, ge=1, description="median filter against electrical spikes; odd, 1: none")
    lowpass_hz: float | None = Field(
        10.0, gt=0, description="zero-phase Butterworth low-pass of order 2; none: no filter"
    )
    bleaching: Literal["exponential", "highpass", "none"] = Field(
        "exponential",
        description="slow baseline that is subtracted; exponential: a constant and two decays fitted to the session; "
        "highpass: all below `highpass_hz`; none: the mean",
    )
    highpass_hz: float = Field(0.001, gt=0, description="cut-off of `bleaching: highpass`; published 0.001 Hz")
    motion: Literal["positive", "any", "none"] = Field(
        "positive",
        description="subtract the linear regression on the second signal; positive: a negative slope, which no motion "
        "explains, counts as 0",
    )
    output: Literal["dff", "difference", "zscore"] = Field(
        "dff", description="dff: divided by the baseline; difference: in the units of the recording; zscore: over time"
    )

    @field_validator("median_samples")
    @classmethod
    def _check_odd(cls, samples: int) -> int:
        if samples % 2 == 0:
            raise ValueError("an odd number")
        return samples


class Parts(Block):
    """What every way of splitting rows into training, validation and test has in common."""

    validation: float = Field(0.15, gt=0, lt=1, description="share of each fold's training rows kept for validation")
    purge_rows: int | None = Field(
        None, ge=0, description="rows between parts; none: as many as the rows of the analysis reach into each other"
    )
    seed: int = Field(0, ge=0, description="of what is drawn at random (`by: stratified`)")


class Split(Parts):
    """Which rows train, validate and test in each fold; parts are separated by a purge gap."""

    by: Literal["block", "group", "subject", "stratified"] = Field(
        "block",
        description="block: contiguous blocks of rows; group: contiguous runs of whole trials or laps; "
        "subject: leave one subject out; stratified: rows of each label dealt to the folds at random",
    )
    folds: int = Field(5, ge=2, description="number of folds; with `by: subject`, the number of subjects")
