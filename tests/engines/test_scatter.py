"""Long recordings in parts, through the engines: the bytes of one job, also after a part was killed and made again."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from workspace import Workspace

from pellucid import store
from pellucid.readers import binary

pytestmark = pytest.mark.slow

HERE = "configs/long"
CONFIG = ("--configfile", f"{HERE}/config.yaml")
TARGETS = tuple(f"results/analyses/{name}/features.json" for name in ("single", "scattered"))
PARTS = "results/analyses/scattered/parts/walk"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a workspace with a local recording, two analyses of it that differ in `parts` only, and small shards."""
    here = Workspace.create(tmp_path_factory.mktemp("long") / "project")
    here.edit("workflow/pellucid/store.py", "CHUNK_BYTES = 1 << 20", "CHUNK_BYTES = 1 << 13")
    here.edit("workflow/pellucid/store.py", "SHARD_CHUNKS = 32", "SHARD_CHUNKS = 4")
    here.edit(
        "workflow/pellucid/parts.py",  # in no stage's sources: the edit makes nothing stale
        "            writer.append(writer.name, rows)\n",
        "            writer.append(writer.name, rows)\n"
        "            if os.environ.get('HANG') == str(part.number) and any(writer._done.values()):\n"
        "                import time; time.sleep(600)\n",
    )
    write_recording(here.path / "lab/walk")
    (here.path / HERE).mkdir()
    (here.path / HERE / "config.yaml").write_text(yaml.safe_dump(configuration()))
    (here.path / HERE / "dvc.yaml").symlink_to("../../dvc.yaml")
    here.commit()
    return here


def write_recording(folder: Path) -> None:
    """Write 120 s of three channels at 1 kHz as int16, and one behaviour at 50 Hz."""
    rng = np.random.default_rng(0)
    signal_ = rng.normal(0, 300, (120_000, 3)).astype("int16")
    binary.write(
        folder,
        "signal",
        signal_,
        group="ephys",
        variable="signal",
        dims=["time", "channel"],
        rate_hz=1000.0,
        units="uV",
    )
    b = np.cumsum(rng.standard_normal((6000, 1)), axis=0).astype("float32")
    binary.write(folder, "b", b, group="behaviour", variable="b", dims=["time", "output"], rate_hz=50.0, units="m")


def configuration() -> dict:
    features = {
        "targets": {"b": {"source": "/behaviour/b", "units": "m"}},
        "wavelets": {"block_samples": 20, "lowest_hz": 10},
        "split": {"by": "block", "folds": 2},
    }
    rest = {"system": "deepinsight", "dataset": "lab", "fit": {}, "evaluate": {}, "attribute": {}, "figures": {}}
    return {
        "name": "long",
        "root": "../..",
        "config": f"{HERE}/config.yaml",
        "simulate": {},
        "fetch": {},
        "recordings": {"walk": {"dataset": "lab", "subject": "rat", "raw": "lab/walk", "reader": "binary"}},
        "analyses": {
            "single": {**rest, "preprocess": features},
            "scattered": {**rest, "preprocess": {**features, "parts": 3}},
        },
    }


def digests(here: Workspace) -> list[str]:
    """Return the digests of the features of both analyses, and of their tables."""
    folders = [here.path / f"results/analyses/{name}" for name in ("single", "scattered")]
    return [store.digest(folder / name) for name in ("features/walk.zarr", "features.json") for folder in folders]


@pytest.fixture(scope="module")
def gathered(prepared):
    """Return the workspace after both analyses were preprocessed."""
    prepared.run("snakemake", *TARGETS, *CONFIG)
    return prepared


def test_parts_give_the_bytes_of_one_job_and_leave_nothing(gathered):
    single, scattered, one_table, other_table = digests(gathered)
    assert single == scattered
    assert one_table == other_table
    shards = list((gathered.path / "results/analyses/scattered/features/walk.zarr/features/power/c").iterdir())
    assert len(shards) > 3
    assert not list((gathered.path / "results/analyses/scattered").rglob("parts/*/*"))


def test_neither_engine_has_anything_left_to_do(gathered):
    assert gathered.planned(*TARGETS, *CONFIG) == set()
    gathered.run("pellucid", "record", *("--config", f"{HERE}/config.yaml"))
    fresh = {"convert@walk", "preprocess@single", "preprocess@scattered"}
    assert not fresh & gathered.stale(f"{HERE}/dvc.yaml")


def test_results_of_unknown_history_are_taken_over_without_their_parts(gathered, copied):
    here = copied(gathered)
    expected = digests(here)
    shutil.rmtree(here.path / ".snakemake")
    here.run("snakemake", "--touch", "--forceall", "--no-hooks", *TARGETS, *CONFIG, PELLUCID_ENGINE="1")  # as in `sync`
    assert here.planned(*TARGETS, *CONFIG) == set()
    assert digests(here) == expected


def test_dvc_runs_the_parts_too(gathered, copied):
    here = copied(gathered)
    expected = digests(here)
    shutil.rmtree(here.path / "results/analyses/scattered")
    here.run("dvc", "repro", "--force", "--single-item", f"{HERE}/dvc.yaml:preprocess@scattered")
    assert digests(here) == expected
    assert here.planned(*TARGETS, *CONFIG) == set()


def test_another_number_of_parts_changes_nothing_after_the_features(gathered, copied):
    here = copied(gathered)
    expected = digests(here)
    here.edit(f"{HERE}/config.yaml", "parts: 3", "parts: 2")
    planned = here.planned(*TARGETS, *CONFIG)
    assert planned == {
        ("preprocess_part", "scattered walk 0"),
        ("preprocess_part", "scattered walk 1"),
        ("preprocess", "scattered walk"),
        ("features", "scattered"),
    }
    here.run("snakemake", *TARGETS, *CONFIG)
    assert digests(here) == expected


def test_after_a_killed_part_only_that_part_is_made_again(gathered, copied):
    here = copied(gathered)
    expected = digests(here)
    shutil.rmtree(here.path / "results/analyses/scattered")
    run = subprocess.Popen(
        ["snakemake", "--no-hooks", TARGETS[1], *CONFIG],
        cwd=here.path,
        env=here.environment(HANG="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: list((here.path / PARTS / "1.zarr.partial").glob("features/power/c/*/*/*")), run)
        os.kill(job(here, "--part 1"), signal.SIGKILL)
        assert run.wait(timeout=300) != 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    parts = here.path / PARTS
    assert sorted(path.name for path in parts.glob("*.zarr")) == ["0.zarr", "2.zarr"]
    assert not (here.path / "results/analyses/scattered/features").exists()
    finished = {path.name: path.read_bytes() for path in (here.path / "logs/preprocess_part").rglob("[02].log")}
    assert here.planned(TARGETS[1], *CONFIG) == {
        ("preprocess_part", "scattered walk 1"),
        ("preprocess", "scattered walk"),
        ("features", "scattered"),
    }
    here.run("snakemake", TARGETS[1], *CONFIG)
    assert digests(here) == expected
    assert finished == {path.name: path.read_bytes() for path in (here.path / "logs/preprocess_part").rglob("[02].log")}


def wait_for(happened, run: subprocess.Popen) -> None:
    """Wait until something has happened in a run that goes on."""
    while not happened():
        assert run.poll() is None, "the run ended first"
        time.sleep(0.02)


def job(here: Workspace, words: str) -> int:
    """Return the process of a job of this workspace, known by its folder and by words of its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in command and "pellucid preprocess" in command and (folder / "cwd").readlink() == here.path:
                name = (folder / "comm").read_text()
                if not name.startswith(("bash", "sh", "tee")):
                    return int(folder.name)
        except OSError:
            continue  # it has ended
    raise AssertionError(f"no job with {words}")
