"""DUNL's encoder beside dense convolution of the same problems, and beside alphacsc: seconds, codes, objective, memory.

    python benchmarks/dunl.py [--threads 1] [--repeats 3] [--only known unknown alphacsc]

The peer is a plain torch implementation of the published encoder: FISTA with `conv1d` and `conv_transpose1d` over whole
trials, codes at unwanted positions masked, gradients through all layers. A second peer runs the same iterations with
the faster of a matrix product and an FFT. Precision, threads and batches are the same for all. Every variant runs in a
process of its own; its memory is what it adds to the peak of that process once the data are there. Seconds are those of
the clock; ratios are given by the clock and, since other work may share the cores, by the CPU.
alphacsc is reported and left out where it is not installed (`pip install alphacsc`).
"""

# ruff: noqa: E402, PLC0415 - thread counts must be set before anything is imported, and alphacsc may be absent
import argparse
import os

THREADS = os.environ.get("PELLUCID_BENCHMARK_THREADS", "1")
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = THREADS

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness import now, peak_mb
from pellucid.systems.dunl.model import baseline, fit, likelihood
from pellucid.systems.dunl.model.convolution import Convolution
from pellucid.systems.dunl.model.encoder import Encoder
from pellucid.systems.dunl.model.kernels import Dictionary
from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.traces import ABSENT, Traces
from pellucid.systems.dunl.model.working_set import Found, scattered
from pellucid.systems.dunl.simulate import events, kernels
from pellucid.systems.dunl.simulate.scenarios import SCENARIOS, Name

TOLERANCE = 1e-4
LAYERS = 100
"""R of the published encoder for known events; its step is .1."""
COUNTED = 800
"""R of the published encoder for unknown events."""
TIMED = 20
"""Of those, layers that are run; all cost the same."""
LONG_S = 45.0
"""A dense solver that needs more of the CPU is stopped."""
SLOW_LAYER_S = 0.1
"""A dense layer that takes longer is timed alone; the number of layers is counted with the faster dense solver."""
ITERATIONS = 5
"""Of alphacsc's dictionary learning."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Traces, the kernels (kernel, lag) they are coded with, the settings of the fit and the trials of a batch."""

    traces: Traces
    kernels: np.ndarray
    settings: Settings
    batch: int

    @cached_property
    def pooled(self) -> np.ndarray:
        """Baseline of each neuron over all its traces, (neuron,)."""
        return baseline.pool(self.settings.likelihood, self.traces, self.settings.floor)


def simulated(name: Name, trials: int, generator: np.random.Generator) -> tuple[Traces, np.ndarray]:
    """Return traces and kernels of a published simulation, drawn at the bin of the analysis (counts are binomial)."""
    row = replace(SCENARIOS[name], trials=trials)
    design = events.draw(row, generator)
    shapes, factor = kernels.binned(kernels.one_ms(name), row.bin_ms)
    rate = (row.baseline_hz or 0) / 1000
    level = np.log(rate / (1 - rate)) + row.baseline_sd * generator.standard_normal(row.neurons)
    drive = np.tile(level[:, None], (trials, 1, row.trial_ms // row.bin_ms))
    for trial, event in zip(*np.nonzero(np.isfinite(design.onset_ms))):
        kernel, start = design.kernel[trial, event], int(design.onset_ms[trial, event]) // row.bin_ms
        amplitude = factor[kernel] * design.amplitude[trial, event]
        drive[trial, :, start : start + shapes.shape[1]] += amplitude[:, None] * shapes[kernel]
    counts = generator.binomial(row.bin_ms, 1 / (1 + np.exp(-drive)))
    times = [np.reshape(values, (trials, -1)) for values in design.log_ms.values()]
    kinds = np.concatenate([np.full(part.shape, index) for index, part in enumerate(times)], axis=1)
    onset = np.nan_to_num(np.concatenate(times, axis=1) // row.bin_ms, nan=ABSENT).astype(int)
    return traces(counts, onset, kinds, tuple(design.log_ms), row.bin_ms / 1000, row.bin_ms), shapes


def calcium(generator: np.random.Generator) -> tuple[Traces, np.ndarray]:
    """Return traces with two kinds of cue and three kernels at the reward, 100 trials of 20 neurons at 15 Hz."""
    lags, start = np.arange(1, 61) / 15, (30, 75)
    decay_s = np.array([0.3, 0.6, 0.25, 0.8, 1.6])[:, None]
    shapes = kernels.normalised(np.exp(-lags / decay_s) - np.exp(-4 * lags / decay_s))
    cue = generator.integers(0, 2, 100)
    drive = 0.2 * generator.standard_normal((100, 20, 150))
    amplitude = np.abs(generator.normal(2, 0.5, (4, 100, 20, 1))) * np.array([1, 1, 1, -1]).reshape(4, 1, 1, 1)
    drive[..., start[0] : start[0] + 60] += amplitude[0] * shapes[cue][:, None]
    drive[..., start[1] : start[1] + 60] += (amplitude[1:] * shapes[2:, None, None]).sum(0)
    kinds = np.stack([cue, np.full(100, 2)], axis=1)
    return traces(drive, np.tile(start, (100, 1)), kinds, ("cue_regret", "cue_expected", "reward"), 1 / 15, 0), shapes


def traces(
    signal: np.ndarray, onset: np.ndarray, kinds: np.ndarray, names: tuple[str, ...], bin_s: float, most: int
) -> Traces:
    """Return signal (trial, neuron, time) as traces, with onset bins and kinds of events (trial, event)."""
    trials, units, bins = signal.shape

    def each(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, units, axis=0)

    before = np.arange(bins) < np.where(onset == ABSENT, bins, onset).min(axis=1)[:, None]
    return Traces(
        signal=signal.reshape(-1, bins).astype(np.float32),
        valid=np.ones((trials * units, bins), bool),
        before=each(before),
        onset=each(onset),
        event_kind=each(np.where(onset == ABSENT, ABSENT, kinds)),
        trial=each(np.arange(trials)),
        neuron=np.tile(np.arange(units), trials),
        row=each(np.arange(trials)),
        recording=np.zeros(trials * units, int),
        trial_type=np.full(trials * units, "all", object),
        events=names,
        neurons=tuple(f"simulated/{unit}" for unit in range(units)),
        recordings=("simulated",),
        bin_s=bin_s,
        start_s=0.0,
        kind="counts" if most else "values",
        most_counts=most,
    )


def near(shapes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return kernels of unit norm some way from the true ones, as in the middle of a fit."""
    noise = generator.standard_normal(shapes.shape) / np.sqrt(shapes.shape[1])
    return kernels.normalised(shapes + 0.3 * noise)


def known(name: str) -> Problem:
    """Return a problem whose events are known, with the published settings."""
    generator = np.random.default_rng(0)
    encoder = {"solver": "unrolled", "layers": LAYERS, "step": 0.1, "competition": None}
    if name == "structured":
        found, shapes = simulated("structured", 400, generator)
        begun = {f"kernel{k}": {"event": f"kernel{k}", "code": "positive"} for k in range(2)}
        changes = {"preset": "sim_structured", "kernels": begun, "penalty": 0.0, "code_penalty": 0.0, "smoothness": 0.0}
        encoder["top"] = None
    else:
        found, shapes = simulated("dopamine", 200, generator) if name == "dopamine" else calcium(generator)
        changes = {"preset": "sim_dopamine" if name == "dopamine" else "d2"}
    settings = Settings.model_validate({**changes, "encoder": encoder})
    return Problem(found, near(shapes, generator), settings, {"dopamine": 32, "structured": 128, "calcium": 8}[name])


def unknown(name: str) -> Problem:
    """Return a problem whose events are not known: positive codes, lambda of the published fit times the N of a bin."""
    generator = np.random.default_rng(0)
    scenario, trials, penalty = UNKNOWN[name]
    if name == "gaussian":
        found, shapes = simulated(scenario, trials, generator)
        odds = np.clip(found.signal / found.most_counts, 0.02, 0.98)
        noisy = np.log(odds / (1 - odds)) + 0.2 * generator.standard_normal(odds.shape)
        noisy -= np.median(noisy)
        found = replace(found, signal=noisy / noisy.std(), kind="values", most_counts=0)  # alphacsc scales by the s.d.
        base = {"likelihood": "gaussian", "baseline": "zero"}
    else:
        found, shapes = simulated(scenario, trials, generator)
        base = {"likelihood": "binomial", "baseline": "pooled"}
    begun = {f"kernel{k}": {"code": "positive"} for k in range(len(shapes))}
    block = {**base, "kernels": begun, "lag_bins": shapes.shape[1], "penalty": penalty}
    return Problem(found, near(shapes, generator), Settings.model_validate(block), trials)


UNKNOWN: dict[str, tuple[Name, int, float]] = {
    "structured": ("structured", 400, 2.5),
    "long local": ("local_deconv", 200, 2.5),
    "whisker": ("whisker", 250, 0.15),
    "gaussian": ("local_deconv", 200, 1.0),
}


class Dense:
    """The dense problem of an encoder: everything the peers need, as tensors made beforehand.

    way  conv1d, or matrix for the faster of a product with a matrix and an FFT
    """

    def __init__(self, encoder: Encoder, way: str) -> None:
        traces, model = encoder.traces, encoder.model
        self.name, self.way, self.bins = model.likelihood, way, traces.bins
        positions = traces.bins - model.lags + 1
        y = likelihood.scaled(model.likelihood, traces.signal, traces.most_counts)
        self.signal, self.offset = (torch.as_tensor(v, dtype=encoder.dtype) for v in (y, encoder.offset[:, None]))
        self.weight, self.penalty = model.weight, torch.as_tensor(model.penalty, dtype=encoder.dtype)[None, :, None]
        sign = torch.as_tensor(model.sign)[None, :, None]
        self.low, self.high = (torch.where(sign == way, 0.0, way * -torch.inf).to(encoder.dtype) for way in (1, -1))
        self.signed = bool(np.any(model.sign))
        self.mask: Tensor | None = None
        if encoder.slots.kernel.shape[1]:
            ones = np.ones(encoder.slots.kernel.shape)
            mask = scattered(encoder.slots, ones, len(model.sign), positions)
            self.mask = torch.as_tensor(mask, dtype=encoder.dtype)
        self.shape = (len(traces), len(model.sign), positions)

    def operators(self, weights: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Return H and its adjoint for kernels (1, kernel, lag)."""
        if self.way == "matrix":
            convolution = Convolution(weights, self.bins)
            return convolution.synthesis, convolution.adjoint
        filters = weights[0][:, None]
        return (
            lambda codes: functional.conv_transpose1d(codes, filters)[:, 0],
            lambda residual: functional.conv1d(residual[:, None], filters),
        )

    def layers(self, weights: Tensor, count: int, step: float) -> tuple[Tensor, Tensor]:
        """Return codes and drive after so many layers of FISTA, as published."""
        synthesis, adjoint = self.operators(weights)
        codes = ahead = self.signal.new_zeros(self.shape)
        t = 1.0
        for _ in range(count):
            residual = self.signal - likelihood.mean(self.name, synthesis(ahead) + self.offset)
            found = ahead + step * adjoint(residual)
            if float(self.penalty.max()):
                found = found - step * self.penalty
            if self.mask is not None:
                found = found * self.mask
            found = found.clamp(self.low, self.high) if self.signed else found
            following = (1 + np.sqrt(1 + 4 * t * t)) / 2
            ahead, codes, t = found + (t - 1) / following * (found - codes), found, following
        return codes, synthesis(codes) + self.offset

    def loss(self, drive: Tensor) -> Tensor:
        """Return the published loss without its penalties."""
        scale = 2 if self.name == "gaussian" else 1
        return scale * likelihood.nll(self.name, self.signal, drive).mean()

    @torch.no_grad()
    def solve(self, weights: Tensor, start: Tensor | None = None) -> Result:
        """Run FISTA with step 1 / Lipschitz and restarts; a trace leaves once its KKT residual is within tolerance."""
        began = now()
        synthesis, adjoint = self.operators(weights)
        bound = float(Convolution(weights, self.bins).bound().max())
        step = 1 / (self.weight * likelihood.CURVATURE[self.name] * bound)
        out = self.signal.new_zeros(self.shape) if start is None else start.clone()
        mask = torch.ones(1, 1, 1) if self.mask is None else self.mask
        rows, codes, signal, offset = torch.arange(len(out)), out.clone(), self.signal, self.offset
        ahead, t, layers, worst = codes, signal.new_ones(len(out), 1, 1), 0, np.zeros(len(out))

        def slope(at: Tensor) -> Tensor:
            return self.penalty - self.weight * adjoint(signal - likelihood.mean(self.name, synthesis(at) + offset))

        while (now() - began)[1] < LONG_S:
            if layers % TIMED == 0:
                gradient = slope(codes)
                still = torch.where(codes != 0, gradient, (-gradient).clamp(self.low, self.high)) * mask
                residual = still.abs().amax((1, 2))
                out[rows], worst[rows.numpy()] = codes, residual.numpy()
                left = residual > TOLERANCE
                rows, codes, ahead, t, signal, offset = (v[left] for v in (rows, codes, ahead, t, signal, offset))
                mask = mask[left] if len(mask) > 1 else mask
                if not len(rows):
                    break
            found = ((ahead - step * slope(ahead)) * mask).clamp(self.low, self.high)
            back = ((ahead - found) * (found - codes)).sum((1, 2), keepdim=True) > 0
            following = torch.where(back, 1.0, (1 + (1 + 4 * t * t).sqrt()) / 2)
            ahead, codes = found + torch.where(back, 0.0, (t - 1) / following) * (found - codes), found
            t, layers = following, layers + 1
        return {"codes": out.numpy(), "seconds": now() - began, "layers": layers, "left": len(rows), "kkt": worst.max()}


def encoder(problem: Problem, rows: np.ndarray | None = None, **changes: object) -> Encoder:
    """Return our encoder of some traces of a problem, with some settings of `encoder` changed."""
    traces = problem.traces if rows is None else problem.traces.take(rows)
    chosen = problem.settings.encoder.model_copy(update=changes)
    return fit.encoder(traces, problem.settings.model_copy(update={"encoder": chosen}), problem.pooled, "cpu")


def batches(problem: Problem) -> Iterator[np.ndarray]:
    """Yield the traces of each batch of trials."""
    for start in range(0, int(problem.traces.trial.max()) + 1, problem.batch):
        yield np.flatnonzero((problem.traces.trial >= start) & (problem.traces.trial < start + problem.batch))


def dictionary(problem: Problem) -> Dictionary:
    """Return the kernels a problem begins with."""
    flags = [kernel.nonnegative for kernel in problem.settings.kernels.values()]
    return Dictionary(problem.kernels[None].copy(), flags, dtype=getattr(torch, problem.settings.precision))


def known_job(name: str, variant: str, repeats: int) -> Result:
    """Train for an epoch: encode, differentiate, step; and return codes and gradient of the first batch."""
    problem = known(name)
    before = peak_mb()
    model, solver = dictionary(problem), "converged" if variant == "converged" else "unrolled"
    rows = list(batches(problem))
    first = encoder(problem, rows[0], solver=solver)
    if variant in ("conv1d", "matrix"):
        prepared = [Dense(encoder(problem, chosen), variant) for chosen in rows]

        def loss(index: int) -> Tensor:
            return prepared[index].loss(prepared[index].layers(model(), LAYERS, 0.1)[1])
    else:

        def loss(index: int) -> Tensor:
            return encoder(problem, rows[index], solver=solver).loss(model())[0]

    loss(0).backward()  # type: ignore[no-untyped-call]
    gradient = model.kernels.grad[0].numpy().copy()  # type: ignore[index]
    kkt = np.nan
    with torch.no_grad():
        if variant in ("conv1d", "matrix"):
            dense = prepared[0].layers(model(), LAYERS, 0.1)[0].numpy()
        else:
            found = first.encode(model())
            kkt, dense = found.kkt.max(), densely(problem, found)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3)
    seconds = best(lambda: epoch(model, optimiser, loss, len(rows)), repeats)
    return {"seconds": seconds, "gradient": gradient, "codes": dense, "kkt": kkt, "memory": peak_mb() - before}


def epoch(model: Dictionary, optimiser: torch.optim.Optimizer, loss: Callable[[int], Tensor], count: int) -> None:
    """Take one step per batch."""
    for index in range(count):
        optimiser.zero_grad(set_to_none=True)
        loss(index).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        model.project()


def limit_job(name: str) -> Result:
    """Compare the converged encoder with dense FISTA run to the same KKT residual, on two trials in float64."""
    problem = known(name)
    problem = replace(problem, settings=problem.settings.model_copy(update={"precision": "float64"}))
    weights = dictionary(problem)().detach()
    ours = encoder(problem, np.flatnonzero(problem.traces.trial < 2), solver="converged")
    found = densely(problem, ours.encode(weights))
    peer = Dense(ours, "matrix")
    run = peer.solve(weights)
    mine, theirs = objective(peer, weights, found), objective(peer, weights, run["codes"])
    return {"difference": np.abs(found - run["codes"]).max(), "excess": worst(mine, theirs), **run, "traces": len(mine)}


def unknown_job(name: str, variant: str, repeats: int) -> Result:
    """Encode from scratch, and again after a step of the kernels of the size of Adam's."""
    problem = unknown(name)
    before = peak_mb()
    weights = dictionary(problem)().detach()
    sign = np.sign(np.random.default_rng(1).standard_normal(weights.shape))
    moved = torch.as_tensor(kernels.normalised(weights.numpy() + 0.01 * sign))
    ours = encoder(problem, solver="pursuit" if variant == "pursuit" else "converged")
    peer = Dense(ours, "matrix" if variant == "matrix" else "conv1d")
    result: Result = {"layers": 0, "left": 0}
    if variant in ("conv1d", "matrix"):
        with torch.no_grad():
            cost = best(lambda: peer.layers(weights, 4, 0.01), 1) / 4
        if cost[0] > SLOW_LAYER_S:
            return {"layer": cost, "memory": peak_mb() - before}
        result |= peer.solve(weights)
        result["warm"] = peer.solve(moved, torch.as_tensor(result["codes"]))["seconds"]
    else:
        found = ours.encode(weights)
        result |= {"kkt": found.kkt.max(), "codes": densely(problem, found), "events": (found.codes != 0).sum(1).mean()}
        result["seconds"] = best(lambda: ours.encode(weights), repeats)
        again = np.full(2, np.nan)  # the pursuit does not start from earlier codes
        result["warm"] = again if variant == "pursuit" else best(lambda: ours.encode(moved, found), repeats)
    result["memory"] = peak_mb() - before
    return {**result, "objective": objective(peer, weights, result["codes"])}


def layers_job(name: str, repeats: int) -> Result:
    """Time the published layers for unknown events, without selection of the largest: forwards, float32, step 1/4."""
    problem = unknown(name)
    changes = {"precision": "float32", "bin_weight": "published", "penalty": problem.settings.penalty}
    changes["penalty"] /= problem.traces.most_counts
    problem = replace(problem, settings=problem.settings.model_copy(update=changes))
    weights = dictionary(problem)().detach()
    ours = encoder(problem, solver="unrolled", layers=TIMED, step=0.25)
    peer = Dense(ours, "conv1d")
    with torch.no_grad():
        difference = peer.layers(weights, TIMED, 0.25)[0].numpy() - densely(problem, ours.encode(weights))
        theirs = best(lambda: peer.loss(peer.layers(weights, TIMED, 0.25)[1]), repeats)
        mine = best(lambda: ours.loss(weights), repeats)
    share = COUNTED / TIMED
    return {"conv1d": share * theirs, "ours": share * mine, "difference": np.abs(difference).max()}


def alphacsc_job(repeats: int) -> Result:
    """Encode the Gaussian problem with alphacsc, and learn kernels with both from the same ones."""
    try:
        from alphacsc.learn_d_z_multi import learn_d_z_multi
        from alphacsc.update_z_multi import update_z_multi
    except ImportError:
        return {"missing": True}
    problem = unknown("gaussian")
    weights = dictionary(problem)().detach()
    ours = encoder(problem)
    peer = Dense(ours, "matrix")
    signal, atoms, penalty = problem.traces.signal[:, None], weights.numpy()[0][:, None], problem.settings.penalty
    result: Result = {"ours": objective(peer, weights, densely(problem, ours.encode(weights))).sum()}
    result["ours s"] = best(lambda: ours.encode(weights), repeats)
    for solver in ("lgcd", "l-bfgs"):

        def run(chosen: str = solver) -> np.ndarray:
            return update_z_multi(signal, atoms, penalty, solver=chosen)[0]

        result[solver] = objective(peer, weights, run()).sum()
        result[f"{solver} s"] = best(run, repeats)
    keywords = {"reg": penalty, "rank1": False, "D_init": atoms, "verbose": 0, "random_state": 0}
    keywords |= {"n_iter": ITERATIONS, "window": False}
    history, times = learn_d_z_multi(signal, len(atoms), atoms.shape[2], **keywords)[:2]
    result |= {"learnt": history[-1], "learnt s": np.sum(times)}
    return result | learnt(problem, ours, history[-1], 2 * np.sum(times))


def learnt(problem: Problem, ours: Encoder, target: float, most_s: float) -> Result:
    """Learn kernels until the objective, summed over traces, is as low as a target; time runs out after `most_s`."""
    model = dictionary(problem)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    began, found, value, steps = perf_counter(), None, np.inf, 0
    while value > target and perf_counter() - began < most_s:
        optimiser.zero_grad(set_to_none=True)
        loss, found = ours.loss(model(), found)
        value = float(loss.detach()) * problem.traces.valid.sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        model.project()
        steps += 1
    return {"ours learnt": value, "ours learnt s": perf_counter() - began, "steps": steps}


def densely(problem: Problem, found: Found) -> np.ndarray:
    """Return codes at every position, (trace, kernel, position)."""
    positions = problem.traces.bins - problem.kernels.shape[1] + 1
    return scattered(found.slots, found.codes, len(problem.kernels), positions)


def objective(peer: Dense, weights: Tensor, codes: np.ndarray) -> np.ndarray:
    """Return the objective of each trace, (trace,)."""
    held = torch.as_tensor(codes, dtype=weights.dtype)
    fits = likelihood.nll(peer.name, peer.signal, peer.operators(weights)[0](held) + peer.offset).sum(1)
    return (peer.weight * fits + (peer.penalty * held.abs()).sum((1, 2))).numpy()


def worst(mine: np.ndarray, theirs: np.ndarray) -> str:
    """Return the range of relative differences of objectives over traces."""
    relative = (mine - theirs) / np.abs(theirs)
    return f"{relative.min():+.0e} to {relative.max():+.0e}"


def best(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Return the shortest of several runs, by the clock and of the CPU, s; what takes over 5 s runs once."""
    found = []
    for _ in range(repeats):
        started = now()
        work()
        found.append(now() - started)
        if found[-1][1] > 5:
            break
    return np.min(found, axis=0)


def ratio(peer: np.ndarray, ours: np.ndarray) -> str:
    """Return by how much the peer is slower, by the clock and of the CPU."""
    return f"{peer[0] / ours[0]:6.1f} {peer[1] / ours[1]:6.1f}"


def in_process(folder: Path, repeats: int, job: str, *words: str) -> Result:
    """Run a job in a process of its own."""
    path = folder / f"{'-'.join((job, *words))}.npz"
    command = [sys.executable, __file__, "--repeats", str(repeats), "--job", job, *words, "--into", str(path)]
    subprocess.run(command, check=True)
    with np.load(path) as file:
        return {key: value if value.ndim else value.item() for key, value in file.items()}


def print_known(run: Callable[..., Result]) -> None:
    """One training epoch with known events."""
    print(f"\nKNOWN EVENTS, one epoch of training (encode, gradient, Adam), float32, R = {LAYERS}")
    print(f"{'':38} {'s/epoch':>8} {'trials/s':>9} {'ratio':>6} {'(CPU)':>6} {'MB':>6}", end="  ")
    print("codes    of largest  gradient      KKT   (differences from the peer, first batch)")
    for name, trials in (("dopamine", 200), ("structured", 400), ("calcium", 100)):
        peer = run("known", name, "conv1d")
        for variant, label in KNOWN_VARIANTS.items():
            found = peer if variant == "conv1d" else run("known", name, variant)
            codes = np.abs(found["codes"] - peer["codes"]).max()
            slope = np.abs(found["gradient"] - peer["gradient"]).max() / np.abs(peer["gradient"]).max()
            print(
                f"{name + ', ' + label:38} {found['seconds'][0]:8.3f} {trials / found['seconds'][0]:9.0f}"
                f" {ratio(peer['seconds'], found['seconds'])} {found['memory']:6.0f}"
                f"  {codes:8.1e} of {np.abs(peer['codes']).max():6.1f}  {slope:9.1e} {found['kkt']:9.1e}"
            )
        found = run("limit", name)
        print(
            f"  two trials, float64: dense FISTA after {found['layers']} layers ({found['seconds'][0]:.1f} s) has KKT"
            f" {found['kkt']:.0e}, {found['left']} of {found['traces']} traces not done; converged minus dense:"
            f" codes {found['difference']:.1e}, objective (relative) {found['excess']}"
        )


KNOWN_VARIANTS = {
    "conv1d": "dense conv1d (peer)",
    "matrix": "dense, matrix or FFT",
    "unrolled": "ours, unrolled on slots",
    "converged": "ours, converged",
}


def print_unknown(run: Callable[..., Result]) -> None:
    """Encoding with unknown events, all traces at once."""
    print(f"\nUNKNOWN EVENTS, codes of all traces to a KKT residual of {TOLERANCE:g}, float64, positive codes")
    print(f"{'':38} {'s':>8} {'trials/s':>9} {'ratio':>6} {'(CPU)':>6} {'warm s':>8} {'ratio':>6}", end=" ")
    print(f"{'(CPU)':>6} {'MB':>6}  KKT    objective less that of dense, matrix")
    for name in list(UNKNOWN)[:3]:
        trials = UNKNOWN[name][1]
        found = {variant: run("unknown", name, variant) for variant in ("conv1d", "matrix", "working", "pursuit")}
        peer, fast = found["conv1d"], found["matrix"]
        for variant, label in UNKNOWN_VARIANTS.items():
            one, note = found[variant], ""
            if "layer" in one:
                one = {**fast, **one, "seconds": one["layer"] * fast["layers"], "warm": np.full(2, np.nan)}
                note = f" ({1e3 * one['layer'][0]:.0f} ms/layer x {fast['layers']} layers)"
                peer = one
            elif one["layers"]:
                note = f" ({one['layers']} layers" + (f", {one['left']} traces not done)" if one["left"] else ")")
            else:
                note = f" ({one['events']:.1f} codes a trace{', another objective' if variant == 'pursuit' else ''})"
            print(
                f"{name + ', ' + label:38} {one['seconds'][0]:8.3f} {trials / one['seconds'][0]:9.0f}"
                f" {ratio(peer['seconds'], one['seconds'])} {one['warm'][0]:8.3f} {ratio(peer['warm'], one['warm'])}"
                f" {one['memory']:6.0f}  {one['kkt']:.0e}  {worst(one['objective'], fast['objective'])}{note}"
            )
    print(f"\nthe {COUNTED} published layers, forwards, float32, no selection ({TIMED} layers timed)")
    for name in list(UNKNOWN)[:3]:
        one = run("layers", name)
        print(
            f"{name:16} conv1d {one['conv1d'][0]:7.2f} s; ours {one['ours'][0]:7.2f} s; ratio"
            f" {ratio(one['conv1d'], one['ours'])} (CPU); largest difference of codes {one['difference']:.1e}"
        )


UNKNOWN_VARIANTS = {
    "conv1d": "dense conv1d (peer)",
    "matrix": "dense, matrix or FFT",
    "working": "ours, working set",
    "pursuit": "ours, pursuit",
}


def print_alphacsc(run: Callable[..., Result]) -> None:
    """The Gaussian problem beside alphacsc."""
    found = run("alphacsc")
    print("\nGAUSSIAN SIGNALS, UNKNOWN EVENTS, float64, beside alphacsc: 200 trials x 260 bins, 2 kernels of 16")
    if "missing" in found:
        print("alphacsc: not installed")
        return
    for solver in ("ours", "lgcd", "l-bfgs"):
        label = "ours, working set" if solver == "ours" else f"alphacsc, {solver}"
        print(
            f"{label:24} {found[solver + ' s'][0]:7.3f} s, ratio {ratio(found[solver + ' s'], found['ours s'])} (CPU),"
            f" objective {found[solver]:.8g} ({found[solver] / found['ours'] - 1:+.1e})"
        )
    print(
        "learning kernels from the same ones, objective reached:"
        f" alphacsc {found['learnt']:.6g} after {ITERATIONS} iterations, {found['learnt s']:.2f} s;"
        f" ours {found['ours learnt']:.6g} after {found['steps']} steps, {found['ours learnt s']:.2f} s"
    )


JOBS: dict[str, Callable[..., Result]] = {
    "known": known_job,
    "limit": lambda name, repeats: limit_job(name),
    "unknown": unknown_job,
    "layers": layers_job,
    "alphacsc": alphacsc_job,
}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the shortest counts")
    parser.add_argument("--only", nargs="+", default=["known", "unknown", "alphacsc"])
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        torch.set_num_threads(int(THREADS))
        name, *words = options.job
        np.savez(options.into, **JOBS[name](*words, repeats=options.repeats))
        return
    os.environ["PELLUCID_BENCHMARK_THREADS"] = str(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), shortest of {options.repeats} runs where short")
    with tempfile.TemporaryDirectory() as folder:

        def run(*words: str) -> Result:
            return in_process(Path(folder), options.repeats, *words)

        tables = {"known": print_known, "unknown": print_unknown, "alphacsc": print_alphacsc}
        for name in options.only:
            tables[name](run)


if __name__ == "__main__":
    main()
