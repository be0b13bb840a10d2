"""The models that DUNL is compared with, behind one interface and scored on the same held-out bins.

constant  each neuron's mean rate
psth      each neuron's smoothed mean time course per trial type
gain      the psth times the gain of each trace, estimated from the trial's observed bins
glm       raised cosines after each kind of event, per neuron
pca, nmf  components of trial windows, with scores estimated from the trial's observed bins

Neurons that training has not seen (of an animal left out) get the mean over the neurons it has, at the level of their
own observed bins (see `unseen`); nmf has no parameters per neuron and needs no such rule.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pellucid.errors import DataError
from pellucid.systems.dunl.model import factors, raised_cosines, time_courses
from pellucid.systems.dunl.model.comparator_settings import Comparator, ComparatorKind, LikelihoodName
from pellucid.systems.dunl.model.heldout import Scoring
from pellucid.systems.dunl.model.traces import Traces

Weights = dict[str, np.ndarray]
Notes = dict[str, Any]


@dataclass(frozen=True)
class _Method:
    """How a kind learns, and what it expects of traces of which the observed bins alone are valid."""

    fit: Callable[[Traces, Traces, Comparator, Scoring], tuple[Weights, Notes]]
    expect: Callable[[Weights, Notes, Traces], np.ndarray]


def fit_comparator(
    kind: ComparatorKind, train: Traces, validation: Traces, settings: Comparator, *, likelihood: LikelihoodName
) -> tuple[Weights, Notes]:
    """Return the weights of one comparator, name -> array, and notes that are plain data.

    train       traces that parameters are estimated on
    validation  traces that penalties, widths and shrinkage are chosen on, each half of a trial's bins from the other
    The smallest expected count of a bin is floor_hz * bin_s, and the binomial's largest N less that.
    Raises DataError if the likelihood is not one of this kind of data, or nothing is valid.
    """
    _check_data(train, likelihood)
    floor = settings.floor_hz * train.bin_s
    scoring = Scoring(likelihood, floor, train.most_counts, settings.chunk_bins, settings.seed)
    weights, notes = _METHODS[kind].fit(train, validation, settings, scoring)
    shape = {"neurons": len(train.neurons), "bins": train.bins}
    return weights, {**notes, **shape, "scoring": asdict(scoring)}


def predict_comparator(
    kind: ComparatorKind,
    weights: Mapping[str, np.ndarray],
    notes: Mapping[str, Any],
    traces: Traces,
    observed: np.ndarray,
) -> np.ndarray:
    """Return the expected count or value of every bin, shape (trace, time), whether observed, held out or padding.

    observed  (trace, time) bool: the bins a method may look at; the signal of all others is removed beforehand
    Raises DataError if the traces are not of the dataset that the comparator was fitted to.
    """
    found = {"neurons": len(traces.neurons), "bins": traces.bins}
    expected = {key: notes[key] for key in found}
    if found != expected:
        raise DataError(
            f"traces for a comparator of kind {kind}",
            expected=", ".join(f"{value} {key}" for key, value in expected.items()),
            found=", ".join(f"{value} {key}" for key, value in found.items()),
            remedy="Predict trials of the dataset that the comparator was fitted to.",
        )
    mean = _METHODS[kind].expect(dict(weights), dict(notes), traces.observed(observed))
    return Scoring(**notes["scoring"]).bounded(mean)


def _fit_constant(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    weights = time_courses.fit_constant(train)
    loss = scoring.loss(lambda looked: time_courses.expect_constant(weights, looked), validation)
    return weights, {"validation_loss": loss}


def _expect_constant(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    return time_courses.expect_constant(weights, looked)


_METHODS: dict[ComparatorKind, _Method] = {
    "constant": _Method(_fit_constant, _expect_constant),
    "psth": _Method(time_courses.fit_psth, time_courses.expect_psth),
    "gain": _Method(time_courses.fit_gain, time_courses.expect_gain),
    "glm": _Method(raised_cosines.fit_glm, raised_cosines.expect_glm),
    "pca": _Method(factors.fit_pca, factors.expect_pca),
    "nmf": _Method(factors.fit_nmf, factors.expect_nmf),
}


def _check_data(train: Traces, likelihood: LikelihoodName) -> None:
    if (train.kind == "values" and likelihood != "gaussian") or not train.valid.any():
        raise DataError(
            "training trials of a comparator",
            expected=f"valid bins of {'values or counts' if likelihood == 'gaussian' else 'counts'} for {likelihood}",
            found=f"{int(train.valid.sum())} valid bins of {train.kind}",
            remedy="Change `likelihood`, or the window or mask in `preprocess`.",
        )
