"""Raw files of one recording to one zarr store: verified, read by their reader, named, checked and streamed."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid import __version__
from pellucid.errors import DataError, MissingError

MANIFEST = "manifest.json"
"""What simulate and fetch write beside the files they made: file -> sha256, bytes."""

TRUTH = "truth.zarr"
"""Simulated truth, which only the evaluation of recovery reads."""


def convert(name: str, params: Mapping[str, Any], inputs: Sequence[Path], output: Path) -> None:
    """Convert the raw files of one recording to a store.

    name    of the recording
    params  its block of `recordings`
    inputs  its raw files, or the folder they are in
    output  the store, replaced as a whole
    Raises DataError for files that are damaged or do not fit the options, MissingError if there are none.
    """
    from pellucid import config, readers, store

    where = f"recordings.{name}"
    block = config.parse(config.Recording, params, where)
    reader = readers.reader(block.reader)
    options = config.parse(reader.Settings, block.options, f"{where}.options")
    base = _base(inputs, Path(block.raw))
    files = reader.select(_files(inputs), options)
    digests = {_relative(path, base): store.file_digest(path) for path in files}
    manifest = _manifest(inputs)
    if manifest is not None:
        _verify(manifest, {path.resolve(): digests[_relative(path, base)] for path in files})
    tree = reader.read(files, options)
    tree.attrs = {
        "recording": name,
        **{key: getattr(block, key) for key in ("dataset", "subject", "session", "licence", "citation")},
        "provenance": _provenance(params, digests, manifest),
    }
    store.write(output, tree, kind="recording")


def _files(inputs: Sequence[Path]) -> list[Path]:
    """Return all raw files, folders walked without entering the truth, without manifests and hidden files."""
    found: list[Path] = []
    for path in inputs:
        found.extend(_walk(path) if path.is_dir() else [path])
    return sorted(p for p in found if p.name != MANIFEST and not p.name.startswith(".") and TRUTH not in p.parts)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != TRUTH and not name.startswith("."))
        yield from (Path(parent, name) for name in names)


def _base(inputs: Sequence[Path], raw: Path) -> Path:
    """Return the folder that files are named from, wherever it lies."""
    for folder in (raw, *inputs[:1]):
        if folder.is_dir() and all(path.is_relative_to(folder) for path in inputs):
            return folder
    return Path(os.path.commonpath([path.parent for path in inputs])) if inputs else raw


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()


def _manifest(inputs: Sequence[Path]) -> Path | None:
    """Return the manifest of the folder given, or of the folder data/raw/NAME that the files lie in."""
    for path in inputs:
        if path.is_dir() and (path / MANIFEST).is_file():
            return path / MANIFEST
        for parent in path.parents:
            made = parent.parent.parts[-2:] == ("data", "raw")
            if made and (parent / MANIFEST).is_file():
                return parent / MANIFEST
    return None


def _verify(manifest: Path, digests: Mapping[Path, str]) -> None:
    """Compare files with the checksums that the stage that made them noted. Raises DataError or MissingError."""
    from pellucid import store

    try:
        noted = {(manifest.parent / name).resolve(): entry for name, entry in store.read_json(manifest).items()}
        expected = {path: str(entry["sha256"]) for path, entry in noted.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            str(manifest),
            expected="file -> {sha256, bytes}",
            found=f"something else ({error!r})",
            remedy="Run the stage that makes the folder again, or rename this file if it belongs to your data.",
        ) from error
    stage = "fetch" if any("url" in entry for entry in noted.values()) else "simulate"
    remedy = f"Run the stage {stage} of {manifest.parent.name!r} again."
    for path in expected:
        if TRUTH not in path.parts and not path.is_file():
            raise MissingError(str(path), expected=f"a file made by {stage}", found="nothing", remedy=remedy)
    for path, digest in digests.items():
        if expected.get(path) != digest:
            wanted = f"sha256 {expected[path]}" if path in expected else f"a file listed in {manifest.name}"
            raise DataError(str(path), expected=wanted, found=f"sha256 {digest}", remedy=remedy)


def _provenance(params: Mapping[str, Any], digests: Mapping[str, str], manifest: Path | None) -> str:
    """Return where a recording comes from as JSON, without anything that differs between machines or moments."""
    from pellucid import store

    raw = Path(str(params["raw"]))
    said: dict[str, Any] = {
        "version": __version__,
        "config": {**params, "raw": raw.name if raw.is_absolute() else raw.as_posix()},
        "inputs": dict(digests),
    }
    if manifest is not None:
        said["manifest"] = store.file_digest(manifest)
    return json.dumps(said, sort_keys=True)
