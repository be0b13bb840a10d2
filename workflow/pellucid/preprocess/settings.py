"""Settings of shared preprocessing steps; light to import, so that configurations are checked without torch."""

from typing import Literal

from pydantic import Field

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


class Split(Block):
    """Which rows train, validate and test in each fold; parts are separated by a purge gap."""

    by: Literal["block", "group", "subject"] = Field(
        "block",
        description="block: contiguous blocks of rows; group: contiguous runs of whole trials or laps; "
        "subject: leave one subject out",
    )
    folds: int = Field(5, ge=2, description="number of folds; with `by: subject`, the number of subjects")
    validation: float = Field(0.15, gt=0, lt=1, description="share of each fold's training rows kept for validation")
    purge_rows: int | None = Field(None, ge=0, description="rows between parts; none: window plus kernel")
