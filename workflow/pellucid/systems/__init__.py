"""The five systems by name; each is a folder that reads like its paper.

A system has five subfolders, each with a `settings.py` (pydantic, light to import) and the entry points below:

    simulate/simulate.py     simulate(settings, seed, folder)          raw files in a native format, and truth.zarr
    features/extract.py      extract(recording, settings, output)      one recording -> one store of features
    features/part.py         part(recording, settings) -> (template, blocks)   only where settings have `parts`
    features/collect.py      collect(stores, settings) -> Collected    folds and statistics of training rows
    model/fit.py             fit(features, fold, seed, settings, checkpoint) -> Trained
    model/evaluate.py        evaluate(features, fits, settings, truth) -> (metrics, predictions)
    attribute/attribute.py   attribute(features, fits, settings, truth) -> tree
    figures/draw.py          draw(results, settings, folder)

Settings classes: simulate, features, attribute and figures define `Settings`; model defines `Settings` (one fit) and
`Evaluate`. A new system is such a folder and one entry here; no rule and no stage changes.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from pellucid.errors import ConfigError
from pellucid.settings import Block

SYSTEMS = {
    "cortex": "pellucid.systems.cortex",
    "deepinsight": "pellucid.systems.deepinsight",
    "dunl": "pellucid.systems.dunl",
    "retina": "pellucid.systems.retina",
    "whatwhere": "pellucid.systems.whatwhere",
}

Part = Literal["simulate", "features", "model", "attribute", "figures"]


def entry(system: str, module: str) -> Callable[..., Any]:
    """Return an entry point, named as in the table above: entry("deepinsight", "features.extract")."""
    function: Callable[..., Any] = getattr(import_module(f"{package(system)}.{module}"), module.rpartition(".")[2])
    return function


def settings(system: str, part: Part, name: str = "Settings") -> type[Block]:
    """Return the settings class of one part of a system, without importing its science."""
    found: type[Block] = getattr(import_module(f"{package(system)}.{part}.settings"), name)
    return found


def package(system: str) -> str:
    """Return the package of a system. Raises ConfigError for an unknown name."""
    if system not in SYSTEMS:
        raise ConfigError(
            f"system {system!r}",
            expected=f"one of {', '.join(SYSTEMS)}",
            found=repr(system),
            remedy="Correct `system`, or add the new system to pellucid.systems.SYSTEMS.",
        )
    return SYSTEMS[system]
