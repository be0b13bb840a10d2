"""Missing samples of the signal: which they are, and which rows of power are left out because of them."""

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.preprocess.gaps import Filled, Read
from pellucid.systems.deepinsight.features.clock import Clock
from pellucid.systems.deepinsight.features.settings import Missing, Settings


def filled(group: xr.Dataset, signal: xr.DataArray, read: Read, rows: Clock, settings: Settings) -> Filled:
    """Return the signal with NaN, clipped and masked samples interpolated; it is read once from end to end.

    group   the clock of the signal
    read    read(start, stop) gives its samples as they are stored, (time, ..., channel)
    Raises DataError if a masked stretch lies outside the recording, or a channel has no sample left.
    """
    missing = settings.missing or Missing()
    _check_mask(missing, rows)

    def lost(start: int, part: np.ndarray) -> np.ndarray:
        gone = np.array(~np.isfinite(part))
        if missing.rail is not None:
            low, high = missing.rail
            gone |= (part <= low) | (part >= high)
        if missing.mask_s:
            times = schema.sample_times(group, start, start + len(part))
            gone[np.any([(times >= a) & (times < b) for a, b in missing.mask_s], axis=0)] = True
        return gone

    found = Filled(read, lost, rows.borders, len(signal), store.layout(signal)[0][0])
    if not found.known.all():
        raise DataError(
            f"{settings.signal}, {int((~found.known).sum())} of {len(found.known)} columns",
            expected="at least one sample that is neither NaN, nor clipped, nor masked",
            found=f"none, the first in column {int(np.argmin(found.known))}",
            remedy="Correct `missing.rail` or `missing.mask_s`, or name the channel in `bad_channels`.",
        )
    return found


def intact(share: np.ndarray, rows: Clock, settings: Missing) -> np.ndarray:
    """Return the rows whose power may be used, shape (row,) bool.

    share  (row,) share of missing samples in the block of each row
    A row is left out if its share is above `most_share`, or if its power depends on a row with masked samples.
    """
    masked = np.zeros(len(rows), bool)
    for start, stop in settings.mask_s:
        masked |= (rows.starts < stop) & (rows.stops > start)
    before, after = rows.seen
    counted = np.concatenate([[0], np.cumsum(masked)])
    row = np.arange(len(rows))
    first, last = np.maximum(row - before, 0), np.minimum(row + after + 1, len(rows))
    return np.asarray((share <= settings.most_share) & (counted[last] == counted[first]))


def _check_mask(missing: Missing, rows: Clock) -> None:
    first = float(rows.starts[0])
    for start, stop in missing.mask_s:
        if stop <= first or start >= rows.stop_s:
            raise DataError(
                "missing.mask_s",
                expected=f"stretches of the recording, which lasts from {first:g} to {rows.stop_s:g} s",
                found=f"{start:g} to {stop:g} s",
                remedy="Correct it; times are those of the recording's clock.",
            )
