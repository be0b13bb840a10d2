"""The models DUNL is compared with: closed forms, slow loops, planted truth, and nothing seen of held-out bins."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import optimize, stats
from scipy.special import expit

from pellucid.errors import DataError
from pellucid.systems.dunl.model import heldout, raised_cosines, time_courses
from pellucid.systems.dunl.model.comparator_settings import Comparator
from pellucid.systems.dunl.model.comparators import fit_comparator, predict_comparator
from pellucid.systems.dunl.model.traces import ABSENT, Traces

KINDS = ("constant", "psth", "gain", "glm", "pca", "nmf")
LIKELIHOODS = ("gaussian", "poisson", "binomial")
MOST = 25
QUICK = Comparator(penalties=[1e-4, 1e-2], span_s=0.2)


def build(signal, *, neurons, onset=None, event_kind=None, types=None, valid=None, kind="counts", events=("cue", "go")):
    """Traces of shape (trial, neuron, time), all of one recording; `neurons` of the dataset may be more than these."""
    trials, several, bins = signal.shape
    valid = np.ones(signal.shape, bool) if valid is None else valid
    onset = np.full((trials, 2), ABSENT) if onset is None else onset
    event_kind = np.where(onset == ABSENT, ABSENT, np.arange(onset.shape[1])) if event_kind is None else event_kind
    types = ["all"] * trials if types is None else types
    flat = valid.reshape(-1, bins)
    return Traces(
        signal=np.where(flat, signal.reshape(-1, bins), 0).astype(np.float32),
        valid=flat,
        before=np.zeros(flat.shape, bool),
        onset=np.repeat(onset, several, axis=0),
        event_kind=np.repeat(event_kind, several, axis=0),
        trial=np.repeat(np.arange(trials), several),
        neuron=np.tile(np.arange(several), trials),
        row=np.repeat(np.arange(trials), several),
        recording=np.zeros(trials * several, int),
        trial_type=np.repeat(np.array(types, object), several),
        events=events,
        neurons=tuple(f"r/{n}" for n in range(neurons)),
        recordings=("r",),
        bin_s=0.025,
        start_s=0.0,
        kind=kind,
        most_counts=MOST if kind == "counts" else 0,
    )


def random_parts(likelihood, *, seed=0, trials=(40, 16, 12), neurons=3, bins=31):
    """Training, validation and test traces with two trial types, two kinds of events and ragged trials."""
    generator = np.random.default_rng(seed)
    parts = []
    for count in trials:
        onset = np.stack([generator.integers(3, 12, count), generator.integers(14, 25, count)], axis=1)
        onset[::5, 1] = ABSENT
        drive = -1.5 + 0.3 * np.arange(neurons)[None, :, None] + np.zeros((count, 1, bins))
        for row, (cue, go) in enumerate(onset):
            drive[row, :, cue : cue + 4] += 1.0
            if go != ABSENT:
                drive[row, :, go : go + 6] += 1.5 * generator.uniform(0.5, 1.5)
        if likelihood == "gaussian":
            signal = drive + 0.5 * generator.standard_normal(drive.shape)
        else:
            signal = generator.binomial(MOST, expit(drive - 1.5))
        valid = np.ones(signal.shape, bool)
        valid[::4, :, -5:] = False
        types = np.where(onset[:, 1] == ABSENT, "cue only", "both")
        kind = "values" if likelihood == "gaussian" else "counts"
        parts.append(build(signal, neurons=neurons, onset=onset, types=types, valid=valid, kind=kind))
    return parts


def padded(traces, extra):
    """The same traces with invalid bins behind, whose signal is garbage that nobody may read."""
    wide = ((0, 0), (0, extra))
    return replace(
        traces,
        signal=np.pad(traces.signal, wide, constant_values=7),
        valid=np.pad(traces.valid, wide),
        before=np.pad(traces.before, wide),
    )


def loss(likelihood, traces, mean, scored):
    return heldout.nll(traces.signal, mean, likelihood, traces.most_counts)[scored].sum()


# ------------------------------------------------------------------------------------------------ losses and bins


def test_losses_are_those_of_scipys_densities():
    generator = np.random.default_rng(1)
    counts, mean = generator.integers(0, MOST + 1, (4, 9)), generator.uniform(0.1, MOST - 0.1, (4, 9))
    counts[0, :2] = (0, MOST)
    # a density adds only what does not depend on the mean
    poisson = -stats.poisson.logpmf(counts, mean) - heldout.nll(counts, mean, "poisson", MOST)
    assert poisson == pytest.approx(-stats.poisson.logpmf(counts, 1.0) - 1.0, abs=1e-9)
    binomial = -stats.binom.logpmf(counts, MOST, mean / MOST) - heldout.nll(counts, mean, "binomial", MOST)
    assert binomial == pytest.approx(-stats.binom.logpmf(counts, MOST, 0.5) - MOST * np.log(2), abs=1e-9)
    assert heldout.nll(counts, mean, "gaussian", 0) == pytest.approx((counts - mean) ** 2 / 2)
    variance = generator.uniform(0.5, 2, (4, 1))
    density = -stats.norm.logpdf(counts, mean, np.sqrt(variance))
    assert heldout.nll(counts, mean, "gaussian", 0, variance) == pytest.approx(density)


def test_binomial_loss_is_the_contracts_in_terms_of_the_drive():
    generator = np.random.default_rng(2)
    drive, counts = generator.normal(-2, 2, (3, 7)), generator.integers(0, MOST + 1, (3, 7))
    of_drive = MOST * (np.logaddexp(0, drive) - counts / MOST * drive)
    assert heldout.nll(counts, MOST * expit(drive), "binomial", MOST) == pytest.approx(of_drive)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_deviance_explained_is_one_for_the_data_and_zero_for_the_constant(likelihood):
    generator = np.random.default_rng(3)
    counts, scored = generator.integers(0, MOST + 1, (5, 8)), generator.random((5, 8)) < 0.6
    constant = np.full((5, 1), counts[scored].mean())
    assert heldout.deviance_explained(counts, counts, constant, scored, likelihood, MOST) == 1
    assert heldout.deviance_explained(counts, constant, constant, scored, likelihood, MOST) == 0
    mean = np.clip(counts + generator.normal(0, 2, counts.shape), 0.1, MOST - 0.1)
    found = heldout.deviance_explained(counts, mean, constant, scored, likelihood, MOST)
    assert 0 < found < 1
    if likelihood == "gaussian":
        y = counts[scored]
        assert found == pytest.approx(1 - ((y - mean[scored]) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    unscored = np.where(scored, mean, mean + 1)
    assert heldout.deviance_explained(counts, unscored, constant, scored, likelihood, MOST) == found
    assert np.isnan(heldout.deviance_explained(constant + 0 * mean, mean, constant, scored, likelihood, MOST))


@pytest.mark.parametrize("by_trial", [True, False])
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_half_of_the_chunks_is_observed(chunk, by_trial):
    traces = random_parts("poisson")[0]
    observed = heldout.halves(traces, 4, chunk=chunk, by_trial=by_trial)
    assert not (observed & ~traces.valid).any()
    for trace in range(len(traces)):
        chunks = [slice(start, start + chunk) for start in range(0, traces.bins, chunk)]
        valid = [traces.valid[trace, c].any() for c in chunks]
        seen = [observed[trace, c].any() for c in chunks]
        for c in chunks:  # a chunk is whole
            assert len(set(observed[trace, c][traces.valid[trace, c]])) <= 1
        assert abs(2 * sum(seen) - sum(valid)) <= sum(valid) % 2
    same = [
        (observed[traces.trial == trial] == observed[traces.trial == trial][0]).all()
        for trial in np.unique(traces.trial)
    ]
    assert all(same) if by_trial else not any(same)


@pytest.mark.parametrize("by_trial", [True, False])
def test_observed_bins_depend_on_seed_and_trial_alone(by_trial):
    traces = random_parts("poisson")[0]
    observed = heldout.halves(traces, 5, by_trial=by_trial)
    assert (observed == heldout.halves(traces, 5, by_trial=by_trial)).all()
    assert (observed != heldout.halves(traces, 6, by_trial=by_trial)).any()
    chosen = np.random.default_rng(0).permutation(len(traces))[:17]
    chosen = np.flatnonzero(np.isin(traces.trial, traces.trial[chosen]))[::-1]
    assert (observed[chosen] == heldout.halves(traces.take(chosen), 5, by_trial=by_trial)).all()
    wider = heldout.halves(padded(traces, 9), 5, by_trial=by_trial)
    assert (wider[:, : traces.bins] == observed).all()
    assert not wider[:, traces.bins :].any()


def test_every_chunk_is_observed_half_the_time():
    traces = build(np.zeros((1, 1, 10)), neurons=1)
    share = np.mean([heldout.halves(traces, seed) for seed in range(2000)], axis=0)
    assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))  # four standard errors


# ------------------------------------------------------------------------------------------------ every kind


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("kind", KINDS)
def test_held_out_bins_and_padding_never_count(kind, likelihood):
    train, validation, test = random_parts(likelihood)
    weights, notes = fit_comparator(kind, train, validation, QUICK, likelihood=likelihood)
    observed = heldout.halves(test, 1)
    mean = predict_comparator(kind, weights, notes, test, observed)
    assert mean.shape == test.signal.shape
    assert np.isfinite(heldout.nll(test.signal, mean, likelihood, MOST)).all()

    changed = replace(test, signal=np.where(observed, test.signal, MOST - test.signal))
    assert (predict_comparator(kind, weights, notes, changed, observed) == mean).all()

    wide = [padded(part, 6) for part in (train, validation, test)]
    wide_weights, wide_notes = fit_comparator(kind, wide[0], wide[1], QUICK, likelihood=likelihood)
    wide_mean = predict_comparator(kind, wide_weights, wide_notes, wide[2], np.pad(observed, ((0, 0), (0, 6))))
    # other lengths of sums round otherwise; iterative fits end within their tolerance
    assert wide_mean[:, : test.bins] == pytest.approx(mean, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_traces_does_not_matter(kind):
    train, validation, test = random_parts("binomial")
    observed, order = heldout.halves(test, 1), np.random.default_rng(0).permutation(len(test))
    mean = predict_comparator(
        kind, *fit_comparator(kind, train, validation, QUICK, likelihood="binomial"), test, observed
    )
    shuffled = train.take(np.random.default_rng(1).permutation(len(train)))
    again = predict_comparator(
        kind,
        *fit_comparator(kind, shuffled, validation, QUICK, likelihood="binomial"),
        test.take(order),
        observed[order],
    )
    assert again == pytest.approx(mean[order], rel=1e-4, abs=1e-6)  # as above


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_models_that_look_at_events_or_at_the_trial_beat_the_constant(likelihood):
    train, validation, test = random_parts(likelihood, trials=(120, 60, 120))
    observed = heldout.halves(test, 1)
    scored = test.valid & ~observed
    losses = {}
    for kind in KINDS:
        fitted = fit_comparator(kind, train, validation, QUICK, likelihood=likelihood)
        losses[kind] = loss(likelihood, test, predict_comparator(kind, *fitted, test, observed), scored)
    print({kind: round(float(value / scored.sum()), 4) for kind, value in losses.items()})
    assert min(losses, key=losses.get) == "glm"  # only it knows when the events were
    assert all(losses[kind] < losses["constant"] for kind in ("psth", "gain", "glm", "pca"))
    # gains vary little here, and shrinkage finds that out: they cost at most a twentieth of what the psth explains
    assert losses["gain"] - losses["psth"] < 0.05 * (losses["constant"] - losses["psth"])


def test_a_comparator_refuses_data_it_is_not_for():
    train, validation, test = random_parts("gaussian")
    with pytest.raises(DataError, match="poisson"):
        fit_comparator("psth", train, validation, QUICK, likelihood="poisson")
    with pytest.raises(DataError, match="validation"):
        fit_comparator(
            "psth", train, validation.observed(np.zeros_like(validation.valid)), QUICK, likelihood="gaussian"
        )
    weights, notes = fit_comparator("psth", train, validation, QUICK, likelihood="gaussian")
    with pytest.raises(DataError, match="bins"):
        predict_comparator("psth", weights, notes, padded(test, 1), padded(test, 1).valid)


# ------------------------------------------------------------------------------------------------ time courses


def test_constant_is_the_mean_of_valid_bins():
    train, validation, test = random_parts("poisson")
    weights, notes = fit_comparator("constant", train, validation, QUICK, likelihood="poisson")
    mean = predict_comparator("constant", weights, notes, test, test.valid)
    for trace in range(len(test)):
        own = train.neuron == test.neuron[trace]
        assert mean[trace] == pytest.approx(train.signal[own][train.valid[own]].mean())


@pytest.mark.parametrize("width", [0.0, 1.5])
def test_psth_is_the_loops_mean(width):
    train, validation, test = random_parts("poisson")
    settings = Comparator(widths_bins=[width])
    weights, notes = fit_comparator("psth", train, validation, settings, likelihood="poisson")
    mean = predict_comparator("psth", weights, notes, test, np.zeros_like(test.valid))
    reach = int(4 * width + 0.5)  # scipy cuts the Gaussian there
    for trace in range(0, len(test), 3):
        own = (train.neuron == test.neuron[trace]) & (train.trial_type == test.trial_type[trace])
        for t in range(test.bins):
            top = bottom = 0.0
            for s in range(max(0, t - reach), min(test.bins, t + reach + 1)):
                near = np.exp(-((s - t) ** 2) / (2 * width**2)) if width else 1.0
                for row in np.flatnonzero(own):
                    if train.valid[row, s]:
                        top, bottom = top + near * train.signal[row, s], bottom + near
            assert mean[trace, t] == pytest.approx(max(top / bottom, 0.1 * test.bin_s))


def test_psth_of_a_type_without_training_trials_is_the_mean_over_types():
    generator = np.random.default_rng(0)
    signal = generator.poisson(2.0, (6, 2, 9))
    train = build(signal, neurons=2, types=["a", "a", "b", "b", "b", "b"])
    valid = np.ones((2, 2, 9), bool)
    test = build(generator.poisson(2.0, (2, 2, 9)), neurons=2, types=["c", "a"], valid=valid)
    weights, notes = fit_comparator("psth", train, test, Comparator(widths_bins=[0.0]), likelihood="poisson")
    mean = predict_comparator("psth", weights, notes, test, valid.reshape(4, 9))
    expected = np.concatenate([signal.mean(axis=0), signal[:2].mean(axis=0)])
    assert mean == pytest.approx(np.maximum(expected, 0.1 * test.bin_s))


def test_bins_no_training_trial_has_get_the_mean_rate():
    signal, valid = np.random.default_rng(0).poisson(3.0, (5, 2, 8)), np.ones((5, 2, 8), bool)
    valid[:, :, 6:] = False
    train = build(signal, neurons=2, valid=valid)
    course = time_courses.courses(train, ["all"], 0.0)
    assert course[:2, 0, 6:] == pytest.approx(np.repeat(signal[:, :, :6].mean(axis=(0, 2))[:, None], 2, axis=1))


def test_validation_chooses_the_smoothing():
    """A slow sine needs a wide Gaussian, a single sharp bin needs none."""
    generator = np.random.default_rng(0)
    slow = 2 + np.sin(2 * np.pi * np.arange(60) / 60)
    sharp = np.where(np.arange(60) == 30, 20.0, 0.5)
    chosen = []
    for course in (slow, sharp):
        train, validation = (build(generator.poisson(np.tile(course, (8, 1, 1))), neurons=1) for _ in range(2))
        chosen.append(fit_comparator("psth", train, validation, Comparator(), likelihood="poisson")[1]["width_bins"])
    assert chosen[0] >= 2
    assert chosen[1] == 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("shrinkage", [0.5, 20.0])
def test_gain_maximises_the_posterior(likelihood, shrinkage):
    generator = np.random.default_rng(5)
    kind = "values" if likelihood == "gaussian" else "counts"
    mean = generator.uniform(0.2, 6.0, (6, 12))
    signal = generator.binomial(MOST, mean[:, None] / MOST)
    signal[0] = 0
    looked = build(signal, neurons=1, kind=kind).observed(generator.random((6, 12)) < 0.5)
    looked = replace(looked, most_counts=MOST)
    found = time_courses.gains(looked, mean, likelihood, shrinkage, 0.7)

    def objective(g, trace):
        bins = looked.valid[trace]
        at = heldout.nll(looked.signal[trace, bins], g * mean[trace, bins], likelihood, MOST).sum()
        if likelihood == "gaussian":
            return at / 0.7 + shrinkage * (g - 1) ** 2 / 2
        return at - shrinkage * (np.log(g) - g)

    for trace in range(6):
        most = 0.999 * MOST / mean[trace].max()
        best = optimize.minimize_scalar(
            objective, bounds=(1e-9, most), args=(trace,), method="bounded", options={"xatol": 1e-10}
        )
        assert found[trace] == pytest.approx(best.x, abs=1e-5)  # a flat optimum is known to the root of the precision


def test_gain_without_observed_bins_is_one_and_of_a_scaled_psth_its_scale():
    mean = np.random.default_rng(0).uniform(1, 3, (2, 40))
    for likelihood in LIKELIHOODS:
        scaled = replace(build(1.7 * mean[:, None], neurons=1), most_counts=MOST)
        dark = scaled.observed(np.zeros_like(scaled.valid))
        assert time_courses.gains(dark, mean, likelihood, 3.0, 1.0) == pytest.approx(1)
        # shrinkage of 1e-9 counts among about 130; the signal is float32
        assert time_courses.gains(scaled, mean, likelihood, 1e-9, 1.0) == pytest.approx(1.7, rel=1e-6)


def test_gain_recovers_planted_gains_where_the_psth_cannot():
    generator = np.random.default_rng(0)
    course = 2 + 4 * np.exp(-((np.arange(40) - 15) ** 2) / 30)
    parts = []
    for trials in (60, 30, 40):
        planted = generator.gamma(4, 0.25, (trials, 1, 1))
        parts.append((build(generator.poisson(planted * course), neurons=1), planted.ravel()))
    (train, _), (validation, _), (test, planted) = parts
    weights, notes = fit_comparator("gain", train, validation, Comparator(), likelihood="poisson")
    observed = heldout.halves(test, 2)
    mean = predict_comparator("gain", weights, notes, test, observed)
    assert np.corrcoef(mean[:, 15], planted)[0, 1] > 0.95
    assert notes["shrinkage"] <= 10  # the planted prior has variance 1/4
    psth = fit_comparator("psth", train, validation, Comparator(), likelihood="poisson")
    scored = test.valid & ~observed
    without = loss("poisson", test, predict_comparator("psth", *psth, test, observed), scored)
    assert loss("poisson", test, mean, scored) < without - 0.2 * scored.sum()


# ------------------------------------------------------------------------------------------------ left-out neurons


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_left_out_of_training_gets_the_pooled_course_at_its_own_level(kind, likelihood):
    train, validation, test = random_parts(likelihood, neurons=4, trials=(60, 20, 30))
    train, validation = (part.take(part.neuron != 3) for part in (train, validation))
    weights, notes = fit_comparator(kind, train, validation, QUICK, likelihood=likelihood)
    observed = heldout.halves(test, 3)
    new = test.neuron == 3
    mean = predict_comparator(kind, weights, notes, test, observed)
    alone = predict_comparator(kind, weights, notes, test.take(~new), observed[~new])
    assert (mean[~new] == alone).all() if kind != "pca" else mean[~new] == pytest.approx(alone)
    bins = observed & new[:, None]
    if kind in ("constant", "psth", "glm"):
        # one pseudo-count, or nothing for values, separates the level from that of the observed bins
        assert mean[bins].sum() == pytest.approx(test.signal[bins].sum(), abs=1.0)
    changed = replace(test, signal=np.where(observed, test.signal, MOST - test.signal))
    assert (predict_comparator(kind, weights, notes, changed, observed) == mean).all()


def test_pooled_course_is_the_mean_over_neurons():
    signal = np.random.default_rng(0).poisson(3.0, (7, 3, 8))
    train = build(signal, neurons=4)
    test = replace(train, neuron=np.full(len(train), 3)).take(np.arange(2))
    dark = np.zeros_like(test.valid)
    for kind in ("constant", "psth"):
        fitted = fit_comparator(kind, train, train, Comparator(widths_bins=[0.0]), likelihood="poisson")
        mean = predict_comparator(kind, *fitted, test, dark)
        expected = signal.mean(axis=(0, 1)) if kind == "psth" else np.full(8, signal.mean())
        assert mean == pytest.approx(np.tile(expected, (2, 1)))


# ------------------------------------------------------------------------------------------------ glm


@pytest.mark.parametrize("time", ["linear", "log"])
@pytest.mark.parametrize(("bases", "span"), [(2, 24), (5, 24), (5, 7)])
def test_raised_cosines(bases, span, time):
    found = raised_cosines.raised_cosines(bases, span, time)
    assert found.shape == (bases, span)
    assert found[0, 0] == 1
    assert (found >= 0).all()
    assert (np.diff(found.argmax(axis=1)) >= 0).all()
    assert np.linalg.matrix_rank(found) == bases
    clock = np.log1p(np.arange(span)) if time == "log" else np.arange(span)
    last = np.log1p(span) if time == "log" else span
    for j, row in enumerate(found):
        for t in range(span):
            away = (clock[t] - j * last / (bases + 1)) / (2 * last / (bases + 1))
            assert row[t] == pytest.approx((1 + np.cos(np.pi * away)) / 2 if abs(away) < 1 else 0)


def test_linear_raised_cosines_tile_time():
    found = raised_cosines.raised_cosines(8, 90, "linear")  # 10 bins apart, half width 20
    assert found[:, 10:61].sum(axis=0) == pytest.approx(2)


def test_design_is_the_loops():
    generator = np.random.default_rng(0)
    onset = generator.integers(ABSENT, 20, (6, 3))
    event_kind = np.where(onset == ABSENT, ABSENT, generator.integers(0, 2, (6, 3)))
    onset[1], event_kind[1] = onset[0], event_kind[0]
    traces = build(np.zeros((6, 2, 20)), neurons=2, onset=onset, event_kind=event_kind)
    cosines = generator.random((3, 7))
    inputs, of_trace = raised_cosines.design(traces, cosines)
    assert len(inputs) == 5
    for trace in range(12):
        expected = np.zeros((20, 2, 3))
        for at, kind in zip(onset[trace // 2], event_kind[trace // 2]):
            for lag in range(7):
                if at != ABSENT and at + lag < 20:
                    expected[at + lag, kind] += cosines[:, lag]
        assert inputs[of_trace[trace]] == pytest.approx(expected.reshape(20, 6))


@pytest.mark.parametrize("time", ["linear", "log"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_glm_recovers_planted_raised_cosines(likelihood, time):
    generator = np.random.default_rng(6)
    settings = Comparator(bases=2, span_s=0.3, time=time, penalties=[1e-8])
    trials, neurons, bins = 300, 2, 50
    onset = np.stack([generator.integers(2, 20, trials), generator.integers(10, 45, trials)], axis=1)
    planted = generator.normal(0, 0.7, (neurons, 4))
    intercepts = np.array([-1.0, 0.5])
    cosines = raised_cosines.raised_cosines(2, 12, time)
    inputs, of_trace = raised_cosines.design(build(np.zeros((trials, 1, bins)), neurons=1, onset=onset), cosines)
    drive = np.einsum("rtf,nf->rnt", inputs[of_trace], planted) + intercepts[:, None]
    if likelihood == "gaussian":
        signal = drive + generator.standard_normal(drive.shape)
    elif likelihood == "poisson":
        signal = generator.poisson(np.exp(drive))
    else:
        signal = generator.binomial(MOST, expit(drive))
    kind = "values" if likelihood == "gaussian" else "counts"
    train = build(signal, neurons=neurons, onset=onset, kind=kind)
    weights, _ = fit_comparator("glm", train, train, settings, likelihood=likelihood)
    # curvature of each likelihood gives the standard error of every coefficient; all lie within four of them
    for neuron in range(neurons):
        full = np.concatenate([np.ones((trials, bins, 1)), inputs[of_trace]], axis=2).reshape(-1, 5)
        mean = raised_cosines.inverse_link(drive[:, neuron].ravel(), likelihood, MOST)
        curvature = {"gaussian": np.ones_like(mean), "poisson": mean, "binomial": mean * (1 - mean / MOST)}[likelihood]
        error = np.sqrt(np.diagonal(np.linalg.inv((full * curvature[:, None]).T @ full)))
        found = np.append(weights["intercepts"][neuron], weights["coefficients"][neuron])
        assert (np.abs(found - np.append(intercepts[neuron], planted[neuron])) < 4 * error).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_glm_minimises_its_objective_over_single_bins(likelihood):
    """An independent minimisation of the mean loss per bin plus the penalty, without merging equal bins."""
    train = random_parts(likelihood)[0]
    penalty, neuron = 0.02, 1
    settings = Comparator(bases=2, span_s=0.2, penalties=[penalty])
    weights, _ = fit_comparator("glm", train, train, settings, likelihood=likelihood)
    inputs, of_trace = raised_cosines.design(train, raised_cosines.raised_cosines(2, 8, "linear"))
    own = train.neuron == neuron
    rows, y = inputs[of_trace[own]][train.valid[own]], train.signal[own][train.valid[own]].astype(float)

    def objective(x):
        mean = raised_cosines.inverse_link(x[0] + rows @ x[1:], likelihood, MOST)
        return heldout.nll(y, mean, likelihood, MOST).mean() + penalty * (x[1:] ** 2).sum() / 2

    best = optimize.minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-5})
    found = np.append(weights["intercepts"][neuron], weights["coefficients"][neuron])
    assert found == pytest.approx(best.x, abs=1e-3)  # BFGS with numerical gradients ends at about 1e-5 of the slope
    assert objective(found) <= best.fun + 1e-9


@pytest.mark.parametrize("likelihood", ["poisson", "binomial"])
def test_glm_of_a_silent_neuron_or_without_events_is_a_constant(likelihood):
    train, validation, test = random_parts(likelihood)
    silent = replace(train, signal=np.where(train.neuron[:, None] == 1, 0, train.signal))
    fitted = fit_comparator("glm", silent, validation, QUICK, likelihood=likelihood)
    mean = predict_comparator("glm", *fitted, test, test.valid)
    assert mean[test.neuron == 1] == pytest.approx(0.1 * test.bin_s)  # the floor
    nothing = [
        replace(part, onset=np.full_like(part.onset, ABSENT), event_kind=np.full_like(part.onset, ABSENT), events=())
        for part in (train, validation, test)
    ]
    fitted = fit_comparator("glm", nothing[0], nothing[1], QUICK, likelihood=likelihood)
    constant = fit_comparator("constant", train, validation, QUICK, likelihood=likelihood)
    assert predict_comparator("glm", *fitted, nothing[2], test.valid) == pytest.approx(
        predict_comparator("constant", *constant, test, test.valid)
    )


# ------------------------------------------------------------------------------------------------ pca and nmf


@pytest.mark.parametrize("ragged", [False, True])
def test_pca_is_the_singular_value_decomposition_and_its_scores_ridge(ragged):
    generator = np.random.default_rng(0)
    signal = generator.normal(1, 1, (40, 2, 3)) @ generator.normal(0, 1, (3, 17))
    signal += 0.3 * generator.standard_normal(signal.shape)
    valid = np.ones(signal.shape, bool)
    valid[::3, :, 12:] = not ragged
    train = build(signal, neurons=2, valid=valid, kind="values")
    settings = Comparator(components=3, score_penalties=[0.5])
    weights, notes = fit_comparator("pca", train, train, settings, likelihood="gaussian")
    known = np.ma.array(signal, mask=~valid)
    rates = known.mean(axis=(0, 2)).data
    windows = (known - rates[:, None]).reshape(80, 17)
    centre, scale = windows.mean(axis=0).data, windows.std(axis=0).data
    _, _, right = np.linalg.svd(((windows - centre) / scale).filled(0))  # a missing bin is at its mean
    assert weights["components"].T @ weights["components"] == pytest.approx(right[:3].T @ right[:3], abs=1e-5)
    observed = heldout.halves(train, 0)
    mean = predict_comparator("pca", weights, notes, train, observed)
    for trace in range(0, 80, 7):
        seen = observed[trace]
        target = ((signal[trace // 2, trace % 2] - rates[trace % 2] - centre) / scale)[seen]
        rows = np.concatenate([right[:3, seen].T, np.sqrt(0.5) * np.eye(3)])
        scores = np.linalg.lstsq(rows, np.append(target, np.zeros(3)), rcond=None)[0]
        expected = rates[trace % 2] + centre + scale * (scores @ right[:3])
        assert mean[trace] == pytest.approx(expected, abs=1e-4)  # float32 signal


def test_a_bin_that_a_trial_does_not_have_enters_nmf_at_its_mean():
    train = random_parts("poisson")[0]
    filled = np.ma.array(train.signal, mask=~train.valid)
    filled = np.ma.where(train.valid, filled, filled.mean(axis=0)).data.astype(np.float32)
    whole = replace(train, signal=filled, valid=np.ones_like(train.valid))
    weights, expected = (fit_comparator("nmf", part, part, QUICK, likelihood="poisson")[0] for part in (train, whole))
    assert weights["components"] == pytest.approx(expected["components"], rel=1e-4, abs=1e-4)  # float32 means


def test_pca_and_nmf_fill_in_the_held_out_half_of_low_rank_trials():
    generator = np.random.default_rng(1)
    parts = generator.random((2, 24)) ** 3
    train, validation, test = (
        build(10 * generator.gamma(2, 0.5, (count, 1, 2)) @ parts, neurons=1, kind="values") for count in (60, 20, 30)
    )
    observed = heldout.halves(test, 0)
    scored = test.valid & ~observed
    for kind, least in (("pca", 0.999), ("nmf", 0.99)):  # no noise; NMF subtracts the minimum and stops at 1e-4
        settings = Comparator(score_penalties=[1e-6])
        fitted = fit_comparator(kind, train, validation, settings, likelihood="gaussian")
        mean = predict_comparator(kind, *fitted, test, observed)
        constant = np.full((1, 1), train.signal.mean())
        assert heldout.deviance_explained(test.signal, mean, constant, scored, "gaussian", 0) > least


def test_nmf_is_nonnegative_above_the_minimum_and_says_whether_it_converged():
    train, validation, test = random_parts("gaussian")
    weights, notes = fit_comparator("nmf", train, validation, QUICK, likelihood="gaussian")
    assert notes["converged"]
    assert (weights["components"] >= 0).all()
    assert weights["least"] == train.signal[train.valid].min()
    mean = predict_comparator("nmf", weights, notes, test, heldout.halves(test, 0))
    assert (mean >= weights["least"]).all()
    # scores by another solver on the observed bins; the problem is strictly convex
    observed = heldout.halves(test, 0)
    for trace in range(0, len(test), 5):
        seen = observed[trace]
        rows, target = weights["components"][:, seen].T, test.signal[trace, seen] - float(weights["least"])
        scores = optimize.lsq_linear(rows, target, bounds=(0, np.inf), tol=1e-12).x
        assert mean[trace] == pytest.approx(float(weights["least"]) + scores @ weights["components"], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_notes_are_plain_data(kind, tmp_path):
    train, validation, test = random_parts("poisson")
    weights, notes = fit_comparator(kind, train, validation, QUICK, likelihood="poisson")
    save_file(weights, tmp_path / "w.safetensors")
    read, told = load_file(tmp_path / "w.safetensors"), json.loads(json.dumps(notes, allow_nan=False))
    observed = heldout.halves(test, 0)
    assert (
        predict_comparator(kind, read, told, test, observed) == predict_comparator(kind, weights, notes, test, observed)
    ).all()
