"""Retina: contributions of the first layer beside recomputing the network, a training step, and prediction.

    OMP_NUM_THREADS=1 python benchmarks/retina.py [--threads 1] [--quick] [--only contributions accuracy speed]

Native scale: 50 x 50 px, 40 frames, 100 Hz; networks of Maheswaranathan et al. 2023 with random weights and the moments
of their movie. The peer recomputes the whole network at every step of the path and for every cell, with automatic
differentiation back to the first layer's output; same rule, precision, threads and rows at once. Every measurement runs
in a process of its own; its memory is what the work adds to that process's peak once its input is there. Times are by
the clock and of the CPU; ratios are given by both, since other work may share the cores.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import harness
from harness import now, peak_mb
from pellucid.systems.retina.attribute.path import integrate
from pellucid.systems.retina.model.network import Network, windows
from pellucid.systems.retina.model.norms import Normalised
from pellucid.systems.retina.model.settings import Settings
from pellucid.systems.retina.model.training import poisson

BAR, AIM = 10.0, 50.0
"""Ratios of seconds per step and cell: least, and aimed at."""
TOLERANCE = 1e-10
"""Largest difference from the peer at the same points in double precision, as a share of the largest contribution."""
SIDE, HISTORY, ROWS = 50, 40, 8
POINTS, STEPS, WARM = 100, 3, 2
"""Points of the published rule; those of the peer that are timed; rows of the warm-up."""
CENTRES = [
    (16, 13), (20, 12), (19, 7), (19, 3), (21, 7), (22, 6), (21, 7), (25, 3), (23, 6), (26, 4), (24, 6), (26, 7),
    (27, 9), (26, 9), (27, 11), (26, 13), (24, 10),
]  # fmt: skip
"""Receptive fields of 17 cells of one retina, row and column in px (Maheswaranathan et al. 2023, reference code)."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A network and a stimulus; whole: the stimulus with all its pixels, as the peer sees it."""

    title: str
    preset: str
    cells: int
    stimulus: str


CASES = {
    "movie": Case("convgc, 17 cells, movie", "convgc", 17, "movie"),
    "bar": Case("convgc, 17 cells, bar", "convgc", 17, "bar"),
    "flash": Case("convgc, 17 cells, full field", "convgc", 17, "flash"),
    "whole bar": Case("convgc, 17 cells, bar, all pixels", "convgc", 17, "whole bar"),
    "whole flash": Case("convgc, 17 cells, full field, all pixels", "convgc", 17, "whole flash"),
    "bn_cnn": Case("bn_cnn, 5 cells, movie", "bn_cnn", 5, "movie"),
}


def movie(frames: int) -> np.ndarray:
    """Return a drifting scene with a 1/f spectrum, standardised, (time, height, width)."""
    rng = np.random.default_rng(0)
    side = 4 * SIDE
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / frequency
    spectrum[0, 0] = 0
    scene = np.fft.irfft2(spectrum)
    path = np.clip(np.cumsum(rng.normal(0, 1.5, (frames, 2)), axis=0) + 1.5 * SIDE, 0, side - SIDE).astype(int)
    seen = np.stack([scene[row : row + SIDE, column : column + SIDE] for row, column in path])
    return np.asarray((seen - seen.mean()) / seen.std(), np.float32)


def stimulus(name: str) -> np.ndarray:
    """Return frames of `ROWS` rows with as few axes as the stimulus needs, or all where it is called whole."""
    count = ROWS + HISTORY - 1
    if name == "movie":
        return movie(count)
    if name.endswith("bar"):
        left = 0.8 * np.arange(count)[:, None] - 5
        pixel = np.arange(SIDE)
        found = -2 * np.clip(np.minimum(left + 4, pixel + 1) - np.maximum(left, pixel), 0, 1)
    else:
        found = np.where(np.arange(count) % 10 < 2, -2.0, 0.0)
    if name.startswith("whole"):
        found = np.broadcast_to(found[:, None, :] if found.ndim == 2 else found[:, None, None], (count, SIDE, SIDE))
    return np.ascontiguousarray(found, np.float32)


def whole(frames: np.ndarray) -> np.ndarray:
    """Return frames with all pixels, (time, height, width)."""
    if frames.ndim < 3:
        frames = frames[:, None, :] if frames.ndim == 2 else frames[:, None, None]
    return np.array(np.broadcast_to(frames, (len(frames), SIDE, SIDE)))


def network_of(preset: str, cells: int) -> Network:
    """Return a network with random weights, whose batch norms have the moments of a movie."""
    torch.manual_seed(0)
    places = [(min(max(row - 17, 0), 15), min(max(column - 17, 0), 15)) for row, column in CENTRES[:cells]]
    made = Network(Settings.model_validate({"preset": preset}), (SIDE, SIDE), places).train()
    made.noise = 0.0
    norms = [module for module in made.modules() if isinstance(module, Normalised)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        made(windows(torch.from_numpy(movie(HISTORY + 60)), HISTORY)[::4].contiguous())
        for norm in norms:
            norm.shift.normal_(0, 0.3)
    return made.eval()


def recomputed(network: Network, frames: np.ndarray, points: int) -> np.ndarray:
    """Return contributions (row, neuron, feature) by the midpoint rule, the network anew for every step and cell."""
    seen = windows(torch.from_numpy(frames), network.history).contiguous()
    first, bias = network.convolutions[0], network.bias.detach()[:, None, None]
    for one in network.parameters():
        one.requires_grad_(False)
    found = torch.zeros(len(seen), network.neurons, network.features, dtype=seen.dtype)
    for step in range(points):
        for cell in range(network.neurons):
            a = (step + 0.5) / points
            z: Tensor = first(a * seen).requires_grad_(True)
            (gradient,) = torch.autograd.grad(network.head(z)[:, cell].sum(), z)
            found[:, cell] += (gradient * (z.detach() - bias)).sum((2, 3)) / (a * points)
    return found.numpy()


def peer_job(name: str) -> Result:
    """Attribute by recomputing everything, at a few steps."""
    case = CASES[name]
    network, frames = network_of(case.preset, case.cells), whole(stimulus(case.stimulus))
    before = peak_mb()
    recomputed(network, frames[: HISTORY + WARM - 1], 1)
    began = now()
    recomputed(network, frames, STEPS)
    seconds = now() - began
    return {"each": seconds / (STEPS * ROWS * case.cells), "memory": peak_mb() - before}


def difference_job(name: str) -> Result:
    """Attribute two rows both ways at the same points, in double precision: rounding puts no unit across its kink."""
    case = CASES[name]
    network, frames = network_of(case.preset, case.cells).double(), stimulus(case.stimulus)[: HISTORY + 1]
    ours = integrate(network, frames.astype(float), rule="midpoint", points=STEPS).channels
    peer = recomputed(network, whole(frames).astype(float), STEPS)
    return {"apart": float(np.abs(ours - peer).max() / np.abs(peer).max())}


def ours_job(name: str, rule: str, points: int) -> Result:
    """Attribute all rows by a rule."""
    case = CASES[name]
    network, frames = network_of(case.preset, case.cells), stimulus(case.stimulus)
    before = peak_mb()
    integrate(network, frames[: HISTORY + WARM - 1], rule=rule, points=2)  # type: ignore[arg-type]
    began = now()
    found = integrate(network, frames, rule=rule, points=points)  # type: ignore[arg-type]
    seconds = now() - began
    return {
        "each": seconds / (found.nodes.sum() * case.cells),
        "row": seconds / ROWS,
        "nodes": found.nodes.mean(),
        "residual": found.completeness().max(),
        "error": found.accuracy().max(),
        "converged": found.converged.mean(),
        "memory": peak_mb() - before,
    }


def training_job(preset: str, cells: int, batch: int) -> Result:
    """Take steps of Adam on batches of windows, and predict a movie."""
    network, frames = network_of(preset, cells), torch.from_numpy(movie(HISTORY + 511))
    network.train()
    optimiser = torch.optim.Adam(network.parameters())
    seen = windows(frames, HISTORY)
    response = torch.rand(len(seen), cells)
    before = peak_mb()

    def step() -> None:
        own = torch.randperm(len(seen))[:batch]
        optimiser.zero_grad()
        poisson(network(seen[own]), response[own]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    step()
    began = now()
    for _ in range(2):
        step()
    trained, memory = (now() - began) / 2, peak_mb() - before
    network.eval()
    with torch.inference_mode():
        network.respond(frames[: HISTORY + 63])
        began = now()
        network.respond(frames)
    return {"step": trained, "train": batch / trained, "predict": len(seen) / (now() - began), "memory": memory}


def print_contributions(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """Seconds per step and cell of the same rule, and of ours."""
    print(f"\nCONTRIBUTIONS, {ROWS} rows at once, float32: ms per row, step of the path and cell")
    print(f"peer: the whole network for every step and cell, midpoint rule, {STEPS} steps timed")
    print(
        f"ours: the same rule with {POINTS} steps; the adaptive rule, by evaluation; difference from the peer in double"
    )
    head = f"{'ms':>7} {'(CPU)':>7} {'MB':>4}  ratio  (CPU)"
    print(f"{'':41} {'ms':>6} {'(CPU)':>6} {'MB':>4} {head} {head}")
    for name, case in CASES.items():
        if options.quick and "whole" in name:
            continue
        peer, apart = run(peer_job, name), run(difference_job, name)["apart"]
        row = f"{case.title:41} {cells(peer, 6, 2)}"
        for rule in ("midpoint", "adaptive"):
            ours = run(ours_job, name, rule, POINTS)
            share = peer["each"] / ours["each"]
            row += f" {cells(ours, 7, 4)} {share[0]:6.0f} {share[1]:6.0f}{verdict(share[1])}"
        print(f"{row}; difference {apart:.0e}{'' if apart <= TOLERANCE else ' TOO LARGE'}")


def cells(one: Result, width: int, digits: int) -> str:
    """Return ms by the clock and of the CPU, and MB."""
    clock, cpu = 1e3 * one["each"]
    return f"{clock:{width}.{digits}f} {cpu:{width}.{digits}f} {one['memory']:4.0f}"


def print_accuracy(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """What a row costs, and how good it is, by rule."""
    print("\nA ROW, all cells: ms of the CPU, evaluations, and residual and estimated error of max |r - r(0)|")
    print(f"{'':42} {'rule':>22} {'ms':>8} {'evaluations':>11}  residual   error")
    rules = {"adaptive": 2, "midpoint": POINTS, "right": POINTS}
    for name, case in CASES.items():
        if options.quick and name != "movie":
            continue
        for rule, points in rules.items():
            one = run(ours_job, name, rule, points)
            title = {"adaptive": "adaptive, 1e-3", "right": f"published, {points}"}.get(rule, f"{rule}, {points}")
            error = f"{one['error']:7.1e}" if rule == "adaptive" else "      -"
            print(
                f"{case.title if rule == 'adaptive' else '':42} {title:>22} {1e3 * one['row'][1]:8.2f}"
                f" {one['nodes']:11.1f}   {one['residual']:.1e} {error}"
                f"{'' if rule != 'adaptive' or one['converged'] == 1 else ' NOT CONVERGED'}"
            )


def print_speed(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """Training and prediction."""
    batch = 64 if options.quick else 128
    print(f"\nTRAINING AND PREDICTION, batch of {batch} windows of {HISTORY} x {SIDE} x {SIDE}, float32")
    print(
        f"{'':20} {'s per step':>10} {'(CPU)':>7} {'windows/s':>10} {'MB':>6} {'predicted, windows/s':>21} {'(CPU)':>7}"
    )
    for preset, cells in (("convgc", 17), ("bn_cnn", 5)):
        one = run(training_job, preset, cells, batch)
        print(
            f"{f'{preset}, {cells} cells':20} {one['step'][0]:10.2f} {one['step'][1]:7.2f} {one['train'][1]:10.1f}"
            f" {one['memory']:6.0f} {one['predict'][0]:21.0f} {one['predict'][1]:7.0f}"
        )


def verdict(share: float) -> str:
    """Return which of aim and bar a ratio reaches."""
    if share >= AIM:
        return " aim"
    return " bar" if share >= BAR else " BELOW"


TABLES = {"contributions": print_contributions, "accuracy": print_accuracy, "speed": print_speed}


def main() -> None:
    """Parse the command line and print the tables."""
    harness.show(TABLES, harness.parser(__doc__, TABLES, "fewer stimuli").parse_args())


if __name__ == "__main__":
    main()
