"""Decoders of cortex-wide imaging: windows of images, the ROI GRU, the window view, the linear baseline, streaming.

    OMP_NUM_THREADS=1 python benchmarks/cortex.py [--threads 1] [--quick] [--keras PYTHON]
                                                  [--only inference rnn view linear preprocess]

Peers, in the same run, precision, threads and batches: one CNN pass per window and image; the ROI GRU of Keras 2.15 on
TensorFlow, in an interpreter given by --keras; copies of all windows; a plain loop, and pandas. Every measurement runs
in a process of its own; its memory is what the work adds to that process's peak once its input is there. Times are
medians after a warm-up, by the clock and of the CPU; ratios are given by both, since other work may share the cores.
With glibc, MALLOC_TOP_PAD_=67108864 in the environment keeps freed memory, and page faults out of the small networks.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import cortex_jobs as jobs
import harness
from cortex_jobs import CASES, DETREND, FRAMES, ROIS, Result
from pellucid.systems.cortex.model import images, restore

BAR, KERAS_BAR, VIEW_BAR, GROWTH_BAR = 8.0, 1.0, 1.1, 1.1
TOLERANCE, KERAS_TOLERANCE, DETREND_TOLERANCE = 1e-5, 1e-6, 1e-6
STEPS = 60
"""Training steps of the ROI decoder in one epoch, the unit that is timed."""
LENGTHS = (5000, 10_000)
"""Frames of the movies that are streamed: the shorter one is longer than a block with its neighbours."""
PIPELINES: dict[str, Result] = {
    "dF/F, detrended": {"dff": {}, "detrend_s": 33.3},
    "blocks of 2 px, dF/F, detrended": {"bin_px": 2, "dff": {}, "detrend_s": 33.3},
}
Run = Callable[..., Result]


def print_inference(run: Run, options: argparse.Namespace) -> None:
    """Windows of images: every image once, beside one pass per window and image."""
    print(f"\nINFERENCE, CNN-GRU, windows of 11 images of 3 frames, at most {images.BATCH} images at once, float32")
    print("peer: one CNN pass per window and image; rates in windows/s (with masks, masks x windows/s)")
    print(f"{'':25} {'peer':>8} {'(CPU)':>8} {'MB':>5} {'ours':>9} {'(CPU)':>8} {'MB':>5}   ratio   (CPU) (limit)")
    for name, case in CASES.items():
        if options.quick and name == "b0":
            continue
        peer, ours = (run(jobs.inference_job, name, way, options.repeats) for way in ("naive", "shared"))
        count = peer["outputs"].shape[1]
        apart = float(np.abs(peer["outputs"] - ours["outputs"][:, :count]).max())
        share, limit = ours["rate"] / peer["rate"], 11 * case.windows / (case.windows + 10)
        print(
            f"{case.title:25} {peer['rate'][0]:8.1f} {peer['rate'][1]:8.1f} {peer['memory']:5.0f}"
            f" {ours['rate'][0]:9.1f} {ours['rate'][1]:8.1f} {ours['memory']:5.0f}  {share[0]:6.2f} ({share[1]:6.2f})"
            f" ({limit:.1f}){least(share[1], BAR)}"
        )
        print(
            f"{'':25} {case.windows} windows, the peer {case.naive} of them; largest difference of outputs {apart:.1e}"
            f"{most(apart, TOLERANCE)}, their s.d. {ours['outputs'].std():.2f}; {ours['parameters']} parameters"
        )


def print_rnn(run: Run, options: argparse.Namespace) -> None:
    """The ROI GRU beside Keras."""
    print(f"\nROI GRU: {ROIS} ROIs, 31 samples, 32 units, batch 256, Adam; windows/s, {STEPS} steps an epoch")
    print(f"peer: Keras on TensorFlow; predictions {restore.BATCH} at once")
    keras = run(jobs.keras_job, options.keras, options.threads, STEPS, options.repeats) if options.keras else None
    head = f"{'training':>9} {'(CPU)':>9}  ratio   (CPU) {'prediction':>11} {'(CPU)':>9}  ratio   (CPU)"
    print(f"{'':26} {head} parameters")
    if keras is None:
        print("Keras                      not installed (give --keras PYTHON)")
    else:
        print_rates(f"Keras, TensorFlow {keras['version']}", keras, keras)
    for cell, title in {"keras_gru": "ours, cell of Keras 2", "gru": "ours, nn.GRU"}.items():
        one = run(jobs.rnn_job, cell, STEPS, options.repeats)
        print_rates(title, one, keras, KERAS_BAR)
    if keras is not None:
        print(
            f"a model saved by Keras, read by ours: largest difference from Keras {keras['difference']:.1e}"
            f"{most(keras['difference'], KERAS_TOLERANCE)} of probabilities with s.d. {keras['sd']:.2f}"
        )


def print_rates(title: str, one: Result, peer: Result | None, bar: float | None = None) -> None:
    """Print one row of windows/s."""
    cells = []
    for key, width in (("train", 9), ("predict", 11)):
        share = f"{'-':>6} {'-':>8}"
        if peer is not None:
            clock, cpu = one[key] / peer[key]
            share = f"{clock:6.2f} ({cpu:6.2f})"
        cells.append(f"{one[key][0]:{width}.0f} {one[key][1]:9.0f} {share}")
    said = "" if bar is None or peer is None else least(float(one["train"][1] / peer["train"][1]), bar)
    print(f"{title:26} {cells[0]} {cells[1]} {one['parameters']:10d}{said}")


def print_view(run: Run, options: argparse.Namespace) -> None:
    """Memory of the windows of one session."""
    print(f"\nWINDOWS OF ONE SESSION: {FRAMES} frames, {ROIS} ROIs, 31 samples; peer: copies of all windows")
    labels = {"view": "view", "table": "view, with the table of frames and labels", "copies": "copies"}
    for way, label in labels.items():
        one = run(jobs.view_job, way)
        share = 1 + one["added"] / one["input"]
        verdict = most(share, VIEW_BAR) if way == "view" else ""
        print(
            f"{label:42} {one['input']:.1f} MB + {one['added']:6.2f} MB = {share:5.2f} x the input{verdict};"
            f" {1e3 * one['seconds'][0]:.1f} ms"
        )


def print_linear(run: Run, options: argparse.Namespace) -> None:
    """The linear baseline."""
    count = 4000 if options.quick else 20_000
    print(f"\nLINEAR BASELINE: one fit of 5 penalties, {count} windows; peer: every sample of the window")
    print(f"{'':28} {'s':>7} {'(CPU)':>7}   ratio   (CPU) {'MB':>6}    AUC  weights")
    found = {every: run(jobs.linear_job, every, count) for every in (1, 3)}
    for every, one in found.items():
        label = "every sample (peer)" if every == 1 else "ours, every third sample"
        clock, cpu = one["seconds"]
        share = found[1]["seconds"] / one["seconds"]
        print(
            f"{label:28} {clock:7.2f} {cpu:7.2f}  {share[0]:6.2f} ({share[1]:6.2f}) {one['memory']:6.0f}"
            f"  {one['auc']:.4f}  {one['used']}"
        )


def print_detrend(run: Run, options: argparse.Namespace) -> None:
    """Moving means of the traces of one session."""
    print(f"\nDETRENDING {FRAMES} frames of {ROIS} ROIs by a centred moving mean of {DETREND} samples, float64")
    print(f"{'':22} {'ms':>8} {'(CPU)':>8}    ratio    (CPU) {'MB':>5}  largest difference from the loop")
    found = {way: run(jobs.detrend_job, way, options.repeats) for way in ("loop", "pandas", "ours")}
    for way, one in found.items():
        clock, cpu = 1e3 * one["seconds"]
        share = found["loop"]["seconds"] / one["seconds"]
        apart = float(np.abs(one["values"] - found["loop"]["values"]).max())
        label = {"loop": "a mean per frame (peer)", "pandas": "pandas, rolling mean", "ours": "ours"}[way]
        print(
            f"{label:22} {clock:8.1f} {cpu:8.1f}  {share[0]:7.2f} ({share[1]:7.2f}) {one['memory']:5.0f}"
            f"  {apart:.1e}{most(apart, DETREND_TOLERANCE)}"
        )


def print_streams(run: Run, options: argparse.Namespace) -> None:
    """Movies from store to store."""
    lengths = [length // 10 for length in LENGTHS] if options.quick else LENGTHS
    print(f"\nA MOVIE FROM STORE TO STORE: {lengths[1]} frames of 128 x 128 px, uint16. MB: peak of the process, whose")
    print(f"allocator keeps freed memory; allocated: peaks for {lengths[0]} and {lengths[1]} frames, in other runs")
    print(f"{'':34} {'frames/s':>9} {'(CPU)':>8} {'MB':>6}  allocated, MB")
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{length}.zarr")) for length in lengths]
        for length, path in zip(lengths, paths):
            run(jobs.movie_job, path, length)
        for label, steps in PIPELINES.items():
            one = run(jobs.stream_job, paths[1], steps, False)
            short, long = (run(jobs.stream_job, path, steps, True)["traced"] for path in paths)
            verdict = "" if options.quick else f", ratio {long / short:.2f}{most(long / short, GROWTH_BAR)}"
            print(
                f"{label:34} {one['rate'][0]:9.0f} {one['rate'][1]:8.0f} {one['memory']:6.0f}"
                f"  {short:.0f} and {long:.0f}{verdict}"
            )


def print_preprocess(run: Run, options: argparse.Namespace) -> None:
    """Traces in memory, and movies from store to store."""
    print_detrend(run, options)
    print_streams(run, options)


def least(value: float, bar: float) -> str:
    """Return whether a ratio reaches its bar."""
    return f" (bar {bar:g})" if value >= bar else f" (BELOW {bar:g})"


def most(value: float, bound: float) -> str:
    """Return whether a value is within its bound."""
    return f" (within {bound:g})" if value <= bound else f" (NOT within {bound:g})"


TABLES = {
    "inference": print_inference,
    "rnn": print_rnn,
    "view": print_view,
    "linear": print_linear,
    "preprocess": print_preprocess,
}


def main() -> None:
    """Parse the command line and print the tables."""
    parser = harness.parser(__doc__, TABLES, "no EfficientNet, three repeats, short movies")
    parser.add_argument("--repeats", type=int, default=5, help="runs whose median counts, one where they are long")
    parser.add_argument("--keras", metavar="PYTHON", help="interpreter with TensorFlow 2.15")
    options = parser.parse_args()
    options.repeats = 3 if options.quick else options.repeats
    harness.show(TABLES, options)


if __name__ == "__main__":
    main()
