"""The groups of the attribution: channels, fields, phenomena, agreement, interneurons and recovery."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.retina.attribute import (
    agreement,
    channels,
    evidence,
    groups,
    headline,
    interneurons,
    recovery,
    shown,
)
from pellucid.systems.retina.attribute import teacher as simulated
from pellucid.systems.retina.attribute.channels import Key
from pellucid.systems.retina.attribute.groups import Found
from pellucid.systems.retina.attribute.labels import Labels
from pellucid.systems.retina.attribute.settings import TEST_MOVIE, Settings
from pellucid.systems.retina.model.restore import Fitted, restore


def tree(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> dict[str, xr.Dataset]:
    """Return all groups by path; the root's attributes are those of "/"."""
    own = chosen(fits, settings.model, networks=True)
    baselines = [chosen(fits, name) for name in settings.baselines]
    others = {name: chosen(fits, name, networks=True) for name in settings.others}
    fold = next(iter(own))[0]
    fitted = {key: restore(fit, features) for key, fit in own.items()}
    labels = {key: channels.of(one, settings) for key, one in fitted.items()}
    first = fitted[next(iter(own))]
    cells = [str(cell) for cell in first.neurons]
    bits = {seed: evidence.bits_per_spike(features, restore(fit, features)) for seed, fit in _of(own, fold).items()}
    made = {"/channels": channels.group(labels, first), "/evidence": evidence.group(bits, cells)}
    said = [evidence.said(bits, cells, settings.model)]
    if not evidence.convincing(bits):
        return {"/": _root([], settings, fold, said), **made}
    known = simulated.known(features, first, truth)
    found = shown.stimuli(features, first, settings, known)
    if not found:
        raise DataError(
            "attribute.phenomena",
            expected="at least one stimulus, or test rows to attribute",
            found="no phenomena, no probes and no test movie",
            remedy="Name phenomena, or set `attribute.test_rows` for a dataset with test rows.",
        )
    seen = {key: channels.seen(features, one, settings.fields.rows) for key, one in fitted.items()}
    made["/fields"] = channels.receptive_fields(fitted, seen)
    for seed, one in _of(fitted, fold).items():
        shown.attributed(features, one, labels[fold, seed], found, settings)
    for one in baselines:
        shown.baseline(features, list(_of(one, fold).values()), first, found, settings)
    if known is not None:
        shown.teacher(known, first, found, settings)
    made |= {f"/phenomena/{name}": groups.group(one, first, settings) for name, one in found.items()}
    extra = {"/summary": groups.summary(found), "/agreement": _agreement(features, others, found, settings, truth)}
    extra |= _interneurons(features, _of(fitted, fold), labels, fold, settings)
    if known is not None:
        matches = {path.rpartition("/")[2]: one for path, one in extra.items() if path.startswith("/interneurons/")}
        assert first.network is not None
        extra["/recovery"] = recovery.group(found, known, first.network.maps, matches, settings)
        said.append(recovery.said(extra["/recovery"], settings))
    said.append(headline.warning(found, settings, full_field=first.shape == (1, 1)))
    return {"/": _root(headline.rows(found, extra, settings), settings, fold, said), **made, **extra}


def chosen(fits: Sequence[Fit], model: str, *, networks: bool = False) -> dict[Key, Fit]:
    """Return the fits of a model by fold and seed. Raises DataError if there is none, or if it must be a network."""
    known = [fit for fit in fits if not networks or fit.settings["kind"] == "cnn"]
    found = {(fit.fold, fit.seed): fit for fit in known if fit.model == model}
    if not found:
        raise DataError(
            "attribute.model" if networks else "attribute.baselines",
            expected=f"a {'network' if networks else 'model'} among {', '.join(sorted({fit.model for fit in known}))}",
            found=model,
            remedy="Name a model of `fit.models`.",
        )
    return dict(sorted(found.items()))


def _of(found: Mapping[Key, Any], fold: int) -> dict[int, Any]:
    """Return what is of one fold, by seed."""
    return {seed: one for (own, seed), one in found.items() if own == fold}


def _agreement(
    features: Features,
    models: Mapping[str, Mapping[Key, Fit]],
    found: Mapping[str, Found],
    settings: Settings,
    truth: Mapping[str, xr.DataTree],
) -> xr.Dataset:
    """Return the agreement over seeds and with models of other experiments, which are shown the same phenomena."""
    every = shown.members(found, settings.model, settings)
    for name, own in models.items():
        for fit in _of(own, next(iter(own))[0]).values():
            fitted = restore(fit, features)
            known = simulated.known(features, fitted, truth)
            others = shown.stimuli(features, fitted, settings, known)
            others = {key: one for key, one in others.items() if key in every and key != TEST_MOVIE}
            shown.attributed(features, fitted, channels.of(fitted, settings), others, settings)
            for key, joined in shown.members(others, name, settings).items():
                every[key] += joined
    return agreement.group(every, settings.seed)


def _interneurons(
    features: Features,
    fitted: Mapping[int, Fitted],
    labels: Mapping[Key, Labels],
    fold: int,
    settings: Settings,
) -> dict[str, xr.Dataset]:
    names = {seed: labels[fold, seed].names for seed in fitted}
    return {
        f"/interneurons/{name}": interneurons.group(features, name, fitted, names, settings.interneurons, settings.seed)
        for name in interneurons.names(features)
    }


def _root(rows: list[dict[str, object]], settings: Settings, fold: int, said: Sequence[str]) -> xr.Dataset:
    attrs = {"headline": json.dumps(rows), "model": settings.model, "fold": fold}
    return xr.Dataset(attrs=attrs | {"warning": "; ".join(text for text in said if text)})
