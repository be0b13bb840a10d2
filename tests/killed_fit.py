"""A fit killed with its process, run again, and compared with one that was not."""

import json
import shutil
import signal
import subprocess
import sys
import time

from pellucid import store


def check_resumes(system, params, folder):
    """Kill a fit after its first epoch; run again, it must end with the bytes of a whole one, and be kept.

    folder  where results/analyses/small/features.json is
    """
    features = folder / "results/analyses/small/features.json"
    command = [sys.executable, "-m", "pellucid.cli", "fit", "--system", system, "--model", "main"]
    command += ["--fold", "0", "--seed", "3", "--params", json.dumps(params)]
    command += ["--features", str(features), "--output"]

    killed = subprocess.Popen([*command, str(folder / "cut")], cwd=folder, stderr=subprocess.DEVNULL)
    checkpoints = folder / "results/.checkpoints"
    while not list(checkpoints.rglob("state.pt")):
        assert killed.poll() is None, "the fit ended before its first epoch was saved"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (folder / "cut").exists()

    subprocess.run([*command, str(folder / "cut")], cwd=folder, check=True)
    shutil.rmtree(checkpoints)
    subprocess.run([*command, str(folder / "whole")], cwd=folder, check=True)
    assert store.digest(folder / "cut") == store.digest(folder / "whole")
    started = time.perf_counter()
    done = subprocess.run([*command, str(folder / "again")], cwd=folder, check=True, capture_output=True, text=True)
    assert "epoch" not in done.stderr, f"a finished fit was trained again in {time.perf_counter() - started:.1f} s"
    assert store.digest(folder / "again") == store.digest(folder / "whole")
