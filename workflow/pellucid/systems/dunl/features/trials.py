"""From a raster, times of spikes or continuous signals to binned trials of one length."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import events, spikes
from pellucid.systems.dunl.features import signals, variables
from pellucid.systems.dunl.features.settings import Settings


@dataclass(frozen=True)
class Cut:
    """Binned trials, and what later steps need to find events and labels of each.

    signal   (trial, time, neuron) float32, NaN where there is no data
    start_s  left edge of bin 0 on the clock of a trial, s; bin_s: width of a bin, s
    neuron   (neuron,) ids
    source   (trial,) row of the trial, number of the reference event, or of the window in the recording
    windows  the trials on the clock of the recording; None for trials cut already
    axis     axis of the recording that `source` counts, None for consecutive windows; rows: its length
    dropped  why -> number of trials that were left out
    notes    what was fitted to the whole recording, test trials included
    """

    signal: np.ndarray
    start_s: float
    bin_s: float
    neuron: np.ndarray
    source: np.ndarray
    windows: events.Windows | None = None
    axis: str | None = "trial"
    rows: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def time(self) -> np.ndarray:
        """The left edge of each bin on the clock of a trial, shape (time,), s."""
        return self.start_s + np.arange(self.signal.shape[1]) * self.bin_s

    @property
    def zero_s(self) -> np.ndarray:
        """The zero of each trial's clock on the clock of the recording, shape (trial,), s; NaN if that is not known."""
        return np.full(len(self.source), np.nan) if self.windows is None else self.windows.zero_s

    def each(self, found: xr.DataArray, values: np.ndarray, where: str) -> np.ndarray:
        """Return the entry of each trial, shape (trial,), of a variable with one per row of the recording.

        values  what was made of the variable, in its shape. Raises DataError if it has other entries.
        """
        if self.axis is None or found.dims != (self.axis,) or len(found) != self.rows:
            wanted = "no variable of trials with `every_s`" if self.axis is None else f"({self.axis}) of {self.rows}"
            raise DataError(
                where,
                expected=wanted,
                found=f"axes {found.dims} of {found.shape}",
                remedy="Name a variable with one entry per trial, or per event that trials are cut around.",
            )
        return np.asarray(values[self.source])


def cut(recording: xr.DataTree, settings: Settings) -> Cut:
    """Return the trials of a recording, every event and label still to be found.

    Raises MissingError or DataError naming the variable.
    """
    group, found = schema.variable(recording, settings.source)
    kinds = {("trial", "time"): _given, ("time",): _continuous, ("spike",): _spikes}
    make = next((make for axes, make in kinds.items() if found.dims[: len(axes)] == axes), None)
    if make is None:
        raise DataError(
            settings.source,
            expected="axes (trial, time, neuron), (time, neuron|roi|channel) or (spike)",
            found=str(found.dims),
            remedy="Correct `dims` in the reader's options, or name another variable.",
        )
    made = make(recording, settings, group, found)
    if not made.signal.size:
        raise DataError(
            settings.source,
            expected="trials of at least one bin",
            found=f"trials x bins x neurons = {made.signal.shape}, after {dict(made.dropped) or 'no drops'}",
            remedy="Correct `trials`, `bin_ms` or the times that trials are cut around.",
        )
    return made


def _given(recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray) -> Cut:
    if settings.trials.around or settings.trials.every_s or settings.photometry:
        raise DataError(
            settings.source,
            expected="a continuous recording, to be cut or corrected",
            found="trials that are cut already",
            remedy="Remove `around`, `every_s` and `photometry`.",
        )
    rate, start = variables.clock(group, settings.source)
    factor = variables.samples_per_bin(rate, settings.bin_ms, settings.source)
    first, samples = 0, found.sizes["time"]
    if settings.trials.window_s is not None:
        first, last = (round((moment - start) * rate) for moment in settings.trials.window_s)
        if first < 0 or last > samples:
            raise DataError(
                f"{settings.source}, trials.window_s",
                expected=f"a part of {start:g} to {start + samples / rate:g} s",
                found=str(list(settings.trials.window_s)),
                remedy="Correct the window, or the reader's `start_s`.",
            )
        samples = last - first
    block = signals.Block(first, samples // factor, factor)
    neuron, signal = signals.given(recording, settings, group, found, block)
    count = len(found)
    return Cut(
        *(signal, start + first / rate, factor / rate, neuron, np.arange(count)),
        rows=count,
        notes=signals.notes(settings),
    )


def _continuous(recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray) -> Cut:
    rate, start = variables.clock(group, settings.source)
    factor = variables.samples_per_bin(rate, settings.bin_ms, settings.source)
    neuron, values = signals.continuous(recording, settings, group, found)
    observed = (start, start + len(values) / rate)
    if settings.trials.observed_s is not None:
        begin, end = settings.trials.observed_s
        first = max(0, int(np.ceil((begin - start) * rate - spikes.EDGE)))
        observed = (start + first / rate, min(observed[1], end))
    windows, axis, rows = _windows(recording, settings, factor / rate, observed, grid=(start, rate))
    samples = round(windows.length_s * rate)
    pieces = events.cut(values, np.round((windows.start_s - start) * rate).astype(int), samples)
    signal = signals.binned(pieces, factor, settings)
    made = (signal, windows.window_s[0], factor / rate, neuron, windows.source)
    return Cut(*made, windows, axis, rows, windows.dropped, signals.notes(settings))


def _spikes(recording: xr.DataTree, settings: Settings, group: xr.Dataset, found: xr.DataArray) -> Cut:
    if settings.kind != "counts" or settings.bin_ms is None:
        raise DataError(
            settings.source, expected="`kind: counts` for times of spikes", found="values", remedy="Correct `kind`."
        )
    bin_s = settings.bin_ms * 1e-3
    times = variables.seconds(recording, settings.source)
    names, units = _units(group, len(times), settings.source)
    kept = variables.chosen(recording, settings.neurons, names)
    windows, axis, rows = _windows(recording, settings, bin_s, settings.trials.observed_s)
    bins = round(windows.length_s / bin_s)
    count = functools.partial(spikes.bin_times, times, units, windows.start_s, where=settings.source)
    signal = count(neurons=len(names), bins=bins, bin_s=bin_s)[..., kept].astype(np.float32)
    if settings.trials.observed_s is not None:
        left = windows.start_s[:, None] + np.arange(bins) * bin_s
        slack = events.SLACK_S
        seen = (left >= settings.trials.observed_s[0] - slack) & (left + bin_s <= settings.trials.observed_s[1] + slack)
        signal[~seen] = np.nan
    made = (signal, windows.window_s[0], bin_s, names[kept], windows.source)
    return Cut(*made, windows, axis, rows, windows.dropped)


def _units(group: xr.Dataset, count: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of the units, and the index of each spike's unit; one unit if the recording names none."""
    if "unit" not in group:
        return np.array(["0"], object), np.zeros(count, int)
    units = group["unit"].values
    known = group.coords["neuron"].values if "neuron" in group.coords else np.unique(units)
    order = np.argsort(known)
    place = np.clip(np.searchsorted(known, units, sorter=order), 0, len(known) - 1)
    index = order[place]
    if (known[index] != units).any():
        raise DataError(
            f"{where}, unit",
            expected=f"units among {', '.join(map(str, known[:12]))}",
            found=str(units[known[index] != units][0]),
            remedy="Name every unit in the coordinate `neuron`.",
        )
    return variables.labels(known), index


def _windows(
    recording: xr.DataTree,
    settings: Settings,
    bin_s: float,
    observed: tuple[float, float] | None,
    grid: tuple[float, float] | None = None,
) -> tuple[events.Windows, str | None, int]:
    """Return the trials, whole bins long, the axis of their reference events, and its length.

    grid  start (s) and rate (Hz) of a sampled signal: trials begin at its samples
    """
    asked = settings.trials
    if asked.around is not None and asked.window_s is not None:
        times, axis = _references(recording, asked.around)
        start, stop = asked.window_s
        if grid is not None:
            times, start = events.snap(times, *grid), round(start * grid[1]) / grid[1]
        bins = int(np.floor((stop - start) / bin_s + spikes.EDGE))
        window = (start, start + bins * bin_s)
        made = events.around(times, window, observed, ends=asked.ends, overlap=asked.overlap)
        return made, axis, len(times)
    if asked.every_s is None or observed is None:
        missing = "around` or `every_s" if asked.every_s is None else "observed_s"
        raise DataError(
            f"{settings.source}, trials",
            expected=f"`{missing}` for a continuous recording",
            found="neither" if asked.every_s is None else "none",
            remedy="Say in `trials` how the recording is cut, and for spikes which part of it was observed.",
        )
    bins = round(asked.every_s / bin_s)
    if bins < 1 or abs(bins * bin_s - asked.every_s) > spikes.EDGE * bin_s:
        raise DataError(
            f"{settings.source}, trials.every_s",
            expected=f"a multiple of the bin of {bin_s:g} s",
            found=f"{asked.every_s:g} s",
            remedy="Choose a multiple.",
        )
    return events.consecutive(observed, bins * bin_s), None, 0


def _references(recording: xr.DataTree, path: str) -> tuple[np.ndarray, str]:
    """Return the times that trials are cut around, s, and their axis."""
    found = schema.variable(recording, path)[1]
    if found.ndim != 1:
        raise DataError(
            f"trials.around, {path}",
            expected="one time per event",
            found=f"axes {found.dims}",
            remedy="Name a variable with one axis.",
        )
    return variables.seconds(recording, path), str(found.dims[0])
