"""A generalised linear model per neuron on raised cosines after each kind of event: the encoding-model baseline."""

from typing import Any, Literal

import numpy as np

from pellucid.systems.dunl.model.comparator_settings import Comparator, LikelihoodName
from pellucid.systems.dunl.model.heldout import Scoring, choose
from pellucid.systems.dunl.model.traces import ABSENT, Traces
from pellucid.systems.dunl.model.unseen import levelled, seen_neurons

Weights = dict[str, np.ndarray]
Notes = dict[str, Any]
LARGEST_DRIVE = 30.0
"""Drives are cut here before exp, so that a mean stays finite."""


def raised_cosines(bases: int, span_bins: int, time: Literal["linear", "log"]) -> np.ndarray:
    """Return b_j(t) = (1 + cos(clip(pi (s(t) - c_j) / 2 d, -pi, pi))) / 2, shape (feature, lag).

    s(t) = t, or log(1 + t) so that later cosines are wider; t = 0 is the bin of the event. The first peaks at the
    event and the last ends with the span: c_j = s(0) + j d, d = (s(span) - s(0)) / (bases + 1).
    """
    clock = np.arange(span_bins + 1, dtype=float)
    if time == "log":
        clock = np.log1p(clock)
    distance = clock[-1] / (bases + 1)
    centres = distance * np.arange(bases)
    angle = np.pi * (clock[:-1] - centres[:, None]) / (2 * distance)
    return np.asarray((1 + np.cos(np.clip(angle, -np.pi, np.pi))) / 2)


def design(traces: Traces, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs of every distinct layout of events, (layout, time, feature), and each trace's layout, (trace,).

    cosines  (feature, lag), the response to one event; features of the design: kind of event, then cosine
    Events of a kind add up, and what passes the end of the trial is cut.
    """
    pairs = np.concatenate([traces.onset, traces.event_kind], axis=1)
    layouts, of_trace = np.unique(pairs, axis=0, return_inverse=True)
    onset, kind = np.split(layouts, 2, axis=1)
    row, slot = np.nonzero((onset != ABSENT) & (kind != ABSENT))
    inputs = np.zeros((len(layouts), traces.bins, len(traces.events), len(cosines)))
    bins = onset[row, slot][:, None] + np.arange(cosines.shape[1])  # (event, lag)
    event, lag = np.nonzero(bins < traces.bins)
    np.add.at(inputs, (row[event], bins[event, lag], kind[row, slot][event]), cosines.T[lag])
    return inputs.reshape(len(layouts), traces.bins, inputs.shape[2] * inputs.shape[3]), of_trace.ravel()


def fit_glm(train: Traces, validation: Traces, settings: Comparator, scoring: Scoring) -> tuple[Weights, Notes]:
    """Return coefficients (neuron, feature) and intercepts (neuron,), with one penalty chosen on validation trials.

    min  mean over bins of the loss of z = intercept + X coefficients  +  penalty |coefficients|^2 / 2
    """
    span = max(1, round(settings.span_s / train.bin_s))
    cosines = raised_cosines(settings.bases, span, settings.time)
    seen = seen_neurons(train)
    fitted = _all_penalties(train, cosines, seen, settings.penalties, scoring)
    features = [f"{kind}, cosine {j}" for kind in train.events for j in range(len(cosines))]
    notes: Notes = {"likelihood": scoring.likelihood, "features": features}
    made = [{"coefficients": c, "intercepts": i, "cosines": cosines, "seen": seen} for c, i in fitted]

    def loss(penalty: float) -> float:
        weights = made[settings.penalties.index(penalty)]
        return scoring.loss(lambda looked: expect_glm(weights, notes, looked), validation)

    penalty, losses = choose(settings.penalties, loss)
    return made[settings.penalties.index(penalty)], notes | {"penalty": penalty, "penalty_losses": losses}


def expect_glm(weights: Weights, notes: Notes, looked: Traces) -> np.ndarray:
    """Return the mean of every bin given the events, shape (trace, time); unseen neurons: mean over the seen ones."""
    inputs, of_trace = design(looked, weights["cosines"])
    seen = weights["seen"]
    mean = np.zeros((len(looked), looked.bins))
    for neuron in np.unique(looked.neuron):
        own = np.flatnonzero(looked.neuron == neuron)
        using = [neuron] if seen[neuron] else np.flatnonzero(seen)
        needed, place = np.unique(of_trace[own], return_inverse=True)
        drive = inputs[needed] @ weights["coefficients"][using].T + weights["intercepts"][using]
        mean[own] = inverse_link(drive, notes["likelihood"], looked.most_counts).mean(axis=2)[place]
    return levelled(mean, seen, looked)


def inverse_link(drive: np.ndarray, likelihood: LikelihoodName, most_counts: int) -> np.ndarray:
    """Return the mean of a drive z: z, exp z or N sigmoid(z), shape of the drive."""
    from scipy.special import expit

    if likelihood == "gaussian":
        return drive
    if likelihood == "poisson":
        return np.asarray(np.exp(np.minimum(drive, LARGEST_DRIVE)))
    return np.asarray(most_counts * expit(drive))


def _all_penalties(
    train: Traces, cosines: np.ndarray, seen: np.ndarray, penalties: list[float], scoring: Scoring
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return coefficients and intercepts for each penalty.

    Bins with equal inputs enter as one row with their number and summed signal, which leaves every optimum as it is.
    """
    inputs, of_trace = design(train, cosines)
    flat = inputs.reshape(inputs.shape[0] * inputs.shape[1], inputs.shape[2])
    distinct, row = np.unique(flat, axis=0, return_inverse=True)
    row = row.reshape(inputs.shape[:2])
    coefficients = np.zeros((len(penalties), len(seen), inputs.shape[2]))
    intercepts = np.zeros((len(penalties), len(seen)))
    for neuron in np.flatnonzero(seen):
        own = np.flatnonzero(train.neuron == neuron)
        valid = train.valid[own]
        where = row[of_trace[own]][valid]
        bins = np.bincount(where, minlength=len(distinct))
        sums = np.bincount(where, weights=train.signal[own][valid].astype(float), minlength=len(distinct))
        used = bins > 0
        for place, penalty in enumerate(penalties):
            coefficients[place, neuron], intercepts[place, neuron] = solve(
                distinct[used], bins[used], sums[used], penalty, scoring
            )
    return list(zip(coefficients, intercepts))


def solve(
    inputs: np.ndarray, bins: np.ndarray, sums: np.ndarray, penalty: float, scoring: Scoring
) -> tuple[np.ndarray, float]:
    """Return the coefficients (feature,) and intercept of one neuron.

    inputs  (row, feature); bins (row,) how many bins share a row; sums (row,) their summed signal
    Gaussian: Ridge. Poisson: PoissonRegressor on means, weighted by bins. Binomial: LogisticRegression with two rows
    each, weighted by counts and by N * bins - counts. A neuron whose mean lies outside the bounds of `scoring`, and
    data without events, keep the intercept only.
    """
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

    total, mean = bins.sum(), sums.sum() / bins.sum()
    if inputs.shape[1] == 0 or np.ptp(inputs, axis=0).max() == 0 or scoring.bounded(mean) != mean:
        return np.zeros(inputs.shape[1]), _link(float(scoring.bounded(mean)), scoring)
    if scoring.likelihood == "gaussian":
        model = Ridge(alpha=penalty * total, solver="cholesky").fit(inputs, sums / bins, sample_weight=bins)
    elif scoring.likelihood == "poisson":
        model = PoissonRegressor(alpha=penalty, solver="newton-cholesky", tol=1e-7, max_iter=500)
        model.fit(inputs, sums / bins, sample_weight=bins)
    else:
        model = LogisticRegression(C=1 / (penalty * total), solver="newton-cholesky", tol=1e-7, max_iter=500)
        fires = np.repeat([1, 0], len(inputs))
        weight = np.concatenate([sums, scoring.most_counts * bins - sums])
        model.fit(np.concatenate([inputs, inputs]), fires, sample_weight=weight)
    return np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])


def _link(mean: float, scoring: Scoring) -> float:
    if scoring.likelihood == "gaussian":
        return mean
    if scoring.likelihood == "poisson":
        return float(np.log(mean))
    return float(np.log(mean / (scoring.most_counts - mean)))
