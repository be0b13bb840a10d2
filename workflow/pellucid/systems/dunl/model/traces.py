"""Traces: every trial of every neuron as one row, with the mask of its valid bins and the bins of its events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, PartName, row_indices
from pellucid.errors import DataError

ABSENT = -1
"""The bin of an event that a trial does not have."""


@dataclass(frozen=True)
class Traces:
    """The data of one part of a fold; trials of unequal length are padded, and padding is never valid.

    signal      (trace, time) counts or values, 0 where not valid
    valid       (trace, time) bool
    before      (trace, time) bool: valid bins before the trial's first event, for the baseline
    onset       (trace, event) bin of each event, ABSENT where there is none
    event_kind  (trace, event) index into `events`, ABSENT where there is none
    trial       (trace,) number of the trial, the same for neurons recorded together, unique over recordings
    neuron      (trace,) number of the neuron, unique over recordings; an index into `neurons`
    row         (trace,) row of the trial in its recording; `recording` (trace,) index into `recordings`
    trial_type  (trace,) label of the condition
    events      names of the kinds of events
    neurons     name of each neuron, `recording/id`
    bin_s       width of a bin, s; start_s: left edge of bin 0 on the trial's clock, s
    kind        counts or values; most_counts: largest possible count of a bin, 0 for values
    """

    signal: np.ndarray
    valid: np.ndarray
    before: np.ndarray
    onset: np.ndarray
    event_kind: np.ndarray
    trial: np.ndarray
    neuron: np.ndarray
    row: np.ndarray
    recording: np.ndarray
    trial_type: np.ndarray
    events: tuple[str, ...]
    neurons: tuple[str, ...]
    recordings: tuple[str, ...]
    bin_s: float
    start_s: float
    kind: Literal["counts", "values"]
    most_counts: int

    def __len__(self) -> int:
        return len(self.signal)

    @property
    def bins(self) -> int:
        """The number of bins of the longest trial."""
        return int(self.signal.shape[1])

    def take(self, chosen: np.ndarray) -> "Traces":
        """Return some of the traces, by index or mask, shape (trace,)."""
        rows = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name in _PER_TRACE}
        return replace(self, **rows)

    def observed(self, mask: np.ndarray) -> "Traces":
        """Return the same traces with only the bins of a mask, shape (trace, time), left valid."""
        kept = self.valid & mask
        return replace(self, signal=np.where(kept, self.signal, 0), valid=kept, before=self.before & kept)


_PER_TRACE = (
    *("signal", "valid", "before", "onset", "event_kind"),
    *("trial", "neuron", "row", "recording", "trial_type"),
)


def load(features: Features, fold: int, part: PartName) -> Traces:
    """Return the traces of one part of a fold. Raises DataError if recordings differ in bins, kind or events."""
    return join(features, {name: row_indices(rows) for name, rows in features.folds[fold].rows(part).items()})


def join(features: Features, rows: Mapping[str, np.ndarray]) -> Traces:
    """Return the traces of some trials.

    rows  recording -> rows of its trials, shape (trial,)
    Numbers of trials and neurons count over all recordings of the dataset, whichever are asked for.
    """
    names = list(features.stores)
    groups = {name: features.group(name) for name in names}
    first = groups[names[0]]
    _check_alike(groups)
    bins = max(group.sizes["time"] for group in groups.values())
    slots = max(group.sizes["event"] for group in groups.values())
    neurons = [f"{name}/{unit}" for name in names for unit in groups[name]["neuron"].values]
    trials = np.cumsum([0, *(group.sizes["trial"] for group in groups.values())])
    units = np.cumsum([0, *(group.sizes["neuron"] for group in groups.values())])
    parts = [
        _part(groups[name], np.asarray(chosen, int), names.index(name), trials, units, bins, slots)
        for name, chosen in rows.items()
    ]
    joined = {key: np.concatenate([part[key] for part in parts]) for key in _PER_TRACE}
    return Traces(
        **joined,
        events=tuple(json.loads(first.attrs["events"])),
        neurons=tuple(neurons),
        recordings=tuple(names),
        bin_s=float(first.attrs["bin_s"]),
        start_s=float(first["time"].values[0]),
        kind=first.attrs["kind"],
        most_counts=int(first.attrs["most_counts"]),
    )


def covariates(features: Features, name: str) -> np.ndarray:
    """Return a covariate of every trial of the dataset, shape (trial,), NaN where missing, by number of the trial."""
    return np.concatenate([features.group(recording, "trials")[name].values for recording in features.stores])


def _part(
    group: xr.Dataset,
    chosen: np.ndarray,
    index: int,
    trials: np.ndarray,
    units: np.ndarray,
    bins: int,
    slots: int,
) -> dict[str, np.ndarray]:
    """Return the arrays of one recording with (trial, neuron) folded into the axis trace, trial by trial."""
    signal = group["signal"].values[chosen].transpose(0, 2, 1)  # (trial, neuron, time)
    count, several, length = signal.shape
    padded = np.full((count, several, bins), np.nan, np.float32)
    padded[..., :length] = signal
    padded = padded.reshape(count * several, bins)
    valid = np.isfinite(padded)
    onset, kinds = _onset_bins(group, chosen, slots)
    time = group["time"].values[0] + np.arange(bins) * float(group.attrs["bin_s"])

    def each(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, several, axis=0)

    return {
        "signal": np.where(valid, padded, 0),
        "valid": valid,
        "before": valid & each(_before(group, onset, time)),
        "onset": each(onset),
        "event_kind": each(kinds),
        "trial": each(trials[index] + chosen),
        "neuron": np.tile(np.arange(units[index], units[index + 1]), count),
        "row": each(chosen),
        "recording": np.full(count * several, index),
        "trial_type": each(group["trial_type"].values[chosen].astype(object)),
    }


def _onset_bins(group: xr.Dataset, chosen: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bin and kind of each event, (trial, slot); events outside the trial are absent."""
    seconds = group["onset"].values[chosen] - group["time"].values[0]
    with np.errstate(invalid="ignore"):
        found = np.floor(seconds / float(group.attrs["bin_s"]) + 1e-6)
        inside = np.isfinite(seconds) & (found >= 0) & (found < group.sizes["time"])
    onset = np.full((len(chosen), slots), ABSENT)
    kinds = np.full((len(chosen), slots), ABSENT)
    width = found.shape[1]
    onset[:, :width] = np.where(inside, np.where(inside, found, 0).astype(int), ABSENT)
    kinds[:, :width] = np.where(inside, group["event_kind"].values[chosen], ABSENT)
    return onset, kinds


def _before(group: xr.Dataset, onset: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the baseline bins, (trial, time): the window of the settings, or all before the trial's first event."""
    window = json.loads(group.attrs["baseline_s"])
    if window is not None:
        inside = (time >= window[0] - 1e-9) & (time < window[1] - 1e-9)
        return np.broadcast_to(inside, (len(onset), len(time)))
    first = np.where(onset == ABSENT, len(time), onset).min(axis=1)
    return np.asarray(np.arange(len(time)) < first[:, None])


def _check_alike(groups: Mapping[str, xr.Dataset]) -> None:
    first: xr.Dataset | None = None
    for name, group in groups.items():
        first = group if first is None else first
        for key in ("kind", "bin_s", "most_counts", "events"):
            if group.attrs[key] != first.attrs[key]:
                raise DataError(
                    f"features of {name}, {key}",
                    expected=f"{first.attrs[key]}, as in the first recording",
                    found=str(group.attrs[key]),
                    remedy="Put recordings with other bins or events into a dataset of their own.",
                )
        if not np.isclose(group["time"].values[0], first["time"].values[0]):
            raise DataError(
                f"features of {name}, time",
                expected=f"trials that start at {first['time'].values[0]:g} s, as in the first recording",
                found=f"{group['time'].values[0]:g} s",
                remedy="Cut all recordings of a dataset with the same window.",
            )


def coarse(traces: Traces, factor: int) -> Traces:
    """Return traces with `factor` bins in one: counts are summed, values averaged; a rest at the end is dropped.

    A coarse bin is valid if all its bins are.
    """
    if factor == 1:
        return traces
    count = traces.bins // factor

    def folded(values: np.ndarray) -> np.ndarray:
        return values[:, : count * factor].reshape(len(values), count, factor)

    valid = np.asarray(folded(traces.valid).all(-1))
    signal = folded(traces.signal).sum(-1) if traces.kind == "counts" else folded(traces.signal).mean(-1)
    onset = np.where(traces.onset == ABSENT, ABSENT, traces.onset // factor)
    late = onset >= count
    return replace(
        traces,
        signal=np.where(valid, signal, 0),
        valid=valid,
        before=np.asarray(folded(traces.before).all(-1) & valid),
        onset=np.where(late, ABSENT, onset),
        event_kind=np.where(late, ABSENT, traces.event_kind),
        bin_s=traces.bin_s * factor,
        most_counts=traces.most_counts * factor,
    )
