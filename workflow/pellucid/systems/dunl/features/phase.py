"""The phase of a circular behaviour (whisking, theta, breathing) at the centre of each bin."""

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess.behaviour import wrap
from pellucid.systems.dunl.features import masks
from pellucid.systems.dunl.features.settings import Phase
from pellucid.systems.dunl.features.trials import Cut

ON_SAMPLE = 1e-6
"""Share of a sample interval within which a moment counts as the sample itself, whatever lies beside it."""
GAP = 1.5
"""Times the usual interval between samples from which on the behaviour counts as not tracked."""
RADIANS, TURN = 2 * np.pi, 360.0


def at_bins(recording: xr.DataTree, settings: Phase, cut: Cut) -> np.ndarray:
    """Return the phase at the centre of each bin, shape (trial, time), rad in (-pi, pi], NaN where not tracked.

    Raises MissingError, or DataError for other axes, for degrees with the period of radians, or if nothing is tracked.
    """
    where = f"phase, {settings.source}"
    units = str(schema.variable(recording, settings.source)[1].attrs.get("units", "1"))
    if units.startswith("deg") and np.isclose(settings.period, RADIANS):
        raise DataError(
            where,
            expected="a period in the unit of the variable",
            found=f"{settings.period:g} for {units}",
            remedy=f"Set `period: {TURN:g}`.",
        )
    times, values, left = masks.tracks(recording, settings.source, cut, "phase")
    turned = values * (RADIANS / settings.period)
    phase = np.concatenate([between(times, *track) for track in zip(turned, left + cut.bin_s / 2)])
    if not np.isfinite(phase).any():
        raise DataError(
            where,
            expected="a phase in some bin of some trial",
            found=f"none in {len(phase)} trials",
            remedy="Correct the clock of the behaviour, or name another variable.",
        )
    return phase


def between(times: np.ndarray, phase: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate a phase along the shorter arc between two samples; the result has the shape of `at`, in (-pi, pi].

    times  (sample,) s, increasing; phase: (sample,) rad, wrapped or not, NaN where not tracked; at: moments, s
    NaN outside the samples, beside a missing one, and in gaps between samples.
    """
    last = len(times) - 1
    if last < 1:
        return np.full(at.shape, np.nan)
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, last - 1)
    steps = np.diff(times)
    part = (at - times[before]) / steps[before]
    arc = wrap(phase[before + 1] - phase[before])
    found = np.where(steps[before] < GAP * np.median(steps), phase[before] + part * arc, np.nan)
    found = np.where(np.abs(part) < ON_SAMPLE, phase[before], found)
    found = np.where(np.abs(part - 1) < ON_SAMPLE, phase[before + 1], found)
    return wrap(np.where((part > -ON_SAMPLE) & (part < 1 + ON_SAMPLE), found, np.nan))
