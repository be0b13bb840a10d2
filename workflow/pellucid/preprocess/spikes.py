"""Spikes to counts: rasters summed over bins, and spike times counted in bins; every spike is counted exactly once.

Bins are closed on the left: a spike at the border of two bins belongs to the later one.
"""

import numpy as np

from pellucid.errors import DataError

EDGE = 1e-6
"""A time within this share of a bin before a border counts as at it: 0.075 s is a border of 25 ms in any rounding."""


def bin_raster(raster: np.ndarray, factor: int, where: str = "raster") -> np.ndarray:
    """Sum over non-overlapping bins, shape (trial, time, neuron) -> (trial, time // factor, neuron).

    raster  spikes per sample; whole numbers from 0, or NaN where a trial is shorter
    factor  samples per bin; a rest at the end that fills no bin is dropped
    where   the array, for messages
    Returns int64, or float64 if the raster is of floats: a bin with a NaN is NaN. Raises DataError for other numbers.
    """
    _check_counts(raster, where)
    bins = raster.shape[1] // factor
    whole = raster[:, : bins * factor].reshape(len(raster), bins, factor, *raster.shape[2:])
    return np.asarray(whole.sum(axis=2, dtype=np.float64 if raster.dtype.kind == "f" else np.int64))


def bin_times(
    times: np.ndarray,
    units: np.ndarray,
    starts: np.ndarray,
    *,
    neurons: int,
    bins: int,
    bin_s: float,
    where: str = "spike times",
) -> np.ndarray:
    """Count spikes in the bins of trials that may overlap, shape (trial, time, neuron), int64.

    times    (spike,) s, in any order
    units    (spike,) index of the neuron, 0 to neurons - 1
    starts   (trial,) left edge of each trial's first bin, s, on the clock of the spikes
    neurons  number of neurons; bins: bins per trial; bin_s: width of a bin, s
    where    the array, for messages
    Bin b of a trial counts the spikes in [start + b bin_s, start + (b + 1) bin_s). Raises DataError for NaN or inf.
    """
    _check_finite(times, where)
    order = np.argsort(times, kind="stable")
    ordered = np.asarray(times, float)[order]
    first = np.searchsorted(ordered, starts - bin_s)
    counts = np.searchsorted(ordered, starts + (bins + 1) * bin_s) - first
    trial = np.repeat(np.arange(len(starts)), counts)
    spike = np.arange(len(trial)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    index = np.floor((ordered[spike] - starts[trial]) / bin_s + EDGE).astype(np.int64)
    inside = (index >= 0) & (index < bins)
    place = ((trial * bins + index) * neurons + np.asarray(units)[order][spike])[inside]
    shape = (len(starts), bins, neurons)
    return np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)


def bin_rows(
    times: np.ndarray,
    units: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    *,
    neurons: int,
    where: str = "spike times",
) -> np.ndarray:
    """Count spikes in rows of any length, shape (row, neuron), int64; spikes between rows are in none.

    times    (spike,) s, in any order
    units    (spike,) index of the neuron, 0 to neurons - 1
    starts   (row,) s, increasing
    stops    (row,) s, each at most the next row's start; a row counts the spikes in [start, stop)
    neurons  number of neurons
    where    the array, for messages
    Raises DataError for NaN or inf.
    """
    _check_finite(times, where)
    rounding = EDGE * float(np.min(stops - starts))
    row = np.searchsorted(starts - rounding, times, side="right") - 1
    inside = (row >= 0) & (times < stops[row] - rounding)
    place = (row * neurons + units)[inside]
    return np.bincount(place, minlength=len(starts) * neurons).reshape(len(starts), neurons)


def _check_finite(times: np.ndarray, where: str) -> None:
    if not np.isfinite(times).all():
        raise DataError(
            where,
            expected="finite times in s",
            found=f"{int((~np.isfinite(times)).sum())} that are not",
            remedy="Remove these spikes.",
        )


def _check_counts(raster: np.ndarray, where: str) -> None:
    """Raise DataError for anything but whole numbers from 0; NaN passes."""
    if raster.dtype.kind not in "biuf":
        raise DataError(
            where, expected="counts", found=f"type {raster.dtype}", remedy="Name a raster, or set `kind: values`."
        )
    if raster.dtype.kind in "bu" or not raster.size:
        return
    wrong = raster < 0
    if raster.dtype.kind == "f":
        wrong |= (raster != np.floor(raster)) & ~np.isnan(raster) | np.isinf(raster)
    if wrong.any():
        raise DataError(
            where,
            expected="counts: whole numbers from 0",
            found=str(raster[wrong].ravel()[0]),
            remedy="Name a raster of spikes, or set `kind: values`.",
        )
