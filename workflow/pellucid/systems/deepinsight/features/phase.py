"""Amplitude and phase of an oscillation as two real channels each, so that a decoder sees both."""

import numpy as np
import xarray as xr

from pellucid.errors import DataError


def components(amplitude: xr.DataArray, phase: xr.DataArray, source: str) -> xr.DataArray:
    """Return a cos(phi) of every channel and then a sin(phi), (time, 2 channels) float32, named ID_cos and ID_sin.

    amplitude  (time, channel) in any unit
    phase      (time, channel) rad
    source     what the phase is called in messages
    Raises DataError if the shapes differ or the phase is not in radians.
    """
    if phase.shape != amplitude.shape or amplitude.ndim != 2:
        raise DataError(
            source,
            expected=f"phases of the shape of the signal, {amplitude.shape}, with axes (time, channel)",
            found=str(phase.shape),
            remedy="Name the phases of this signal.",
        )
    a, phi = np.asarray(amplitude.values, float), np.asarray(phase.values, float)
    if np.nanmax(np.abs(phi), initial=0) > 2 * np.pi + 1e-6:
        largest = f"numbers up to {np.nanmax(np.abs(phi)):g}"
        raise DataError(source, expected="radians", found=largest, remedy="Convert the phase to radians.")
    ids = amplitude.coords["channel"].values if "channel" in amplitude.coords else range(amplitude.shape[1])
    names = np.array([f"{name}_{part}" for part in ("cos", "sin") for name in ids], object)
    values = np.concatenate([a * np.cos(phi), a * np.sin(phi)], axis=1).astype(np.float32)
    return xr.DataArray(values, {"channel": names}, ("time", "channel"), attrs=amplitude.attrs)
