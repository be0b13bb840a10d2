"""Bins that lie inside a behaviour; all others count as missing."""

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.dunl.features import variables
from pellucid.systems.dunl.features.settings import Inside
from pellucid.systems.dunl.features.trials import Cut


def inside(recording: xr.DataTree, settings: Inside, cut: Cut) -> np.ndarray:
    """Return which bins lie inside, shape (trial, time).

    A bin counts if at least `share` of it has a behaviour above the threshold. Each sample of the behaviour holds until
    the next one; where there are no samples, or NaN, nothing is inside.
    """
    group, found = variables.variable(recording, settings.source)
    values = np.asarray(variables.numbers(found, settings.source), float)
    above = np.nan_to_num(values, nan=-np.inf) > settings.threshold
    left = cut.time[None] + np.zeros((len(cut.source), 1))
    if cut.windows is not None and found.dims == ("time",):
        times = schema.sample_times(group)
        left = left + cut.zero_s[:, None]
        share = _share(times, above, left, cut.bin_s)
    elif cut.windows is None and found.dims == ("trial", "time"):
        rate, start = variables.clock(group, settings.source)
        times = start + np.arange(found.shape[1]) / rate
        share = np.stack([_share(times, above[row], left[:1], cut.bin_s)[0] for row in cut.source])
    else:
        raise DataError(
            f"inside, {settings.source}",
            expected="axes (time) for a continuous recording, (trial, time) for trials cut already",
            found=str(found.dims),
            remedy="Name another variable.",
        )
    return np.asarray(share >= settings.share - 1e-9)


def _share(times: np.ndarray, above: np.ndarray, left: np.ndarray, bin_s: float) -> np.ndarray:
    """Return the share of each bin that is above, in the shape of `left`: the integral over the bin by its width.

    times  (sample,) s; above: (sample,) bool; left: left edges of bins, s
    """
    period = float(np.median(np.diff(times))) if len(times) > 1 else bin_s
    edges = np.append(times, times[-1] + period)
    inside_s = np.concatenate([[0.0], np.cumsum(above * np.diff(edges))])
    return np.asarray((np.interp(left + bin_s, edges, inside_s) - np.interp(left, edges, inside_s)) / bin_s)
