"""A long recording from raw file to features: in parts, a process each, and by one process.

    python benchmarks/long_recording.py [--seconds 1800] [--channels 64] [--parts 4] [--side-by-side 1] [--folder /tmp]

Simulates wide-band int16 samples at 30 kHz (pink noise, an 8 Hz rhythm) in the binary format, converts them to a store,
computes the wavelet power of 26 bands in parts that are then gathered, and again in one job, and compares the bytes.
Every job is a process of its own, on one thread. Everything is written below --folder and deleted at the end.
"""

# ruff: noqa: PLC0415 - a process starts with the peak memory of the one that makes it, which must therefore stay small
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

RATE = 30_000
BLOCK_S = 10
RECORDING: dict[str, Any] = {"dataset": "long", "subject": "simulated", "raw": "raw", "reader": "binary", "options": {}}
FEATURES: dict[str, Any] = {"targets": {"position": {"source": "/behaviour/position", "units": "m"}}}
COLUMNS = ("clock_s", "cpu_s", "reading", "transforming", "writing", "peak_gb", "files", "gb")


def simulate(folder: Path, options: argparse.Namespace) -> None:
    """Write the raw files in blocks of BLOCK_S seconds."""
    import numpy as np

    from pellucid.readers import binary

    rng = np.random.default_rng(0)
    gains = rng.uniform(100, 300, options.channels).astype("float32")

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, options.seconds, BLOCK_S):
            seconds = min(BLOCK_S, options.seconds - start)
            noise = rng.standard_normal((seconds * RATE, options.channels), dtype="float32")
            noise[1:] += noise[:-1]
            theta = np.sin(2 * np.pi * 8 * (start + np.arange(len(noise)) / RATE), dtype="float64").astype("float32")
            yield ((noise + 2 * theta[:, None]) * gains).astype("int16")

    binary.write(
        folder / "raw",
        "signal",
        blocks(),
        group="ephys",
        variable="signal",
        dims=["time", "channel"],
        units="uV",
        rate_hz=RATE,
        scale=0.195,
    )
    track = 0.5 + 0.5 * np.sin(np.arange(options.seconds * 30, dtype="float32") / 300)
    binary.write(
        folder / "raw",
        "position",
        track[:, None],
        group="behaviour",
        variable="position",
        dims=["time", "output"],
        units="m",
        rate_hz=30.0,
    )


def convert(folder: Path, options: argparse.Namespace) -> None:
    """Convert the raw files to a recording."""
    from pellucid.stages.convert import convert

    convert("long", {**RECORDING, "raw": str(folder / "raw")}, [folder / "raw"], folder / "long.zarr")


def preprocess(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Compute the features, all or one part or from all parts, and return the seconds of reading and of writing."""
    from pellucid import parts, store
    from pellucid.preprocess import wavelets
    from pellucid.stages.preprocess import preprocess

    spent = {"reading": 0.0, "writing": 0.0}

    def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: object, **named: object) -> Any:  # noqa: ANN401 - whatever the function gives
            started = perf_counter()
            try:
                return function(*given, **named)
            finally:
                spent[what] += perf_counter() - started

        return run

    stream = wavelets.stream_block_power
    wavelets.stream_block_power = lambda read, *given, **named: stream(timed("reading", read), *given, **named)
    store.Writer.append = timed("writing", store.Writer.append)  # type: ignore[method-assign]
    for writer in (store.Writer, parts._PartWriter, parts._Gatherer):
        writer._finish = timed("writing", writer._finish)  # type: ignore[method-assign]
    chosen: dict[str, Any] = {"part": options.part} if options.part is not None else {}
    if options.job == "gather":
        chosen = {"parts": [folder / f"{number}.zarr" for number in range(options.parts)]}
    output = folder / product(options.job, options.part)
    preprocess("deepinsight", {**FEATURES, "parts": options.parts}, folder / "long.zarr", output, **chosen)
    return spent


def product(job: str, part: int | None) -> str:
    """Return what a job makes, seen from the folder."""
    return f"{part}.zarr" if job == "part" else {"simulate": "raw", "convert": "long.zarr"}.get(job, f"{job}.zarr")


JOBS: dict[str, Callable[[Path, argparse.Namespace], Any]] = {
    "simulate": simulate,
    "convert": convert,
    **dict.fromkeys(("part", "gather", "single"), preprocess),
}


def work(folder: Path, options: argparse.Namespace) -> None:
    """Do one job in this process and print what it took as JSON, imports included in the times."""
    import torch

    from harness import peak_mb

    torch.set_num_threads(1)
    started = perf_counter(), process_time()
    spent = JOBS[options.job](folder, options) or {}
    clock, cpu = perf_counter() - started[0], process_time() - started[1]
    if spent:
        spent["transforming"] = clock - sum(spent.values())
    files = [path for path in (folder / product(options.job, options.part)).rglob("*") if path.is_file()]
    sizes = {"files": len(files), "gb": sum(path.stat().st_size for path in files) / 1e9}
    print(json.dumps({"clock_s": clock, "cpu_s": cpu, "peak_gb": peak_mb() / 1e3, **sizes, **spent}))


def run(job: str, folder: Path, options: argparse.Namespace, part: int | None = None) -> dict[str, float]:
    """Do one job in a process of its own, print its row and return it."""
    sizes = ("--seconds", options.seconds, "--channels", options.channels, "--parts", options.parts)
    command = [sys.executable, __file__, "--job", job, "--folder", folder, *sizes]
    command += ["--part", part] if part is not None else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(w) for w in command], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    shares = {name: f"{row[name] / row['clock_s']:.1%}" if name in row else "" for name in COLUMNS[2:5]}
    shown = (
        {name: f"{row[name]:.2f}" for name in ("clock_s", "cpu_s", "peak_gb", "gb")} | {"files": row["files"]} | shares
    )
    print(
        f"{job if part is None else f'{job} {part}':<10}" + "".join(f"{shown[name]:>14}" for name in COLUMNS),
        flush=True,
    )
    return row


def table(folder: Path, options: argparse.Namespace) -> None:
    """Print a row per job, then what the parts cost beside one job."""
    from pellucid import store

    print(f"{options.channels} channels x {options.seconds} s at {RATE} Hz, {options.parts} parts, 1 thread a job")
    print(f"{'job':<10}" + "".join(f"{name:>14}" for name in COLUMNS))
    run("simulate", folder, options)
    run("convert", folder, options)
    shutil.rmtree(folder / "raw")
    begun = perf_counter()
    with ThreadPoolExecutor(options.side_by_side) as pool:
        rows = list(pool.map(lambda number: run("part", folder, options, number), range(options.parts)))
    gathered = run("gather", folder, options)
    scattered = perf_counter() - begun
    for number in range(options.parts):
        shutil.rmtree(folder / f"{number}.zarr")
    begun = perf_counter()
    single = run("single", folder, options)
    alone = perf_counter() - begun
    cpu = sum(row["cpu_s"] for row in rows) + gathered["cpu_s"]
    print(f"parts, {options.side_by_side} side by side: {scattered:.1f} s; one job: {alone:.1f} s (start-up included)")
    print(
        f"processor time: {cpu:.1f} s in parts, {single['cpu_s']:.1f} s in one job, {cpu / single['cpu_s']:.3f} times"
    )
    print(f"one job: {options.seconds / single['clock_s']:.1f} times real time")
    same = store.digest(folder / "gather.zarr") == store.digest(folder / "single.zarr")
    print(f"equal bytes: {same}")
    if not same:
        sys.exit(1)


def main() -> None:
    """Parse the command line and run."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seconds", type=int, default=1800)
    made.add_argument("--channels", type=int, default=64)
    made.add_argument("--parts", type=int, default=4)
    made.add_argument("--side-by-side", type=int, default=1, help="parts computed at a time")
    made.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="needs 15 GB by default")
    made.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    made.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.job:
        work(options.folder, options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="long-") as folder:
        table(Path(folder), options)


if __name__ == "__main__":
    main()
