"""Is everything here that a run needs: one line each."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pellucid.errors import MissingError

PACKAGES = ("pellucid", "snakemake", "dvc", "torch", "numpy", "scipy", "xarray", "zarr", "pydantic", "scikit-learn")
ROOM_GB = 2.0
"""Free disk below which the demo may not fit."""


def doctor() -> None:
    """Print one line per thing needed. Raises MissingError naming those that are not here."""
    missing = [*_python(), *_packages(), *_device(), *_disk(), *_tools()]
    mirror = os.environ.get("PELLUCID_DATA")
    _say("PELLUCID_DATA", mirror or "not set: public recordings are fetched from their addresses")
    if mirror and not Path(mirror).is_dir():
        missing.append(f"the folder PELLUCID_DATA={mirror}")
    if missing:
        raise MissingError(
            "this machine",
            expected="everything above",
            found=f"no {', no '.join(missing)}",
            remedy="Run `make setup`, and see README.md.",
        )


def _say(name: str, found: str) -> None:
    print(f"{name:<14} {found}")


def _python() -> list[str]:
    _say("python", f"{platform.python_version()} at {sys.executable}")
    return [] if (3, 11) <= sys.version_info[:2] < (3, 13) else ["Python 3.11 or 3.12"]


def _packages() -> list[str]:
    missing = []
    for name in PACKAGES:
        try:
            _say(name, version(name))
        except PackageNotFoundError:
            _say(name, "missing")
            missing.append(name)
    return missing


def _device() -> list[str]:
    try:
        import torch
    except ImportError:
        return []  # named among the packages
    found = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    _say("device", f"{', '.join(found) or 'cpu'}; {os.cpu_count()} cores, {torch.get_num_threads()} torch threads")
    return []


def _disk() -> list[str]:
    free = shutil.disk_usage(".").free / 1e9
    _say("disk", f"{free:.1f} GB free here")
    return [] if free > ROOM_GB else [f"{ROOM_GB:.0f} GB of free disk"]


def _tools() -> list[str]:
    missing = []
    for name in ("git", "snakemake", "dvc"):
        place = shutil.which(name)
        _say(f"{name} command", place or "not on PATH")
        missing += [] if place or name == "git" else [f"`{name}` on PATH"]
    return missing
