"""The training loop: seeded, scheduled on validation loss, resumable at every epoch, and the same bytes either way."""

import io
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pellucid.errors import DataError
from pellucid.learning import optimiser as adam
from pellucid.learning.settings import Device, Schedule
from pellucid.store import atomic_file

History = list[dict[str, float]]


def train(
    network: nn.Module,
    loss: Callable[[np.random.Generator], Tensor],
    validate: Callable[[], float | Mapping[str, float]],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    name: str = "fit",
    project: Callable[[], None] | None = None,
) -> History:
    """Minimise a loss; leave the weights of the best validation epoch in the network and return one row per epoch.

    network     on its device already
    loss        draws one batch with the generator it is given and returns the loss, a scalar
    validate    returns the validation loss of the network as it is, or `validation` with other scores for the history
    seed        epoch e draws from a generator of (seed, e) alone, so that a resumed run equals an uninterrupted one
    checkpoint  folder for the state after each epoch; it must belong to these settings, code and features only
    project     called after every step, to put the weights back where they are allowed to be
    Raises DataError if the loss stops being finite.
    """
    optimiser = adam.make(network, schedule)
    state = _State(network, optimiser, checkpoint / "state.pt")
    state.resume()
    bar = tqdm(
        total=schedule.epochs, initial=len(state.history), desc=name, unit="epoch", disable=not sys.stderr.isatty()
    )
    while len(state.history) < schedule.epochs and not _exhausted(state.history, schedule):
        epoch = len(state.history)
        started = time.perf_counter()
        rate = _rate(state.history, schedule)
        if schedule.rollback and epoch and rate < state.history[-1]["rate"]:
            network.load_state_dict(state.best)
        training = _epoch(network, optimiser, loss, schedule, (seed, epoch), rate, project)
        rate = float(optimiser.param_groups[0]["lr"])
        network.eval()
        with torch.inference_mode():
            found = validate()
        scores = dict(found) if isinstance(found, Mapping) else {"validation": found}
        _check_finite(name, epoch, training, scores["validation"])
        state.record({"epoch": epoch, "rate": rate, "training": training, **scores})
        bar.update()
        print(
            f"{name}: epoch {epoch + 1}/{schedule.epochs}, training loss {training:.4g}, "
            f"validation loss {scores['validation']:.4g}, rate {rate:.2g}, {time.perf_counter() - started:.1f} s",
            file=sys.stderr,
        )
    bar.close()
    network.load_state_dict(state.best)
    return state.history


def prepare(device: Device, seed: int) -> torch.device:
    """Set the number of threads and the seed of weights, ask for deterministic kernels, and return the device."""
    torch.set_num_threads(device.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    return place(device)


def place(device: Device) -> torch.device:
    """Return the device that settings ask for. Raises DataError for one that this machine does not have."""
    if device.name != "auto":
        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available[device.name]:
            raise DataError(
                "fit.shared.device.name",
                expected="a device of this machine",
                found=f"{device.name!r}, which torch does not see",
                remedy="Set it to 'auto' or 'cpu'.",
            )
        return torch.device(device.name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the network's weights as arrays, for safetensors."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}


def load(network: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    """Put arrays back into a network of the same shape, and set it to evaluation."""
    network.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()})
    return network.eval()


class _State:
    """What a run needs to go on after an epoch: weights, moments, history and the best weights so far."""

    def __init__(self, network: nn.Module, optimiser: torch.optim.Optimizer, path: Path) -> None:
        self.network, self.optimiser, self.path = network, optimiser, path
        self.history: History = []
        self.best: dict[str, Any] = {}

    def resume(self) -> None:
        if not self.path.is_file():
            return
        saved = torch.load(self.path, weights_only=True, map_location="cpu")
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.history, self.best = saved["history"], saved["best"]

    def record(self, row: dict[str, float]) -> None:
        if not self.history or row["validation"] < min(past["validation"] for past in self.history):
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.history.append(row)
        buffer = io.BytesIO()
        content = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "best": self.best,
        }
        torch.save(content, buffer)
        with atomic_file(self.path) as partial:
            partial.write_bytes(buffer.getvalue())


def _epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[np.random.Generator], Tensor],
    schedule: Schedule,
    seed: tuple[int, int],
    rate: float,
    project: Callable[[], None] | None,
) -> float:
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    torch.manual_seed(int(generator.integers(2**62)))  # noise layers
    network.train()
    total = torch.zeros(())
    for step in range(schedule.steps):
        adam.pace(optimiser, rate, schedule, seed[1] * schedule.steps + step)
        optimiser.zero_grad(set_to_none=True)
        value = loss(generator)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if project is not None:
            project()
        total += value.detach().cpu()
    return float(total) / schedule.steps


def _plateaus(history: History, schedule: Schedule) -> int:
    """Return how often validation did not improve for `patience` epochs in a row, after the first `burn_in`."""
    plateaus, best, waited = 0, math.inf, 0
    for epoch, row in enumerate(history):
        if row["validation"] < best - schedule.improvement:
            best, waited = row["validation"], 0
        elif epoch >= schedule.burn_in:
            waited += 1
        if waited >= schedule.patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus


def _rate(history: History, schedule: Schedule) -> float:
    """Return the learning rate after a history: multiplied by `factor` at every plateau."""
    rate = schedule.rate
    for _ in range(_plateaus(history, schedule)):
        rate *= schedule.factor
    return rate


def _exhausted(history: History, schedule: Schedule) -> bool:
    if schedule.plateaus is not None and _plateaus(history, schedule) >= schedule.plateaus:
        return True
    if schedule.stop_after is None or not history:
        return False
    losses = [row["validation"] for row in history]
    return len(losses) - 1 - int(np.argmin(losses)) >= schedule.stop_after


def _check_finite(name: str, epoch: int, training: float, validation: float) -> None:
    if not (math.isfinite(training) and math.isfinite(validation)):
        raise DataError(
            f"{name}, epoch {epoch + 1}",
            expected="a finite loss",
            found=f"training {training}, validation {validation}",
            remedy="Lower `schedule.rate`, or look for missing values in the targets.",
        )
