"""What each kind of stimulus varies, which of its measures are shown first, and what its stimulus trace is."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """How responses to one kind of stimulus are drawn.

    condition  name of what measures are drawn against, with its unit
    measures   the first measures that are shown, with what stands above each
    stimulus   what the trace of the stimulus is, with its unit
    one_cell   the stimulus does not drive all cells alike: one cell is drawn, not the mean
    """

    condition: str = "condition"
    measures: Mapping[str, str] = field(default_factory=dict)
    stimulus: str = "contrast"
    one_cell: bool = False


LATENCY = {
    "latency": "time of the peak",
    "latency_mass": "centre of mass in time",
    "peak": "peak rate",
    "latency_rank": "rank correlation of latency, |contrast|",
}

AGAINST_TEACHER = {"r_teacher": "r with the teacher", "peak_difference": "peak after the teacher's"}

KINDS = {
    "probe": Kind(measures=AGAINST_TEACHER),
    "recorded": Kind(measures=AGAINST_TEACHER),
    "omitted": Kind(
        "period (frames)",
        {
            "latency": "peak after the last flash's onset",
            "latency_slope": "slope of latency on period",
            "burst": "peak after the omission",
            "ratio": "omitted cycle / cycles of flashes",
            "periods": "periods with a peak",
        },
    ),
    "latency_steps": Kind("contrast", LATENCY),
    "latency_flashes": Kind("contrast", {"latency_mass": LATENCY["latency_mass"]} | LATENCY),
    "anticipation": Kind(
        "condition",
        {
            "shift_rightward": "shift, bar moving right",
            "shift_leftward": "shift, bar moving left",
            "ahead": "shift ahead of the bar",
        },
        stimulus="bar (px)",
        one_cell=True,
    ),
    "reversal": Kind(
        "multiple of the contrast",
        {
            "delay": "peak after the turn",
            "delay_slope": "slope of delay on the turn's place",
            "gain": "peak / that of the passing bar",
        },
        stimulus="bar (px)",
    ),
    "contrast_adaptation": Kind(
        "contrast (s.d. of the noise)",
        {"frequency": "centre of the filter's spectrum", "gain": "gain", "frequency_slope": "slope of frequency"},
    ),
    "reversing_grating": Kind("width of a bar (px)", {"f2_f1": "F2 / F1", "f2_share": "F2 / (F1 + F2)"}, one_cell=True),
    "polarity_reversal": Kind(
        "condition",
        {
            "polarity_still": "polarity, still surround",
            "polarity_shifted": "polarity, shifted surround",
            "polarity_change": "change of polarity",
        },
        one_cell=True,
    ),
    "step": Kind(
        "contrast", {"peak": "peak rate", "sustained": "sustained / peak", "on_off": "(ON - OFF) / (ON + OFF)"}
    ),
    "paired_flash": Kind(
        "interval (frames)", {"ratio": "added second / first peak", "ratio_rank": "rank correlation of ratio, interval"}
    ),
    "object_motion": Kind(
        "condition",
        {
            "differential_global": "object alone / both",
            "background_global": "background alone / both",
            "differential": "peak, object alone",
        },
        stimulus="shift (px)",
        one_cell=True,
    ),
}
"""Known kinds; measures that are not named here follow in the order in which they are stored."""


def of(kind: str) -> Kind:
    """Return how a kind is drawn."""
    return KINDS.get(kind, Kind())
