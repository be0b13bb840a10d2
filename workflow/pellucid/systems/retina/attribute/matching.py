"""Units of a network whose activity follows a recorded potential: chosen on one half, scored on the other, with nulls.

Maheswaranathan et al. 2023, reference code: Pearson correlations with every unit, largest signed one, dead units at 0.
There the largest of many correlations is its own score, which is biased; here the second half scores it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Part = Literal["all", "first", "second"]

DEAD_LOG_MEAN, DEAD_LOG_SD = -15.0, -12.0
"""Natural logarithms of mean |a| and s.d. below which a unit is dead and its correlation 0 (reference code)."""

BLOCK = 512
"""Shifted potentials correlated at once."""


@dataclass(frozen=True)
class Match:
    """The unit that follows each potential best.

    unit    (neuron,) number of the unit with the largest signed correlation over the first half
    first   (neuron,) that correlation
    second  (neuron,) correlation of this unit over the second half
    """

    unit: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Units:
    """Activity of units, dead ones at 0, and its s.d. over all rows and over either half."""

    def __init__(self, activity: np.ndarray, gap: int) -> None:
        """activity: (row, unit) float32, changed in place; gap: rows left out between the halves."""
        self.count = len(activity)
        half = self.count // 2
        self.parts: dict[Part, slice] = {
            "all": slice(None),
            "first": slice(0, half),
            "second": slice(min(half + gap, self.count - 2), None),
        }
        self.values = activity
        mean = activity.mean(0, dtype=np.float64)
        self.dead = _dead(activity)
        activity -= mean.astype(np.float32)
        activity[:, self.dead] = 0
        self.sd = {name: activity[rows].std(0, dtype=np.float64) for name, rows in self.parts.items()}

    def correlation(self, potential: np.ndarray, part: Part = "all") -> np.ndarray:
        """Return Pearson's correlation of every potential with every unit, (neuron, unit), by one matrix product.

        potential  (row, neuron), any unit; NaN where it is constant, 0 for dead and constant units
        """
        rows = self.parts[part]
        z = standardised(potential[rows])
        return self._scaled(z, z.T @ self.values[rows], self.sd[part])

    def paired(self, potential: np.ndarray, unit: np.ndarray, part: Part) -> np.ndarray:
        """Return the correlation of each potential (row, neuron) with its own unit, (neuron,)."""
        rows = self.parts[part]
        z = standardised(potential[rows])
        return self._scaled(z, np.einsum("tn,tn->n", z, self.values[rows][:, unit]), self.sd[part][unit])

    @staticmethod
    def _scaled(z: np.ndarray, product: np.ndarray, sd: np.ndarray) -> np.ndarray:
        made = np.zeros(product.shape)
        np.divide(product, sd * len(z), out=made, where=sd > 0)
        made[np.isnan(z).any(0)] = np.nan
        return made

    def match(self, potential: np.ndarray) -> Match:
        """Return the unit that follows each potential, (row, neuron), best on the first half, scored on the second."""
        found = self.correlation(potential, "first")
        unit = np.nan_to_num(found, nan=-np.inf).argmax(1)
        return Match(unit, found[np.arange(len(unit)), unit], self.paired(potential, unit, "second"))

    def shifted(self, potential: np.ndarray, draws: int, least: int, generator: np.random.Generator) -> np.ndarray:
        """Return scores of potentials shifted in a circle, (neuron, draw), with units chosen by the same rule.

        least  rows: shortest shift in either direction
        """
        least = min(least, self.count // 3)
        shifts = generator.integers(least, self.count - least + 1, draws)
        neurons = potential.shape[1]
        size = max(1, BLOCK // neurons)
        parts = []
        for start in range(0, draws, size):
            rolled = [np.roll(potential, shift, axis=0) for shift in shifts[start : start + size]]
            parts.append(self.match(np.concatenate(rolled, axis=1)).second.reshape(-1, neurons))
        return np.concatenate(parts).T


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values (row, neuron) with mean 0 and s.d. 1 as float32; NaN where they are constant."""
    centred = values - values.mean(0, dtype=np.float64)
    spread = centred.std(0)
    made = np.full(centred.shape, np.nan)
    np.divide(centred, spread, out=made, where=spread > 0)
    return made.astype(np.float32)


def _dead(activity: np.ndarray) -> np.ndarray:
    """Return which units hardly ever differ from 0 or hardly vary, (unit,) bool."""
    size = np.abs(activity).mean(0, dtype=np.float64)
    spread = activity.std(0, dtype=np.float64)
    return np.asarray((size < np.exp(DEAD_LOG_MEAN)) | (spread < np.exp(DEAD_LOG_SD)))
