"""Mean rate, mean time course of a trial type (PSTH), and a PSTH with the gain of each trial."""

from typing import Any

import numpy as np

from pellucid.systems.dunl.model.comparator_settings import Comparator, LikelihoodName
from pellucid.systems.dunl.model.heldout import Scoring, choose
from pellucid.systems.dunl.model.traces import Traces
from pellucid.systems.dunl.model.unseen import levelled, rows_of, seen_neurons

Weights = dict[str, np.ndarray]
Notes = dict[str, Any]
HALVINGS = 60
"""Bisections of a gain, more than the bits of its mantissa."""


def fit_constant(train: Traces) -> Weights:
    """Return the mean over the valid bins of each neuron: rate (neuron + 1,), whose last is the mean over neurons."""
    seen = seen_neurons(train)
    sums = np.bincount(
        train.neuron, weights=train.signal.sum(axis=1, dtype=float, where=train.valid), minlength=len(seen)
    )
    bins = np.bincount(train.neuron, weights=train.valid.sum(axis=1), minlength=len(seen))
    rate = np.divide(sums, bins, out=np.zeros(len(seen)), where=seen)
    return {"rate": np.append(rate, rate[seen].mean() if seen.any() else 0.0), "seen": seen}


def expect_constant(weights: Weights, looked: Traces) -> np.ndarray:
    """Return the constant rate of each trace's neuron, shape (trace, time)."""
    rate = weights["rate"][rows_of(weights["seen"], looked)]
    return levelled(np.repeat(rate[:, None], looked.bins, axis=1), weights["seen"], looked)


def fit_psth(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    """Return smoothed time courses of every neuron and trial type, with one width chosen on validation trials."""
    types = sorted({str(label) for label in train.trial_type})
    made = {width: {"course": courses(train, types, width)} | fit_constant(train) for width in settings.widths_bins}

    def loss(width: float) -> float:
        return scoring.loss(lambda looked: expect_psth(made[width], {"types": types}, looked), validation)

    width, losses = choose(settings.widths_bins, loss)
    return made[width], {"types": types, "width_bins": width, "width_losses": losses}


def expect_psth(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    """Return the time course of each trace's neuron and trial type, shape (trace, time)."""
    places = {label: place for place, label in enumerate(notes["types"])}
    columns = np.array([places.get(str(label), len(places)) for label in looked.trial_type], int)
    course = weights["course"][rows_of(weights["seen"], looked), columns]
    return levelled(course, weights["seen"], looked)


def courses(train: Traces, types: list[str], width: float) -> np.ndarray:
    """Return mean time courses, shape (neuron + 1, type + 1, time): last neuron pooled, last type all types together.

    G * (sum of signal) / G * (number of valid bins), with G a Gaussian of s.d. `width` bins, so that neither padding
    nor the ends of a trial pull a course down. Where a neuron has no trial of a type near a bin, its mean over all
    types stands in, and where it has no trial at all, its mean rate. The pooled course is the mean over neurons that
    have one.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.sparse import csr_array

    neurons, kinds = len(train.neurons), len(types)
    group = train.neuron * kinds + np.searchsorted(types, train.trial_type.astype(str))
    member = csr_array((np.ones(len(train)), (group, np.arange(len(train)))), shape=(neurons * kinds, len(train)))
    sums = (member @ np.where(train.valid, train.signal, 0).astype(float)).reshape(neurons, kinds, -1)
    bins = (member @ train.valid.astype(float)).reshape(neurons, kinds, -1)
    sums, bins = (np.concatenate([part, part.sum(axis=1, keepdims=True)], axis=1) for part in (sums, bins))
    if width > 0:
        sums, bins = (gaussian_filter1d(part, width, axis=2, mode="constant") for part in (sums, bins))
    known = bins > 0
    course = np.divide(sums, bins, out=np.zeros_like(sums), where=known)
    several = known.sum(axis=0)
    pooled = np.divide(course.sum(axis=0), several, out=np.zeros(several.shape), where=several > 0)
    course = np.concatenate([course, pooled[None]])
    known = np.concatenate([known, (several > 0)[None]])
    rate = fit_constant(train)["rate"]
    course[:, -1] = np.where(known[:, -1], course[:, -1], rate[:, None])
    return np.where(known, course, course[:, -1:])


def fit_gain(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    """Return a PSTH and the shrinkage of the gains of trials, chosen on validation trials after the PSTH's width."""
    weights, notes = fit_psth(train, validation, settings, scoring)
    residual = (train.signal - expect_psth(weights, notes, train))[train.valid]
    notes |= {"likelihood": scoring.likelihood, "variance": max(float(np.mean(residual**2)), np.finfo(float).tiny)}

    def loss(shrinkage: float) -> float:
        return scoring.loss(lambda looked: expect_gain(weights, notes | {"shrinkage": shrinkage}, looked), validation)

    shrinkage, losses = choose(settings.shrinkages, loss)
    return weights, notes | {"shrinkage": shrinkage, "shrinkage_losses": losses}


def expect_gain(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    """Return the time course of each trace times the gain of its observed bins, shape (trace, time)."""
    mean = expect_psth(weights, notes, looked)
    gain = gains(looked, mean, notes["likelihood"], notes["shrinkage"], notes["variance"])
    return np.asarray(mean * gain[:, None])


def gains(
    looked: Traces, mean: np.ndarray, likelihood: LikelihoodName, shrinkage: float, variance: float
) -> np.ndarray:
    """Return the gain g of each trace that is most probable given its observed bins, shape (trace,).

    argmax_g  log p(y | g m) + log prior(g);  k is the shrinkage, and every prior has its mode at 1
    poisson   prior k (log g - g):  g = (sum y + k) / (sum m + k)
    binomial  the same prior; the root of (sum y + k) / g - k - sum (N - y) m / (N - g m), by bisection
    gaussian  prior -k (g - 1)^2 / 2:  g = (sum y m + k v) / (sum m^2 + k v), with v the variance of a bin

    looked  traces whose observed bins alone are valid
    mean    (trace, time) expected counts or values m at gain 1
    """
    signal, mean = np.where(looked.valid, looked.signal, 0).astype(float), np.where(looked.valid, mean, 0)
    if likelihood == "gaussian":
        return np.asarray(
            ((signal * mean).sum(axis=1) + shrinkage * variance) / ((mean**2).sum(axis=1) + shrinkage * variance)
        )
    if likelihood == "poisson":
        return np.asarray((signal.sum(axis=1) + shrinkage) / (mean.sum(axis=1) + shrinkage))
    most = looked.most_counts
    above = signal.sum(axis=1) + shrinkage
    left = np.where(looked.valid, most - signal, 0) * mean
    low = np.zeros(len(looked))
    # the smaller of (sum y + k) / k, beyond which the slope is negative, and of N / m, where the binomial ends
    high = above / np.maximum(shrinkage, above * mean.max(axis=1) / most)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rest = np.maximum(most - middle[:, None] * mean, np.finfo(float).tiny)
        rising = above / middle - shrinkage - (left / rest).sum(axis=1) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.asarray((low + high) / 2)
