"""The inputs that are changed: each band over all channels, each channel over all bands, and named groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pellucid.attribution.shuffling import permutation
from pellucid.errors import DataError
from pellucid.systems.deepinsight.attribute.settings import Group
from pellucid.systems.deepinsight.model.scan import Variant

MEDIAN = -1
"""The source of a value that is replaced by the median of its training rows, 0 after scaling."""


@dataclass(frozen=True)
class Input:
    """A set of bands of a set of channels, shuffled jointly.

    bands     band numbers
    channels  channel numbers; none: all
    """

    name: str
    bands: Sequence[int]
    channels: Sequence[int] | None

    def source(self, rows: int, generator: np.random.Generator, block_rows: int | None) -> np.ndarray:
        """Return the row each row's values are taken from, (row,), or (row, changed channel), or MEDIAN."""
        return permutation(rows, generator, block_rows=block_rows)

    def variant(self, power: Tensor, pool: Tensor, source: np.ndarray) -> Variant:
        """Return the changed input of one stretch.

        power   (time, frequency, channel) as it is
        pool    (row, frequency, channel) all rows that values are taken from
        source  (time,) or (time, changed channel) rows of the pool
        """
        low, high = min(self.bands), max(self.bands) + 1
        chosen = slice(None) if self.channels is None else list(self.channels)
        values = _taken(pool[:, low:high], chosen, source)
        if len(self.bands) < high - low:
            kept = sorted(set(range(high - low)) - {band - low for band in self.bands})
            values[:, kept] = power[:, [low + band for band in kept]][:, :, chosen]
        return Variant((low, high), self.channels, values)

    def applied(self, power: Tensor, pool: Tensor, source: np.ndarray) -> Tensor:
        """Return the whole changed power of one stretch, (time, frequency, channel); arguments as in `variant`."""
        changed, variant = power.clone(), self.variant(power, pool, source)
        chosen = slice(None) if self.channels is None else list(self.channels)
        changed[:, slice(*variant.bands), chosen] = variant.power
        return changed


def _taken(pool: Tensor, chosen: slice | list[int], source: np.ndarray) -> Tensor:
    """Return pool[source] of the chosen channels, (time, band, channel)."""
    if source.ndim == 1:
        return pool[torch.from_numpy(source)][:, :, chosen]
    index = torch.from_numpy(source)[:, None, :].expand(-1, pool.shape[1], -1)
    return torch.where(index == MEDIAN, 0.0, pool[:, :, chosen].gather(0, index.clamp(min=0)))


def bands(features: xr.Dataset) -> list[Input]:
    """Return one input per band, over all channels."""
    return [Input(f"{hz:.4g} Hz", [index], None) for index, hz in enumerate(features.coords["frequency"].values)]


def channels(features: xr.Dataset) -> list[Input]:
    """Return one input per channel, over all bands."""
    every = list(range(features.sizes["frequency"]))
    return [Input(str(name), every, [index]) for index, name in enumerate(features.coords["channel"].values)]


def nearest(bands_hz: Sequence[float] | None, features: xr.Dataset) -> list[int]:
    """Return the numbers of the bands nearest to some frequencies, in order; none: all."""
    grid = features.coords["frequency"].values
    return sorted(range(len(grid)) if bands_hz is None else {int(np.argmin(np.abs(grid - hz))) for hz in bands_hz})


def group(name: str, settings: Group, features: xr.Dataset) -> Input:
    """Return a named group. Raises DataError for a channel that does not exist."""
    known = [str(channel) for channel in features.coords["channel"].values]
    unknown = sorted(set(settings.channels or ()) - set(known))
    if unknown:
        raise DataError(
            f"attribute.groups.{name}.channels",
            expected=f"channels among {', '.join(known)}",
            found=", ".join(unknown),
            remedy="Correct the group.",
        )
    members = None if settings.channels is None else [known.index(channel) for channel in settings.channels]
    return Input(name, nearest(settings.bands_hz, features), members)
