"""When and where the units of a class spike: rows of the test stretches, and channels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.systems.deepinsight.model.windows import Stretch


@dataclass(frozen=True)
class Units:
    """Units of one dataset. Recordings share their classes; each has units of its own.

    spikes    recording -> (time, neuron) counts
    channels  recording -> (neuron, channel) channels on which a unit is seen
    classes   recording -> (neuron,) names; "" unknown
    """

    spikes: dict[str, xr.DataArray]
    channels: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]

    @property
    def known(self) -> list[str]:
        """Names of the classes, in alphabetical order."""
        return sorted({str(name) for names in self.classes.values() for name in names} - {""})


def units(features: Features, asked: str) -> Units:
    """Return the classified units of a dataset.

    asked  the setting that needs them, for the error
    Raises DataError if a recording has no spikes, or no classes of its units.
    """
    groups = {name: features.group(name) for name in features.stores}
    for name, group in groups.items():
        missing = sorted({"spikes", "unit_class", "unit_channels"} - set(group.variables))
        if missing:
            raise DataError(
                asked,
                expected=f"spikes of classified units in the features of {name}",
                found=f"no {', '.join(missing)}",
                remedy="Set `preprocess.spikes: /spikes`, with `unit_class` in the recording, or remove the setting.",
            )
    return Units(
        {name: group["spikes"] for name, group in groups.items()},
        {
            name: group["unit_channels"].transpose("neuron", "channel").values.astype(bool)
            for name, group in groups.items()
        },
        {name: np.array([str(one) for one in group["unit_class"].values], object) for name, group in groups.items()},
    )


def at_spikes(found: Sequence[Stretch], known: Units, name: str, average_rows: int, neighbours: int) -> np.ndarray:
    """Return where power holds spikes of a class, (row of all stretches, channel) bool.

    average_rows  rows of the features in each row of a stretch, which end at `Stretch.rows`
    neighbours    rows of the features before and after each spike's row that count as well
    """
    active = {}
    for recording, spikes in known.spikes.items():
        members = np.flatnonzero(known.classes[recording] == name)
        counts = (spikes[:, members].values > 0).astype(np.int32)
        active[recording] = counts @ known.channels[recording][members].astype(np.int32) > 0
    return np.concatenate(
        [_within(active[s.recording], s.rows - average_rows + 1 - neighbours, s.rows + 1 + neighbours) for s in found]
    )


def counts(found: Sequence[Stretch], known: Units, recording: str, average_rows: int) -> np.ndarray:
    """Return which units of one recording spike in each row of its stretches, (row, neuron) bool."""
    active = known.spikes[recording].values > 0
    return np.concatenate(
        [_within(active, s.rows - average_rows + 1, s.rows + 1) for s in found if s.recording == recording]
    )


def _within(active: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return whether any row in [start, stop) is active, (row, ...); active is (time, ...)."""
    before = np.cumsum(np.pad(active, ((1, 0), (0, 0))), axis=0, dtype=np.int64)
    return np.asarray(before[np.minimum(stop, len(active))] > before[np.maximum(start, 0)])
