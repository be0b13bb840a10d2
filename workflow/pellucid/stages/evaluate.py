"""Scores of all fits on their test rows; chance and baselines on the same rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid import config, store, systems
from pellucid.errors import SchemaError


def evaluate(
    system: str,
    params: Mapping[str, Any],
    features: Path,
    fits: Path,
    metrics: Path,
    predictions: Path,
    truth: Sequence[Path] = (),
) -> None:
    """Score the fits of an analysis.

    system       whose evaluation
    params       the block `evaluate` of the analysis
    features     features.json
    fits         fits.json
    metrics      written: JSON with `headline` (rows of artifacts.HEADLINE), `table` (flat rows), and more if it likes
    predictions  written: store with axes model, fold and seed
    truth        folders data/raw/NAME; those with truth.zarr reach the system as NAME -> tree
    Raises SchemaError if the system's metrics lack something.
    """
    from pellucid.artifacts import Features, load_fits, open_truth

    settings = config.parse(systems.settings(system, "model", "Evaluate"), params, "evaluate")
    found, predicted = systems.entry(system, "model.evaluate")(
        Features.load(features), load_fits(fits), settings, open_truth(truth)
    )
    check(found, str(metrics))
    store.write(predictions, predicted)
    store.write_json(metrics, found)


def check(metrics: Mapping[str, Any], where: str) -> None:
    """Raise SchemaError unless the metrics have headline numbers and a flat table."""
    from pellucid.artifacts import HEADLINE

    for key in ("headline", "table"):
        if not isinstance(metrics.get(key), Sequence) or not metrics[key]:
            raise SchemaError(
                f"{where}, {key}", expected="a list of rows", found="none", remedy="Return it from model/evaluate.py."
            )
    for index, row in enumerate(metrics["headline"]):
        if set(row) != set(HEADLINE):
            raise SchemaError(
                f"{where}, headline[{index}]",
                expected=f"the keys {', '.join(HEADLINE)}",
                found=", ".join(row),
                remedy="Correct it in model/evaluate.py.",
            )
    columns = list(metrics["table"][0])
    for index, row in enumerate(metrics["table"]):
        nested = [key for key, value in row.items() if isinstance(value, (Mapping, list, tuple, set))]
        if list(row) != columns or nested:
            raise SchemaError(
                f"{where}, table[{index}]",
                expected=f"one value for each of {', '.join(columns)}",
                found=f"{', '.join(nested)} with several" if nested else ", ".join(row),
                remedy="Correct it in model/evaluate.py.",
            )
