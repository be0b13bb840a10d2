"""Time stamps of many samples, read in blocks: is the clock a regular one, and which?"""

import math
from typing import TYPE_CHECKING

from pellucid.errors import DataError
from pellucid.readers.layout import Array

if TYPE_CHECKING:
    import numpy as np

_ROWS = 1 << 20


def regular(stamps: Array, rate_hz: float | None, label: str) -> tuple[float, float]:
    """Return the rate in Hz and the start in s of a clock, every stamp of which is right to half a sample.

    stamps   (time,) s, numpy or anything with shape and slicing
    rate_hz  the rate that is expected; none: that between the first and the last stamp, a whole one if it fits as well
    label    what messages call it
    Raises DataError for NaN, fewer than two stamps, steps back, gaps, and a clock of another rate.
    """
    import numpy as np

    count = int(stamps.shape[0])
    first, last = _ends(stamps, count)
    if count < 2 or not np.isfinite([first, last]).all() or not last > first:
        found = f"{count} from {first:g} s to {last:g} s"
        raise DataError(label, expected="time stamps that increase", found=found, remedy="Correct the file.")
    measured = (count - 1) / (last - first)
    candidates = [rate_hz] if rate_hz is not None else [float(round(measured)), measured]
    fits = [rate for rate in candidates if rate > 0]
    for start in range(0, count, _ROWS):
        block = np.asarray(stamps[start : start + _ROWS], np.float64)
        off = [_first_off(block, start, first, rate) for rate in fits]
        kept = [rate for rate, at in zip(fits, off, strict=True) if at is None]
        if not kept:
            at = off[-1] or 0
            _refuse(block, at, start, (first, fits[-1]), label)
        fits = kept
    return fits[0], first


def _ends(stamps: Array, count: int) -> tuple[float, float]:
    """Return the first and the last stamp, NaN where there is none."""
    return (float(stamps[0:1][0]), float(stamps[count - 1 : count][0])) if count else (math.nan, math.nan)


def _first_off(block: "np.ndarray", start: int, first: float, rate: float) -> int | None:
    """Return which stamp of a block is first off a regular clock by more than half a sample, if one is."""
    import numpy as np

    samples = (block - first) * rate - (start + np.arange(len(block)))
    off = ~(np.abs(samples) <= 0.5)
    return int(np.argmax(off)) if off.any() else None


def _refuse(block: "np.ndarray", at: int, start: int, clock: tuple[float, float], label: str) -> None:
    first, rate = clock
    raise DataError(
        f"{label}, sample {start + at}",
        expected=f"{first + (start + at) / rate:.6f} s, the regular clock of {rate:g} Hz to half a sample",
        found=f"{block[at]:.6f} s",
        remedy="Split the recording where its clock has a gap, or correct the rate.",
    )
