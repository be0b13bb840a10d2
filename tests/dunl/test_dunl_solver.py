"""Likelihoods, Newton steps, slots and the working set: codes equal those of an explicit dense problem."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_reference import COUNTS, bumps, dense, make, padded, row_of, settings, shifted
from scipy.special import expit

from pellucid.systems.dunl.model import likelihood, newton, slots, working_set
from pellucid.systems.dunl.model.encoder import Encoder, drive, model_of
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.support import Support
from pellucid.systems.dunl.model.traces import ABSENT
from pellucid.systems.dunl.model.working_set import Found

NAMES = ("gaussian", "poisson", "binomial")
SIGNS = {"positive": 1, "negative": -1, "free": 1}


@pytest.mark.parametrize("name", NAMES)
def test_mean_and_curvature_are_derivatives_of_the_likelihood(name):
    z = torch.linspace(-4, 4, 17, dtype=torch.float64, requires_grad=True)
    y = torch.linspace(0, 1, 17, dtype=torch.float64)
    (slope,) = torch.autograd.grad(likelihood.nll(name, y, z).sum(), z, create_graph=True)
    torch.testing.assert_close(slope, likelihood.mean(name, z) - y, atol=1e-12, rtol=1e-12)
    if name != "gaussian":
        (bend,) = torch.autograd.grad(slope.sum(), z)
        torch.testing.assert_close(bend, likelihood.curvature(name, z), atol=1e-12, rtol=1e-12)
    assert float(likelihood.curvature(name, z.detach()).max()) <= likelihood.CURVATURE.get(name, np.inf)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binomial_likelihood_is_exact_where_the_exponential_overflows(dtype):
    z = torch.tensor([-1e3, -50.0, 0.0, 30.0, 50.0, 1e3], dtype=dtype, requires_grad=True)
    y = torch.tensor([0.3, 0.0, 1.0, 0.7, 1.0, 0.2], dtype=dtype)
    value = likelihood.nll("binomial", y, z)
    exact = np.logaddexp(0, z.detach().double().numpy()) - y.double().numpy() * z.detach().double().numpy()
    np.testing.assert_allclose(value.detach().double(), exact, rtol=2e-6 if dtype == torch.float32 else 1e-12)
    (slope,) = torch.autograd.grad(value.sum(), z)
    np.testing.assert_allclose(slope, expit(z.detach().numpy()) - y.numpy(), atol=1e-6)
    assert torch.isfinite(likelihood.curvature("binomial", z)).all()
    assert float(likelihood.nll("poisson", y, torch.full_like(y, -1e3)).sum()) == pytest.approx(1e3 * float(y.sum()))


@pytest.mark.parametrize("name", NAMES)
def test_link_undoes_the_mean_and_keeps_to_the_floor(name):
    z = np.linspace(-3, 3, 9)
    mean = likelihood.mean(name, torch.as_tensor(z)).numpy()
    np.testing.assert_allclose(likelihood.link(name, mean, 1e-3), z, atol=1e-12)
    if name != "gaussian":
        at_zero = likelihood.link(name, np.zeros(1), 1e-3)
        np.testing.assert_allclose(likelihood.mean(name, torch.as_tensor(at_zero)).numpy(), 1e-3)
    counts = likelihood.expected(name, z, COUNTS)
    np.testing.assert_allclose(likelihood.scaled(name, counts, COUNTS), mean)
    assert likelihood.weight(name, COUNTS, counted=True) == (COUNTS if name == "binomial" else 1)
    assert likelihood.weight(name, COUNTS, counted=False) == 1


def collinear(name, correlation, *, penalty, positive, groups=12, members=2, size=9, bins=31, seed=0):
    """Problems whose columns all have about the same correlation with each other."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(groups, bins, 1))
    design = correlation * common + (1 - correlation) * generator.normal(size=(groups, bins, size))
    design /= np.linalg.norm(design, axis=1, keepdims=True)
    codes = generator.normal(size=(groups, members, size)) * 3 * (generator.random((groups, members, size)) < 0.5)
    z = -1.5 + np.einsum("gus,gms->gmu", design, np.abs(codes) if positive else codes)
    y = {
        "gaussian": lambda: generator.normal(z, 0.3),
        "poisson": lambda: generator.poisson(np.exp(np.minimum(z, 5))).astype(float),
        "binomial": lambda: generator.binomial(COUNTS, expit(z)) / COUNTS,
    }[name]()
    shape = (groups, 1, size)
    return newton.Problems(
        name,
        torch.as_tensor(design),
        torch.as_tensor(y),
        torch.full(y.shape, -1.5, dtype=torch.float64),
        torch.full(y.shape, float(COUNTS) if name == "binomial" else 1.0, dtype=torch.float64),
        torch.full(shape, penalty, dtype=torch.float64),
        torch.zeros(shape, dtype=torch.float64),
        torch.full(shape, positive),
        torch.as_tensor(generator.random((groups, members, size)) < 0.9),
    )


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_newton_steps_do_not_stall_on_nearly_collinear_columns(name, penalty, positive):
    problems = collinear(name, 0.99, penalty=penalty, positive=positive)
    codes = newton.solve(problems, tolerance=1e-7)
    assert float(newton.kkt(problems, codes).max()) <= 1e-7
    assert bool((codes[~problems.present] == 0).all())
    if positive:
        assert float(codes.min()) >= 0


def test_newton_steps_take_duplicate_columns():
    problems = collinear("poisson", 0.5, penalty=0.0, positive=False)
    twice = torch.cat([problems.design, problems.design], -1)
    double = {n: torch.cat([getattr(problems, n)] * 2, -1) for n in ("penalty", "ridge", "positive", "present")}
    doubled = replace(problems, design=twice, **double)
    codes = newton.solve(doubled, tolerance=1e-6)
    single = newton.solve(problems, tolerance=1e-6)
    assert float(newton.kkt(doubled, codes).max()) <= 1e-6
    summed = codes[..., :9] + codes[..., 9:]  # only the sum of duplicates is determined
    torch.testing.assert_close(problems.drive(summed), problems.drive(single), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_is_solved_the_same_alone_and_from_any_start(name):
    problems = collinear(name, 0.8, penalty=0.2, positive=False, members=3)
    together = newton.solve(problems, tolerance=1e-5)
    for group in (0, 7):
        alone = problems.take(torch.tensor([group]))
        one = replace(alone, **{n: getattr(alone, n)[:, 1:2] for n in ("signal", "offset", "weight", "present")})
        apart = newton.solve(one, tolerance=1e-5)
        torch.testing.assert_close(apart[0, 0], together[group, 1], atol=1e-10, rtol=0)  # order of sums
    begun = newton.solve(problems, torch.randn(together.shape, dtype=torch.float64), tolerance=1e-9)
    torch.testing.assert_close(begun, newton.solve(problems, tolerance=1e-9), atol=1e-6, rtol=0)


def test_newton_tolerance_may_differ_between_problems():
    problems = collinear("binomial", 0.5, penalty=0.1, positive=True, groups=5)
    goal = torch.tensor([1e-1, 1e-8])[None].expand(5, 2)
    reached = newton.kkt(problems, newton.solve(problems, tolerance=goal))
    assert bool((reached <= goal).all())
    assert float(reached[:, 0].max()) > 1e-6


def test_newton_steps_stop_at_the_limit_of_their_precision():
    """A tolerance that single precision cannot reach ends the steps, with codes as exact as it allows."""
    problems = collinear("poisson", 0.6, penalty=0.1, positive=False)
    changed = {n: getattr(problems, n).float() for n in ("design", "signal", "offset", "weight", "penalty", "ridge")}
    single = replace(problems, **changed)
    codes = newton.solve(single, tolerance=0.0, most=1_000_000)
    exact = newton.solve(problems, tolerance=1e-9)
    np.testing.assert_allclose(problems.objective(codes.double()), problems.objective(exact), rtol=1e-5)
    torch.testing.assert_close(codes.double(), exact, atol=5e-3, rtol=0)


def test_hessian_is_the_derivative_of_the_slope_for_few_and_many_members():
    for members in (2, 20):  # two orders of summation
        problems = collinear("binomial", 0.2, penalty=0.0, positive=False, groups=2, members=members, size=4)
        codes = torch.randn(problems.present.shape, dtype=torch.float64)
        hessian = problems.hessian(codes)
        for slot in range(4):
            step = torch.zeros_like(codes)
            step[..., slot] = 1e-5
            numeric = (problems.slope(codes + step) - problems.slope(codes - step)) / 2e-5
            torch.testing.assert_close(hessian[..., slot], numeric, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("inferred", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_problems_on_slots_add_up_to_the_objective_of_whole_traces(name, inferred):
    """The layout cuts slots into problems exactly: drives and costs are those of explicit convolutions."""
    codes, lags = ["positive", "negative", "free"], 7
    kernels = bumps(3, lags)
    traces = make(name, kernels, trials=5, neurons=2, bins=43)
    rules = settings(name, codes, lags, penalty=0.4, ridge=0.1, baseline="inferred" if inferred else "zero")
    model, generator = model_of(rules, traces), np.random.default_rng(1)
    offset = generator.normal(-0.5, 0.2, len(traces))
    found = slots.known(traces, [0, 1, 2], lags)
    support = Support(traces, found, model, offset, np.zeros(len(traces), int))
    problems = support.problems(torch.as_tensor(kernels)[None])
    values = np.where(found.present, np.abs(generator.normal(size=found.kernel.shape)), 0)
    values *= np.array([1, -1, 1])[np.maximum(found.kernel, 0)]
    level = generator.normal(size=len(traces)) if inferred else np.zeros(len(traces))
    placed = support.placed(values, level)
    np.testing.assert_allclose(support.codes(placed), values)
    np.testing.assert_allclose(support.baseline(placed), level)
    total = np.zeros(len(traces))
    kept = support.layout.trace != ABSENT
    np.add.at(total, support.layout.trace[kept], problems.objective(placed).numpy()[kept])
    at_zero = np.zeros(len(traces))
    np.add.at(at_zero, support.layout.trace[kept], problems.objective(torch.zeros_like(placed)).numpy()[kept])
    for trace in range(len(traces)):
        full = dense(traces, trace, rules, kernels, offset[trace], timed=[True] * 3)
        x = row_of(Found(found, values, level, level), trace, full, inferred)
        # bins that no slot covers, and the spread inside the bin that stands for them, are constants
        change = full.objective(x) - full.objective(np.zeros(len(x)))
        np.testing.assert_allclose(total[trace] - at_zero[trace], change, rtol=1e-10, atol=1e-10)


def test_slots_of_known_events():
    kernels = bumps(2, 8)
    traces = make("binomial", kernels, trials=1, neurons=1, bins=30, masked=False)
    onset = np.array([[4, 4, 26, 27, 10, 10]])
    kind = np.array([[0, 0, 0, 0, 1, 0]])
    traces = replace(traces, onset=onset, event_kind=kind)
    found = slots.known(traces, [0, 1], 8)
    # two events of a kind in one bin share a slot; the last one has 3 of 8 bins and none
    assert list(zip(found.kernel[0], found.position[0], strict=True)) == [(0, 4), (0, 10), (1, 10), (0, 26)]
    assert slots.known(traces, [None, None], 8).kernel.shape == (1, 0)
    hidden = traces.observed(np.arange(30)[None] % 4 == 0)
    assert slots.known(hidden, [0, 1], 8).kernel.shape[1] == 0
    np.testing.assert_array_equal(slots.known(hidden, [0, 1], 8, traces.valid).kernel, found.kernel)


def test_crowded_counts_the_slots_of_each_cluster():
    kernel = np.array([[0, 0, 1, 0, ABSENT], [1, ABSENT, ABSENT, ABSENT, ABSENT]])
    position = np.array([[2, 5, 7, 12, 0], [3, 0, 0, 0, 0]])
    np.testing.assert_array_equal(slots.crowded(Slots(kernel, position), 5), [[3, 3, 3, 1, 0], [1, 0, 0, 0, 0]])


def test_kernels_at_unknown_times_lie_inside_the_trial_whatever_the_padding():
    recorded = np.zeros((3, 12), bool)
    recorded[0, :9] = True
    recorded[0, 3] = False
    recorded[1, 2:12] = True
    found = slots.inside(recorded, 4)
    np.testing.assert_array_equal(np.flatnonzero(found[0]), np.arange(6))
    np.testing.assert_array_equal(np.flatnonzero(found[1]), np.arange(2, 9))
    assert not found[2].any()


CASES = [
    (["positive"], 9, True, "zero", 0.0),
    (["free", "negative", "positive"], 7, True, "zero", 0.05),
    (["positive", "free", "negative"], 7, True, "inferred", 0.0),
    (["positive"], 9, False, "inferred", 0.0),
    (["positive", "free", "negative"], 7, False, "zero", 0.0),
    (["free", "positive"], 5, False, "inferred", 0.03),
    (["negative", "free", "positive"], 7, [False, True, True], "zero", 0.02),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{'/'.join(c[0])}-{c[2]}-{c[3]}-{c[4]}")
@pytest.mark.parametrize("name", NAMES)
def test_codes_are_those_of_the_dense_problem(name, case):
    """Float64, per-kernel penalties, unequal trials with gaps: the same codes as L-BFGS-B on explicit columns."""
    codes, lags, timed, kind, ridge = case
    kernels = bumps(len(codes), lags)
    traces = make(name, kernels, trials=2, neurons=2, bins=37, signs=[SIGNS[c] for c in codes])
    penalties = [0.3, 0.9, 0.2][: len(codes)]
    more = {"penalties": penalties, "ridge": ridge, "baseline": kind, "encoder": {"tolerance": 1e-8}}
    rules = settings(name, codes, lags, timed=timed, **more)
    offset = np.random.default_rng(2).normal(0 if name == "gaussian" else -1, 0.2, len(traces))
    found = Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu").encode(torch.as_tensor(kernels)[None])
    known = [timed] * len(codes) if isinstance(timed, bool) else timed
    assert float(found.kkt.max()) <= 1e-8
    for trace in range(len(traces)):
        full = dense(traces, trace, rules, kernels, offset[trace], timed=known)
        x, reference = row_of(found, trace, full, kind == "inferred"), full.solve()
        assert full.violation(x) <= 2e-8  # the conditions of optimality by their definition, at every position
        lowest = full.objective(reference)
        assert full.objective(x) == pytest.approx(lowest, rel=1e-8)
        assert full.objective(x) <= lowest + 1e-10 * (1 + abs(lowest))
        if full.condition(x) < 1e4:  # measured: at most 1e-6, the reference's own error
            np.testing.assert_allclose(x, reference, atol=1e-5)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_conditions_of_optimality_hold_at_the_usual_tolerance(name, timed):
    kernels = bumps(2, 9)
    traces = make(name, kernels, trials=12, neurons=3, bins=71, signs=[1, -1])
    rules = settings(name, ["positive", "negative"], 9, timed=timed, penalty=0.0 if timed else 0.7)
    offset = np.full(len(traces), 0.3 if name == "gaussian" else -1.0)
    encoder = Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu")
    found = encoder.encode(torch.as_tensor(kernels)[None])
    assert float(found.kkt.max()) <= 1e-4
    for trace in range(0, len(traces), 5):
        full = dense(traces, trace, rules, kernels, offset[trace], timed=[timed] * 2)
        assert full.violation(row_of(found, trace, full, False)) <= 1.01e-4
    z = drive(encoder, torch.as_tensor(kernels)[None], found)
    rebuilt = offset[3] + sum(
        code * shifted(kernels[k], p, traces.bins)
        for k, p, code in zip(found.slots.kernel[3], found.slots.position[3], found.codes[3], strict=True)
        if k != ABSENT
    )
    np.testing.assert_allclose(z[3], rebuilt, atol=1e-12)


@pytest.mark.parametrize("timed", [True, False])
def test_float32_codes_stay_close_to_float64(timed):
    """Single precision moves codes by less than 1e-3 of the largest one, and reaches a violation of 1e-3."""
    kernels = bumps(2, 9)
    worst = {}
    for name in NAMES:
        traces = make(name, kernels, trials=8, neurons=2, bins=53)
        offset = np.full(len(traces), 0.3 if name == "gaussian" else -1.0)
        results = {}
        for precision, tolerance in (("float64", 1e-6), ("float32", 1e-3)):
            more = {"penalty": 0.5, "precision": precision, "encoder": {"tolerance": tolerance}}
            rules = settings(name, ["positive", "free"], 9, timed=timed, **more)
            encoder = Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu")
            found = encoder.encode(torch.as_tensor(kernels, dtype=encoder.dtype)[None])
            assert float(found.kkt.max()) <= tolerance
            results[precision] = working_set.scattered(found.slots, found.codes, 2, traces.bins)
        worst[name] = float(np.abs(results["float32"] - results["float64"]).max() / np.abs(results["float64"]).max())
    print("float32 against float64, share of the largest code:", {k: f"{v:.1e}" for k, v in worst.items()})
    assert max(worst.values()) < (1e-3 if timed else 2e-2)  # neighbouring positions share a code more freely


def unknown(name="binomial", **more):
    """An encoder of two kernels at unknown times, its kernels and a tight result."""
    kernels = bumps(2, 7)
    traces = more.pop("traces", None) or make(name, kernels, trials=4, neurons=2, bins=45, signs=[1, -1])
    rules = settings(name, ["positive", "negative"], 7, timed=False, **{"penalty": 0.6, **more})
    rules = rules.model_copy(update={"encoder": rules.encoder.model_copy(update={"tolerance": 1e-9})})
    encoder = Encoder(traces, rules, np.full(len(traces), -1.0), np.zeros(len(traces), int), "cpu")
    return encoder, torch.as_tensor(kernels)[None], traces


def everywhere(found, traces):
    return working_set.scattered(found.slots, found.codes, 2, traces.bins)


@pytest.mark.parametrize("kind", ["zero", "inferred"])
def test_a_warm_start_finds_the_same_codes(kind):
    encoder, kernels, traces = unknown(baseline=kind)
    cold = encoder.encode(kernels)
    moved = kernels + 0.05 * torch.randn(kernels.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    warm = encoder.encode(kernels, encoder.encode(moved / moved.norm(dim=-1, keepdim=True)))
    np.testing.assert_allclose(everywhere(warm, traces), everywhere(cold, traces), atol=1e-6)
    np.testing.assert_allclose(warm.baseline, cold.baseline, atol=1e-6)


def test_slots_that_do_not_belong_are_dropped_and_those_missing_come_back():
    encoder, kernels, traces = unknown()
    cold = encoder.encode(kernels)
    wrong = np.tile(np.array([[1, 8, 20, 27]]), (len(traces), 1))
    start = Found(
        Slots(np.tile([[0, 1, 0, 1]], (len(traces), 1)), wrong), np.tile([[3.0, -2, 4, -1]], (8, 1)), *[np.zeros(8)] * 2
    )
    found = encoder.encode(kernels, start)
    np.testing.assert_allclose(everywhere(found, traces), everywhere(cold, traces), atol=1e-6)
    assert bool((found.codes[found.slots.present] != 0).all())
    emptied = replace(cold, slots=Slots(cold.slots.kernel[:, :1], cold.slots.position[:, :1]), codes=cold.codes[:, :1])
    again = encoder.encode(kernels, emptied)
    np.testing.assert_allclose(everywhere(again, traces), everywhere(cold, traces), atol=1e-6)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("kind", ["zero", "inferred"])
@pytest.mark.parametrize("name", NAMES)
def test_padding_order_and_batch_do_not_change_codes(name, kind, timed):
    """At an ordinary tolerance, where a result that depended on its company would show it."""
    kernels = bumps(2, 7)
    traces = make(name, kernels, trials=5, neurons=2, bins=41)
    offset = np.linspace(-1.2, -0.6, len(traces))
    rules = settings(name, ["positive", "free"], 7, timed=timed, penalty=0.4, baseline=kind)

    def encoded(part, rows):
        encoder = Encoder(part, rules, offset[rows], np.zeros(len(rows), int), "cpu")
        found = encoder.encode(torch.as_tensor(kernels)[None])
        return working_set.scattered(found.slots, found.codes, 2, traces.bins), found.baseline

    every = np.arange(len(traces))
    codes, baseline = encoded(traces, every)
    order = np.random.default_rng(0).permutation(len(traces))
    for part, rows in (
        (traces.take(order), order),
        (traces.take(np.array([4])), np.array([4])),
        (padded(traces, 9), every),
    ):
        again, level = encoded(part, rows)
        np.testing.assert_allclose(again, codes[rows], atol=1e-10)
        np.testing.assert_allclose(level, baseline[rows], atol=1e-10)


def test_traces_without_events_or_counts():
    kernels = bumps(2, 7)
    traces = make("binomial", kernels, trials=3, neurons=1, bins=31)
    silent = replace(traces, signal=np.zeros_like(traces.signal))
    idle = replace(traces, onset=np.full_like(traces.onset, ABSENT), event_kind=np.full_like(traces.onset, ABSENT))
    for kind in ("zero", "inferred"):
        rules = settings("binomial", ["positive", "free"], 7, baseline=kind, ridge=0.1)
        offset = np.full(3, -1.0)
        quiet = Encoder(silent, rules, offset, np.zeros(3, int), "cpu").encode(torch.as_tensor(kernels)[None])
        assert np.isfinite(quiet.codes).all()
        assert float(quiet.kkt.max()) <= 1e-4
        encoder = Encoder(idle, rules, offset, np.zeros(3, int), "cpu")
        found = encoder.encode(torch.as_tensor(kernels)[None])
        assert found.codes.shape == (3, 0)
        if kind == "inferred":
            mean = (idle.signal / COUNTS).sum(1) / idle.valid.sum(1)
            np.testing.assert_allclose(expit(offset + found.baseline), mean, atol=1e-5)
        value, _ = encoder.loss(torch.as_tensor(kernels)[None].requires_grad_())
        value.backward()
        assert torch.isfinite(value)
