"""The encoder's loss and gradients, the dictionary, baselines, published settings, and fits of tiny data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_reference import COUNTS, bumps, dense, make, row_of, settings, shifted
from dunl_data import features_of

from pellucid.systems.dunl.model import baseline, kernels, working_set
from pellucid.systems.dunl.model.encoder import Encoder
from pellucid.systems.dunl.model.fit import fit
from pellucid.systems.dunl.model.kernels import Dictionary
from pellucid.systems.dunl.model.presets import PRESETS
from pellucid.systems.dunl.model.settings import Kernel, Settings
from pellucid.systems.dunl.model.slots import Slots, known
from pellucid.systems.dunl.model.traces import ABSENT

NAMES = ("gaussian", "poisson", "binomial")
LAGS = 7


def encoder_of(name, codes, *, bins=31, trials=3, neurons=2, signs=None, **more):
    """An encoder of small traces whose kernels are (kernel, LAGS), and the offsets it was given."""
    traces = make(name, bumps(len(codes), LAGS), trials=trials, neurons=neurons, bins=bins, signs=signs)
    offset = np.linspace(-1.1, -0.7, len(traces))
    rules = settings(name, codes, LAGS, **more)
    return Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu"), offset


UNROLLED = {
    "known": {"timed": True},
    "known, inferred, competing": {
        "timed": True,
        "baseline": "inferred",
        "encoder": {"competition": [[0.0, 0.3], [0.2, 0.0]]},
    },
    "unknown": {"timed": False},
    "unknown, inferred, group": {"timed": False, "baseline": "inferred", "encoder": {"group": 0.1}},
}


@pytest.mark.parametrize("case", UNROLLED)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_through_the_layers(name, case):
    more = dict(UNROLLED[case])
    encoding = {"solver": "unrolled", "layers": 11, "step": 0.05, **more.pop("encoder", {})}
    encoder, _ = encoder_of(name, ["positive", "free"], encoder=encoding, penalty=0.05, ridge=0.02, **more)
    h = torch.as_tensor(bumps(2, LAGS))[None].requires_grad_()
    assert torch.autograd.gradcheck(lambda weights: encoder.loss(weights)[0], (h,), eps=1e-6, atol=1e-7, rtol=1e-5)


CONVERGED = {
    "known": {"timed": True},
    "known, inferred": {"timed": True, "baseline": "inferred"},
    "unknown": {"timed": False},
    "unknown, inferred": {"timed": False, "baseline": "inferred"},
    "mixed": {"timed": [True, False]},
    "known, group": {"timed": True, "encoder": {"group": 0.4}},
    "unknown, group": {"timed": False, "encoder": {"group": 0.4}},
}


@pytest.mark.parametrize("case", CONVERGED)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_at_convergence_is_that_of_the_loss_solved_again(name, case):
    """The codes' own response drops out, so the partial gradient is the whole one (envelope theorem)."""
    more = dict(CONVERGED[case])
    tight = 1e-8 if "group" in case else 1e-10
    encoding = {"tolerance": tight, **more.pop("encoder", {})}
    more |= {"penalty": 0.3, "ridge": 0.05, "encoder": encoding, "trials": 2, "bins": 23}
    encoder, _ = encoder_of(name, ["positive", "free"], **more)
    h = torch.as_tensor(bumps(2, LAGS))[None]
    weights = h.clone().requires_grad_()
    value, found = encoder.loss(weights)
    (gradient,) = torch.autograd.grad(value, weights)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(h.shape, dtype=torch.float64, generator=generator)
        above, below = (float(encoder.loss(h + step * way, found)[0]) for step in (1e-5, -1e-5))
        numeric = (above - below) / 2e-5
        assert float((gradient * way).sum()) == pytest.approx(numeric, rel=1e-5, abs=1e-5 * float(gradient.norm()))


@pytest.mark.parametrize("kind", ["trial", "inferred"])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_objective_per_valid_bin(name, timed, kind):
    """Of all bins, those no slot covers included; the squared error, not half of it, for values."""
    codes = ["positive", "negative"]
    encoder, offset = encoder_of(name, codes, timed=timed, penalty=0.4, ridge=0.1, baseline=kind, signs=[1, -1])
    h = bumps(2, LAGS)
    value, found = encoder.loss(torch.as_tensor(h)[None])
    total = 0.0
    for trace in range(len(encoder.traces)):
        full = dense(encoder.traces, trace, encoder.settings, h, offset[trace], timed=[timed] * 2)
        total += full.objective(row_of(found, trace, full, kind == "inferred"))
    scale = 2 if name == "gaussian" else 1
    assert float(value) == pytest.approx(scale * total / encoder.traces.valid.sum(), rel=1e-12)


@pytest.mark.parametrize("kind", ["trial", "inferred"])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_the_unrolled_loss_is_the_published_one(name, timed, kind):
    """Mean fit plus w_1 mean |x|, the mean over all positions a code can have in its own trial."""
    layers = {"solver": "unrolled", "layers": 30, "step": 0.05}
    more = {"timed": timed, "penalty": 0.1, "code_penalty": 0.7, "baseline": kind, "encoder": layers}
    encoder, offset = encoder_of(name, ["positive", "free"], **more)
    h = bumps(2, LAGS)
    value, start = encoder.loss(torch.as_tensor(h)[None])
    found = encoder.encode(torch.as_tensor(h)[None])
    fit_, size, places = 0.0, 0.0, 0
    for trace in range(len(encoder.traces)):
        full = dense(encoder.traces, trace, encoder.settings, h, offset[trace], timed=[timed] * 2)
        x = row_of(found, trace, full, kind == "inferred")
        fit_ += full.smooth(x)[0]
        size += np.abs(x[: len(full.slots)]).sum()
        places += 2 * (31 - 5 * (encoder.traces.trial[trace] % 3) - LAGS + 1)
    scale = 2 if name == "gaussian" else 1
    assert start is None
    assert float(value) == pytest.approx(scale * fit_ / encoder.traces.valid.sum() + 0.7 * size / places, rel=1e-10)


def test_leaving_out_the_bin_weight_divides_penalties_by_the_bin():
    """Published: a binomial bin counts once, so lambda there is N lambda where every one of the N counts."""
    codes = ["positive", "free"]
    counted, _ = encoder_of("binomial", codes, timed=False, penalty=0.9, encoder={"tolerance": 1e-9})
    published, _ = encoder_of(
        "binomial", codes, timed=False, penalty=0.9 / COUNTS, bin_weight="published", encoder={"tolerance": 1e-10}
    )
    h = torch.as_tensor(bumps(2, LAGS))[None]
    one, other = (e.encode(h) for e in (counted, published))
    shape = (2, counted.traces.bins)
    np.testing.assert_allclose(
        working_set.scattered(one.slots, one.codes, *shape),
        working_set.scattered(other.slots, other.codes, *shape),
        atol=1e-6,
    )
    ratio = float(counted.loss(h)[0]) / float(published.loss(h)[0])
    assert ratio == pytest.approx(COUNTS, rel=1e-9)


@pytest.mark.parametrize("solver", ["converged", "unrolled"])
@pytest.mark.parametrize("timed", [True, False])
def test_kernels_per_neuron_are_those_of_each_neuron_alone(timed, solver):
    traces = make("binomial", bumps(2, LAGS), trials=4, neurons=3, bins=33)
    encoding = {"solver": solver, "tolerance": 1e-9, "layers": 20, "step": None}
    rules = settings("binomial", ["positive", "free"], LAGS, timed=timed, penalty=0.3, encoder=encoding)
    weights = torch.as_tensor(np.stack([bumps(2, LAGS, seed) for seed in range(3)])).requires_grad_()
    offset = np.linspace(-1.2, -0.6, len(traces))
    together = Encoder(traces, rules, offset, traces.neuron, "cpu")
    value, _ = together.loss(weights)
    (gradient,) = torch.autograd.grad(value, weights)
    found = together.encode(weights)
    codes = working_set.scattered(found.slots, found.codes, 2, traces.bins)
    whole = 0.0
    for neuron in range(3):
        rows = traces.neuron == neuron
        alone = Encoder(traces.take(rows), rules, offset[rows], np.zeros(rows.sum(), int), "cpu")
        own = weights.detach()[neuron : neuron + 1].requires_grad_()
        part, _ = alone.loss(own)
        share = traces.valid[rows].sum() / traces.valid.sum()
        if solver == "converged":  # the mean |x| of the unrolled loss is taken over positions, not bins
            whole += share * float(part.detach())
            (grad,) = torch.autograd.grad(part, own)
            torch.testing.assert_close(gradient[neuron], share * grad[0], rtol=1e-6, atol=1e-9)
        apart = alone.encode(own)
        np.testing.assert_allclose(
            working_set.scattered(apart.slots, apart.codes, 2, traces.bins), codes[rows], atol=1e-8
        )
    if solver == "converged":
        assert whole == pytest.approx(float(value.detach()), rel=1e-9)


def test_projection_gives_unit_norm_and_keeps_to_the_sign():
    values = np.array([[[3.0, -4.0, 0.0], [3.0, -4.0, 0.0], [-1.0, -2.0, -3.0]]])
    found = Dictionary(values, [False, True, True], dtype=torch.float64)().detach().numpy()[0]
    np.testing.assert_allclose(found[0], [0.6, -0.8, 0])
    np.testing.assert_allclose(found[1], [1, 0, 0])
    np.testing.assert_allclose(found[2], np.full(3, 3**-0.5))  # nothing is left of it: it starts again as a box


def test_roughness_is_the_published_sum_over_time_per_kernel():
    values = np.stack([bumps(2, LAGS), bumps(2, LAGS, 1), bumps(2, LAGS, 2)])
    found = Dictionary(values, [False, False], dtype=torch.float64)
    each = [(np.diff(values[d]) ** 2).sum() / 2 for d in range(3)]
    assert float(found.roughness().detach()) == pytest.approx(np.mean(each))


def begun(kind, traces, count=2, signs=(1, -1), dictionaries=1, smoothing=0.0, seed=0):
    slots = known(traces, list(range(count)), LAGS)
    return kernels.initial(
        kind,
        (dictionaries, count, LAGS),
        np.random.default_rng(seed),
        traces=traces,
        slots=slots,
        signs=np.array(signs),
        smoothing=smoothing,
    )


def test_averages_are_event_triggered_turned_round_for_negative_codes():
    traces = make("gaussian", bumps(2, LAGS), trials=6, neurons=2, bins=47, signs=[1, -1], size=6.0)
    first = np.where(traces.onset == ABSENT, 99, traces.onset).min(1)
    traces = replace(traces, before=traces.valid & (np.arange(47) < first[:, None]))
    found = begun("average", traces)[0]
    level = traces.signal[traces.before].mean()
    for kernel, sign in enumerate((1, -1)):
        windows = []
        for trace in range(len(traces)):
            for place, kind in zip(traces.onset[trace], traces.event_kind[trace], strict=True):
                if kind == kernel and place != ABSENT and traces.valid[trace, place : place + LAGS].sum() >= LAGS / 2:
                    row = np.full(LAGS, np.nan)
                    kept = traces.valid[trace, place : place + LAGS]
                    row[: len(kept)] = np.where(kept, traces.signal[trace, place : place + LAGS] - level, np.nan)
                    windows.append(row)
        mean = sign * np.nanmean(windows, axis=0)
        unit = mean / np.linalg.norm(mean)
        assert np.linalg.norm(found[kernel] - unit) < 3 * kernels.JITTER  # the jitter's own norm varies
        assert found[kernel] @ unit > 0.9
    again = begun("average", traces, seed=1)[0]
    assert not np.allclose(found, again)


def test_chunks_are_stretches_of_the_signal():
    traces = make("gaussian", bumps(2, LAGS), trials=6, neurons=1, bins=47)
    found = begun("chunks", traces)[0]
    for kernel in found:
        centred = [
            row[start : start + LAGS] - row[valid].mean()
            for row, valid in zip(traces.signal, traces.valid, strict=True)
            for start in range(47 - LAGS + 1)
            if valid[start : start + LAGS].all()
        ]
        assert min(np.abs(np.array(centred) - kernel).max(1)) < 1e-12
    silent = replace(traces, signal=np.zeros_like(traces.signal))
    assert np.isfinite(begun("chunks", silent)).all()


def test_kernels_to_begin_with():
    traces = make("gaussian", bumps(2, LAGS), trials=3, neurons=1, bins=47)
    for kind in ("random", "sinusoid", "chunks", "average"):
        found = begun(kind, traces, dictionaries=3)
        assert found.shape == (3, 2, LAGS)
        np.testing.assert_array_equal(found[0], found[2])
        np.testing.assert_array_equal(found, begun(kind, traces, dictionaries=3))
        smooth = begun(kind, traces, smoothing=2.0)
        assert (np.diff(smooth) ** 2).sum() < (np.diff(found[:1]) ** 2).sum()
    changed = kernels.given(begun("random", traces), {"b": [1.0] * LAGS}, ["a", "b"])
    np.testing.assert_array_equal(changed[0, 1], 1)
    np.testing.assert_array_equal(changed[0, 0], begun("random", traces)[0, 0])


def test_kernels_of_free_sign_point_up_and_alike_ones_are_sorted_by_latency():
    late, early = shifted(np.ones(2), 4, LAGS), shifted(np.ones(2), 1, LAGS)
    weights = torch.as_tensor(np.stack([[-late, early, late, early], [early, late, late, early]]))
    specs = [Kernel(), Kernel(), Kernel(code="positive"), Kernel(code="positive", nonnegative=True)]
    turned = kernels.upwards(weights, specs)
    np.testing.assert_array_equal(turned[0], np.stack([late, early, late, early]))
    np.testing.assert_array_equal(kernels.upwards(-weights, specs)[:, 2:], -weights[:, 2:])
    ordered = kernels.in_order(turned, specs)
    np.testing.assert_array_equal(ordered[0], np.stack([early, late, late, early]))
    np.testing.assert_array_equal(ordered[1], turned[1])


def test_codes_of_a_trial_are_summed_over_time():
    slots = Slots(np.array([[0, 1, 0], [1, ABSENT, ABSENT]]), np.array([[2, 3, 9], [4, 0, 0]]))
    specs = [Kernel(event="e"), Kernel(event="e"), Kernel()]
    found = kernels.trial_codes(slots, np.array([[1.0, 5.0, 2.0], [7.0, 0, 0]]), specs)
    np.testing.assert_array_equal(found, [[3, 5, 0], [np.nan, 7, 0]])


@pytest.mark.parametrize("name", NAMES)
def test_baselines(name):
    traces = make(name, bumps(2, LAGS), trials=6, neurons=3, bins=47)
    traces = replace(traces, before=traces.valid & (np.arange(47) < 8), neurons=(*traces.neurons, "r/3"))
    traces.before[4] = False  # one trace of neuron 1 has no quiet bins of its own
    y = traces.signal / (COUNTS if name == "binomial" else 1)
    floor = {"gaussian": -np.inf, "poisson": 1e-3 * COUNTS, "binomial": 1e-3}[name]

    def link(mean):
        if name == "gaussian":
            return mean
        mean = np.maximum(mean, floor)
        return np.log(mean) if name == "poisson" else np.log(mean / (1 - mean))

    own = baseline.offsets("trial", name, traces, 1e-3)
    for trace in range(len(traces)):
        used = traces.valid[trace] if trace == 4 else traces.before[trace]
        assert own[trace] == pytest.approx(link(y[trace][used].mean()))
    rows = np.array([7, 2])
    np.testing.assert_array_equal(baseline.offsets("trial", name, traces.take(rows), 1e-3), own[rows])
    pooled = baseline.pool(name, traces, 1e-3)
    assert np.isnan(pooled[3])
    for neuron in range(3):
        bins = traces.before & (traces.neuron == neuron)[:, None]
        assert pooled[neuron] == pytest.approx(link(y[bins].mean()))
    given = np.array([0.5, np.nan, -0.25, np.nan])
    for kind in ("pooled", "inferred"):
        found = baseline.offsets(kind, name, traces, 1e-3, given)
        np.testing.assert_allclose(found[traces.neuron == 0], 0.5)
        np.testing.assert_allclose(found[traces.neuron == 1], pooled[1])  # not seen in training: its own
    np.testing.assert_array_equal(baseline.offsets("zero", name, traces, 1e-3), 0)


FREE, POSITIVE = "free", "positive"
TABLE = {
    # likelihood, lags, codes, nonnegative, lambda, w_1, top, w_s, layers, alpha, epochs, batch, baseline
    "d1_main": ("binomial", 24, (FREE,) * 3, (1, 1, 1), 0, 0, None, 0, 100, 0.1, 15, 32, "trial"),
    "d1_code122": ("binomial", 24, (POSITIVE, FREE, FREE), (0, 1, 1), 0, 0, None, 0, 100, 0.1, 15, 32, "trial"),
    "d1_per_neuron": (
        *("binomial", 24, (POSITIVE, FREE, FREE), (0, 1, 1), 0, 0, None, 5e-4, 100, 0.1, 600, 32),
        "inferred",
    ),
    "d1_limited": ("binomial", 24, (FREE,) * 3, (1, 1, 1), 0, 0, None, 5e-4, 100, 0.1, 50, 32, "trial"),
    "d2": (
        *("gaussian", 60, (FREE, FREE, POSITIVE, POSITIVE, "negative"), (0, 0, 0, 1, 1)),
        *(0, 0, None, 0, 100, 0.1, 15, 8, "trial"),
    ),
    "d3": ("binomial", 25, (POSITIVE,), (0,), 0.03, 0.03, 16, 3e-3, 800, 0.5, 120, 30, "trial"),
    "d3_group": ("binomial", 25, (POSITIVE,), (0,), 0.01, 0.03, 18, 3e-3, 800, 0.5, 120, 30, "trial"),
    "d3_glm": ("binomial", 25, (POSITIVE,), (0,), 0, 0, None, 0, 2000, 1, None, None, "trial"),
    "d4": ("gaussian", 30, (POSITIVE,), (1,), 0.25, 0.25, None, 2e-3, 1000, 0.01, 1000, 32, "inferred"),
    "sim_dopamine": ("binomial", 24, (FREE,) * 3, (1, 1, 1), 0, 0, None, 0, 100, 0.1, 200, 2, "trial"),
    "sim_short": ("binomial", 16, (POSITIVE,) * 2, (0, 0), 0.1, 0.1, 2, 0.015, 800, 0.25, None, 128, "trial"),
    "sim_structured": ("binomial", 16, (POSITIVE,) * 2, (0, 0), 0.1, 0.1, 1, 0.015, 800, 0.25, None, 128, "trial"),
    "sim_long": ("binomial", 16, (POSITIVE,) * 2, (0, 0), 0.1, 0.1, 3, 0.015, 800, 0.25, None, 128, "trial"),
    "sim_calscenario": ("binomial", 16, (POSITIVE,) * 2, (0, 0), 0.15, 0.15, 4, 0.012, 800, 0.25, None, 128, "trial"),
    "sim_local": ("binomial", 16, (POSITIVE,) * 2, (0, 0), 0.1, 0.1, 4, 0.007, 800, 0.25, None, 128, "trial"),
    "sim_orthogonal": ("binomial", 80, (POSITIVE,) * 5, (0,) * 5, 0.005, 0.005, 1, 0.01, 20, 0.25, 200, 5, "trial"),
    "sim_two_kernel": ("binomial", 80, (POSITIVE,) * 3, (0,) * 3, 0.005, 0.005, 1, 0.01, 20, 0.25, 200, 10, "trial"),
    "sim_whisker": ("binomial", 20, (POSITIVE,), (0,), 0.03, 0.03, 5, None, 800, 0.25, None, 128, "trial"),
}


@pytest.mark.parametrize("name", TABLE)
def test_published_settings_hold_the_values_of_the_table(name):
    found = Settings.model_validate({"preset": name})
    specs, encoding = list(found.kernels.values()), found.encoder
    said = (
        *(found.likelihood, found.lag_bins, tuple(k.code for k in specs), tuple(int(k.nonnegative) for k in specs)),
        *(found.penalty, found.penalty if found.code_penalty is None else found.code_penalty, encoding.top),
        *(found.smoothness, encoding.layers, encoding.step, found.training.epochs, found.training.batch),
        found.baseline,
    )
    for value, expected in zip(said, TABLE[name], strict=True):
        assert expected is None or value == expected  # None: not in the table
    assert (TABLE[name][6] is None) == (encoding.top is None)
    assert encoding.solver == "unrolled"
    assert encoding.momentum
    assert encoding.top_every == 10
    assert encoding.decay == 1
    assert found.training.rate == 0.01
    assert found.training.epsilon == 1e-3
    assert found.bin_weight == "published"
    assert found.fixed == (name == "d3_glm")
    assert found.encoder.group == {"d3_group": 0.05, "sim_orthogonal": 0.05, "sim_two_kernel": 0.025}.get(name, 0)
    competing = {"d2": 5, "sim_local": 2}.get(name)
    assert (encoding.competition is None) == (competing is None)
    if competing:
        matrix = np.array(encoding.competition)
        assert matrix.shape == (competing, competing)
        assert set(np.unique(matrix)) == {0.0, 2.5}
        assert not np.diag(matrix).any()


def test_every_preset_is_valid_and_what_a_block_says_itself_holds():
    assert set(TABLE) <= set(PRESETS)
    for name in PRESETS:
        Settings.model_validate({"preset": name})
    changed = Settings.model_validate({"preset": "d1_main", "encoder": {"layers": 7}, "training": {"epochs": 2}})
    assert (changed.encoder.layers, changed.encoder.step, changed.training.epochs) == (7, 0.1, 2)
    for name in ("d2_per_neuron", "d1_per_neuron"):
        assert Settings.model_validate({"preset": name}).dictionary == "neuron"
    orthogonal = Settings.model_validate({"preset": "sim_orthogonal"}).training.schedule(1000)
    assert orthogonal.epochs * orthogonal.steps == 1000


def planted(neurons=2, trials=36, bins=40, seed=0, level=0.2):
    """Values of neurons that respond to two kinds of events, each neuron with the same kernels."""
    generator = np.random.default_rng(seed)
    true = bumps(2, LAGS)
    onset = np.stack([generator.integers(2, 12, trials), generator.integers(20, 31, trials)], axis=1)
    signal = np.full((trials, bins, neurons), level) + 0.2 * generator.normal(size=(trials, bins, neurons))
    for trial in range(trials):
        for kernel in range(2):
            size = generator.normal(4, 1, neurons)
            signal[trial] += shifted(true[kernel], onset[trial, kernel], bins)[:, None] * size
    return signal, onset, np.tile([0, 1], (trials, 1)), true


PLAN = {
    "likelihood": "gaussian",
    "kernels": {"a": {"event": "e0", "code": "positive"}, "b": {"event": "e1"}},
    "lag_bins": LAGS,
    "training": {"epochs": 6, "steps": 10, "rate": 0.08, "patience": 2, "stop_after": None},
}


def fitted(tmp_path, signal, onset, kinds, **more):
    features = features_of(signal, onset, kinds, ("e0", "e1"), counts=False)
    return fit(features, 0, 0, Settings.model_validate({**PLAN, **more}), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"baseline": "inferred"},
        {"training": {**PLAN["training"], "batch": 5}, "initial": "average"},
        {"encoder": {"solver": "unrolled", "layers": 12, "step": 0.5}},
    ],
    ids=["converged", "inferred", "batches", "unrolled"],
)
def test_planted_kernels_are_learnt(tmp_path, more):
    signal, onset, kinds, true = planted()
    trained = fitted(tmp_path, signal, onset, kinds, **more)
    found = trained.weights["kernels"][0]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-9)
    cosine = (found * true).sum(1)
    print(f"1 - |cosine| with the truth: {1 - np.abs(cosine)}")
    assert (cosine * np.array([1, np.sign(cosine[1])]) > 0.99).all()
    losses = [row["validation"] for row in trained.history]
    assert min(losses) < losses[0]


@pytest.mark.slow
def test_fits_of_several_neurons_with_kernels_of_their_own_equal_fits_of_each(tmp_path):
    """Adam's step does not depend on the scale of the loss, but for its epsilon, of 1e-8 here."""
    signal, onset, kinds, _ = planted(neurons=2)
    training = {"epochs": 1, "steps": 60, "rate": 0.03}  # one epoch: the best epochs of the fits cannot differ
    more = {"validation": "objective", "dictionary": "neuron", "training": training}
    together = fitted(tmp_path / "both", signal, onset, kinds, **more)
    for neuron in range(2):
        alone = fitted(tmp_path / str(neuron), signal[:, :, [neuron]], onset, kinds, **more)
        difference = np.abs(together.weights["kernels"][neuron] - alone.weights["kernels"][0]).max()
        assert difference < 1e-5
        np.testing.assert_allclose(together.weights["baseline"][neuron], alone.weights["baseline"][0])


def test_fixed_kernels_stay_as_given(tmp_path):
    signal, onset, kinds, true = planted(trials=9)
    given = {"a": true[0].tolist(), "b": (-2 * true[1]).tolist()}
    trained = fitted(tmp_path, signal, onset, kinds, fixed=True, given=given)
    np.testing.assert_allclose(trained.weights["kernels"][0], np.stack([true[0], -true[1]]), atol=1e-12)
    assert len(trained.history) == 1
