"""A copy of the project with a toy system moved in, in which the engines are really run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "toy"
PROJECT = ("Snakefile", "rules", "profiles", "workflow", "dvc.yaml", ".dvcignore", ".gitignore")
SYSTEMS = ("toy", "twin")
"""The toy system under two names, to see that editing one leaves the other alone."""


SMALL = "configs/small"
"""Folder of the second configuration."""


class Workspace:
    """A folder with the project in it; commands run there as a user would type them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> "Workspace":
        """Copy the project, move the toy system in, write its configurations and local raw files; git and dvc init."""
        path.mkdir(parents=True)
        for name in PROJECT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, path / name, **({"ignore": _ignored} if copy is shutil.copytree else {}))
        move_in(path)
        (path / "configs" / "small").mkdir(parents=True)
        shutil.copyfile(TOY / "config.yaml", path / "config.yaml")
        shutil.copyfile(TOY / "small.yaml", path / "configs/small/config.yaml")
        (path / "configs/small/dvc.yaml").symlink_to("../../dvc.yaml")
        for seed, name in enumerate(("left", "right", "centre")):
            write_raw(path / "lab" / name / f"{name}.npz", seed)
        here = cls(path)
        here.run("git", "init", "--quiet")
        here.run("dvc", "init", "--quiet")
        shutil.copyfile(ROOT / ".dvc" / "config", path / ".dvc" / "config")
        here.commit()
        return here

    def copy(self, path: Path) -> "Workspace":
        """Return an independent copy with the same history."""
        shutil.copytree(self.path, path, symlinks=True)
        return Workspace(path)

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command; its failure fails the test with all it said."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user who has activated the virtual environment."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "SNAKEMAKE_"))}
        identity = {f"GIT_{who}_{what}": "toy@lab" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        places = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": str(self.path / "workflow"),
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
        }
        return {**kept, **identity, **places, **more}

    def planned(self, *arguments: str) -> set[tuple[str, str]]:
        """Return the jobs `snakemake -n` would run, as (rule, "wildcard values")."""
        text = self.run("snakemake", "-n", *arguments).stdout
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, re.MULTILINE)
        found = {(rule, _values(body)) for rule, body in jobs if rule != "all"}
        if not found and "Nothing to be done" not in text:
            assert re.search(r"^all +1$", text, re.MULTILINE) or "Nothing" in text, text
        return found

    def stale(self, pipeline: str = "dvc.yaml") -> set[str]:
        """Return the stages that `dvc status` finds changed."""
        return {name.rpartition(":")[2] for name in json.loads(self.run("dvc", "status", "--json", pipeline).stdout)}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that occurs once in a file."""
        file = self.path / name
        text = file.read_text()
        assert text.count(old) == 1, (name, old, text.count(old))
        file.write_text(text.replace(old, new))

    def commit(self) -> None:
        """Commit everything to git."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state", "--allow-empty")


def move_in(path: Path) -> None:
    """Do what a new system asks for: a folder, and one entry of the dictionary."""
    for name in SYSTEMS:
        shutil.copytree(TOY / "system", path / "workflow/pellucid/systems" / name, ignore=_ignored)
    registry = path / "workflow/pellucid/systems/__init__.py"
    entries = "".join(f'\n    "{name}": "pellucid.systems.{name}",' for name in SYSTEMS)
    registry.write_text(registry.read_text().replace("SYSTEMS = {", f"SYSTEMS = {{{entries}", 1))


def write_raw(path: Path, seed: int) -> None:
    """Write one local recording of ragged trials."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, 20)
    valid = np.arange(16) < generator.integers(10, 17, 20)[:, None]
    signal = np.where(valid, generator.standard_normal((20, 16)) + label[:, None], np.nan)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, signal=signal, valid=valid, label=label)


def _values(body: str) -> str:
    found = re.search(r"wildcards: (.*)", body)
    return " ".join(pair.partition("=")[2] for pair in found[1].split(", ")) if found else ""


_ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
