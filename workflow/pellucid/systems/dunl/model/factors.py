"""Low-dimensional summaries of whole trial windows: PCA and NMF, with the scores of a trial from its observed bins."""

import warnings
from typing import Any

import numpy as np

from pellucid.systems.dunl.model.comparator_settings import Comparator
from pellucid.systems.dunl.model.heldout import Scoring, choose
from pellucid.systems.dunl.model.time_courses import expect_constant, fit_constant
from pellucid.systems.dunl.model.traces import Traces

Weights = dict[str, np.ndarray]
Notes = dict[str, Any]


def fit_pca(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    """Return the principal components of trial windows, one set for all neurons, and the penalty of their scores.

    A window is a trace less its neuron's mean rate, every bin then standardised over traces; a bin that a trace does
    not have enters with the bin's mean. The penalty is chosen on validation trials.
    """
    from sklearn.decomposition import PCA

    weights = fit_constant(train)
    centred = np.where(train.valid, train.signal - expect_constant(weights, train), 0)
    count = np.maximum(train.valid.sum(axis=0), 1)
    mean = centred.sum(axis=0) / count
    deviation = np.sqrt((np.where(train.valid, centred - mean, 0) ** 2).sum(axis=0) / count)
    scale = np.where(deviation > 0, deviation, 1)
    windows = np.where(train.valid, (centred - mean) / scale, 0)[:, deviation > 0]
    found = PCA(min(settings.components, *windows.shape), svd_solver="covariance_eigh").fit(windows)
    components = np.zeros((len(found.components_), train.bins))
    components[:, deviation > 0] = found.components_
    weights |= {"mean": mean, "scale": scale, "components": components}

    def loss(penalty: float) -> float:
        return scoring.loss(lambda looked: expect_pca(weights, {"score_penalty": penalty}, looked), validation)

    penalty, losses = choose(settings.score_penalties, loss)
    notes = {"score_penalty": penalty, "score_losses": losses}
    return weights, notes | {"variance_explained": found.explained_variance_ratio_.tolist()}


def expect_pca(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    """Return rate + scale (mean + scores components), shape (trace, time).

    scores = argmin_s  sum over observed bins of (x - s C)^2 + penalty |s|^2; without observed bins they are 0
    """
    rate, components = expect_constant(weights, looked), weights["components"]
    window = np.where(looked.valid, (looked.signal - rate - weights["mean"]) / weights["scale"], 0)
    count = len(components)
    products = (components[:, None] * components).reshape(count * count, -1)
    gram = (looked.valid.astype(float) @ products.T).reshape(-1, count, count)
    gram += notes["score_penalty"] * np.eye(count)
    scores = np.linalg.solve(gram, (window @ components.T)[..., None])[..., 0]
    return np.asarray(rate + weights["mean"] + weights["scale"] * (scores @ components))


def fit_nmf(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    """Return nonnegative components of trial windows less their smallest value, one set for all neurons.

    A bin that a trace does not have enters with the bin's mean. Nothing is chosen on validation trials; their loss is
    noted. A search that ends before it converges is noted, not hidden.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    known = train.valid.any(axis=0)
    least = float(train.signal[train.valid].min())
    mean = np.where(train.valid, train.signal, 0).sum(axis=0, dtype=float) / np.maximum(train.valid.sum(axis=0), 1)
    windows = (np.where(train.valid, train.signal, mean) - least)[:, known]
    model = NMF(min(settings.components, *windows.shape), init="nndsvda", max_iter=1000, random_state=settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = model.fit_transform(windows)
    components = np.zeros((len(model.components_), train.bins))
    components[:, known] = model.components_
    weights = {"components": components, "least": np.array(least), "mean_scores": scores.mean(axis=0)}
    loss = scoring.loss(lambda looked: expect_nmf(weights, {}, looked), validation)
    return weights, {"converged": bool(model.n_iter_ < model.max_iter), "validation_loss": loss}


def expect_nmf(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    """Return least + scores components, shape (trace, time).

    scores = argmin_{s >= 0}  sum over observed bins of (y - least - s C)^2; without observed bins the mean scores
    """
    from scipy.optimize import nnls

    components, least = weights["components"], weights["least"].item()
    scores = np.tile(weights["mean_scores"], (len(looked), 1))
    for trace in np.flatnonzero(looked.valid.any(axis=1)):
        bins = looked.valid[trace]
        scores[trace] = nnls(components[:, bins].T, looked.signal[trace, bins] - least)[0]
    return np.asarray(least + scores @ components)
