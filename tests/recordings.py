"""Real recordings for tests: found by checksum below PELLUCID_DATA, or the test is skipped."""

import hashlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def folder() -> Path | None:
    """Return the folder of real files: PELLUCID_DATA, or shared/data beside the repository, if there is one."""
    named = os.environ.get("PELLUCID_DATA")
    path = Path(named) if named else ROOT.parent / "shared" / "data"
    return path if path.is_dir() else None


def find(name: str, sha256: str) -> Path:
    """Return a file with this name and checksum, wherever it lies below the folder, or skip the test."""
    below = folder()
    if below is None:
        pytest.skip(f"{name} is not here: set PELLUCID_DATA to a folder that holds it (sha256 {sha256})")
    for path in sorted(below.rglob(name)):
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            return path
    pytest.skip(f"no {name} with sha256 {sha256} below {below}")
