"""The what/where network: a training step by readout and number of neurons, large kernels, a whole fit, the readout.

    OMP_NUM_THREADS=1 python benchmarks/whatwhere.py [--threads 1] [--quick] [--only steps kernels fit readout]

Peers, in the same run, precision, threads, batches and library (torch): the dense readout (a weight for every pixel of
every map), direct convolution (`conv2d`), ridge regression of each neuron, and the product of masks and weights
written out. Every measurement runs in a process of its own, which is forked once torch is imported; its memory is what
network, Adam and step add to the peak of that process, once images, responses and libraries are there. Times are
medians after a warm-up, by the clock and of the CPU; ratios are given by both, since other work may share the cores.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional

import harness
from harness import now, peak_mb
from pellucid import config, schema, store
from pellucid.artifacts import Features
from pellucid.learning import loop
from pellucid.stages import convert, preprocess
from pellucid.systems.whatwhere.model import dataset, fit, scores, training
from pellucid.systems.whatwhere.model.network import Network, Start, parameters
from pellucid.systems.whatwhere.model.readouts import Masked
from pellucid.systems.whatwhere.model.settings import Penalties, Readout, Settings
from pellucid.systems.whatwhere.simulate.settings import Settings as Simulation
from pellucid.systems.whatwhere.simulate.simulate import simulate

CONFIG = Path(__file__).parents[1] / "configs" / "simulated-whatwhere" / "config.yaml"
NEURONS = (100, 300, 1000, 3000, 10000)
FITTED_FROM = 1000
"""Neurons from which the exponent of cost against their number is fitted."""
POOL = 2
"""Batches of images that steps draw from."""
DENSE_COPIES = 8
"""Arrays of the size of dense weights that a step needs: weights, gradient, Adam's two moments, products of penalty."""
BAR_S = 20.0
"""Most seconds of the whole fit."""
LEAST, LONG_S = 3, 2.0
"""Runs of a measurement that takes longer than so many s of the CPU in all."""
KERNEL_TOLERANCE = 1e-5
READOUT_TOLERANCE = 1e-6
Result = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A core with images (channel, height, width), and the settings of its factorised and of its dense readout."""

    title: str
    image: tuple[int, int, int]
    readouts: dict[str, dict[str, Any]]

    def settings(self, readout: str) -> Settings:
        """Return the settings with one of the readouts."""
        return Settings.model_validate(self.readouts[readout])


def problems() -> dict[str, Problem]:
    """Return the linear core of Fig. 3 and a nonlinear core of 16 maps; readouts differ in their penalties only."""
    dense = {"kind": "dense", "start": "random", "mask_sd": 0.01}
    linear = {"preset": "fig3_unit", "training": {"batch": 256}}
    layers = [
        {"kernel_px": 13, "maps": 16, "activation": "softplus", "smooth": True},
        {"kernel_px": 3, "maps": 16, "padding": "same", "activation": "softplus", "group": True},
    ]
    core_penalties = {"smoothness": 0.003, "group_sparsity": 0.025}
    nonlinear = {"preset": "v1", "core": {"layers": layers}, "training": {"batch": 128}}
    return {
        "linear": Problem(
            "LINEAR CORE OF FIG. 3: images of 48 x 48 px, one kernel of 17 x 17, one map of 32 x 32, batch 256",
            (1, 48, 48),
            {
                "factorised": {**linear, "penalties": [{"mask_l1": 0.1}]},
                "dense": {**linear, "readout": dense, "penalties": [{"weight_l2": 5}]},
            },
        ),
        "nonlinear": Problem(
            "NONLINEAR CORE: images of 31 x 31 px, kernels of 13 x 13 and 3 x 3 px, 16 maps of 19 x 19, batch 128",
            (1, 31, 31),
            {
                "factorised": {**nonlinear, "penalties": [{**core_penalties, "product_l1": 0.03}]},
                "dense": {**nonlinear, "readout": dense, "penalties": [{**core_penalties, "weight_l2": 0.01}]},
            },
        ),
    }


class Direct(Network):
    """The peer of large kernels: the same network by `conv2d`, in torch's own memory layout."""

    def prepare(self, images: Tensor) -> Tensor:
        """Return the images."""
        return images

    def respond(self, prepared: Tensor) -> Tensor:
        """Return responses, (image, neuron)."""
        activation: Tensor = self.readout(functional.conv2d(prepared, self.core.kernels()))
        return activation * self.unit


def network_of(settings: Settings, image: tuple[int, ...], neurons: int, kind: type[Network] = Network) -> Network:
    """Return a network whose masks begin at random places."""
    torch.manual_seed(0)
    size = np.array(Network(settings, image, Start.blank(1)).core.maps[1:])
    ones = np.ones(neurons)
    return kind(settings, image, Start(np.random.default_rng(0).random((neurons, 2)) * (size - 1), ones, ones, ones))


def trainer(network: Network, images: Tensor, responses: Tensor) -> Callable[[], Tensor]:
    """Return a function that takes one step on a random batch, as training does, and returns the loss."""
    settings, generator = network.settings, np.random.default_rng(0)
    schedule, penalties = settings.training, settings.penalties[0]
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.rate, eps=schedule.epsilon, amsgrad=schedule.amsgrad)
    batches = training.Batches(np.arange(len(images)), schedule.batch)
    prepared = network.train().prepare(images)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(network, prepared, responses, torch.from_numpy(batches(generator)), penalties)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    return step


def loss_of(network: Network, prepared: Tensor, responses: Tensor, rows: Tensor, penalties: Penalties) -> Tensor:
    """Return the loss of a batch with its penalties, a scalar."""
    return network.loss(responses[rows], network.respond(prepared[rows])).sum() + network.penalty(penalties)


def shown(problem: Problem, batch: int, neurons: int) -> tuple[Tensor, Tensor]:
    """Return images (image, channel, height, width) and positive responses (image, neuron)."""
    torch.manual_seed(1)
    return torch.randn(POOL * batch, *problem.image), torch.rand(POOL * batch, neurons)


def step_job(name: str, readout: str, neurons: int, repeats: int) -> Result:
    """Time training steps of one readout, and their memory."""
    problem = problems()[name]
    settings = problem.settings(readout)
    images, responses = shown(problem, settings.training.batch, neurons)
    trainer(network_of(settings, problem.image, 2), images[:8], responses[:8, :2])()  # libraries
    before = peak_mb()
    network = network_of(settings, problem.image, neurons)
    seconds = median(trainer(network, images, responses), repeats)
    memory = peak_mb() - before
    return {"seconds": seconds, "memory": memory, "parameters": parameters(network), "filters": network.by_filters}


def kernel_job(way: str, neurons: int, repeats: int) -> Result:
    """Time steps with a kernel of 17 x 17 px one way; give predictions and gradients to compare, from one start."""
    problem = problems()["linear"]
    settings = problem.settings("factorised")
    images, responses = shown(problem, settings.training.batch, neurons)
    before = peak_mb()
    network = network_of(settings, problem.image, neurons, Direct if way == "conv2d" else Network)
    network.by_filters = way == "filters"
    prepared, rows = network.prepare(images), torch.arange(settings.training.batch)
    loss_of(network, prepared, responses, rows, settings.penalties[0]).backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad.flatten().numpy() for weight in network.parameters() if weight.grad is not None]
    prediction = network(images).detach().numpy()
    seconds = median(trainer(network, images, responses), repeats)
    memory = peak_mb() - before
    return {"seconds": seconds, "prediction": prediction, "gradient": np.concatenate(gradients), "memory": memory}


def readout_job(neurons: int, repeats: int) -> Result:
    """Time the readout alone, forwards and backwards, and the tensor (neuron, feature, pixel) written out."""
    torch.manual_seed(0)
    maps, batch = (16, 19, 19), 128
    z = torch.randn(batch, *maps).requires_grad_()
    readout = Masked(Readout(), maps, torch.randn(neurons, *maps[1:]), torch.randn(neurons, maps[0]), learn=True)

    def written_out(z: Tensor) -> Tensor:
        full = readout.weights()[:, :, None, None] * readout.masks()[:, None]
        return z.flatten(1) @ full.flatten(1).T

    result: Result = {
        "einsum": median(lambda: backwards(readout(z)), repeats),
        "written out": median(lambda: backwards(written_out(z)), repeats),
    }
    for precision in (torch.float32, torch.float64):
        readout.to(precision)
        with torch.no_grad():
            ours, naive = readout(z.to(precision)), written_out(z.to(precision))
        result[str(precision)] = float((ours - naive).abs().max() / naive.abs().max())
    return result


def backwards(activation: Tensor) -> None:
    """Differentiate a sum of squares."""
    activation.square().sum().backward()  # type: ignore[no-untyped-call]


def fit_job(quick: bool) -> Result:
    """Fit a simulated population of 100 neurons on 1024 images, and ridge regressions, with the configured settings."""
    chosen = yaml.safe_load(CONFIG.read_text())
    analysis = chosen["analyses"]["linear_population"]
    base = {**config.fit_settings(analysis["fit"], "main"), "device": {"threads": torch.get_num_threads()}}
    base["penalties"] = [{"mask_l1": 0.1}]
    if quick:
        base |= {"images": 256, "training": {**base["training"], "epochs": 1}}
    result: Result = {"images": base["images"]}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        features, truth = simulated(
            Path(folder), base["images"], chosen["recordings"]["ww_linear"], analysis["preprocess"]
        )
        test = dataset.load(features, 0, ("test",))
        true, before = truth[test.source], peak_mb()
        for kind in ("network", "ridge"):
            settings = Settings.model_validate({**base, "kind": kind})
            began = now()
            found = fit.fit(features, 0, 0, settings, Path(folder, kind))
            result[kind] = now() - began
            result[f"{kind} fev"] = float(scores.fev(true, predicted(found.weights, settings, test.images)).mean())
            result[f"{kind} steps"] = len(found.history) * settings.training.steps
            result[f"{kind} memory"] = peak_mb() - before
    return result


def simulated(
    folder: Path, images: int, recording: dict[str, Any], preprocessing: dict[str, Any]
) -> tuple[Features, np.ndarray]:
    """Return the features of a population of 100 neurons, and responses without noise (image, neuron)."""
    raw, name = folder / "raw", "ww_linear"
    options = {"scenario": "homogeneous", "neurons": 100, "images": images, "test_images": 2000}
    raw.mkdir()
    simulate(Simulation.model_validate(options), 0, raw)
    stores = folder / "features" / f"{name}.zarr"
    convert.convert(name, {**recording, "raw": str(raw)}, [raw], folder / f"{name}.zarr")
    preprocess.preprocess("whatwhere", preprocessing, folder / f"{name}.zarr", stores)
    preprocess.collect_features("whatwhere", preprocessing, [stores], folder / "features.json")
    truth = schema.group(store.open_store(raw / "truth.zarr"), "truth", "truth")["response"].values
    return Features.load(folder / "features.json"), truth


def predicted(weights: Any, settings: Settings, images: np.ndarray) -> np.ndarray:  # noqa: ANN401 - name -> array
    """Return what a fit predicts, (image, neuron); images (image, channel, height, width), standardised."""
    if settings.kind == "ridge":
        filtered = np.tensordot(images, weights["filters"], ([1, 2, 3], [1, 2, 3]))
        return np.asarray(filtered + weights["intercept"])
    network = Network(settings, images.shape[1:], Start.blank(len(weights["neurons"])))
    loop.load(network, {key[2:]: value for key, value in weights.items() if key.startswith("0.")})
    return training.in_batches(network, images, 512, torch.device("cpu"))


def print_steps(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """A training step by number of neurons, factorised beside dense."""
    for name, problem in problems().items():
        print(f"\nONE TRAINING STEP, {problem.title}")
        print("loss, penalty, gradient and Adam; peer: the dense readout; us/neuron, exponents and lines by the CPU")
        head = f"{'ms':>8} {'(CPU)':>8} {'us/neuron':>9} {'MB':>6}"
        print(f"neurons | dense {head} | fact. {head} | ratio  (CPU)   (MB)")
        found: dict[str, dict[int, Result]] = {"dense": {}, "factorised": {}}
        for neurons in NEURONS[:2] if options.quick else NEURONS:
            for readout in found:
                if readout == "factorised" or dense_gb(name, neurons) <= options.memory_gb:
                    found[readout][neurons] = run(step_job, name, readout, neurons, options.repeats)
            print_step(neurons, found["dense"].get(neurons), found["factorised"][neurons])
        print(f"largest dense readout within {options.memory_gb:g} GB: {max(found['dense'])} neurons; ", end="")
        print(f"it has {max(one['parameters'] for one in found['dense'].values()) / 1e6:.1f} million parameters")
        for readout, rows in found.items():
            print_scaling(readout, {neurons: one["seconds"][1] for neurons, one in rows.items()})


def print_step(neurons: int, dense: Result | None, ours: Result) -> None:
    """Print one row."""
    cells = []
    for one in (dense, ours):
        if one is None:
            cells.append(f"{'-':>14} {'-':>8} {'-':>9} {'-':>6}")
            continue
        clock, cpu = 1e3 * one["seconds"]
        cells.append(f"{clock:14.2f} {cpu:8.2f} {1e3 * cpu / neurons:9.1f} {one['memory']:6.0f}")
    shares = "-"
    if dense is not None:
        memory = dense["memory"] / max(ours["memory"], 1)
        shares = f"{ratio(dense['seconds'], ours['seconds'])} {memory:6.1f}"
    print(f"{neurons:7d} | {cells[0]} | {cells[1]} | {shares}{'  by filters' if ours['filters'] else ''}")


def print_scaling(readout: str, seconds: dict[int, float]) -> None:
    """Print the exponent of cost against the number of neurons, and the line through the costs."""
    large = [neurons for neurons in seconds if neurons >= FITTED_FROM]
    if len(large) < 2:
        return
    cost = [1e3 * seconds[neurons] for neurons in large]
    exponent = np.polyfit(np.log(large), np.log(cost), 1)[0]
    slope, fixed = np.polyfit(large, cost, 1, w=1 / np.array(cost))
    print(
        f"{readout:>10}: cost ~ N^{exponent:.2f} between {large[0]} and {large[-1]} neurons;"
        f" {fixed:.1f} ms + {1e3 * slope:.1f} us per neuron"
    )


def dense_gb(name: str, neurons: int) -> float:
    """Return about what a step of the dense readout needs, GB."""
    problem = problems()[name]
    maps = Network(problem.settings("dense"), problem.image, Start.blank(1)).core.maps
    return DENSE_COPIES * 4 * neurons * float(np.prod(maps)) / 1e9


def print_kernels(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """One kernel of 17 x 17 px, three ways."""
    neurons = 100
    print(f"\nLARGE KERNEL: one step of Fig. 3, {neurons} neurons, batch 256; peer: conv2d")
    print(f"{'':24} {'ms':>8} {'(CPU)':>8} {'MB':>6}   ratio  (CPU)  largest difference of predictions; of gradients")
    labels = {"conv2d": "conv2d (peer)", "maps": "ours, spectral maps", "filters": "ours, spectra of filters"}
    found = {way: run(kernel_job, way, neurons, options.repeats) for way in labels}
    peer = found["conv2d"]
    for way, one in found.items():
        clock, cpu = 1e3 * one["seconds"]
        line = (
            f"{labels[way]:24} {clock:8.2f} {cpu:8.2f} {one['memory']:6.0f}  {ratio(peer['seconds'], one['seconds'])}"
        )
        if way == "conv2d":
            print(line)
            continue
        apart, slopes = (float(np.abs(one[key] - peer[key]).max()) for key in ("prediction", "gradient"))
        slopes /= float(np.abs(peer["gradient"]).max())
        print(f"{line}  {apart:.1e}{verdict(apart, KERNEL_TOLERANCE)}; {slopes:.1e} of the largest gradient")
    print(f"s.d. of predictions {peer['prediction'].std():.2f}; spectra of images are computed once, not in the step")


def print_fit(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """A whole fit, beside ridge regressions of the same responses."""
    one = run(fit_job, options.quick)
    print(f"\nONE FIT: homogeneous population, 100 neurons, {one['images']} images (a fifth validates), mask_l1 .1")
    print(
        "settings of `linear_population` (configs/simulated-whatwhere); peer: ridge of each neuron at its known place"
    )
    steps = one["network steps"]
    print(f"{'':8} {'s':>8} {'(CPU)':>8} {'ratio':>6} {'(CPU)':>6} {'MB':>6} {'test FEV, noise-free':>21}")
    for kind in ("ridge", "network"):
        clock, cpu = one[kind]
        shares = ratio(one["ridge"], one[kind])
        print(f"{kind:8} {clock:8.2f} {cpu:8.2f} {shares} {one[f'{kind} memory']:6.0f} {one[f'{kind} fev']:21.3f}")
    print(
        f"{steps} steps, {1e3 * one['network'][1] / steps:.2f} ms each by the CPU, validation included; "
        f"bar {BAR_S:g} s: {one['network'][0]:.1f} s by the clock, {one['network'][1]:.1f} s of the CPU"
        + (" (cut short)" if options.quick else verdict(one["network"][1], BAR_S))
    )


def print_readout(run: Callable[..., Result], options: argparse.Namespace) -> None:
    """The readout alone."""
    print("\nREADOUT ALONE: 16 maps of 19 x 19 px, batch 128, forwards and backwards; peer: the tensor w m written out")
    print(f"neurons {'peer ms':>8} {'(CPU)':>8} {'ours ms':>8} {'(CPU)':>8}  ratio  (CPU)  largest relative difference")
    for neurons in NEURONS[:1] if options.quick else NEURONS[:4]:
        one = run(readout_job, neurons, options.repeats)
        peer, ours = one["written out"], one["einsum"]
        low, high = one["torch.float32"], one["torch.float64"]
        print(
            f"{neurons:7d} {1e3 * peer[0]:8.2f} {1e3 * peer[1]:8.2f} {1e3 * ours[0]:8.2f} {1e3 * ours[1]:8.2f} "
            f"{ratio(peer, ours)}  float32 {low:.1e}{verdict(low, READOUT_TOLERANCE)}, float64 {high:.1e}"
        )


def verdict(value: float, most: float) -> str:
    """Return whether a value is within its bound."""
    return f" (within {most:g})" if value <= most else f" (NOT within {most:g})"


def ratio(peer: np.ndarray, ours: np.ndarray) -> str:
    """Return peer / ours by the clock and of the CPU."""
    clock, cpu = peer / ours
    return f"{clock:6.2f} {f'({cpu:.2f})':>7}"


def median(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Return the median of several runs after two that warm up, by the clock and of the CPU, s; of three if long."""
    work()
    work()
    found: list[np.ndarray] = []
    while len(found) < repeats and (len(found) < LEAST or np.sum(found, axis=0)[1] < LONG_S):
        began = now()
        work()
        found.append(now() - began)
    return np.asarray(np.median(found, axis=0))


TABLES = {"steps": print_steps, "kernels": print_kernels, "fit": print_fit, "readout": print_readout}


def main() -> None:
    """Parse the command line and print the tables."""
    parser = harness.parser(__doc__, TABLES, "few neurons, three repeats, a fit cut short")
    parser.add_argument("--repeats", type=int, default=9, help="runs whose median counts")
    parser.add_argument("--memory-gb", type=float, default=3, help="most that a dense readout may need")
    options = parser.parse_args()
    options.repeats = 3 if options.quick else options.repeats
    harness.show(TABLES, options)


if __name__ == "__main__":
    main()
