"""What a probe stimulus is, and what is measured on responses to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pellucid.systems.retina.attribute.phenomena.settings import PIXEL_UM


@dataclass(frozen=True)
class Scale:
    """Clock and units of a model that probes are shown to.

    history   frames in a window
    lag       bins from the newest frame of a window to its response
    rate_hz   frames and bins per second
    pixel_um  side of a pixel on the retina
    units     of rates: "Hz", or "count" (spikes per bin)
    """

    history: int
    lag: int
    rate_hz: float
    pixel_um: float = PIXEL_UM
    units: Literal["Hz", "count"] = "Hz"

    def frames(self, rows: int) -> int:
        """Return the number of frames that give some number of rows."""
        return rows + self.history - 1

    def newest(self, row: int) -> int:
        """Return the newest frame that a row sees."""
        return row + self.history - 1

    def time_s(self, rows: int, event: int) -> np.ndarray:
        """Return the time of each row's response after the frame that is the newest of row `event`, (row,), s."""
        return (np.arange(rows) - event + self.lag) / self.rate_hz


@dataclass(frozen=True)
class Conditions:
    """The conditions of one probe stimulus, all with the same number of rows.

    values   (trial,) what differs between conditions: period, contrast, position ...
    unit     of values
    labels   name of every condition
    frames   per condition (time,) full field | (time, width) uniform along the height | (time, height, width), float32,
             standardised contrast; row i of a response sees frames i ... i + history - 1 and comes `lag` bins later
    time_s   (row,) time of the response after the event of interest
    shown    (trial, row) for display: contrast, or position of the bar in px, of the newest frame; NaN: no bar
    window   rows in which contributions are ranked
    control  places of conditions that are only compared with; contributions to them are of no interest
    """

    values: np.ndarray
    unit: str
    labels: tuple[str, ...]
    frames: Sequence[np.ndarray]
    time_s: np.ndarray
    shown: np.ndarray
    window: slice
    control: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Return the number of rows of every condition."""
        return len(self.time_s)

    @property
    def tested(self) -> tuple[int, ...]:
        """Return the places of the conditions that are no controls."""
        return tuple(k for k in range(len(self.values)) if k not in self.control)


@dataclass(frozen=True)
class Measure:
    """One number per cell; NaN where it is undefined, as in a silent cell.

    value    (neuron,)
    of_mean  the same of the rate averaged over cells
    at       value of the condition that it was measured in; NaN: over all conditions
    """

    name: str
    unit: str
    value: np.ndarray
    of_mean: float = np.nan
    at: float = np.nan
