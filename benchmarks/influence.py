"""Influence scoring against scoring one window at a time: seconds, windows per second, ratio, equality, peak memory.

The peer is the same network in the same precision on the same threads, run with batches of one window, once per
shuffled input, as the published code does (which, in addition, makes one call per output).

    python benchmarks/influence.py [--threads 1] [--windows 256]
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pellucid.systems.deepinsight.model import scan
from pellucid.systems.deepinsight.model.network import DeepInsight, last_outputs

PEER_WINDOWS = 40
"""Windows timed one at a time; their cost does not depend on how many there are."""


def main() -> None:
    """Print one line per size of recording, kind of input and spacing of windows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--windows", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s), {options.windows} windows of 64 rows")
    print("channels bands inputs   every  peer ms/window  ours ms/window  windows/s  ratio  largest difference")
    for channels, bands in ((8, 16), (32, 26), (128, 26)):
        torch.manual_seed(0)
        network = DeepInsight(channels, bands, {"position": 2}, filters=64, merge_filters=128, units=1024).eval()
        network.to(memory_format=torch.channels_last)
        for step in (1, 4, 8):
            compare(network, torch.randn(options.windows * step + 63, bands, channels), step)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def compare(network: DeepInsight, power: Tensor, step: int) -> None:
    """Time the scoring of every band and of every channel; power is (time, frequency, channel)."""
    rows, bands, channels = power.shape
    ends = np.arange(63, rows, step)
    shuffled = power[torch.randperm(rows)]
    with torch.inference_mode():
        windows = [power[end - 63 : end + 1].permute(2, 0, 1)[None] for end in ends[:PEER_WINDOWS]]
        peer = seconds(lambda: [last_outputs(network(window)) for window in windows]) / len(windows)
        expected = torch.cat([last_outputs(network(window)) for window in windows])
    inputs = {
        "band": [scan.Variant((f, f + 1), None, shuffled[:, f : f + 1]) for f in range(bands)],
        "channel": [scan.Variant((0, bands), [c], shuffled[:, :, [c]]) for c in range(channels)],
    }
    for kind, variants in inputs.items():
        found = scan.predict(network, power, ends, 64)
        difference = float((found[0, : len(windows)] - expected).abs().max())
        ours = (
            seconds(lambda chosen=variants: scan.predict(network, power, ends, 64, chosen)) / len(ends) / len(variants)
        )
        print(
            f"{channels:8d} {bands:5d} {kind:8s} {step:5d} {1e3 * peer:15.2f} {1e3 * ours:15.3f} {1 / ours:10.0f}"
            f" {peer / ours:6.1f} {difference:19.1e}"
        )


def seconds(work: Callable[[], object], repeats: int = 2) -> float:
    """Return the shortest of several runs, in seconds."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


if __name__ == "__main__":
    main()
