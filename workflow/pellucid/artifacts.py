"""What stages hand to each other: features with their folds, and fits with their weights."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import MissingError

Rows = dict[str, list[tuple[int, int]]]
"""Half-open ranges [start, stop) of rows (times, trials or images) of each recording."""

HEADLINE = ("model", "name", "value", "low", "high", "chance", "chance_low", "chance_high", "unit", "note")
"""What every headline number says: low and high bound its interval, chance_low and chance_high the band of chance;
None where there is none. metrics.json has a list of them, and attributions may carry one as attribute `headline`."""

PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Fold:
    """One entry of the split table: the rows that train, validate and test."""

    train: Rows
    validation: Rows
    test: Rows

    def rows(self, part: PartName) -> Rows:
        """Return the rows of one part."""
        found: Rows = getattr(self, part)
        return found


@dataclass(frozen=True)
class Collected:
    """What `collect` makes of all recordings of a dataset: folds, and statistics from training rows only.

    statistics  arrays whose first axis is `fold`
    """

    folds: Sequence[Fold]
    statistics: Mapping[str, xr.DataArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """The features of a dataset: one lazily opened store per recording, the folds and the statistics.

    stores      recording -> tree
    statistics  name -> array, first axis `fold`
    """

    stores: Mapping[str, xr.DataTree]
    folds: Sequence[Fold]
    statistics: Mapping[str, xr.DataArray]

    def group(self, recording: str, name: str = "features") -> xr.Dataset:
        """Return one group of one recording's features."""
        return schema.group(self.stores[recording], name, f"features of {recording}")

    def first(self, name: str = "features") -> xr.Dataset:
        """Return one group of the first recording, for what all recordings share."""
        return self.group(next(iter(self.stores)), name)

    @classmethod
    def load(cls, path: Path) -> "Features":
        """Open features.json and the stores beside it."""
        table = store.read_json(path)
        folder = path.parent / "features"
        stores = {name: store.open_store(folder / f"{name}.zarr") for name in table["recordings"]}
        folds = [
            Fold(**{part: _rows(fold[part]) for part in ("train", "validation", "test")}) for fold in table["folds"]
        ]
        statistics = {
            name: xr.DataArray(np.array(s["values"], dtype=s["dtype"]), dims=s["dims"])
            for name, s in table["statistics"].items()
        }
        return cls(stores, folds, statistics)


@dataclass(frozen=True)
class Trained:
    """The result of one fit before it is written.

    weights  name -> array
    history  one mapping per epoch (or per step of a search), written to history.csv
    notes    anything else worth keeping: epochs run, convergence, parameter count
    """

    weights: Mapping[str, np.ndarray]
    history: Sequence[Mapping[str, float]]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """One trained network as read from its folder: settings, and weights that are loaded on request."""

    model: str
    fold: int
    seed: int
    settings: Mapping[str, Any]
    notes: Mapping[str, Any]
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> "Fit":
        """Read model.json of one fit."""
        table = store.read_json(folder / "model.json")
        return cls(table["model"], table["fold"], table["seed"], table["settings"], table["notes"], folder)

    def weights(self) -> dict[str, np.ndarray]:
        """Read the weights, name -> array."""
        from safetensors.numpy import load_file

        path = self.folder / "weights.safetensors"
        if not path.is_file():
            raise MissingError(str(path), expected="weights", found="nothing", remedy="Run the fit again.")
        weights: dict[str, np.ndarray] = load_file(path)
        return weights

    def history(self) -> list[dict[str, float]]:
        """Read history.csv, one mapping per row."""
        with (self.folder / "history.csv").open(newline="") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def load_fits(path: Path) -> list[Fit]:
    """Open the fits that fits.json names."""
    return [Fit.load(path.parent / entry["folder"]) for entry in store.read_json(path)["fits"]]


def open_truth(folders: Sequence[Path]) -> dict[str, xr.DataTree]:
    """Return the truth of simulated raw folders, by the folder's name."""
    return {
        folder.name: store.open_store(folder / "truth.zarr") for folder in folders if (folder / "truth.zarr").is_dir()
    }


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to a CSV file with the columns of the first row; numbers as their shortest exact text."""
    with store.atomic_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(table: Mapping[str, Sequence[Sequence[int]]]) -> Rows:
    return {name: [(int(start), int(stop)) for start, stop in ranges] for name, ranges in table.items()}


@dataclass(frozen=True)
class Results:
    """Everything an analysis has produced, as the figures see it."""

    analysis: str
    features: Features
    fits: Sequence[Fit]
    metrics: Mapping[str, Any]
    predictions: xr.DataTree
    attribution: xr.DataTree


def row_indices(rows: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the row numbers of half-open ranges, shape (row,)."""
    return np.concatenate([np.arange(start, stop) for start, stop in rows] or [np.empty(0, int)])


def headline_row(name: str, value: float, *, model: str, unit: str = "1", note: str = "") -> dict[str, Any]:
    """Return a headline number that has neither interval nor chance."""
    return {key: None for key in HEADLINE} | {"model": model, "name": name, "value": value, "unit": unit, "note": note}
