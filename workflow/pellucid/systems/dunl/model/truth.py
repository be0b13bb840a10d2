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

    kernels      (kernel, lag) unit norm, at the bins of the traces
    names        of the kernels
    onset        (trace, event) s on the trial's clock, NaN where absent
    kernel       (trace, event) index of the kernel, ABSENT where absent
    amplitude    (trace, event) of the unit-norm kernel at the bins of the traces
    baseline_hz  mean rate of the baseline, NaN where the recordings differ in it
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

    def times(self, *kernels: int) -> list[np.ndarray]:
        """Return the sorted times of the events of some kernels, s, one array per trace."""
        here = np.isin(self.kernel, kernels)
        return [np.sort(row[keep]) for row, keep in zip(self.onset, here)]


def of(traces: Traces, features: Features, truth: Mapping[str, xr.DataTree], lags: int) -> Truth | None:
    """Return the truth behind traces, or None if it is not known for all of their recordings.

    features  behind the traces: they know which trials of the recording were kept
    truth     name of the simulated raw folder -> tree; it has to be the recording's name, or the only one there is for
              the only recording; a recording of some of the simulated neurons has no truth, as it is not known of which
    lags      length of the fitted kernels, bins: true kernels are cut or padded with 0 to it
    """
    groups = {}
    for index in np.unique(traces.recording):
        name = traces.recordings[index]
        single = len(truth) == len(traces.recordings) == 1
        tree = next(iter(truth.values())) if single else truth.get(name)
        group = None if tree is None else schema.group(tree, "truth", name)
        if group is None or group.sizes["neuron"] != features.group(name).sizes["neuron"]:
            return None
        groups[int(index)] = group
    first = next(iter(groups.values()))
    rows = [_rows(traces, features, index, group, lags) for index, group in groups.items()]
    rates = {float(group.attrs.get("baseline_hz", np.nan)) for group in groups.values()}
    width = max(part["onset"].shape[1] for part in rows)
    joined = {key: np.full((len(traces), width), fill) for key, fill in _EMPTY.items()}
    for index, part in zip(groups, rows):
        for key, values in part.items():
            joined[key][np.flatnonzero(traces.recording == index), : values.shape[1]] = values
    return Truth(
        _kernels(first, traces.bin_s, lags)[0],
        tuple(map(str, first["kernel"].values)),
        joined["onset"],
        joined["kernel"].astype(int),
        joined["amplitude"],
        rates.pop() if len(rates) == 1 else np.nan,
    )


_EMPTY = {"onset": np.nan, "kernel": ABSENT, "amplitude": np.nan}


def _rows(traces: Traces, features: Features, index: int, group: xr.Dataset, lags: int) -> dict[str, np.ndarray]:
    """Return onset, kernel and amplitude, (trace, event), of the traces of one recording."""
    chosen = traces.recording == index
    row = features.group(traces.recordings[index])["source"].values[traces.row[chosen]]
    first = min(i for i, name in enumerate(traces.neurons) if name.startswith(f"{traces.recordings[index]}/"))
    neuron = traces.neuron[chosen] - first
    kernel = group["event_kernel"].values[row]
    scale = _kernels(group, traces.bin_s, lags)[1]
    amplitude = group["amplitude"].values[row, :, neuron] * scale[np.maximum(kernel, 0)]
    return {"onset": group["onset"].values[row], "kernel": kernel, "amplitude": amplitude}


def _kernels(group: xr.Dataset, bin_s: float, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the true kernels in bins of another width, and what their amplitudes are to be multiplied by."""
    kernels = group["kernels"].transpose("kernel", "lag").values
    return rebinned(kernels, bin_s / float(group.attrs["bin_s"]), lags)


def rebinned(kernels: np.ndarray, factor: float, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit-norm kernels in bins `factor` times as wide, (kernel, lags), and the factor of amplitudes, (kernel,).

    kernels  (kernel, lag), constant within a bin; a new bin has their mean over it, since drives of bins are averaged
    Factors of amplitudes are the norms of these means: 1 / sqrt(factor) for kernels constant within the new bins.
    """
    total = np.pad(np.cumsum(kernels, axis=1), ((0, 0), (1, 0)))
    edges = np.arange(lags + 1) * factor
    means = np.stack([np.diff(np.interp(edges, np.arange(total.shape[1]), row)) for row in total]) / factor
    norms = np.linalg.norm(means, axis=1)
    return np.asarray(means / norms[:, None]), norms
