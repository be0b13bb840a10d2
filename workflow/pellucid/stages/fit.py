"""Training: one network per call, returned from its checkpoint if it was trained before; then one table of all."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid import config, store, systems
from pellucid.settings import Block
from pellucid.stages import sources

if TYPE_CHECKING:
    from pellucid.artifacts import Trained

CHECKPOINTS = Path("results/.checkpoints")
"""Undeclared, ignored by git and DVC: unfinished fits resume from it, finished ones return from it."""

_LIBRARIES = ("torch", "numpy", "scikit-learn")


def fit(system: str, model: str, fold: int, seed: int, params: Mapping[str, Any], features: Path, output: Path) -> None:
    """Train one network on one fold from one seed.

    system    whose model
    model     its name in `fit.models`
    fold      index into the split table of features.json
    seed      of weights, batches and noise
    params    the settings of this model: `fit.shared` with what `fit.models.NAME` changes
    features  features.json
    output    folder of weights.safetensors, model.json and history.csv, replaced as a whole
    """
    settings = config.parse(systems.settings(system, "model"), params, f"fit.models.{model}")
    checkpoint = CHECKPOINTS / identity(system, fold, seed, settings, features)
    finished = checkpoint / "finished"
    with _alone(checkpoint):
        if not (finished / "model.json").is_file():
            trained = _train(system, fold, seed, settings, features, checkpoint)
            with store.atomic_folder(finished) as partial:
                _write(trained, partial)
    with store.atomic_folder(output) as partial:
        shutil.copytree(finished, partial, dirs_exist_ok=True)
        said = {"system": system, "model": model, "fold": fold, "seed": seed}
        notes = store.read_json(partial / "model.json")["notes"]
        table = {**said, "settings": settings.model_dump(mode="json"), "notes": notes}
        store.write_json(partial / "model.json", table)


def collect_fits(features: Path, inputs: Sequence[Path], output: Path) -> None:
    """Write fits.json: model, fold, seed and digest of every fit.

    features  features.json, whose digest is noted
    inputs    folders of fits, at fits/MODEL/FOLD-SEED beside the output; other fits there are deleted
    output    fits.json
    """
    store.keep_only(inputs, "model.json", depth=2)
    fits = []
    for folder in sorted(inputs):
        said = store.read_json(folder / "model.json")
        place = folder.relative_to(output.parent).as_posix()
        fits.append(
            {**{key: said[key] for key in ("model", "fold", "seed")}, "folder": place, "digest": store.digest(folder)}
        )
    store.write_json(output, {"features": store.digest(features), "fits": fits})


def identity(system: str, fold: int, seed: int, settings: Block, features: Path) -> str:
    """Return the digest of everything a fit depends on, but its model's name: equal fits are trained once."""
    said = {
        "system": system,
        "fold": fold,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "code": sources.digest("fit", system=system),
        "features": store.digest(features),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


@contextmanager
def _alone(checkpoint: Path) -> Iterator[None]:
    """Wait until no other process trains the same network."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    with (checkpoint / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _train(system: str, fold: int, seed: int, settings: Block, features: Path, checkpoint: Path) -> "Trained":
    from pellucid.artifacts import Features

    trained: Trained = systems.entry(system, "model.fit")(Features.load(features), fold, seed, settings, checkpoint)
    return trained


def _write(trained: "Trained", folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from pellucid.artifacts import write_table

    weights = {name: np.ascontiguousarray(trained.weights[name]) for name in sorted(trained.weights)}
    save_file(weights, folder / "weights.safetensors")
    write_table(folder / "history.csv", trained.history)
    store.write_json(folder / "model.json", {"notes": trained.notes})
