"""The groups of the attribution store: kernels, codes, events, components and limits of what the data tell apart."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.dunl.attribute import identifiability
from pellucid.systems.dunl.attribute.decomposition import Decomposition
from pellucid.systems.dunl.attribute.faithfulness import Faithfulness
from pellucid.systems.dunl.attribute.settings import Settings
from pellucid.systems.dunl.attribute.tables import Coded
from pellucid.systems.dunl.model import likelihood, working_set
from pellucid.systems.dunl.model.slots import Slots

ONE = {"units": "1"}
DRIVE = {"units": "drive"}


def kernels(
    parts: Sequence[Decomposition],
    fits: Sequence[Fit],
    settings: Settings,
    true: np.ndarray | None,
    names: Sequence[str],
) -> xr.Dataset:
    """Return the kernels of every fold and restart, unit norm, and which restart is shown.

    true  (lag, kernel) simulated truth in the order of the estimated kernels, or None
    """
    own = [fit for fit in fits if fit.model == settings.model]
    folds, seeds = sorted({fit.fold for fit in own}), sorted({fit.seed for fit in own})
    weights = {(fit.fold, fit.seed): fit.weights()["kernels"].transpose(2, 0, 1) for fit in own}
    values = np.stack([np.stack([weights[fold, seed] for seed in seeds]) for fold in folds])
    shared = values.shape[3] == 1
    variables = {
        "kernel_shape": (("fold", "seed", "lag", "neuron", "kernel"), values, ONE),
        "chosen_seed": ("fold", [seeds.index(part.fit.seed) for part in parts], ONE),
    }
    if true is not None:
        variables["truth"] = (("lag", "kernel"), true, ONE)
    neurons = ["all"] if shared else list(parts[0].traces.neurons)
    return xr.Dataset(
        variables,
        coords={
            "fold": folds,
            "seed": seeds,
            "lag": ("lag", np.arange(values.shape[2]) * parts[0].traces.bin_s, {"units": "s"}),
            "neuron": np.array(neurons, object),
            "kernel": np.array(list(names), object),
        },
    )


def codes(one: Coded, names: Sequence[str]) -> xr.Dataset:
    """Return codes, standard errors, raw responses and covariates of the trials of one recording."""
    flat, rows = ("trial", "neuron", "kernel"), ("trial", "neuron")
    units = {key: ("trial", values, {"units": "as in features"}) for key, values in one.covariates.items()}
    return xr.Dataset(
        {
            "code": (flat, one.code, ONE),
            "sd": (flat, one.sd, ONE),
            **({"truth": (flat, one.truth, ONE)} if np.isfinite(one.truth).any() else {}),
            "count": (rows, one.count, {"units": "as the signal"}),
            "baseline": (rows, one.baseline, DRIVE),
            "kkt": (rows, one.kkt, ONE),
            "trial_type": ("trial", one.trial_type),
            **units,
        },
        coords={"neuron": np.array(list(one.neurons), object), "kernel": np.array(list(names), object)},
    )


def detections(parts: Sequence[Decomposition], features: Features) -> dict[str, xr.Dataset]:
    """Return every code at an unknown time, one group per recording: trial, neuron, kernel, time and size."""
    free = [i for i, kernel in enumerate(parts[0].settings.kernels.values()) if kernel.event is None]
    if not free:
        return {}
    groups = {}
    for index, name in enumerate(features.stores):
        columns: list[np.ndarray] = []
        for part in parts:
            slots, traces = part.found.slots, part.traces
            here = np.isin(slots.kernel, free) & (part.found.codes != 0) & (traces.recording == index)[:, None]
            trace, slot = np.nonzero(here)
            first = next(i for i, unit in enumerate(traces.neurons) if unit.startswith(f"{name}/"))
            seconds = traces.start_s + (slots.position[trace, slot] + 0.5) * traces.bin_s
            size = part.found.codes[trace, slot]
            rows = (traces.row[trace], traces.neuron[trace] - first, slots.kernel[trace, slot], seconds, size)
            columns.append(np.stack([row.astype(float) for row in rows]))
        joined = np.concatenate(columns, axis=1)
        joined = joined[:, np.lexsort((joined[3], joined[1], joined[0]))]
        whole = {key: ("event", joined[i].astype(int), ONE) for i, key in enumerate(("trial", "neuron", "kernel"))}
        groups[f"/detections/{name}"] = xr.Dataset(
            {**whole, "time_s": ("event", joined[3], {"units": "s"}), "code": ("event", joined[4], ONE)}
        )
    return groups


def components(
    parts: Sequence[Decomposition], features: Features, settings: Settings, names: Sequence[str]
) -> tuple[dict[str, xr.Dataset], float]:
    """Return the components of a few test trials of every recording, and the largest |z - a - sum of shares|."""
    groups, worst = {}, 0.0
    for index, name in enumerate(features.stores):
        part = next((one for one in parts if (one.traces.recording == index).any()), None)
        if part is None:
            continue
        own = np.flatnonzero(part.traces.recording == index)
        trials = np.unique(part.traces.row[own])
        chosen = trials[np.linspace(0, len(trials) - 1, min(settings.examples, len(trials))).round().astype(int)]
        rows = own[np.isin(part.traces.row[own], chosen)]
        shares = part.components(rows)
        drive = part.drive[rows]
        residual = float(np.abs(drive - part.baseline[rows, None] - shares.sum(-1)).max())
        groups[f"/components/{name}"] = _component_group(part, rows, shares, names, residual)
        worst = max(worst, residual)
    return groups, worst


def _component_group(
    part: Decomposition, rows: np.ndarray, shares: np.ndarray, names: Sequence[str], residual: float
) -> xr.Dataset:
    traces = part.traces.take(rows)
    chosen, place = np.unique(traces.row, return_inverse=True)
    units, column = np.unique(traces.neuron, return_inverse=True)
    drive, slots = part.drive[rows], part.found.slots
    expected = likelihood.expected(part.settings.likelihood, drive, traces.most_counts)
    some = Slots(slots.kernel[rows], slots.position[rows])
    codes = working_set.scattered(some, part.found.codes[rows], len(names), traces.bins)

    def spread(values: np.ndarray) -> np.ndarray:
        """Arrange (trace, ...) as (trial, neuron, ...)."""
        out = np.full((len(chosen), len(units), *values.shape[1:]), np.nan, np.float32)
        out[place, column] = values
        return out

    hidden = np.where(traces.valid, 0.0, np.nan)
    flat = ("trial", "time", "neuron")
    return xr.Dataset(
        {
            "component": ((*flat, "kernel"), spread(shares).transpose(0, 2, 1, 3), DRIVE),
            "code": ((*flat, "kernel"), spread(codes).transpose(0, 3, 1, 2), DRIVE),
            "drive": (flat, spread(drive).transpose(0, 2, 1), DRIVE),
            "rate": (flat, spread(expected).transpose(0, 2, 1), {"units": "as the signal"}),
            "signal": (flat, spread(traces.signal + hidden).transpose(0, 2, 1), {"units": "as the signal"}),
            "baseline": (("trial", "neuron"), spread(part.baseline[rows]), DRIVE),
        },
        coords={
            "trial": chosen,
            "time": ("time", traces.start_s + np.arange(traces.bins) * traces.bin_s, {"units": "s"}),
            "neuron": np.array([traces.neurons[unit].partition("/")[2] for unit in units], object),
            "kernel": np.array(list(names), object),
        },
        attrs={"residual": residual},
    )


def limits(parts: Sequence[Decomposition], names: Sequence[str], true: np.ndarray | None) -> xr.Dataset:
    """Return what kernels and events leave undetermined: similarity, overlap and condition; `/identifiability`.

    true  (lag, kernel) simulated truth, to which principal angles are given, or None
    """
    part = parts[0]
    kernels = part.typical.T
    onset = _onsets(part, len(names))
    shared = [group for group in identifiability.shared_onset(onset)]
    specs = list(part.settings.kernels.values())
    signs = {"positive": 1, "negative": -1, "free": 0}
    said = [
        identifiability.ambiguity(
            [names[k] for k in group], [specs[k].nonnegative for k in group], [signs[specs[k].code] for k in group]
        )
        for group in shared
    ]
    first = np.unique(part.traces.trial, return_index=True)[1]
    condition = identifiability.design_conditions(kernels, onset, part.traces.valid[first])
    angles = [] if true is None else identifiability.subspace_angles_deg(kernels, true).tolist()
    flat = ("kernel", "feature")
    return xr.Dataset(
        {
            "coherence": (flat, identifiability.coherence(kernels), ONE),
            "best_lag_coherence": (flat, identifiability.best_lag_coherence(kernels), ONE),
            "overlap": (flat, identifiability.event_overlap(onset, part.settings.lag_bins), ONE),
            "condition": ("kernel", identifiability.median_by_kernel(condition, onset), ONE),
        },
        coords={"kernel": np.array(list(names), object), "feature": np.array(list(names), object)},
        attrs={
            "shared_onset": json.dumps([[names[k] for k in group] for group in shared]),
            "ambiguity": json.dumps(said),
            "angles_deg": json.dumps(angles),
        },
    )


def _onsets(part: Decomposition, kernels: int) -> np.ndarray:
    """Return the bins of each kernel's codes, (kernel, trial, event), -1 where absent, from one trace per trial."""
    first = np.unique(part.traces.trial, return_index=True)[1]
    which, position = part.found.slots.kernel[first], part.found.slots.position[first]
    return np.stack([np.where(which == kernel, position, -1) for kernel in range(kernels)])


def losses(found: Faithfulness, names: Sequence[str]) -> xr.Dataset:
    """Return what trials lose without each kernel's share, nats per bin; `/faithfulness`."""
    fields = ("removed", "removed_low", "removed_high", "replaced", "replaced_low", "replaced_high")
    nats = {"units": "nats per bin"}
    return xr.Dataset(
        {key: ("kernel", getattr(found, key), nats) for key in fields},
        coords={"kernel": np.array(list(names), object)},
    )
