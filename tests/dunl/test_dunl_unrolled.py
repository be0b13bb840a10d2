"""Proximal steps, convolutions and layers, each against its definition; the same codes on slots and everywhere."""

import numpy as np
import pytest
import torch
from dense_reference import COUNTS, bumps, dense, make, padded, settings, traces_of
from scipy import optimize
from scipy.special import expit
from torch.nn import functional

from pellucid.systems.dunl.model import unrolled, working_set
from pellucid.systems.dunl.model.convolution import MOST_BINS, Convolution
from pellucid.systems.dunl.model.encoder import Encoder, model_of
from pellucid.systems.dunl.model.place import Everywhere, OnSlots
from pellucid.systems.dunl.model.shrinkage import Coupling, Shrinkage, largest, scheduled, shrink, threshold
from pellucid.systems.dunl.model.slots import known
from pellucid.systems.dunl.model.support import Support

NAMES = ("gaussian", "poisson", "binomial")
F64 = torch.float64


def alone(codes):
    """Coupling of one neuron, one kernel and one position with nothing else."""
    same = lambda values: values  # noqa: E731
    return Coupling(torch.abs, same, lambda x, q: torch.zeros_like(x), lambda x, count, grouped: x != 0)


@pytest.mark.parametrize("ridge", [0.0, 0.8])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("positive", [False, True])
def test_thresholds_minimise_what_they_stand_for(positive, hard, ridge):
    """Against a scalar minimiser of (x - u)^2 / 2a + lambda |x| (or lambda [x != 0]) + rho x^2 / 2."""
    u = torch.tensor([-2.0, -0.9, -0.35, 0.0, 0.2, 0.7, 1.6], dtype=F64)
    step, penalty = 0.4, 0.9
    rules = Shrinkage(
        torch.tensor(penalty, dtype=F64), torch.tensor(ridge, dtype=F64), torch.tensor(positive), hard=hard
    )
    found = shrink(u, step, 0, rules, alone(u))
    for value, code in zip(u.tolist(), found.tolist(), strict=True):

        def cost(x, value=value):
            size = float(x != 0) if hard else abs(x)
            return (x - value) ** 2 / (2 * step) + penalty * size + ridge * x**2 / 2

        low = 0.0 if positive else -4.0
        sides = [(0.0, 4.0)] if positive else [(low, 0.0), (0.0, 4.0)]
        options = {"xatol": 1e-10}
        tried = [optimize.minimize_scalar(cost, bounds=b, method="bounded", options=options).x for b in sides] + [0.0]
        best = min(tried, key=cost)
        assert code == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("positive", [False, True])
def test_group_step_over_neurons_is_optimal_and_keeps_signs(positive):
    """Conditions of optimality of |x - u|^2 / 2a + lambda |x|_1 + g |x|_2 + rho |x|^2 / 2 for each group of neurons."""
    generator = np.random.default_rng(3)
    u = torch.as_tensor(generator.normal(0, 1.2, (5, 2, 4)))  # (trace, kernel, position); 5 neurons of one trial
    step, penalty, weight, ridge = 0.5, 0.3, 3.5, 0.4
    norm = lambda x: (x**2).sum(0, keepdim=True).sqrt().expand_as(x)  # noqa: E731
    coupling = Coupling(norm, lambda s: s, lambda x, q: x, lambda x, c, g: x != 0)
    rules = Shrinkage(
        torch.tensor(penalty, dtype=F64), torch.tensor(ridge, dtype=F64), torch.tensor(positive), group=weight
    )
    x = shrink(u, step, 0, rules, coupling).numpy()
    raw, seen = u.numpy(), {True: 0, False: 0}
    for kernel, position in np.ndindex(2, 4):
        code, moved = x[:, kernel, position], raw[:, kernel, position]
        used = code != 0
        seen[bool(used.any())] += 1
        shrunk = np.maximum((moved if positive else np.abs(moved)) - step * penalty, 0)
        if not used.any():
            assert np.linalg.norm(shrunk) <= step * weight + 1e-12
            continue
        assert (np.sign(code[used]) == np.sign(moved[used])).all()
        slope = (code - moved) / step + penalty * np.sign(code) + weight * code / np.linalg.norm(code) + ridge * code
        np.testing.assert_allclose(slope[used], 0, atol=1e-12)
        assert (shrunk[~used] <= 1e-12).all()
    assert min(seen.values()) > 0


def test_a_penalty_per_kernel_applies_to_kernels_not_to_times():
    kernels, signal = bumps(3, 7), np.random.default_rng(0).normal(size=(2, 1, 9))  # as many positions as kernels
    traces = traces_of(signal, np.ones((2, 1, 9), bool), np.full((2, 1), -1), np.full((2, 1), -1), "gaussian", 1)
    rules = settings(
        "gaussian",
        ["free"] * 3,
        7,
        timed=False,
        penalties=[0.0, 0.5, 1e6],
        encoder={"solver": "unrolled", "layers": 3, "step": 0.1},
    )
    encoder = Encoder(traces, rules, np.zeros(2), np.zeros(2, int), "cpu")
    found = encoder.encode(torch.as_tensor(kernels)[None])
    codes = working_set.scattered(found.slots, found.codes, 3, 3)
    assert not codes[:, 2].any()
    assert codes[0, 0].all()


def test_decay_is_that_of_the_layer_and_does_not_build_up_over_calls():
    kernels = bumps(2, 5)
    traces = make("gaussian", kernels, trials=1, neurons=1, bins=23, masked=False)
    step, decay, penalty, layers = 0.2, 0.7, 0.9, 6
    more = {"solver": "unrolled", "layers": layers, "step": step, "momentum": False, "decay": decay}
    rules = settings("gaussian", ["free", "positive"], 5, timed=False, penalty=penalty, encoder=more)
    encoder = Encoder(traces, rules, np.zeros(1), np.zeros(1, int), "cpu")
    full = dense(traces, 0, rules, kernels, 0.0, timed=[False, False])
    x = np.zeros(full.design.shape[1])
    for layer in range(layers):
        u = x - step * full.smooth(x)[1]
        u = np.where(full.sign > 0, np.maximum(u, 0), u)
        x = np.sign(u) * np.maximum(np.abs(u) - step * penalty * decay**layer, 0)
    for _ in range(2):
        found = encoder.encode(torch.as_tensor(kernels)[None])
        codes = working_set.scattered(found.slots, found.codes, 2, 19)
        np.testing.assert_allclose(codes.ravel(), x, atol=1e-12)


def test_selection_falls_from_twice_to_once_the_number():
    """k_r = floor(k ((R - r + 1) / R + 1)), layers r counted from 1, as published."""
    values = [scheduled(16, layer, 800) for layer in range(1, 801)]
    assert values[0] == 32
    assert values[400 - 1] == int(16 * (401 / 800 + 1)) == 24
    assert values[-1] == 16
    assert (np.diff(values) <= 0).all()
    assert scheduled(5, 4, 4) == int(5 * 1.25)


def test_largest_keeps_no_zeros_and_no_more_than_asked():
    size = torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, 0.0, 5.0]])
    assert largest(size, 2).tolist() == [[False, True, False, True], [False, False, False, True]]
    assert largest(size, 9).tolist() == [[False, True, True, True], [False, False, False, True]]


@pytest.mark.parametrize("bins", [23, MOST_BINS + 31])
@pytest.mark.parametrize("count", [1, 3])
def test_convolution_and_its_adjoint(count, bins):
    generator, lags = np.random.default_rng(bins), 7
    kernels = torch.as_tensor(generator.normal(size=(2, count, lags)))
    codes = torch.as_tensor(generator.normal(size=(4, count, bins - lags + 1)))
    residual = torch.as_tensor(generator.normal(size=(4, bins)))
    choice = torch.tensor([1, 0, 0, 1])
    taps = kernels.numpy()
    for convolution, used in (
        (Convolution(kernels, bins, choice), choice.tolist()),
        (Convolution(kernels[1:], bins, torch.zeros(4, dtype=int)), [1] * 4),
        (Convolution(kernels[:1], bins), [0] * 4),
    ):
        whole, back = convolution.synthesis(codes).numpy(), convolution.adjoint(residual).numpy()
        for trace, d in enumerate(used):
            sums = sum(np.convolve(taps[d, k], codes[trace, k].numpy()) for k in range(count))
            np.testing.assert_allclose(whole[trace], sums, atol=1e-12)
            for k in range(count):
                pull = np.correlate(residual[trace].numpy(), taps[d, k], "valid")
                np.testing.assert_allclose(back[trace, k], pull, atol=1e-12)


def matrix_of(kernels, bins):
    """Explicit shifted kernels of one dictionary, (bin, kernel position)."""
    convolution = Convolution(torch.as_tensor(kernels)[None], bins)
    size = len(kernels) * convolution.positions
    unit = torch.eye(size, dtype=F64).reshape(size, len(kernels), -1)
    return convolution.synthesis(unit).numpy().T


@pytest.mark.parametrize(("count", "lags"), [(1, 9), (3, 7), (2, 16)])
def test_the_bound_of_steps_is_above_the_largest_eigenvalue_and_close(count, lags):
    generator = np.random.default_rng(count)
    for kernels in (bumps(count, lags), generator.normal(size=(count, lags))):
        design = matrix_of(kernels, 20 * lags)
        true = np.linalg.eigvalsh(design @ design.T)[-1]
        bound = float(Convolution(torch.as_tensor(kernels)[None], 20 * lags).bound())
        assert true <= bound <= 1.05 * true


def places(name, *, inferred=False, kinds=("positive", "free"), seed=0, neurons=3, separate=False, dtype=F64):
    """The two places for the same traces and known events, with kernels that carry gradients."""
    lags, count = 7, len(kinds)
    base = bumps(count, lags, seed)
    traces = make(name, base, trials=4, neurons=neurons, bins=41, late=False, seed=seed)
    rules = settings(name, list(kinds), lags, baseline="inferred" if inferred else "zero", penalty=0.1)
    model = model_of(rules, traces)
    offset = np.linspace(-1.2, -0.8, len(traces))
    dictionary = traces.neuron if separate else np.zeros(len(traces), int)
    several = np.stack([bumps(count, lags, seed + d) for d in range(neurons if separate else 1)])
    kernels = torch.as_tensor(several, dtype=dtype).requires_grad_()
    support = Support(traces, known(traces, list(range(count)), lags), model, offset, dictionary, dtype=dtype)
    slots = OnSlots(support, support.problems(kernels), traces)
    allowed = torch.zeros((len(traces), count, traces.bins - lags + 1), dtype=torch.bool)
    trace, slot = np.nonzero(support.slots.present)
    allowed[trace, support.slots.kernel[trace, slot], support.slots.position[trace, slot]] = True
    tensor = lambda v: torch.as_tensor(v, dtype=dtype)  # noqa: E731
    y = traces.signal / (COUNTS if name == "binomial" else 1)
    convolution = Convolution(kernels, traces.bins, torch.as_tensor(dictionary))
    wide = Everywhere(
        name,
        convolution,
        tensor(y),
        tensor(traces.valid * model.weight),
        tensor(offset),
        torch.as_tensor(traces.trial),
        allowed,
    )
    return slots, wide, support, kernels, traces


def both_rules(support, penalty, **more):
    """Rules for codes on slots and for codes everywhere."""
    penalty, positive = np.asarray(penalty), support.model.sign != 0
    for kernel in (np.maximum(support.layout.kernel, 0)[:, None, :], np.arange(len(positive))[None, :, None]):
        ridge = torch.full(kernel.shape, 0.05, dtype=F64)
        yield Shrinkage(torch.as_tensor(penalty[kernel]), ridge, torch.as_tensor(positive[kernel]), **more)


def at_slots(support, codes):
    """Codes everywhere, read at the slots, (trace, slot)."""
    trace, slot = np.nonzero(support.slots.present)
    out = np.zeros(support.slots.kernel.shape)
    out[trace, slot] = codes.detach().numpy()[
        trace, support.slots.kernel[trace, slot], support.slots.position[trace, slot]
    ]
    return out


COUPLINGS = {
    "none": {},
    "group": {"group": 0.4},
    "competition": {"competition": torch.tensor([[0.0, 0.3], [0.2, 0.0]], dtype=F64)},
    "top": {"top": 1, "top_every": 3},
    "all": {"group": 0.2, "competition": torch.tensor([[0.0, 0.2], [0.2, 0.0]], dtype=F64), "top": 1, "top_every": 4},
    "hard": {"hard": True, "decay": 0.9},
}


@pytest.mark.parametrize("inferred", [False, True])
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_slots_and_everywhere_agree_layer_by_layer(name, coupling, inferred):
    slots, wide, support, kernels, _ = places(name, inferred=inferred)
    narrow, broad = both_rules(support, [0.1, 0.3], **COUPLINGS[coupling])
    for count in (1, 2, 9, 30):
        layers = unrolled.Layers(count, 0.05, infer=inferred)
        codes, level, _ = unrolled.run(slots, name, narrow, layers)
        dense_codes, dense_level, _ = unrolled.run(wide, name, broad, layers)
        joined = torch.cat([codes, level[..., None]], -1) if inferred else codes
        np.testing.assert_allclose(support.codes(joined), at_slots(support, dense_codes), atol=1e-10)
        np.testing.assert_allclose(support.baseline(joined), dense_level.detach(), atol=1e-10)
    (here,) = torch.autograd.grad((codes**2).sum(), kernels, retain_graph=True)
    (there,) = torch.autograd.grad((dense_codes**2).sum(), kernels)
    torch.testing.assert_close(here, there, atol=1e-10 * float(there.abs().max()), rtol=1e-10)
    assert float(there.abs().max()) > 0


def test_competition_raises_thresholds_by_the_norm_of_the_others():
    _, wide, support, _, _ = places("gaussian")
    matrix = np.array([[0.0, 2.5], [0.5, 0.0]])
    _, broad = both_rules(support, [0.0, 0.0], competition=torch.as_tensor(matrix))
    codes = torch.randn(wide.zeros()[0].shape, dtype=F64, generator=torch.Generator().manual_seed(1))
    allowed = wide.coupling.allowed.numpy()
    found = shrink(codes, 0.1, 0, broad, wide.coupling).numpy()
    bare = np.where(allowed, codes.numpy(), 0) / (1 + 0.1 * 0.05)
    bare[:, 0] = np.maximum(bare[:, 0], 0)
    for trace in range(len(bare)):
        norms = np.linalg.norm(bare[trace], axis=1)
        for kernel in range(2):
            by = 0.1 / (1 + 0.1 * 0.05) * (matrix[kernel] @ norms)
            expected = np.sign(bare[trace, kernel]) * np.maximum(np.abs(bare[trace, kernel]) - by, 0)
            np.testing.assert_allclose(found[trace, kernel], expected, atol=1e-12)


def test_grouped_selection_keeps_the_same_times_for_all_neurons():
    _, wide, _, _, traces = places("gaussian")
    codes = torch.randn(wide.zeros()[0].shape, dtype=F64, generator=torch.Generator().manual_seed(2))
    kept = wide.coupling.keep(codes, 3, True).numpy()
    for trial in np.unique(traces.trial):
        rows = traces.trial == trial
        norms = np.sqrt((codes.numpy()[rows] ** 2).sum(0))
        for kernel in range(2):
            expected = np.isin(np.arange(norms.shape[1]), np.argsort(-norms[kernel])[:3])
            assert (kept[rows, kernel] == expected).all()
    free = wide.coupling.keep(codes, 2, False).numpy()
    order = np.argsort(-np.abs(codes.numpy()), axis=-1)[..., :2]
    np.testing.assert_array_equal(np.sort(np.nonzero(free)[2].reshape(-1, 2)), np.sort(order.reshape(-1, 2)))


@pytest.mark.parametrize("name", ["gaussian", "binomial"])
def test_published_layers(name):
    """R = 100, alpha = .1 in float32: a straightforward FISTA on conv1d and conv_transpose1d, bin weights left out."""
    lags = 24
    kernels = bumps(3, lags)
    traces = make(name, kernels, trials=4, neurons=2, bins=90, late=False, masked=False)
    traces = traces.take(traces.valid.all(1))  # the published code has no mask
    training = {"solver": "unrolled", "layers": 100, "step": 0.1}
    rules = settings(
        name, ["free", "positive", "free"], lags, bin_weight="published", precision="float32", encoder=training
    )
    offset = np.full(len(traces), -1.2)
    encoder = Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu")
    found = encoder.encode(torch.as_tensor(kernels, dtype=torch.float32)[None])

    h = torch.as_tensor(kernels, dtype=torch.float32)[:, None]
    y = torch.as_tensor(traces.signal / (COUNTS if name == "binomial" else 1), dtype=torch.float32)[:, None]
    mask = torch.zeros((len(traces), 3, traces.bins - lags + 1))
    for trace, slot in zip(*np.nonzero(traces.onset >= 0), strict=True):
        mask[trace, traces.event_kind[trace, slot], traces.onset[trace, slot]] = 1
    x, ahead, t = torch.zeros_like(mask), torch.zeros_like(mask), 1.0
    for _ in range(100):
        z = functional.conv_transpose1d(ahead, h) - 1.2
        r = y - (torch.sigmoid(z) if name == "binomial" else z)
        new = (ahead + 0.1 * functional.conv1d(r, h)) * mask
        new[:, 1] = functional.relu(new[:, 1])
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        ahead, x, t = new + (t - 1) / following * (new - x), new, following
    codes = working_set.scattered(found.slots, found.codes, 3, mask.shape[2])
    np.testing.assert_allclose(codes, x, atol=1e-4)
    assert float(np.abs(codes).max()) > 0.5


@pytest.mark.parametrize("momentum", [True, False])
def test_truncation_to_all_layers_is_full_backpropagation(momentum):
    slots, wide, support, kernels, _ = places("binomial", inferred=True)
    for place, rules in zip((slots, wide), both_rules(support, [0.1, 0.2]), strict=True):
        grads = []
        for truncate in (None, 12, 99, 4):
            layers = unrolled.Layers(12, 0.1, momentum, infer=True, truncate=truncate)
            codes, level, _ = unrolled.run(place, "binomial", rules, layers)
            grads.append(torch.autograd.grad((codes**2).sum() + (level**3).sum(), kernels, retain_graph=True)[0])
        assert torch.equal(grads[0], grads[1])
        assert torch.equal(grads[0], grads[2])
        assert not torch.equal(grads[0], grads[3])


def test_truncated_gradients_are_those_of_the_last_layers_alone():
    _, wide, support, kernels, traces = places("binomial")
    _, rules = both_rules(support, [0.02, 0.05])
    codes, _, _ = unrolled.run(wide, "binomial", rules, unrolled.Layers(9, 0.1, False, truncate=4))
    (grad,) = torch.autograd.grad((codes**2).sum(), kernels)
    with torch.no_grad():
        begun, level, _ = unrolled.run(wide, "binomial", rules, unrolled.Layers(5, 0.1, False))

    def last(h):
        convolution = Convolution(h, traces.bins)
        y, weight = torch.as_tensor(traces.signal / COUNTS), torch.as_tensor(traces.valid * float(COUNTS))
        offset = torch.linspace(-1.2, -0.8, len(traces), dtype=F64)
        place = Everywhere(
            "binomial", convolution, y, weight, offset, torch.as_tensor(traces.trial), wide.coupling.allowed
        )
        return (unrolled.run(place, "binomial", rules, unrolled.Layers(4, 0.1, False), (begun, level))[0] ** 2).sum()

    numeric = torch.zeros_like(kernels)
    with torch.no_grad():
        for index in np.ndindex(*kernels.shape):
            step = torch.zeros_like(kernels)
            step[index] = 1e-6
            numeric[index] = (last(kernels + step) - last(kernels - step)) / 2e-6
    torch.testing.assert_close(grad, numeric, rtol=1e-5, atol=1e-6 * float(numeric.abs().max()))


def objective(place, rules, codes, level):
    """Summed objective of all traces."""
    fit = place.fit(place.drive(codes, level)).sum()
    return float((fit + (rules.penalty * codes.abs() + rules.ridge * codes**2 / 2).sum()).detach())


@pytest.mark.parametrize("inferred", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_layers_with_a_safe_step_never_raise_the_objective(name, inferred):
    """Poisson has no Lipschitz bound: its steps are backtracked; a low offset makes the first ones far too long."""
    slots, wide, support, _, _ = places(name, inferred=inferred)
    for place, rules in zip((slots, wide), both_rules(support, [0.1, 0.3]), strict=True):
        values = [objective(place, rules, *place.zeros())]
        for count in range(1, 25):
            codes, level, _ = unrolled.run(place, name, rules, unrolled.Layers(count, None, False, inferred))
            values.append(objective(place, rules, codes, level))
        assert (np.diff(values) <= 1e-9 * np.abs(values[:-1])).all()
        assert values[-1] < values[0]


@pytest.mark.parametrize("inferred", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_layers_run_to_tolerance_meet_newton_steps(name, inferred):
    kernels = bumps(2, 7)
    traces = make(name, kernels, trials=3, neurons=2, bins=41)
    slots, wide, support, h, traces = places(name, inferred=inferred, neurons=2)
    narrow, broad = both_rules(support, [0.1, 0.3])
    rules = settings(
        name,
        ["positive", "free"],
        7,
        penalties=[0.1, 0.3],
        ridge=0.05,
        baseline="inferred" if inferred else "zero",
        encoder={"tolerance": 1e-9},
    )
    offset = np.linspace(-1.2, -0.8, len(traces))
    newton = Encoder(traces, rules, offset, np.zeros(len(traces), int), "cpu").encode(h)
    layers = unrolled.Layers(5000, infer=inferred, tolerance=1e-6)
    with torch.no_grad():
        codes, level, count = unrolled.run(slots, name, narrow, layers)
        everywhere, _, wide_count = unrolled.run(wide, name, broad, layers)
        assert float(unrolled.residual_of(slots, name, narrow, codes, level, infer=inferred).max()) <= 1e-6
    assert max(count, wide_count) < 5000
    joined = torch.cat([codes, level[..., None]], -1) if inferred else codes
    np.testing.assert_allclose(support.codes(joined), newton.codes, atol=1e-5)  # conditioned to about 1e2
    np.testing.assert_allclose(at_slots(support, everywhere), newton.codes, atol=1e-5)
    np.testing.assert_allclose(support.baseline(joined), newton.baseline, atol=1e-5)


def proximal_gradient(problems, trials, penalty, group, count):
    """Codes (trace, column) by plain proximal gradient in numpy, coupled over the traces of a trial."""
    x = np.zeros((len(problems), problems[0].design.shape[1]))
    bends = {"gaussian": 1.0, "binomial": 0.25}[problems[0].name]
    largest_ = max(np.linalg.eigvalsh(p.design.T @ p.design)[-1] * p.weight * bends + p.ridge.max() for p in problems)
    step, sign = 1 / largest_, problems[0].sign
    ahead, t = x, 1.0
    for _ in range(count):
        u = ahead - step * np.array([p.smooth(row)[1] for p, row in zip(problems, ahead, strict=True)])
        u = np.where(sign > 0, np.maximum(u, 0), np.where(sign < 0, np.minimum(u, 0), u))
        new = np.sign(u) * np.maximum(np.abs(u) - step * penalty, 0)
        for trial in np.unique(trials):
            rows = trials == trial
            norm = np.linalg.norm(new[rows], axis=0)
            new[rows] *= np.maximum(1 - step * group / np.where(norm > 0, norm, 1), 0)
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        if ((ahead - new) * (new - x)).sum() > 0:
            following, pull = 1.0, 0.0
        else:
            pull = (t - 1) / following
        ahead, x, t = new + pull * (new - x), new, following
    return x


@pytest.mark.slow
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", ["gaussian", "binomial"])
def test_converged_codes_with_a_group_norm_are_optimal(name, timed, separate):
    """Codes of neurons of a trial share a norm; `separate`: every neuron has kernels of its own, of unequal gain."""
    lags, kinds = 7, ["positive", "negative"]
    base = bumps(2, lags)
    traces = make(name, base, trials=2, neurons=3, bins=31, masked=False, late=False, signs=[1, -1])
    several = np.stack([bumps(2, lags, d) * (1 + 2 * d) for d in range(3 if separate else 1)])
    dictionary = traces.neuron if separate else np.zeros(len(traces), int)
    encoding = {"group": 0.8, "tolerance": 1e-7}
    rules = settings(name, kinds, lags, timed=timed, penalty=0.2, ridge=0.05, encoder=encoding)
    offset = np.full(len(traces), 0.2 if name == "gaussian" else -1.0)
    found = Encoder(traces, rules, offset, dictionary, "cpu").encode(torch.as_tensor(several))
    assert float(found.kkt.max()) <= 1e-7
    total = [0.0, 0.0]
    for trial in range(2):
        rows = np.flatnonzero(traces.trial == trial)
        full = [dense(traces, r, rules, several[dictionary[r]], offset[r], timed=[timed] * 2) for r in rows]
        mine = np.zeros((len(rows), len(full[0].slots)))
        for i, row in enumerate(rows):
            held = zip(found.slots.kernel[row], found.slots.position[row], found.codes[row], strict=True)
            codes = {(int(k), int(p)): float(c) for k, p, c in held if k >= 0}
            mine[i] = [codes.get(slot, 0.0) for slot in full[0].slots]
        reference = proximal_gradient(full, np.zeros(len(rows)), 0.2, 0.8, 1500)
        for place, x in enumerate((mine, reference)):
            total[place] += sum(p.objective(r) for p, r in zip(full, x, strict=True))
            total[place] += 0.8 * np.linalg.norm(x, axis=0).sum()
        np.testing.assert_allclose(mine, reference, atol=1e-4)
        assert np.count_nonzero(mine) > 0
    assert total[0] == pytest.approx(total[1], rel=1e-9)


@pytest.mark.parametrize("inferred", [False, True])
def test_group_with_two_sided_codes_one_kernel_and_ista(inferred):
    slots, wide, support, _, _ = places("gaussian", inferred=inferred, kinds=("free",))
    narrow, broad = both_rules(support, [0.05], group=0.1)
    layers = unrolled.Layers(40, 0.2, False, inferred)
    codes, level, _ = (v.detach() for v in map(torch.as_tensor, unrolled.run(slots, "gaussian", narrow, layers)))
    there, other, _ = (v.detach() for v in map(torch.as_tensor, unrolled.run(wide, "gaussian", broad, layers)))
    joined = torch.cat([codes, level[..., None]], -1) if inferred else codes
    np.testing.assert_allclose(support.codes(joined), at_slots(support, there), atol=1e-12)
    np.testing.assert_allclose(support.baseline(joined), other, atol=1e-12)
    assert float(there.abs().max()) > 1  # codes, not factors between 0 and 1
    assert bool((other != 0).all()) == inferred


@pytest.mark.parametrize("step", [0.05, None])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_layers_do_not_depend_on_padding_order_or_batch(name, timed, step):
    """Also the baseline inferred for a neuron, which the published code takes from a window of the whole batch."""
    lags = 7
    kernels = bumps(2, lags)
    traces = make(name, kernels, trials=5, neurons=2, bins=41)
    encoding = {"solver": "unrolled", "layers": 25, "step": step, "group": 0.05}
    rules = settings(name, ["positive", "free"], lags, timed=timed, penalty=0.1, baseline="inferred", encoder=encoding)
    offset = np.linspace(-1.2, -0.8, len(traces))

    def encoded(part, rows):
        encoder = Encoder(part, rules, offset[rows], np.zeros(len(rows), int), "cpu")
        found = encoder.encode(torch.as_tensor(kernels)[None])
        return working_set.scattered(found.slots, found.codes, 2, traces.bins), found.baseline

    every = np.arange(len(traces))
    codes, baseline = encoded(traces, every)
    order = np.random.default_rng(0).permutation(len(traces))
    single = np.array([4, 5])  # the neurons of one trial belong together
    for part, rows in ((traces.take(order), order), (traces.take(single), single), (padded(traces, 9), every)):
        again, level = encoded(part, rows)
        np.testing.assert_allclose(again, codes[rows], atol=1e-10)
        np.testing.assert_allclose(level, baseline[rows], atol=1e-10)


def test_binomial_layers_do_not_overflow():
    slots, _, support, _, _ = places("binomial")
    narrow, _ = both_rules(support, [0.0, 0.0])
    codes = slots.zeros()[0] + 1e3
    drive = slots.drive(codes, slots.zeros()[1])
    assert torch.isfinite(slots.fit(drive)).all()
    found = unrolled.run(slots, "binomial", narrow, unrolled.Layers(3, 0.1), (codes, slots.zeros()[1]))[0]
    assert torch.isfinite(found).all()
    assert float(expit(-1e3)) == 0.0
    assert torch.isfinite(threshold(codes, torch.tensor(0.1), torch.tensor(True))).all()
