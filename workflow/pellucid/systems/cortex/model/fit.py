"""Train one decoder on one fold: a recurrent network on traces or images, in two stages, or the linear baseline."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid.artifacts import Features, Trained
from pellucid.errors import DataError
from pellucid.learning import loop
from pellucid.systems.cortex.model import backbone, dataset, images, keras_gru, linear
from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.network import Images, Linear, Recurrent, parameters
from pellucid.systems.cortex.model.settings import Settings
from pellucid.systems.cortex.model.training import Batch, HeldOutput, Output, Target, train
from pellucid.systems.cortex.model.windows import Reach, Windows

Parts = tuple[Windows, Windows]


@dataclass(frozen=True)
class _Run:
    """What all stages of one fit share.

    parts  training and validation windows
    """

    parts: Parts
    target: Target
    settings: Settings
    seed: int
    checkpoint: Path
    name: str

    def stage(
        self,
        number: int,
        network: nn.Module,
        output: Output,
        batch: Batch,
        parts: Parts,
        held: HeldOutput | None = None,
    ) -> loop.History:
        """Train one stage and return its history, each row with its number."""
        first_of_two = number == 1 and self.settings.kind == "cnn_rnn"
        rows = train(
            network, output, batch, parts, self.target,
            self.settings.stage_1 if first_of_two else self.settings.training,
            seed=self.seed + 1000 * (number - 1), checkpoint=self.checkpoint / f"stage{number}",
            name=f"{self.name}, stage {number}", held_output=held,
        )  # fmt: skip
        return [{"stage": number, **row} for row in rows]


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Train one decoder and return its weights, history and notes.

    fold        entry of the split table
    checkpoint  folder of this fit's own state; an unfinished run is resumed from it
    Raises DataError if the training windows hold one state only.
    """
    device = loop.prepare(settings.device, seed)
    data = dataset.load(features, fold, settings, seed, ("train", "validation"))
    parts = data.windows("train"), data.windows("validation")
    target = Target.of(parts[0], settings.target)
    if not target.speed and target.positive in (0.0, 1.0):
        raise DataError(
            f"fold {fold}, training windows",
            expected="both states",
            found=f"only state {int(target.positive)}",
            remedy="Correct the label, or split the recordings otherwise.",
        )
    notes: dict[str, Any] = {"device": device.type, "weights": "random", "rois": list(data.rois)}
    run = _Run(parts, target, settings, seed, checkpoint, f"fold {fold}, seed {seed}")
    network: nn.Module
    movie = data.sessions[0].signal
    if isinstance(movie, Movie):
        network = Images(settings, movie.shape).to(device)
        notes["weights"] = backbone.start(network.backbone, settings.backbone)
        history = _of_movie(run, network)
    elif settings.kind == "linear":
        network = Linear(data.reach.samples, len(data.rois))
        weights, intercept, history = linear.fit(*parts, target, settings)
        loop.load(network, {"weight": weights, "bias": np.array(intercept, np.float32)})
    elif settings.released is not None:
        network, history = _released(parts[1], target, settings, len(data.rois))
        notes["weights"] = "released"
    else:
        network = Recurrent(len(data.rois), settings).to(device)
        history = run.stage(1, network, network, _traces, parts)
    return Trained(loop.arrays(network), history, notes | _notes(run, network, history))


def _traces(windows: Windows, indices: np.ndarray) -> torch.Tensor:
    return windows.tensor(indices)


def _of_movie(run: _Run, network: Images) -> loop.History:
    """Train a CNN on single images; then, for a CNN-RNN, the recurrent stage on windows of images."""
    frames = run.settings.backbone.frames
    batch = partial(images.batch, frames=frames)
    single = (_middle(run.parts[0]), _middle(run.parts[1]))
    history = run.stage(1, network, lambda window: network.single(window[:, 0]), batch, single)
    if network.recurrent is None:
        return history
    if not run.settings.backbone.frozen:

        def held(windows: Windows, indices: np.ndarray) -> np.ndarray:
            return images.predict(network, images.encode(network, windows, indices, frames))

        return history + run.stage(2, network, network, batch, run.parts, held)
    network.eval()
    encoded = [
        images.encode(network, part, np.arange(part.count), frames, progress=f"{run.name}, features")
        for part in run.parts
    ]
    return history + run.stage(2, network.recurrent, network.recurrent, _traces, (encoded[0], encoded[1]))


def _middle(windows: Windows) -> Windows:
    """Return the same labelled frames with a window of the one image at the lag of the window's middle."""
    reach = Reach(0, windows.reach.lag, windows.reach.margin)
    return Windows(windows.sessions, reach, windows.session, windows.row, windows.target)


def _released(held: Windows, target: Target, settings: Settings, rois: int) -> tuple[Recurrent, loop.History]:
    """Return a decoder with released weights, scored on validation windows."""
    assert settings.released is not None
    network = Recurrent(rois, settings)
    found = keras_gru.released(Path(settings.released.file), settings.released.sha256, rois, settings.units)
    loop.load(network, found)
    chosen = held.thinned(settings.training.validation_windows)
    with torch.inference_mode():
        output = network(held.tensor(chosen))
    lost = target.loss(output, torch.from_numpy(held.target[chosen]), settings.training)
    return network, [{"stage": 0, "epoch": 0, "validation": float(lost)}]


def _notes(run: _Run, network: nn.Module, history: loop.History) -> dict[str, Any]:
    last = [row for row in history if row["stage"] == history[-1]["stage"]]
    best = min(last, key=lambda row: row["validation"])
    return {
        "parameters": parameters(network),
        "windows": run.parts[0].count,
        "positive": run.target.positive,
        "target_mean": run.target.mean,
        "target_sd": run.target.sd,
        "validation": best["validation"],
        "best_epoch": int(best["epoch"]) + 1,
        "epochs": len(last),
        "transductive": run.settings.normalise.kind != "none" and run.settings.normalise.over == "session",
    }
