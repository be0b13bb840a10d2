"""The published simulations, one row each: everything that can be chosen, with the values that were published.

Sheet §8. Where a row lists several values (numbers of trials, bins, baselines), the one here is named below.
"""

from dataclasses import dataclass
from typing import Literal

Name = Literal[
    "local_deconv",
    "calscenario",
    "long",
    "short",
    "structured",
    "whisker",
    "orthogonal",
    "two_kernel",
    "dopamine",
    "photometry",
]
Layout = Literal["session", "eshel", "whisker", "flmm"]
Draw = Literal["trial", "event"]
Shift = Literal["ceil", "floor"]


@dataclass(frozen=True)
class Grid:
    """Event times drawn without replacement from multiples of a spacing, for each kernel and trial on its own.

    events          numbers of events of a kernel in a trial, one of which is drawn
    spacing_ms      D
    first_event_ms  what comes before is kept free of events
    grid_shift      first multiple of D used: ceil(first_event_ms / D), or the published floor(first_event_ms / D),
                    which for D = 200 ms puts events at 400 ms, into the 500 ms that were to be free for the baseline
    amplitude_draw  one amplitude for all events of a kernel in a trial, or one for each event
    """

    events: tuple[int, ...]
    spacing_ms: int = 200
    first_event_ms: int = 500
    grid_shift: Shift = "ceil"
    amplitude_draw: Draw = "trial"

    def onsets_ms(self, trial_ms: int, kernel_ms: int) -> range:
        """Return the times an event may have: (T - L + 1 - first_event_ms) / D of them, rounded down, as published."""
        places = (trial_ms - kernel_ms + 1 - self.first_event_ms) // self.spacing_ms
        up = self.spacing_ms - 1 if self.grid_shift == "ceil" else 0
        first = (self.first_event_ms + up) // self.spacing_ms * self.spacing_ms
        return range(first, first + places * self.spacing_ms, self.spacing_ms)


@dataclass(frozen=True)
class Noise:
    """What a photometry signal has beside its responses.

    noise_sd     white noise of each sample, in units of the signal
    drift_sd     slow noise, in units of the signal; drift_s is its time constant, s
    short_share  share of the trials that end early
    """

    noise_sd: float = 0.2
    drift_sd: float = 0.2
    drift_s: float = 4.0
    short_share: float = 0.3


@dataclass(frozen=True)
class Row:
    """One simulation.

    bin_ms         bin of the analysis that truth.zarr is made for; time between samples in photometry
    kernel_ms      length of its kernels
    amplitudes     mean of each kernel's amplitude at 1 ms (photometry: at the samples; its second is per uL of reward);
                   of value in dopamine, the largest
    amplitude_sds  over what amplitudes are drawn for: trials or events, and neurons; in dopamine neurons only
    baseline_hz    mean baseline rate; None where the signal is no rate
    baseline_sd    of the baseline over neurons: logit per 1 ms, or units of the signal
    value_offset   dopamine: range of the offset of each neuron's value amplitudes
    """

    trials: int
    neurons: int
    trial_ms: int
    bin_ms: int
    kernel_ms: int
    amplitudes: tuple[float, ...]
    amplitude_sds: tuple[float, ...]
    baseline_hz: float | None = 8.0
    baseline_sd: float = 0.01
    grid: Grid | None = None
    value_offset: tuple[float, float] | None = None
    noise: Noise | None = None
    layout: Layout = "session"

    @property
    def samples(self) -> int:
        """The number of samples of a whole trial."""
        return self.trial_ms // self.step_ms

    @property
    def step_ms(self) -> int:
        """The time between raw samples: 1 ms for spikes."""
        return 1 if self.noise is None else self.bin_ms


STRUCTURED_MS = (700, 1300)
"""When kernels 0 and 1 of the structured simulation start."""

CUE_MS, REWARD_MS = 1000, 2500
"""Dopamine: cue, and reward after it; a reward without a cue comes at CUE_MS."""

REWARDS_UL = (0.1, 0.3, 1.2, 2.5, 5.0, 10.0, 20.0)
"""Rewards of the dopamine simulation, which follow each other in this order."""

PHOTOMETRY_CUE_MS = 2000
PHOTOMETRY_DELAY_MS = (1500, 2500)
"""Photometry: the cue, and the range of the time from it to the reward."""

SCENARIOS: dict[Name, Row] = {
    "local_deconv": Row(1700, 1, 6500, 25, 400, (35, 50), (2, 2), grid=Grid((2, 3, 4))),
    "calscenario": Row(400, 1, 5500, 25, 400, (45, 50), (2, 2), grid=Grid((2, 3, 4))),
    "long": Row(400, 1, 6000, 25, 400, (50, 55), (2, 2), grid=Grid((3,), amplitude_draw="event")),
    "short": Row(400, 1, 2000, 25, 400, (45, 50), (5, 5), grid=Grid((1, 2), spacing_ms=125)),
    "structured": Row(400, 1, 2000, 25, 400, (50, 60), (10, 10)),
    "whisker": Row(250, 1, 4000, 5, 500, (30,), (2,), grid=Grid((5,))),
    "orthogonal": Row(
        *(10, 1000, 6000, 5, 400), (25,) * 5, (10,) * 5, 500.0, 0.3, grid=Grid((1,), amplitude_draw="event")
    ),
    "two_kernel": Row(50, 500, 6000, 5, 400, (25, 25), (10, 10), 500.0, 0.7, grid=Grid((1,), amplitude_draw="event")),
    "dopamine": Row(14, 40, 3100, 25, 600, (15, 20, 20), (1, 2, 0), 4.9668, 0.3, value_offset=(-7, 5)),
    "photometry": Row(60, 1, 10000, 40, 3000, (4, 0.8), (0.4, 0.4), None, 0.3, noise=Noise(), layout="flmm"),
}
"""Published values; 400 trials where 10 to 1600 are listed, whisker 250 trials, 5 ms and 8 Hz, NMF 50 trials.

Published seeds, train / test (of other generators, so the numbers drawn differ): local_deconv and calscenario
89349107 / 15978223, long 199484 / 149723, short 1134487 / 9972923, structured 119487 / 5472923,
whisker 93410197 / 39847231, orthogonal and two_kernel 9201 + 5 i for i < 200 / 300 to 304, dopamine none.
The dopamine baseline is -5.3 on the logit of 1 ms, 4.97 Hz. Photometry was not published: it is a design of ours.
"""
