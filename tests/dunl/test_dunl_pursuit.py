"""Pursuit: planted events are found, nothing is found in noise, and what an event costs decides how many there are."""

import itertools
import math

import numpy as np
import pytest
import torch
from dunl_data import traces_of
from scipy import optimize
from scipy.special import expit

from pellucid.systems.dunl.model import likelihood, pursuit
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.support import Model
from pellucid.systems.dunl.model.traces import ABSENT
from pellucid.systems.dunl.model.working_set import drive_of

LAGS = 9
KERNELS = np.stack([np.hanning(LAGS + 2)[1:-1], np.exp(-np.arange(LAGS) / 2)])
KERNELS /= np.linalg.norm(KERNELS, axis=1, keepdims=True)
LEVEL = {"gaussian": 0.0, "poisson": math.log(0.3), "binomial": -4.0}
NAMES = list(LEVEL)
COUNTS = 25


def drawn(name, drive, seed=0, noise=1.0):
    """Signals with a drive (trace, time)."""
    generator = np.random.default_rng(seed)
    if name == "gaussian":
        return generator.normal(drive, noise)
    return generator.poisson(np.exp(drive)) if name == "poisson" else generator.binomial(COUNTS, expit(drive))


def planted(name, trials, bins, events, seed=0, noise=1.0):
    """Traces with events (trace, kernel, position, amplitude)."""
    drive = np.full((trials, bins), LEVEL[name])
    for trace, kernel, position, amplitude in events:
        drive[trace, position : position + LAGS] += amplitude * KERNELS[kernel]
    return traces_of(drawn(name, drive, seed, noise), counts=name != "gaussian", most_counts=COUNTS)


def search(traces, name, cost, *, signs=(1, 1), top=None, certain=None, allowed=None, inferred=False, tolerance=1e-8):
    """Run pursuit with the kernels that were planted."""
    weight = likelihood.weight(name, COUNTS, counted=True)
    model = Model(name, weight, LAGS, np.zeros(2), np.zeros(2), np.array(signs), inferred)
    count, places = len(traces), traces.bins - LAGS + 1
    nothing = np.empty((count, 0), int)
    return pursuit.search(
        traces,
        torch.as_tensor(KERNELS)[None],
        model,
        np.full(count, LEVEL[name]),
        np.zeros(count, int),
        np.ones((count, 2, places), bool) if allowed is None else allowed,
        Slots(nothing, nothing) if certain is None else certain,
        cost=cost,
        top=top,
        tolerance=tolerance,
    )


def events_of(found):
    """The events found: (trace, kernel, position) -> code."""
    trace, slot = np.nonzero(found.slots.present)
    keys = zip(trace, found.slots.kernel[trace, slot], found.slots.position[trace, slot], strict=True)
    return {tuple(map(int, key)): float(found.codes[key[0], place]) for key, place in zip(keys, slot, strict=True)}


def objective(traces, name, found, cost):
    """The negative log-likelihood of each trace with the codes found, and the cost of its events."""
    nothing = np.full(len(traces), LEVEL[name])
    kernels = torch.as_tensor(KERNELS)[None]
    drive = drive_of(traces, found.slots, found.codes, kernels, nothing + found.baseline, np.zeros(len(traces), int))
    y = torch.as_tensor(likelihood.scaled(name, traces.signal, COUNTS))
    weight = torch.as_tensor(traces.valid * likelihood.weight(name, COUNTS, counted=True))
    return (weight * likelihood.nll(name, y, drive)).sum(1).numpy() + cost * found.slots.present.sum(1)


def busy(name, trials=20, bins=61, seed=3):
    """Traces with up to four events of either kernel, some of them overlapping."""
    generator, largest = np.random.default_rng(seed), {"gaussian": 9, "poisson": 6, "binomial": 8}[name]
    events = [
        (trace, generator.integers(2), generator.integers(bins - LAGS + 1), generator.uniform(3, largest))
        for trace in range(trials)
        for _ in range(generator.integers(5))
    ]
    return planted(name, trials, bins, events, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_single_event_is_found_where_it_was(name):
    """One event in each of 24 traces, at other places, with other kernels and sizes; noise small beside them."""
    generator = np.random.default_rng(1)
    size = {"gaussian": 30.0, "poisson": 12.0, "binomial": 14.0}[name]
    events = [(t, t % 2, int(generator.integers(50)), size * generator.uniform(1, 1.2)) for t in range(24)]
    found = events_of(search(planted(name, 24, 58, events, noise=0.5), name, 12.0))
    assert set(found) == {event[:3] for event in events}
    true = np.array([event[3] for event in events])
    code = np.array([found[event[:3]] for event in events])
    # the s.d. of a code is 0.5 (Gaussian), 0.3 (Poisson) and 0.6 (binomial) or less: five of them for 24 draws
    assert code == pytest.approx(true, abs=3.0)
    assert code.mean() == pytest.approx(true.mean(), abs=0.5)


def test_codes_are_the_maximum_of_the_likelihood():
    """Against a general optimiser on an explicit design, with two overlapping events."""
    traces = planted("binomial", 1, 40, [(0, 0, 8, 9.0), (0, 1, 14, 11.0), (0, 1, 29, 12.0)])
    found = events_of(search(traces, "binomial", 5.0))
    design = np.zeros((40, len(found)))
    for column, (_, kernel, position) in enumerate(found):
        design[position : position + LAGS, column] = KERNELS[kernel]

    def loss(code):
        drive = LEVEL["binomial"] + design @ code
        return np.sum(COUNTS * np.logaddexp(0, drive) - traces.signal[0] * drive)

    best = optimize.minimize(loss, np.zeros(len(found)), method="BFGS", options={"gtol": 1e-8})
    assert len(found) >= 3
    assert list(found.values()) == pytest.approx(best.x, abs=1e-5)  # of the optimiser


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signs", [(1, 1), (0, 0)])
def test_noise_has_hardly_any_events(name, signs):
    """At 1.5 log(80) = 6.6 nats, chi-square(1) / 2 exceeds the cost with p = 3e-4 per place; places overlap."""
    found = search(planted(name, 500, 80, []), name, 1.5 * math.log(80), signs=signs)
    with_events = found.slots.present.any(axis=1).mean()
    assert with_events <= 0.03


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_cost_never_finds_more_events(name):
    traces = busy(name)
    counts = [search(traces, name, cost, signs=(1, 0)).slots.present.sum(axis=1) for cost in (3, 6, 12, 1e6)]
    assert all((more >= fewer).all() for more, fewer in itertools.pairwise(counts))
    assert counts[0].sum() > counts[-2].sum() > 0
    assert not counts[-1].any()


@pytest.mark.parametrize("name", NAMES)
def test_events_always_pay(name):
    """The objective with its costs is never above that of no events, and no event has a code of 0 or the wrong sign."""
    traces, cost = busy(name, seed=5), 3.0
    found = search(traces, name, cost, signs=(1, -1))
    nothing = search(traces, name, 1e9)
    gain = objective(traces, name, nothing, cost) - objective(traces, name, found, cost)
    count = found.slots.present.sum(axis=1)
    assert (gain[count > 0] > 0).all()
    assert gain[count == 0] == pytest.approx(0)
    sign = np.where(found.slots.kernel == 0, 1, -1)
    assert (found.codes * sign)[found.slots.present].min() > 0
    assert found.kkt.max() < 1e-7  # ten times the tolerance: where rounding stops a solve


@pytest.mark.parametrize("top", [1, 2])
def test_no_kernel_has_more_events_than_allowed(top):
    traces = busy("poisson")
    found, free = (search(traces, "poisson", 1.0, top=limit) for limit in (top, None))
    counts = [[(one.slots.kernel == kernel).sum(axis=1).max() for kernel in (0, 1)] for one in (found, free)]
    assert counts[0] == [top, top]
    assert min(counts[1]) > top


@pytest.mark.parametrize("name", NAMES)
def test_padding_and_batch_mates_change_nothing(name):
    traces = busy(name, trials=8, bins=50)
    together = events_of(search(traces, name, 3.0))
    for trace in range(8):
        signal = np.pad(traces.signal[[trace]], ((0, 0), (0, 23)), constant_values=7.0)
        valid = np.pad(traces.valid[[trace]], ((0, 0), (0, 23)))
        alone = traces_of(signal, valid=valid, counts=name != "gaussian", most_counts=COUNTS)
        allowed = np.zeros((1, 2, 50 + 23 - LAGS + 1), bool)
        allowed[..., : 50 - LAGS + 1] = True
        found = events_of(search(alone, name, 3.0, allowed=allowed))
        assert {key[1:] for key in found} == {key[1:] for key in together if key[0] == trace}
        # solved to 1e-8 of the slope along other paths
        assert found == pytest.approx({(0, *key[1:]): v for key, v in together.items() if key[0] == trace}, abs=1e-6)


@pytest.mark.parametrize("inferred", [False, True])
def test_known_events_stay_and_are_free(inferred):
    """Kernel 0 follows a known event; kernel 1 is searched for. Traces without either keep their known slot."""
    events = [(t, 1, 30, 14.0) for t in range(6)] + [(t, 0, 12, 9.0) for t in range(0, 12, 2)]
    traces = planted("poisson", 12, 60, events)
    certain = Slots(np.zeros((12, 1), int), np.full((12, 1), 12))
    allowed = np.zeros((12, 2, 52), bool)
    allowed[:, 1], allowed[:, 0, 12] = True, True
    found = search(traces, "poisson", 8.0, certain=certain, allowed=allowed, inferred=inferred)
    has = events_of(found)
    assert {key for key in has if key[1] == 0} == {(t, 0, 12) for t in range(12)}
    assert {key for key in has if key[1] == 1} == {(t, 1, 30) for t in range(6)}
    assert min(has[t, 0, 12] for t in range(0, 12, 2)) > 3 * max(abs(has[t, 0, 12]) for t in range(1, 12, 2))
    dear = search(traces, "poisson", 1e6, certain=certain, allowed=allowed, inferred=inferred)
    assert (dear.slots.kernel == 0).sum() == 12
    assert not (dear.slots.kernel == 1).any()
    assert (found.baseline != 0).all() == inferred


def test_masked_bins_hide_events():
    """An event under a mask is not found, whatever the masked values."""
    traces = planted("gaussian", 2, 50, [(0, 0, 20, 25.0), (1, 0, 20, 25.0)])
    valid = traces.valid.copy()
    valid[1, 18:32] = False
    masked = traces_of(np.where(valid, traces.signal, 1e3), valid=valid, counts=False)
    found = events_of(search(masked, "gaussian", 1.5 * math.log(50)))
    assert set(found) == {(0, 0, 20)}
    assert ABSENT not in {key[1] for key in found}
