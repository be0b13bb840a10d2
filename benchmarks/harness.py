"""What benchmarks share: tables of jobs that each run alone, in a process of their own whose memory is theirs."""

import argparse
import multiprocessing
import resource
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from pellucid.learning import loop
from pellucid.learning.settings import Device

Run = Callable[..., Any]
"""Runs a job with its words in a process of its own and returns what it gives."""

Print = Callable[[Run, argparse.Namespace], None]
"""Prints one table."""


def now() -> np.ndarray:
    """Return the time by the clock and of the CPU, s."""
    return np.array([perf_counter(), process_time()])


def peak_mb() -> float:
    """Return the largest memory this process has had, MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def parser(about: str | None, tables: Mapping[str, Print], quick: str) -> argparse.ArgumentParser:
    """Return the options that all benchmarks have; about: the docstring of the script, quick: what --quick leaves."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--only", nargs="+", choices=tables, default=list(tables))
    return made


def show(tables: Mapping[str, Print], options: argparse.Namespace) -> None:
    """Print the tables that were asked for, and the memory of the largest process."""
    print(f"torch {torch.__version__}, {options.threads} thread(s)")
    context = multiprocessing.get_context("fork")

    def run(job: Callable[..., Any], *words: object) -> Any:  # noqa: ANN401 - whatever the job gives
        with context.Pool(1) as pool:
            return pool.apply(_alone, (options.threads, job, *words))

    for name in options.only:
        tables[name](run, options)
    unit = 1e9 if sys.platform == "darwin" else 1e6
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    print(f"\npeak memory of the largest process {children:.2f} GB")


def _alone(threads: int, job: Callable[..., Any], *words: object) -> Any:  # noqa: ANN401 - whatever the job gives
    loop.prepare(Device(threads=threads), 0)
    return job(*words)
