"""Recordings to features, one store each; then one table of their digests, folds and statistics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid import config, store, systems
from pellucid.errors import DataError

if TYPE_CHECKING:
    from pellucid.artifacts import Collected


def preprocess(system: str, params: Mapping[str, Any], input: Path, output: Path) -> None:
    """Compute the features of one recording, in memory that does not grow with its length.

    system  whose features
    params  the block `preprocess` of the analysis
    input   the recording
    output  the store of features, replaced as a whole
    """
    settings = config.parse(systems.settings(system, "features"), params, "preprocess")
    systems.entry(system, "features.extract")(store.open_store(input, kind="recording"), settings, output)


def collect_features(
    system: str, params: Mapping[str, Any], inputs: Sequence[Path], output: Path, recordings: Sequence[Path] = ()
) -> None:
    """Write features.json: digests, folds, and statistics of the training rows of each fold.

    system      whose features
    params      the block `preprocess` of the analysis
    inputs      the stores of features, in the folder `features` beside the output; other stores there are deleted
    output      features.json
    recordings  the recordings behind them; other recordings of their dataset are deleted (none given: none is)
    Raises DataError if two recordings hold the same data.
    """
    settings = config.parse(systems.settings(system, "features"), params, "preprocess")
    for stores in (inputs, recordings):
        store.keep_only(stores, "zarr.json")
    refuse_duplicates(inputs)
    opened = {path.stem: store.open_store(path) for path in sorted(inputs)}
    table = {
        "recordings": {path.stem: store.digest(path) for path in inputs},
        "raw": _manifests(recordings),
        "settings": settings.model_dump(mode="json"),
        **_table(systems.entry(system, "features.collect")(opened, settings)),
    }
    store.write_json(output, table)


def refuse_duplicates(stores: Sequence[Path]) -> None:
    """Raise DataError if two stores hold equal arrays: a recording listed twice would sit in training and test."""
    seen: dict[str, str] = {}
    for path in stores:
        first = seen.setdefault(store.content_digest(path), path.stem)
        if first != path.stem:
            raise DataError(
                f"recordings.{path.stem}",
                expected="data of its own",
                found=f"the same data as in recordings.{first}",
                remedy="Remove one of the two, or correct its `raw`.",
            )


def _manifests(recordings: Sequence[Path]) -> dict[str, str]:
    """Return the digest of the manifest behind each recording: a changed truth is seen by what reads features.json."""
    found = {path.stem: json.loads(store.open_store(path).attrs["provenance"]) for path in recordings}
    return {name: provenance["manifest"] for name, provenance in found.items() if "manifest" in provenance}


def _table(collected: "Collected") -> dict[str, Any]:
    return {
        "folds": [asdict(fold) for fold in collected.folds],
        "statistics": {
            name: {"dims": array.dims, "dtype": str(array.dtype), "values": array.values}
            for name, array in collected.statistics.items()
        },
    }
