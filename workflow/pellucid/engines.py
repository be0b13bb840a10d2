"""The two engines kept in step: DVC told what Snakemake made, and Snakemake told what DVC has."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pellucid import config as configuration
from pellucid.errors import StateError

_ANALYSIS = r"results/analyses/(?P<key>[^/]+)"
_STAGES = (
    ("convert", r"results/recordings/[^/]+/(?P<key>[^/]+)\.zarr"),
    ("preprocess", rf"{_ANALYSIS}/features(\.json|/.+)"),
    ("fit", rf"{_ANALYSIS}/fits(\.json|/.+)"),
    ("evaluate", rf"{_ANALYSIS}/(metrics\.json|predictions\.zarr)"),
    ("attribute", rf"{_ANALYSIS}/attribution\.zarr"),
    ("figures", rf"{_ANALYSIS}/figures"),
    ("figures", r"results/reports/[^/]+/pages/(?P<key>[^/]+)"),
    ("report", r"results/reports/[^/]+/[^/]+"),
)
"""DVC stage <- Snakemake outputs."""


def record(config: Path) -> None:
    """Commit to DVC the stages whose outputs Snakemake made and holds for up to date; no others.

    config  the configuration that was run
    Raises StateError if an engine refuses.
    """
    known, pipeline = configuration.read(config), dvc_file(config)
    summary = _run(["snakemake", *_PLAIN, "--configfile", str(config), "--summary"])
    stages = sorted(fresh(summary.splitlines(), known) & changed(pipeline))
    if stages:
        _run(["dvc", "commit", "--quiet", "--force", *(f"{pipeline}:{stage}" for stage in stages)])
    print(f"recorded {len(stages)} stages in {pipeline.with_name('dvc.lock')}", file=sys.stderr)


def sync(config: Path) -> None:
    """Make Snakemake take the results that DVC has checked out for its own.

    config  the configuration they belong to
    Raises StateError unless `dvc status` is clean: stale results would pass for fresh ones.
    """
    configuration.read(config)
    pipeline = dvc_file(config)
    stale = changed(pipeline)
    if stale:
        raise StateError(
            str(pipeline),
            expected="results that agree with dvc.lock",
            found=f"changes in {', '.join(sorted(stale))}",
            remedy=f"Run `dvc pull {pipeline}` (results are missing) or `dvc repro {pipeline}` (inputs, settings "
            "or code were edited), then `pellucid sync` again.",
        )
    _run(["snakemake", *_PLAIN, "--configfile", str(config), "--touch", "--forceall", "--no-hooks"])
    print(f"Snakemake and {pipeline.with_name('dvc.lock')} agree", file=sys.stderr)


def fresh(summary: Iterable[str], known: dict[str, Any]) -> set[str]:
    """Return the DVC stages all of whose outputs are up to date.

    summary  lines of `snakemake --summary`, the first naming its columns
    known    the configuration, which tells simulated from fetched raw data
    """
    lines = [line.split("\t") for line in summary]
    start = next((index for index, line in enumerate(lines) if line[0] == "output_file"), len(lines))
    good: dict[str, bool] = {}
    for line in lines[start + 1 :]:
        row = dict(zip(lines[start], line))
        stage = stage_of(row["output_file"], known)
        if stage:
            good[stage] = good.get(stage, True) and row["status"] == "ok" and row["plan"] == "no update"
    return {stage for stage, all_good in good.items() if all_good}


def changed(pipeline: Path) -> set[str]:
    """Return the stages of a dvc.yaml whose inputs, outputs, settings or sources differ from its dvc.lock."""
    status = json.loads(_run(["dvc", "status", "--json", str(pipeline)]) or "{}")
    return {name.rpartition(":")[2] for name in status}


def stage_of(output: str, known: dict[str, Any]) -> str | None:
    """Return the DVC stage that declares an output of Snakemake."""
    raw = re.fullmatch(r"data/raw/([^/]+)", output)
    if raw:
        return f"{'simulate' if raw[1] in known.get('simulate', {}) else 'fetch'}@{raw[1]}"
    for stage, pattern in _STAGES:
        found = re.fullmatch(pattern, output)
        if found:
            return f"{stage}@{found['key']}" if "key" in found.groupdict() else stage
    return None


def dvc_file(config: Path) -> Path:
    """Return the dvc.yaml of a configuration: the one beside it."""
    return config.parent / "dvc.yaml"


_PLAIN = ("--quiet", "all", "--nolock")


def _run(command: list[str]) -> str:
    """Run an engine with the guard off and return what it prints."""
    environment = {**os.environ, "PELLUCID_ENGINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StateError(
            " ".join(command),
            expected="success",
            found=f"exit status {done.returncode}:\n{(done.stderr or done.stdout).strip()[-2000:]}\n",
            remedy="Correct what it says, then run the same `pellucid` command again.",
        )
    return done.stdout
