"""The peer of `benchmarks/cortex.py`, run by an interpreter that has TensorFlow: the ROI GRU of the reference code.

It reads windows.npy and labels.npy of a folder, trains and predicts, and leaves times.json, gru.h5 and said.npy there.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]


def median(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the median of several runs after one that warms up, by the clock and of the CPU, s."""
    work()
    found = []
    for _ in range(repeats):
        clock, cpu = perf_counter(), process_time()
        work()
        found.append((perf_counter() - clock, process_time() - cpu))
    return [float(value) for value in np.median(found, axis=0)]


def main() -> None:
    """Train, predict and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name in ("threads", "units", "batch", "predicted-at-once", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(0)
    windows, labels = np.load(options.folder / "windows.npy"), np.load(options.folder / "labels.npy")
    network = tf.keras.Sequential(
        [
            tf.keras.layers.Input(windows.shape[1:]),
            tf.keras.layers.GRU(options.units, reset_after=False, recurrent_activation="hard_sigmoid"),
            tf.keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile(tf.keras.optimizers.Adam(1e-3), tf.keras.losses.BinaryCrossentropy(label_smoothing=0.001))
    train = median(lambda: network.fit(windows, labels, batch_size=options.batch, verbose=0), options.repeats)
    at_once = options.predicted_at_once
    predict = median(lambda: network.predict(windows, batch_size=at_once, verbose=0), options.repeats)
    network.save(options.folder / "gru.h5")
    np.save(options.folder / "said.npy", network.predict(windows, batch_size=at_once, verbose=0)[:, 0])
    known = {"version": tf.__version__, "parameters": network.count_params(), "train": train, "predict": predict}
    (options.folder / "times.json").write_text(json.dumps(known))


if __name__ == "__main__":
    main()
