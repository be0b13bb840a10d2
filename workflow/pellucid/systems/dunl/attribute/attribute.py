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
from pellucid.systems.dunl.attribute import groups, locking, tables, uncertainty
from pellucid.systems.dunl.attribute.decomposition import Decomposition, decompose, kkt
from pellucid.systems.dunl.attribute.faithfulness import Decomposed, Faithfulness, faithfulness
from pellucid.systems.dunl.attribute.settings import Settings
from pellucid.systems.dunl.attribute.tables import Coded
from pellucid.systems.dunl.model import truth
from pellucid.systems.dunl.model.matching import match


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return codes, components, what they follow (covariates, phase), identifiability and faithfulness of one model.

    truth  simulated truth by the name of its raw folder, against which codes and kernels are scored
    Raises DataError if `settings.model` has no kernels or a name in the settings is not known.
    """
    _check(features, fits, settings)
    parts = decompose(features, fits, settings.model)
    names = list(parts[0].settings.kernels)
    true = [_truth_of(part, features, truth) for part in parts]
    every = tables.coded(features, parts, [codes for codes, _ in true], settings)
    made: dict[str, xr.Dataset] = {"/kernels": groups.kernels(parts, fits, settings, true[0][1], names)}
    made |= {f"/codes/{one.name}": groups.codes(one, names) for one in every}
    made |= groups.detections(parts, features)
    made |= locking.groups(features, parts, settings)
    shown, residual = groups.components(parts, features, settings, names)
    made |= shown
    listed = list(dict.fromkeys(key for one in every for key in one.covariates))
    for key in listed:
        made[f"/covariates/{key}"] = tables.covariate_group(every, key, names, settings)
        made[f"/neutral/{key}"] = tables.neutral_group(every, key, names, settings)
    if len(settings.plane) == 2 and listed:
        found = tables.plane_group(every, features, names, settings.plane_covariate or listed[0], settings)
        made |= {} if found is None else {"/plane": found}
    made["/identifiability"] = groups.limits(parts, names, true[0][1])
    faith = _faithfulness(parts, settings)
    made["/faithfulness"] = groups.losses(faith, names)
    rows = _headline(parts, every, faith, made, names, residual) + locking.rows(made)
    attrs = {
        "headline": json.dumps([row | {"model": settings.model} for row in rows]),
        "model": settings.model,
        "kernels": json.dumps(names),
        "events": features.first().attrs["events"],
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **made})


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
    estimated = part.typical
    matching = match(found.kernels, estimated)
    codes = np.full((len(part.traces), len(estimated)), np.nan)
    shapes = np.zeros((found.kernels.shape[1], len(estimated)))
    for index, partner in enumerate(matching.partner):
        if partner >= 0:
            sign = np.sign(matching.correlation[index])
            codes[:, partner] = found.codes()[:, index] * sign
            shapes[:, partner] = found.kernels[index] * sign
    return codes, shapes


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
