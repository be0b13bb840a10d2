"""Simulated truth on the bins and trials of a fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features
from pellucid.systems.dunl.model.traces import ABSENT, Traces


@dataclass(frozen=True)
class Truth:
    """What a simulation put into some traces.

    kernels    (kernel, lag) unit norm, at the bins of the traces
    names      of the kernels
    onset      (trace, event) s on the trial's clock, NaN where absent
    kernel     (trace, event) index of the kernel, ABSENT where absent
    amplitude  (trace, event) of the unit-norm kernel at the bins of the traces
    """

    kernels: np.ndarray
    names: tuple[str, ...]
    onset: np.ndarray
    kernel: np.ndarray
    amplitude: np.ndarray
    baseline_hz: float

    def codes(self) -> np.ndarray:
        """Return the summed amplitude of each kernel in each trace, (trace, kernel), NaN where it has no event."""
        out = np.full((len(self.onset), len(self.names)), np.nan)
        for kernel in range(len(self.names)):
            here = self.kernel == kernel
            out[:, kernel] = np.where(here.any(1), np.where(here, self.amplitude, 0).sum(1), np.nan)
        return out

    def times(self, kernel: int | None = None) -> list[np.ndarray]:
        """Return the sorted times of events, s, one array per trace; of one kernel or of all."""
        here = self.kernel != ABSENT if kernel is None else self.kernel == kernel
        return [np.sort(row[keep]) for row, keep in zip(self.onset, here)]


def of(traces: Traces, features: Features, truth: Mapping[str, xr.DataTree], lags: int) -> Truth | None:
    """Return the truth behind traces, or None if it is not known for all of their recordings.

    features  behind the traces: they know which trials of the recording were kept
    truth     name of the simulated raw folder -> tree; it has to be the recording's name, or the only one there is
    lags      length of the fitted kernels, bins: true kernels are cut or padded with 0 to it
    """
    groups = {}
    for index in np.unique(traces.recording):
        name = traces.recordings[index]
        tree = truth.get(name) or (next(iter(truth.values())) if len(truth) == 1 else None)
        if tree is None:
            return None
        groups[int(index)] = schema.group(tree, "truth", name)
    first = next(iter(groups.values()))
    factor = traces.bin_s / float(first.attrs["bin_s"])
    rows = [_rows(traces, features, index, group, factor) for index, group in groups.items()]
    width = max(part["onset"].shape[1] for part in rows)
    joined = {key: np.full((len(traces), width), fill) for key, fill in _EMPTY.items()}
    for index, part in zip(groups, rows):
        for key, values in part.items():
            joined[key][np.flatnonzero(traces.recording == index), : values.shape[1]] = values
    return Truth(
        _rebinned(first["kernels"].transpose("kernel", "lag").values, factor, lags),
        tuple(map(str, first["kernel"].values)),
        joined["onset"],
        joined["kernel"].astype(int),
        joined["amplitude"],
        float(first.attrs.get("baseline_hz", np.nan)),
    )


_EMPTY = {"onset": np.nan, "kernel": ABSENT, "amplitude": np.nan}


def _rows(traces: Traces, features: Features, index: int, group: xr.Dataset, factor: float) -> dict[str, np.ndarray]:
    """Return onset, kernel and amplitude, (trace, event), of the traces of one recording."""
    chosen = traces.recording == index
    row = features.group(traces.recordings[index])["source"].values[traces.row[chosen]]
    first = min(i for i, name in enumerate(traces.neurons) if name.startswith(f"{traces.recordings[index]}/"))
    neuron = traces.neuron[chosen] - first
    return {
        "onset": group["onset"].values[row],
        "kernel": group["event_kernel"].values[row],
        "amplitude": group["amplitude"].values[row, :, neuron] / np.sqrt(factor),
    }


def _rebinned(kernels: np.ndarray, factor: float, lags: int) -> np.ndarray:
    """Return kernels (kernel, lag) with `factor` of their bins in one, of unit norm; factors below 1 repeat bins."""
    if factor > 1:
        whole = round(factor)
        kernels = kernels[:, : kernels.shape[1] // whole * whole].reshape(len(kernels), -1, whole).sum(-1)
    elif factor < 1:
        kernels = np.repeat(kernels, round(1 / factor), axis=1)
    out = np.zeros((len(kernels), lags))
    width = min(lags, kernels.shape[1])
    out[:, :width] = kernels[:, :width]
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))
