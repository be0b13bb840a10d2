"""The decomposition of test trials, and what it says: components, codes and covariates, limits of both.

Attribution is the model's own: the drive of a trace is its baseline plus the shares h_k * x_k of its kernels, exactly
(the residual is stored). Its null: a covariate permuted within trial types. Its faithfulness: how much worse the trial
is explained without a share, or with that of another trial.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid import artifacts
from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.dunl.attribute import identifiability, tables, uncertainty
from pellucid.systems.dunl.attribute.decomposition import Decomposition, decompose, kkt
from pellucid.systems.dunl.attribute.faithfulness import Decomposed, Faithfulness, faithfulness
from pellucid.systems.dunl.attribute.settings import Settings
from pellucid.systems.dunl.attribute.tables import Coded
from pellucid.systems.dunl.model import likelihood, truth
from pellucid.systems.dunl.model.matching import match

ONE = {"units": "1"}
DRIVE = {"units": "drive"}


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return codes, components, correlations with covariates, identifiability and faithfulness of one model.

    truth  simulated truth by the name of its raw folder, against which codes and kernels are scored
    Raises DataError if `settings.model` has no kernels or a name in the settings is not known.
    """
    _check(features, fits, settings)
    parts = decompose(features, fits, settings.model)
    names = list(parts[0].settings.kernels)
    true = [_truth_of(part, features, truth) for part in parts]
    every = tables.coded(features, parts, [codes for codes, _ in true], settings)
    groups: dict[str, xr.Dataset] = {"/kernels": _kernels(parts, fits, settings, true[0][1], names)}
    for one in every:
        groups[f"/codes/{one.name}"] = _codes(one, names)
    groups |= _detections(parts, features)
    shown, residual = _components(parts, features, settings, names)
    groups |= shown
    listed = list(dict.fromkeys(key for one in every for key in one.covariates))
    for key in listed:
        groups[f"/covariates/{key}"] = tables.covariate_group(every, key, names, settings)
        groups[f"/neutral/{key}"] = tables.neutral_group(every, key, names, settings)
    if len(settings.plane) == 2 and listed:
        found = tables.plane_group(every, features, names, settings.plane_covariate or listed[0], settings)
        groups |= {} if found is None else {"/plane": found}
    groups["/identifiability"] = _identifiability(parts, names, true[0][1])
    faith = _faithfulness(parts, settings)
    groups["/faithfulness"] = _faith_group(faith, names)
    rows = _headline(parts, every, faith, groups, names, residual)
    attrs = {
        "headline": json.dumps([row | {"model": settings.model} for row in rows]),
        "model": settings.model,
        "kernels": json.dumps(names),
        "events": features.first().attrs["events"],
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **groups})


def _check(features: Features, fits: Sequence[Fit], settings: Settings) -> None:
    models = list(dict.fromkeys(fit.model for fit in fits if fit.settings["kind"] == "dunl"))
    chosen = next((fit for fit in fits if fit.model == settings.model and settings.model in models), None)
    if chosen is None:
        raise DataError(
            "attribute.model",
            expected=f"a model of kind dunl: {', '.join(models) or 'none'}",
            found=settings.model,
            remedy="Name the model whose kernels and codes are wanted.",
        )
    known = set(json.loads(features.first().attrs["covariates"]))
    kernels, events = set(chosen.settings["kernels"]), set(json.loads(features.first().attrs["events"]))
    named = [*(settings.covariates or []), *([settings.plane_covariate] if settings.plane_covariate else [])]
    window = [settings.window_event] if settings.window_event else []
    wanted: dict[str, tuple[set[str], set[str]]] = {
        "covariates": (set(named), known),
        "plane": (set(settings.plane), kernels),
        "window_event": (set(window), events),
    }
    for key, (given, there) in wanted.items():
        if given - there:
            raise DataError(
                f"attribute.{key}",
                expected=f"names among {', '.join(sorted(map(str, there))) or 'none'}",
                found=", ".join(sorted(map(str, given - there))),
                remedy="Correct the name.",
            )


def _truth_of(
    part: Decomposition, features: Features, known: Mapping[str, xr.DataTree]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return true codes (trace, kernel) and true kernels (lag, kernel) in the order of the estimated ones."""
    found = truth.of(part.traces, features, known, part.settings.lag_bins) if known else None
    if found is None:
        return None, None
    estimated = np.median(part.kernels, axis=0)
    matching = match(found.kernels, estimated)
    codes = np.full((len(part.traces), len(estimated)), np.nan)
    shapes = np.zeros((found.kernels.shape[1], len(estimated)))
    for index, partner in enumerate(matching.partner):
        if partner >= 0:
            sign = np.sign(matching.correlation[index])
            codes[:, partner] = found.codes()[:, index] * sign
            shapes[:, partner] = found.kernels[index] * sign
    return codes, shapes


def _kernels(
    parts: Sequence[Decomposition],
    fits: Sequence[Fit],
    settings: Settings,
    true: np.ndarray | None,
    names: Sequence[str],
) -> xr.Dataset:
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


def _codes(one: Coded, names: Sequence[str]) -> xr.Dataset:
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


def _detections(parts: Sequence[Decomposition], features: Features) -> dict[str, xr.Dataset]:
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


def _components(
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
    drive, expected = (
        part.drive[rows],
        likelihood.expected(part.settings.likelihood, part.drive[rows], traces.most_counts),
    )

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


def _identifiability(parts: Sequence[Decomposition], names: Sequence[str], true: np.ndarray | None) -> xr.Dataset:
    part = parts[0]
    kernels = np.median(part.kernels, axis=0).T
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


def _faithfulness(parts: Sequence[Decomposition], settings: Settings) -> Faithfulness:
    """Measure faithfulness on one fold's test traces, whole trials drawn up to the limit of the settings."""
    part = parts[0]
    generator = np.random.default_rng(settings.seed)
    trials = generator.permutation(np.unique(part.traces.trial))
    per_trial = len(part.traces) / len(trials)
    kept = trials[: max(2, int(settings.most_traces / per_trial))]
    rows = np.flatnonzero(np.isin(part.traces.trial, kept))
    traces = part.traces.take(rows)
    parts_of = Decomposed(
        part.components(rows),
        part.drive[rows],
        traces.signal,
        traces.valid,
        traces.trial,
        traces.neuron,
        part.settings.likelihood,
        traces.most_counts,
    )
    return faithfulness(parts_of, repeats=5, resamples=settings.bootstrap, generator=generator)


def _faith_group(found: Faithfulness, names: Sequence[str]) -> xr.Dataset:
    fields = ("removed", "removed_low", "removed_high", "replaced", "replaced_low", "replaced_high")
    nats = {"units": "nats per bin"}
    return xr.Dataset(
        {key: ("kernel", getattr(found, key), nats) for key in fields},
        coords={"kernel": np.array(list(names), object)},
    )


def _headline(
    parts: Sequence[Decomposition],
    every: Sequence[Coded],
    faith: Faithfulness,
    groups: Mapping[str, xr.Dataset],
    names: Sequence[str],
    residual: float,
) -> list[dict[str, Any]]:
    rows = [
        artifacts.headline_row("largest violation of optimality (KKT)", kkt(parts), model=""),
        artifacts.headline_row("decomposition: largest |z - a - sum of shares|", residual, model=""),
    ]
    for k, name in enumerate(names):
        row = artifacts.headline_row(
            f"faithfulness: nats per bin lost without {name}",
            float(faith.removed[k]),
            model="",
            note=f"{faith.replaced[k]:.3g} lost with the share of another trial",
        )
        rows.append(row | {"low": float(faith.removed_low[k]), "high": float(faith.removed_high[k])})
    for path, group in groups.items():
        if path.startswith("/covariates/"):
            rows += _correlations(path.rpartition("/")[2], group, names)
    code, sd, true = (np.concatenate([getattr(one, key).ravel() for one in every]) for key in ("code", "sd", "truth"))
    share, count = uncertainty.coverage(code, sd, true)
    if count:
        note = f"{count} codes; 0.95 if baselines and kernels were exact"
        rows.append(artifacts.headline_row("true codes inside their 95 % intervals", share, model="", note=note))
    return rows


def _correlations(covariate: str, group: xr.Dataset, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    tests, luck = json.loads(group.attrs["paired"]), json.loads(group.attrs["chance"])
    raw = float(np.nanmean(group["count_rho"])) if np.isfinite(group["count_rho"]).any() else np.nan
    for k, name in enumerate(names):
        own = group["code_rho"].values[:, k]
        if not np.isfinite(own).any():
            continue
        test = tests[name]
        paired = "" if test["p"] is None else f", paired t-test p = {test['p']:.2g}"
        note = f"raw response {raw:.2f}{paired}; {np.isfinite(own).sum()} neurons"
        row = artifacts.headline_row(
            f"Spearman's rho of {name} with {covariate}", float(np.nanmean(own)), model="", note=note
        )
        rows.append(row | {"chance_high": luck[name]["high"]})
    return rows
