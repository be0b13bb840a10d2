"""Channels of the first layer: ON or OFF by colour, fast or slow by the style of lines, in the order of strength."""

from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.plotting.legends import line
from pellucid.systems.retina.figures import shown

LOOKS: dict[str, tuple[str, str]] = {
    "OFF fast": ("#0072B2", "-"),
    "OFF slow": ("#56B4E9", "--"),
    "ON fast": ("#D55E00", "-"),
    "ON slow": ("#E69F00", "--"),
}
"""Colour and line of each label."""

UNKNOWN = (style.GREY, ":")


@dataclass(frozen=True)
class Channels:
    """The channels of every seed of the attributed model, first fold.

    labels    (seed, feature) "ON fast" ...
    peak_ms   (seed, feature) from the response back to the peak of the kernel in time
    strength  (seed, feature)
    """

    labels: list[list[str]]
    peak_ms: np.ndarray
    strength: np.ndarray

    def order(self, seed: int = 0) -> list[int]:
        """Return the channels of a seed, the strongest first."""
        return [int(c) for c in np.argsort(-np.nan_to_num(self.strength[seed], nan=-1.0), kind="stable")]


def load(results: Results) -> Channels | None:
    """Return the channels of the attributed model, None where they are not known."""
    if not shown.has(results, "channels", "polarity", "fast"):
        return None
    found = shown.group(results, "channels")
    polarity, fast = (found[name].isel(fold=0).values for name in ("polarity", "fast"))
    labels = [[label(*both) for both in zip(*own)] for own in zip(polarity, fast)]
    others = [
        found[name].isel(fold=0).values.astype(float) if name in found else np.full(polarity.shape, np.nan)
        for name in ("peak_ms", "strength")
    ]
    return Channels(labels, others[0], others[1])


def label(polarity: float, fast: float) -> str:
    """Return the label of a channel: ON or OFF by the sign of its kernel's peak, fast or slow by the time of it."""
    return f"{'ON' if polarity > 0 else 'OFF'} {'fast' if fast else 'slow'}"


def look(name: str) -> tuple[str, str]:
    """Return the colour and line of a label."""
    return LOOKS.get(name, UNKNOWN)


def legend(names: list[str]) -> dict[str, Artist]:
    """Return the entries of a legend for the labels that occur, in a fixed order."""
    return {name: line(look(name)[0], linestyle=look(name)[1]) for name in LOOKS if name in names}
