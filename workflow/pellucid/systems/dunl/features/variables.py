"""Variables of a recording by their path: numbers in their units, times in s, labels as text, and regular clocks."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.dunl.features.settings import Equals, text


def numbers(found: xr.DataArray, where: str) -> np.ndarray:
    """Return numbers in their units: integers as they are, unless the reader noted a scale; then float64."""
    values = found.values
    if values.dtype.kind not in "biuf":
        raise DataError(where, expected="numbers", found=f"type {values.dtype}", remedy="Name another variable.")
    scale = float(found.attrs.get("scale", 1.0))
    return values if scale == 1.0 else values * scale


def seconds(recording: xr.DataTree, path: str) -> np.ndarray:
    """Return times in s, NaN where absent, in the shape of the variable. Raises DataError for other units."""
    found = schema.variable(recording, path)[1]
    units = str(found.attrs.get("units", "1"))
    if units not in ("s", "1"):
        raise DataError(
            path,
            expected="times in s",
            found=f"times in {units!r}",
            remedy="Let the reader turn them into s, by `divisor` or `scale` and `units`.",
        )
    return np.asarray(numbers(found, path), float)


def labels(values: np.ndarray) -> np.ndarray:
    """Return labels as text, in the shape of the values: 3 and 3.0 are "3", a missing number is "nan"."""
    given = values.astype(int) if values.dtype.kind == "b" else values
    return np.array([text(value) for value in given.ravel().tolist()], object).reshape(given.shape)


def matches(recording: xr.DataTree, wanted: Equals) -> tuple[xr.DataArray, np.ndarray]:
    """Return a variable, and where it has one of the values wanted."""
    found = schema.variable(recording, wanted.source)[1]
    return found, np.isin(labels(found.values).astype(str), wanted.equals)


def clock(group: xr.Dataset, where: str) -> tuple[float, float]:
    """Return rate (Hz) and first sample (s) of a regular clock.

    A coordinate of times counts as regular if no sample is half a sample from an even grid. Raises DataError else.
    """
    if "time" not in group.coords:
        return float(group.attrs["rate_hz"]), float(group.attrs["start_s"])
    time = group.coords["time"].values
    step = float(time[-1] - time[0]) / max(len(time) - 1, 1)
    off = np.abs(time - time[0] - step * np.arange(len(time))).max()
    if len(time) < 2 or off >= step / 2:
        raise DataError(
            f"{where}, time",
            expected="an even clock of two samples or more",
            found=f"{len(time)} samples, up to {off:g} s from even steps of {step:g} s",
            remedy="Resample the signal, or give its rate to the reader.",
        )
    return 1 / step, float(time[0])


def samples_per_bin(rate_hz: float, bin_ms: float | None, where: str) -> int:
    """Return how many samples make a bin. Raises DataError if they are not a whole number."""
    if bin_ms is None:
        return 1
    exact = bin_ms * 1e-3 * rate_hz
    count = round(exact)
    if count < 1 or abs(exact - count) > 1e-6 * exact:
        raise DataError(
            f"{where}, bin_ms",
            expected=f"a multiple of the sample of {1e3 / rate_hz:g} ms",
            found=f"{bin_ms:g} ms",
            remedy="Choose a multiple, or null to keep every sample of `kind: values`.",
        )
    return count


def ids(group: xr.Dataset, axis: str, size: int) -> np.ndarray:
    """Return the names along an axis as text, shape (neuron,): those of the recording, else its numbers from 0."""
    return labels(group.coords[axis].values if axis in group.coords else np.arange(size))


def chosen(recording: xr.DataTree, wanted: Equals | None, names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return the indices of the neurons to keep, shape (neuron,). Raises DataError if none is left."""
    if wanted is None:
        return np.arange(len(names))
    found, wanted_here = matches(recording, wanted)
    if found.shape != (len(names),):
        raise DataError(
            f"neurons, {wanted.source}",
            expected=f"one value for each of {len(names)} neurons",
            found=f"shape {found.shape}",
            remedy="Name a variable with the axis of the neurons alone.",
        )
    if not wanted_here.any():
        raise DataError(
            f"neurons, {wanted.source}",
            expected=f"values among {', '.join(wanted.equals)}",
            found=", ".join(sorted(set(labels(found.values)))[:12]),
            remedy="Correct `neurons.equals`.",
        )
    return np.flatnonzero(wanted_here)
