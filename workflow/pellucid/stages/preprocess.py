"""Recordings to features, one store each, long ones in parts; then one table of digests, folds and statistics."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid import config, store, systems
from pellucid import parts as scatter
from pellucid.errors import ConfigError, DataError
from pellucid.settings import Block
from pellucid.stages import sources

if TYPE_CHECKING:
    from pellucid.artifacts import Collected


HOW = {"parts"}
"""Settings that say how features are computed and not what they are: they leave no trace in what is written."""


def preprocess(
    system: str,
    params: Mapping[str, Any],
    input: Path,
    output: Path,
    part: int | None = None,
    parts: Sequence[Path] = (),
) -> None:
    """Compute the features of one recording, in memory that does not grow with its length.

    system  whose features
    params  the block `preprocess` of the analysis
    input   the recording
    output  the store of features, replaced as a whole; with `part`, the store of that part
    part    compute this part only, one of `parts` of the settings: 0 to parts - 1; none: the whole
    parts   stores of all parts, which are put together: same bytes as the whole
    Raises ConfigError if the system does not know parts, and what pellucid.parts raises.
    """
    settings = config.parse(systems.settings(system, "features"), params, "preprocess")
    recording = store.open_store(input, kind="recording")
    if part is None and not parts:
        systems.entry(system, "features.extract")(recording, settings, output)
        return
    _check_parts(system, settings, part, parts)
    origin = _origin(system, settings, input)
    template, blocks = systems.entry(system, "features.part")(recording, settings)
    if part is not None:
        scatter.write(output, template, blocks, scatter.Part(part, settings.parts, origin))
    else:
        scatter.gather(output, template, parts, origin)


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
        "settings": settings.model_dump(mode="json", exclude=HOW),
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


def _check_parts(system: str, settings: Block, part: int | None, parts: Sequence[Path]) -> None:
    where = f"preprocess, system {system!r}"
    if not hasattr(settings, "parts"):
        remedy = "Leave --part and --parts out."
        raise ConfigError(where, expected="no parts, which this system does not know", found="some", remedy=remedy)
    if part is not None and parts:
        raise ConfigError(where, expected="--part or --parts", found="both", remedy="Make the parts first.")


def _origin(system: str, settings: Block, recording: Path) -> str:
    """Return a digest of what decides over features: settings, code and recording, whose arrays enter by their size.

    A recording names the checksums of its raw files in its provenance, so that gigabytes need not be read again.
    """
    files = sorted(path for path in recording.rglob("*") if path.is_file() and not path.name.startswith("."))
    made_from = {
        "system": system,
        "settings": settings.model_dump(mode="json", exclude=HOW),
        "code": sources.digest("preprocess", system=system),
        "recording": {
            path.relative_to(recording).as_posix(): store.file_digest(path)
            if path.name == "zarr.json"
            else path.stat().st_size
            for path in files
        },
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


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
