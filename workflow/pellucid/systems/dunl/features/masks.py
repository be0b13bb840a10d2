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
    times, values, left = tracks(recording, settings.source, cut, "inside")
    above = np.nan_to_num(values, nan=-np.inf) > settings.threshold
    share = np.concatenate([_share(times, *track, cut.bin_s) for track in zip(above, left)])
    return np.asarray(share >= settings.share - 1e-9)


def tracks(recording: xr.DataTree, source: str, cut: Cut, setting: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a behaviour beside the bins of the trials, on one clock.

    setting  which names the behaviour, for the message
    times    (sample,) s
    values   (track, sample): one track of a continuous recording, or one per trial of trials cut already
    left     (track, trial, time) left edges of the bins of each track's own trials, s
    Raises MissingError, or DataError for other axes.
    """
    group, found = schema.variable(recording, source)
    values = np.asarray(variables.numbers(found, source), float)
    if cut.windows is not None and found.dims == ("time",):
        return schema.sample_times(group), values[None], (cut.time + cut.zero_s[:, None])[None]
    if cut.windows is None and found.dims == ("trial", "time") and len(found) == cut.rows:
        rate, start = variables.clock(group, source)
        times = start + np.arange(found.shape[1]) / rate
        return times, values[cut.source], np.broadcast_to(cut.time, (len(cut.source), 1, len(cut.time)))
    raise DataError(
        f"{setting}, {source}",
        expected="axes (time) for a continuous recording, (trial, time) for trials cut already",
        found=f"{found.dims} of {found.shape}",
        remedy="Name another variable.",
    )


def _share(times: np.ndarray, above: np.ndarray, left: np.ndarray, bin_s: float) -> np.ndarray:
    """Return the share of each bin that is above, in the shape of `left`: the integral over the bin by its width.

    times  (sample,) s; above: (sample,) bool; left: left edges of bins, s
    """
    period = float(np.median(np.diff(times))) if len(times) > 1 else bin_s
    edges = np.append(times, times[-1] + period)
    inside_s = np.concatenate([[0.0], np.cumsum(above * np.diff(edges))])
    return np.asarray((np.interp(left + bin_s, edges, inside_s) - np.interp(left, edges, inside_s)) / bin_s)
