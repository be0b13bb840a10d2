"""A fit that is killed between epochs goes on from its checkpoint and ends with the same bytes."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pellucid import store
from pellucid.stages.preprocess import collect_features

SETTINGS = {"filters": 8, "merge_filters": 8, "units": 16, "schedule": {"epochs": 6, "steps": 20, "batch": 4}}


@pytest.mark.slow
def test_a_killed_fit_ends_with_the_same_bytes(small, tmp_path):
    analysis = tmp_path / "results/analyses/small"
    shutil.copytree(small.folder / "features" / "r.zarr", analysis / "features" / "r.zarr")
    collect_features(
        "deepinsight",
        small.settings.model_dump(),
        [analysis / "features" / "r.zarr"],
        analysis / "features.json",
    )
    command = [sys.executable, "-m", "pellucid.cli", "fit", "--system", "deepinsight", "--model", "main"]
    command += ["--fold", "0", "--seed", "3", "--params", json.dumps(SETTINGS)]
    command += ["--features", str(analysis / "features.json"), "--output"]

    killed = subprocess.Popen([*command, str(tmp_path / "cut")], cwd=tmp_path, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "results/.checkpoints"
    while not list(checkpoints.glob("*/state.pt")):
        assert killed.poll() is None, "the fit ended before its first epoch was saved"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "cut").exists()

    subprocess.run([*command, str(tmp_path / "cut")], cwd=tmp_path, check=True)
    shutil.rmtree(checkpoints)
    subprocess.run([*command, str(tmp_path / "whole")], cwd=tmp_path, check=True)
    assert store.digest(tmp_path / "cut") == store.digest(tmp_path / "whole")
    started = time.perf_counter()
    done = subprocess.run([*command, str(tmp_path / "again")], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "epoch" not in done.stderr, f"a finished fit was trained again in {time.perf_counter() - started:.1f} s"
    assert store.digest(tmp_path / "again") == store.digest(tmp_path / "whole")
