"""Snakemake and DVC agree: after either ran the other has nothing to do, and an edit reruns what depends on it."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from workspace import SMALL, Workspace, write_raw

from pellucid import engines, store

pytestmark = pytest.mark.slow

AFTER_FIT = ("fits", "evaluate", "attribute", "figures")


def jobs(analysis: str, *, models: tuple[str, ...] = (), folds: int = 2) -> set[tuple[str, str]]:
    """Return the jobs of an analysis from its fits on."""
    fits = {("fit", f"{analysis} {model} {fold} 0") for model in models for fold in range(folds)}
    return fits | {(rule, analysis) for rule in AFTER_FIT} | {("report", "")}


def test_a_second_run_has_nothing_to_do_in_either_engine(built):
    assert built.planned() == set()
    assert built.stale() == set()
    said = built.run("dvc", "repro", "dvc.yaml").stdout
    assert "Running stage" not in said
    assert "up to date" in said


def test_a_run_of_dvc_leaves_snakemake_nothing_to_do(reproduced):
    assert reproduced.planned("--configfile", f"{SMALL}/config.yaml") == set()
    assert reproduced.stale(f"{SMALL}/dvc.yaml") == set()


def test_another_configuration_runs_nothing_of_the_demo(built, reproduced):
    planned = built.planned("--configfile", f"{SMALL}/config.yaml")
    assert {values.split()[0] for rule, values in planned if rule != "report"} == {"field"}
    assert {path.name for path in (reproduced.path / "results/analyses").iterdir()} == {"field"}


EDITS = {
    "a setting of every fit": (
        ("config.yaml", "penalty: 2.0", "penalty: 3.0"),
        jobs("local", models=("main",)),
        {"fit@local", "report"},
    ),
    "a setting of one model": (
        ("config.yaml", "nearest: {kind: nearest_mean}", "nearest: {kind: nearest_mean, penalty: 2}"),
        jobs("mice", models=("nearest",), folds=4),
        {"fit@mice", "report"},
    ),
    "a setting of a figure": (
        ("config.yaml", "figures: {dpi: 40}", "figures: {dpi: 41}"),
        {("figures", "local"), ("report", "")},
        {"figures@local", "report"},
    ),
    "a comment in one system's model": (
        ("workflow/pellucid/systems/twin/model/fit.py", "import time\n", "import time  # edited\n"),
        jobs("pictures", models=("main",)),
        {"fit@pictures", "evaluate@pictures", "attribute@pictures"},
    ),
    "a comment in one system's figures": (
        ("workflow/pellucid/systems/toy/figures/draw.py", "import matplotlib\n", "import matplotlib  # edited\n"),
        {("figures", "mice"), ("figures", "local"), ("report", "")},
        {"figures@mice", "figures@local"},
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_what_depends_on_it_in_both_engines(built, copied, name):
    edit, planned, stale = EDITS[name]
    here = copied(built)
    here.edit(*edit)
    assert here.planned() == planned
    assert here.stale() == stale


def test_a_raw_file_edited_in_place_reruns_what_depends_on_it(built, copied):
    here = copied(built)
    write_raw(here.path / "lab/left/left.npz", seed=9)
    expected = {("convert", "lab left"), ("preprocess", "local left"), ("features", "local")}
    assert here.planned() == expected | jobs("local", models=("main",))
    assert here.stale() == {"convert@left"}
    here.run("snakemake")
    assert here.planned() == set()
    assert here.stale() == set()


def test_an_edit_run_by_dvc_leaves_snakemake_nothing_to_do(built, copied):
    here = copied(built)
    here.edit("config.yaml", "penalty: 2.0", "penalty: 3.0")
    said = here.run("dvc", "repro", "dvc.yaml").stdout
    ran = set(re.findall(r"Running stage '([^']+)'", said))
    assert ran == {f"{stage}@local" for stage in ("fit", "evaluate", "attribute", "figures")} | {"report"}
    assert here.planned() == set()
    assert here.stale() == set()


def test_only_fresh_outputs_are_recorded_after_a_partial_run(built, copied):
    here = copied(built)
    here.edit("config.yaml", "penalty: 2.0", "penalty: 3.0")
    here.edit("config.yaml", "ridge: {penalty: 1.0}", "ridge: {penalty: 1.5}")
    here.run("snakemake", "results/analyses/local/fits.json")
    assert here.stale() == {"evaluate@local", "attribute@local", "figures@local", "fit@mice", "report"}


def test_finished_fits_return_from_their_checkpoints(built, copied):
    here = copied(built)
    folder = here.path / "results/analyses/pictures/fits"
    before, trained = store.digest(folder), _started(here)
    shutil.rmtree(folder)
    folder.with_suffix(".json").unlink()
    here.run("snakemake", "results/analyses/pictures/fits.json")
    assert store.digest(folder) == before
    assert _started(here) == trained


def _started(here: Workspace) -> dict[str, int]:
    """Return when each checkpoint was trained."""
    return {path.parent.name: path.stat().st_mtime_ns for path in here.path.glob("results/.checkpoints/*/started")}


def test_removed_entries_are_pruned_and_their_siblings_kept(built, copied):
    here = copied(built)
    here.edit("config.yaml", "        nearest: {kind: nearest_mean}\n", "")
    here.run("snakemake")
    assert [path.name for path in (here.path / "results/analyses/mice/fits").iterdir()] == ["ridge"]
    assert here.planned() == set()
    assert here.stale() == set()


def test_a_clone_is_refused_until_it_is_synced(built, tmp_path):
    remote, clone = tmp_path / "remote", Workspace(tmp_path / "clone")
    built.run("dvc", "remote", "add", "--force", "--default", "--local", "shelf", str(remote))
    built.run("dvc", "push", "--quiet", "dvc.yaml")
    built.run("git", "clone", "--quiet", str(built.path), str(clone.path))
    clone.run("dvc", "remote", "add", "--default", "--local", "shelf", str(remote))
    clone.run("dvc", "pull", "--quiet", "dvc.yaml")
    refused = clone.run("snakemake", "-n", check=False)
    assert refused.returncode == 1
    assert "pellucid sync --config config.yaml" in refused.stdout
    clone.edit("config.yaml", "penalty: 2.0", "penalty: 3.0")
    unclean = clone.run("pellucid", "sync", check=False)
    assert unclean.returncode == 1
    assert "found changes in fit@local, report" in unclean.stderr
    clone.edit("config.yaml", "penalty: 3.0", "penalty: 2.0")
    clone.run("pellucid", "sync")
    assert clone.planned() == set()
    assert clone.stale() == set()


def test_the_two_engines_know_the_same_files(built):
    lock = yaml.safe_load((built.path / "dvc.lock").read_text())["stages"]
    known = yaml.safe_load((built.path / "config.yaml").read_text())
    lines = built.run("snakemake", "--quiet", "all", "--detailed-summary").stdout.splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"))) for line in lines[1:]]
    assert {engines.stage_of(row["output_file"], known) for row in rows} == set(lock)
    for row in rows:
        stage = lock[engines.stage_of(row["output_file"], known)]
        outs = [entry["path"] for entry in stage["outs"]]
        deps = [entry["path"] for entry in stage["deps"]]
        assert _within(row["output_file"], outs), row["output_file"]
        unknown = [
            name for name in row["input-file(s)"].split(",") if name not in ("", "-") and not _within(name, deps + outs)
        ]
        truth = [name for name in unknown if row["rule"] in ("evaluate", "attribute") and name.startswith("data/raw/")]
        assert unknown == truth, row["output_file"]  # DVC sees it in features.json


def _within(name: str, folders: list[str]) -> bool:
    return any(name == folder or name.startswith(f"{folder}/") or folder.startswith(f"{name}/") for folder in folders)


@pytest.mark.parametrize("stage", ["preprocess", "fit"])
def test_a_run_killed_in_the_middle_is_completed_to_the_same_bytes(reproduced, copied, stage):
    here = copied(reproduced)
    made = here.path / "results/analyses/field"
    expected = _digests(made)
    shutil.rmtree(made)
    shutil.rmtree(here.path / "results/.checkpoints")
    command = ["snakemake", "--no-hooks", "--configfile", f"{SMALL}/config.yaml"]
    _kill_during(here, command, here.path / f"logs/{stage}/field")
    here.run(*command, "--unlock")
    here.run(*command)
    assert _digests(made) == expected


def _kill_during(here: Workspace, command: list[str], logs: Path) -> None:
    """Kill a run, its jobs included, soon after a job has opened its log anew."""
    before = {path: path.stat().st_mtime_ns for path in logs.rglob("*.log")}
    run = subprocess.Popen(
        command,
        cwd=here.path,
        env=here.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while all(path.is_file() and path.stat().st_mtime_ns == then for path, then in before.items()):
            assert run.poll() is None, "the run ended before the job began"
            time.sleep(0.05)
        time.sleep(1.5)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def _digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): store.digest(path) for path in sorted(folder.iterdir())}


def test_the_report_of_snakemake_is_built_offline(built):
    offline = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https")}
    built.run("snakemake", "--report", "report.html", **offline)
    page = (built.path / "report.html").read_text()
    assert "influence" in page
    assert (built.path / "results/reports/toy/index.html").read_text().count("data:image/png;base64,") == 3
    numbers = (built.path / "results/reports/toy/numbers.txt").read_text().splitlines()
    assert [line.split()[0] for line in numbers] == ["analysis", "mice", "local", "pictures"]


def test_a_misspelt_key_stops_snakemake_with_one_message(built, copied):
    here = copied(built)
    here.edit("config.yaml", "penalty: 2.0", "penalti: 2.0")
    refused = here.run("snakemake", "-n", check=False)
    assert refused.returncode == 1
    assert "analyses.local.fit.shared.penalti: expected a known key" in refused.stdout
    assert "Did you mean 'penalty'?" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_a_project_without_git_and_dvc_runs_and_records_nothing(reproduced, copied):
    here = copied(reproduced)
    for name in (".git", ".dvc"):
        shutil.rmtree(here.path / name)
    (here.path / SMALL / "dvc.lock").unlink()
    numbers = here.path / "results/reports/small/numbers.txt"
    numbers.unlink()
    said = here.run("snakemake", "--configfile", f"{SMALL}/config.yaml")
    assert "accuracy" in numbers.read_text()
    assert "recorded" not in said.stderr
