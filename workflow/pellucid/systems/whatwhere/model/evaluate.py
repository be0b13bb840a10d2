"""Score every fit on the test images of its fold, per neuron, against simulated truth where there is one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.whatwhere.model import dataset, headline, recovery, scores, single_neurons
from pellucid.systems.whatwhere.model import truth as simulated
from pellucid.systems.whatwhere.model.dataset import Data
from pellucid.systems.whatwhere.model.restore import Fitted, restore
from pellucid.systems.whatwhere.model.settings import Evaluate
from pellucid.systems.whatwhere.model.truth import Truth

PER_NEURON = (
    *("correlation", "single_trial", "feve", "fev", "truth_correlation"),
    *("filter_fev", "location_error", "purity"),
)
"""Scores of each neuron of a fit."""

_OF_DATA = ("ceiling", "explainable", "oracle", "noise_power", "response_mean")


@dataclass(frozen=True)
class _Test:
    """The test images of a fold and what neurons did.

    truth    noise-free responses of the same images (image, neuron), or None
    of_data  what repeats say of each neuron, by name (neuron,)
    """

    data: Data
    truth: np.ndarray | None
    of_data: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Scored:
    """One fit with its predictions on the test images of its recordings and its scores.

    images      places of these images in the fold's test images
    prediction  (image, neuron of the fit), None where it is not kept
    each        score -> (neuron of the fit,)
    """

    fitted: Fitted
    images: np.ndarray
    prediction: np.ndarray | None
    each: dict[str, np.ndarray]
    row: dict[str, Any]


def evaluate(
    features: Features, fits: Sequence[Fit], settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> tuple[dict[str, Any], xr.DataTree]:
    """Return the metrics, and scores and predictions as a tree: `/scores` and `/test`.

    truth  simulated truth by the name of its raw folder
    """
    known = simulated.of(features, truth)
    tests = {fold: _test(features, fold, known) for fold in sorted({fit.fold for fit in fits})}
    scored = [_score(restore(fit, features), features, tests[fit.fold], known, settings) for fit in fits]
    repeated = any(np.isfinite(test.of_data["ceiling"]).any() for test in tests.values())
    metrics = {
        "headline": headline.rows([(one.row, one.each) for one in scored], settings, repeated=repeated),
        "table": [one.row for one in scored],
        "neurons": _neurons(scored, tests, settings),
    }
    return metrics, _tree(scored, tests, settings)


def _test(features: Features, fold: int, known: Truth | None) -> _Test:
    data = dataset.load(features, fold, ("test",))
    of_data = _of_data(data)
    if known is None:
        return _Test(data, None, of_data)
    response = np.full(data.repeats.shape[1:], np.nan, np.float32)
    first = 0
    for name in sorted(features.stores):
        own = known.response[name]
        rows = np.flatnonzero(data.recording == name)
        response[rows, first : first + own.shape[1]] = own[data.source[rows]]
        first += own.shape[1]
    return _Test(data, response, of_data)


def _score(fitted: Fitted, features: Features, test: _Test, known: Truth | None, settings: Evaluate) -> _Scored:
    chosen = fitted.settings.recordings
    data, neurons = test.data, fitted.neurons
    images = np.flatnonzero(np.isin(data.recording, list(chosen or features.stores)))
    prediction = fitted.predict(data.images[images], settings.batch)
    repeats = data.repeats[:, images][:, :, neurons]
    each = {
        "correlation": scores.correlation(dataset.mean_known(repeats), prediction),
        "single_trial": scores.single_trial(repeats, prediction),
        "feve": scores.feve(repeats, prediction),
    }
    row = _about(fitted)
    weights = fitted.weights()
    if weights is not None and weights.shape[1] > 1:
        each["purity"] = recovery.purity(weights)
    if known is not None and test.truth is not None:
        expected = test.truth[images][:, neurons]
        each["fev"] = scores.fev(expected, prediction)
        each["truth_correlation"] = scores.correlation(expected, prediction)
        _recover(fitted, known, features, each, row)
    each = {name: each.get(name, np.full(len(neurons), np.nan)) for name in PER_NEURON}
    _average(each, row, settings)
    kept = settings.keep is None or fitted.fit.model in settings.keep
    return _Scored(fitted, images, prediction if kept else None, each, row)


def _about(fitted: Fitted) -> dict[str, Any]:
    fit, settings = fitted.fit, fitted.settings
    network = settings.kind == "network"
    chosen = fit.notes["chosen"]
    return {
        "model": fit.model,
        "fold": fit.fold,
        "seed": fit.seed,
        "kind": settings.kind,
        "readout": settings.readout.kind if network else settings.kind,
        "layers": len(settings.core.layers) if network else 0,
        "recordings": ", ".join(settings.recordings or ["all"]),
        "images": fit.notes["images"],
        "neurons": (settings.core.shared_by if network else 1) or fit.notes["neurons"],
        "parameters": fit.notes["parameters"],
        "permuted": settings.permute,
        "validation": fit.notes["validation"],
        "chosen": json.dumps("each neuron's own" if chosen is None else fit.notes["candidates"][chosen]),
        "types": None,
        "located": None,
        "kernel_correlation": None,
        "type_accuracy": None,
    }


def _recover(
    fitted: Fitted, known: Truth, features: Features, each: dict[str, np.ndarray], row: dict[str, Any]
) -> None:
    """Add what a simulation says of positions, kernels, filters and types to the scores of a fit."""
    neurons = fitted.neurons
    kind = known.kind[neurons]
    row["types"] = len(np.unique(kind))
    positions, filters, weights = fitted.positions(), fitted.filters(), fitted.weights()
    if positions is not None:
        each["location_error"] = recovery.located(positions, known.position[neurons])
        row["located"] = float(np.mean(each["location_error"] <= 1))
    if filters is not None and known.filters is not None and filters.shape[1] == 1:
        sd = features.statistics["pixel_sd"].values[fitted.fit.fold]
        each["filter_fev"] = recovery.filter_fev(filters[:, 0] / sd[0], known.filters[neurons])
    kernels = fitted.kernels()
    if kernels is not None and known.kernels is not None and kernels.shape[1] == 1:
        sets = np.split(kernels, len(kernels) // fitted.settings.core.layers[0].maps)
        matched = [recovery.kernel_correlation(own, known.kernels, shift_px=0) for own in sets]
        row["kernel_correlation"] = float(np.nan_to_num(matched).mean())  # 0 for a type that no kernel is left for
    if weights is not None and weights.shape[1] > 1 and row["types"] > 1:
        row["type_accuracy"] = recovery.type_accuracy(weights, kind)


def _average(each: dict[str, np.ndarray], row: dict[str, Any], settings: Evaluate) -> None:
    """Add means over neurons to the row of a fit, with intervals for the two main scores."""
    for name in PER_NEURON:
        finite = each[name][np.isfinite(each[name])]
        middle = np.median if name == "location_error" else np.mean
        row[name] = float(middle(finite)) if len(finite) else None
    for name in ("correlation", "fev"):
        low, high = scores.interval(each[name], resamples=settings.bootstrap, seed=settings.seed)
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    row["predicted"] = int(np.isfinite(each["correlation"]).sum())


def _neurons(scored: Sequence[_Scored], tests: Mapping[int, _Test], settings: Evaluate) -> list[dict[str, Any]]:
    """Return a row for each neuron and model whose predictions are kept, if there are few neurons."""
    names = next(iter(tests.values())).data.names
    found = []
    for model in dict.fromkeys(one.row["model"] for one in scored) if len(names) <= single_neurons.MOST else ():
        pairs = []
        for one in scored:
            if one.row["model"] == model and one.prediction is not None:
                observed = tests[one.row["fold"]].data.responses[one.images]
                prediction = np.full(observed.shape, np.nan)
                prediction[:, one.fitted.neurons] = one.prediction
                pairs.append((observed, prediction))
        if pairs:
            found += single_neurons.rows(model, names, pairs, settings)
    return found


def _tree(scored: Sequence[_Scored], tests: Mapping[int, _Test], settings: Evaluate) -> xr.DataTree:
    names = next(iter(tests.values())).data.names
    axes = {
        "model": list(dict.fromkeys(one.row["model"] for one in scored)),
        "fold": sorted(tests),
        "seed": sorted({one.row["seed"] for one in scored}),
    }
    shape = tuple(map(len, axes.values()))
    per_neuron = {name: np.full((*shape, len(names)), np.nan, np.float32) for name in PER_NEURON}
    for one in scored:
        for name in PER_NEURON:
            per_neuron[name][_place(one, axes)][one.fitted.neurons] = one.each[name]
    units = {"location_error": "px"}
    variables: dict[str, Any] = {
        name: (("model", "fold", "seed", "neuron"), values, {"units": units.get(name, "1")})
        for name, values in per_neuron.items()
    }
    for name in _OF_DATA:
        stacked = np.stack([tests[fold].of_data[name] for fold in axes["fold"]])
        variables[name] = (("fold", "neuron"), stacked, {"units": "1"})
    coords = {**_coordinates(axes), "neuron": np.array(names, object)}
    group = xr.Dataset(variables, coords=coords)
    return xr.DataTree.from_dict({"/scores": group, "/test": _predictions(scored, tests, settings, axes, coords)})


def _place(one: _Scored, axes: Mapping[str, list[Any]]) -> tuple[int, ...]:
    """Return where a fit is stored along model, fold and seed."""
    return tuple(axes[key].index(one.row[key]) for key in ("model", "fold", "seed"))


def _of_data(data: Data) -> dict[str, np.ndarray]:
    repeats = data.repeats
    return {
        "ceiling": scores.ceiling(repeats),
        "explainable": scores.explainable(repeats),
        "oracle": scores.oracle(repeats),
        "noise_power": scores.noise_power(repeats),
        "response_mean": dataset.mean_known(data.responses),
    }


def _predictions(
    scored: Sequence[_Scored],
    tests: Mapping[int, _Test],
    settings: Evaluate,
    axes: Mapping[str, list[Any]],
    coords: Mapping[str, Any],
) -> xr.Dataset:
    """Return predictions of the models that are kept, beside what was observed; images are padded with NaN and -1."""
    kept = [one for one in scored if one.prediction is not None]
    models = list(dict.fromkeys(one.row["model"] for one in kept))
    most, neurons = max(len(test.data.images) for test in tests.values()), len(coords["neuron"])
    prediction = np.full((len(models), len(axes["fold"]), len(axes["seed"]), most, neurons), np.nan, np.float32)
    for one in kept:
        prediction[_place(one, {**axes, "model": models})][np.ix_(one.images, one.fitted.neurons)] = one.prediction
    observed = np.full((len(axes["fold"]), most, neurons), np.nan, np.float32)
    expected, number = observed.copy(), np.full(observed.shape[:2], -1, np.int32)
    for index, fold in enumerate(axes["fold"]):
        test = tests[fold]
        count = len(test.data.images)
        observed[index, :count], number[index, :count] = test.data.responses, test.data.source
        if test.truth is not None:
            expected[index, :count] = test.truth
    variables = {
        "prediction": (("model", "fold", "seed", "image", "neuron"), prediction, {"units": "1"}),
        "observed": (("fold", "image", "neuron"), observed, {"units": "1"}),
        "number": (("fold", "image"), number, {"units": "1"}),
    }
    if any(test.truth is not None for test in tests.values()):
        variables["truth"] = (("fold", "image", "neuron"), expected, {"units": "1"})
    return xr.Dataset(variables, coords={**coords, "model": np.array(models, object)})


def _coordinates(axes: Mapping[str, list[Any]]) -> dict[str, np.ndarray]:
    return {
        "model": np.array(axes["model"], object),
        "fold": np.array(axes["fold"], np.int64),
        "seed": np.array(axes["seed"], np.int64),
    }
