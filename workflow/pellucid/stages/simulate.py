"""Simulated raw data: files in the native format of a laboratory, and the truth behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid import config, store, systems


def simulate(system: str, seed: int, params: Mapping[str, Any], output: Path) -> None:
    """Simulate one set of raw files, with a manifest of their checksums.

    system  whose simulator
    seed    of every random draw
    params  the simulator's settings
    output  the folder, replaced as a whole
    """
    settings = config.parse(systems.settings(system, "simulate"), params, f"simulate.{output.name}.options")
    with store.atomic_folder(output) as partial:
        systems.entry(system, "simulate.simulate")(settings, seed, partial)
        store.write_json(partial / "manifest.json", manifest(partial))


def manifest(folder: Path) -> dict[str, dict[str, str | int]]:
    """Return {file: {sha256, bytes}} over every file below a folder; a zarr store in it counts as one file."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() or path.suffix == ".zarr"]
    whole = [path for path in files if not any(parent.suffix == ".zarr" for parent in path.relative_to(folder).parents)]
    return {
        path.relative_to(folder).as_posix(): {"sha256": store.digest(path), "bytes": store.size(path)} for path in whole
    }
