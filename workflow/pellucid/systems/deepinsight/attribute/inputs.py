"""The inputs that are shuffled: each band over all channels, each channel over all bands, and named groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from pellucid.errors import DataError
from pellucid.systems.deepinsight.attribute.settings import Group
from pellucid.systems.deepinsight.model.scan import Variant


@dataclass(frozen=True)
class Input:
    """A set of bands of a set of channels, shuffled jointly.

    bands     band numbers
    channels  channel numbers; none: all
    """

    name: str
    bands: Sequence[int]
    channels: Sequence[int] | None

    def variant(self, power: torch.Tensor, shuffled: torch.Tensor) -> Variant:
        """Return the changed input of one stretch.

        power, shuffled  (time, frequency, channel) as it is, and with its rows permuted
        """
        low, high = min(self.bands), max(self.bands) + 1
        chosen = slice(None) if self.channels is None else list(self.channels)
        if len(self.bands) == high - low:
            return Variant((low, high), self.channels, shuffled[:, low:high][:, :, chosen])
        mixed = power[:, low:high][:, :, chosen].clone()
        inside = [band - low for band in self.bands]
        mixed[:, inside] = shuffled[:, list(self.bands)][:, :, chosen]
        return Variant((low, high), self.channels, mixed)


def bands(features: xr.Dataset) -> list[Input]:
    """Return one input per band, over all channels."""
    return [Input(f"{hz:.4g} Hz", [index], None) for index, hz in enumerate(features.coords["frequency"].values)]


def channels(features: xr.Dataset) -> list[Input]:
    """Return one input per channel, over all bands."""
    every = list(range(features.sizes["frequency"]))
    return [Input(str(name), every, [index]) for index, name in enumerate(features.coords["channel"].values)]


def group(name: str, settings: Group, features: xr.Dataset) -> Input:
    """Return a named group. Raises DataError for a channel that does not exist."""
    grid = features.coords["frequency"].values
    chosen = (
        range(len(grid))
        if settings.bands_hz is None
        else {int(np.argmin(np.abs(grid - hz))) for hz in settings.bands_hz}
    )
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
    return Input(name, sorted(chosen), members)
