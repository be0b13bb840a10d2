"""The command `pellucid`: one subcommand per stage, with explicit inputs and outputs, and a few for housekeeping."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pellucid import __version__
from pellucid.errors import PellucidError


@dataclass(frozen=True)
class Command:
    """A subcommand: the function it calls, and the options that become its arguments."""

    function: str
    help: str
    options: str
    """Names of OPTIONS; one in brackets may be left out."""
    outputs: tuple[str, ...] = ("output",)


def _block(text: str) -> dict[str, Any]:
    try:
        block = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(block, dict):
        raise argparse.ArgumentTypeError(f"expected a mapping {{...}}, found {text[:40]}")
    return block


OPTIONS: dict[str, dict[str, Any]] = {
    "analysis": {"metavar": "NAME", "help": "name of the analysis"},
    "attribution": {"metavar": "ZARR", "type": Path, "help": "store of attributions"},
    "config": {"metavar": "FILE", "type": Path, "default": Path("config.yaml"), "help": "default: config.yaml"},
    "features": {"metavar": "JSON", "type": Path, "help": "features.json"},
    "fits": {"metavar": "JSON", "type": Path, "help": "fits.json"},
    "fold": {"metavar": "N", "type": int, "help": "index into the split table"},
    "input": {"metavar": "PATH", "type": Path, "help": "what is read"},
    "inputs": {"metavar": "PATH", "type": Path, "nargs": "+", "help": "what is read"},
    "metrics": {"metavar": "JSON", "type": Path, "help": "metrics.json"},
    "model": {"metavar": "NAME", "help": "name of the model in `fit.models`"},
    "name": {"metavar": "NAME", "help": "name of the recording"},
    "output": {"metavar": "PATH", "type": Path, "help": "what is written, replaced as a whole"},
    "page": {"metavar": "FOLDER", "type": Path, "help": "folder of the page, written"},
    "pages": {"metavar": "FOLDER", "type": Path, "nargs": "+", "help": "folders of pages"},
    "params": {"metavar": "JSON", "type": _block, "help": "settings, as JSON"},
    "part": {"metavar": "N", "type": int, "help": "compute this part only, from 0 to `parts` of the settings - 1"},
    "parts": {"metavar": "ZARR", "type": Path, "nargs": "*", "help": "stores of all parts, to put together"},
    "predictions": {"metavar": "ZARR", "type": Path, "help": "store of predictions"},
    "recordings": {"metavar": "ZARR", "type": Path, "nargs": "*", "help": "others of their dataset are deleted"},
    "seed": {"metavar": "N", "type": int, "help": "of every random draw"},
    "system": {"metavar": "NAME", "help": "one of pellucid.systems"},
    "truth": {"metavar": "FOLDER", "type": Path, "nargs": "*", "help": "raw folders of simulated recordings"},
}

COMMANDS = {
    "simulate": Command("stages.simulate:simulate", "simulate raw data", "system seed params output"),
    "fetch": Command("stages.fetch:fetch", "fetch public files by checksum", "params output"),
    "convert": Command("stages.convert:convert", "raw files -> one recording", "name params inputs output"),
    "preprocess": Command(
        "stages.preprocess:preprocess", "recording -> features", "system params input [part] [parts] output"
    ),
    "collect features": Command(
        "stages.preprocess:collect_features",
        "features -> features.json: folds and statistics",
        "system params inputs [recordings] output",
    ),
    "fit": Command("stages.fit:fit", "train one network", "system model fold seed params features output"),
    "collect fits": Command("stages.fit:collect_fits", "fits -> fits.json", "features inputs output"),
    "evaluate": Command(
        "stages.evaluate:evaluate",
        "score the fits on test rows",
        "system params features fits [truth] metrics predictions",
        ("metrics", "predictions"),
    ),
    "attribute": Command(
        "stages.attribute:attribute", "what the networks rely on", "system params features fits [truth] output"
    ),
    "figures": Command(
        "stages.figures:figures",
        "draw the figures of an analysis",
        "analysis system params features fits metrics predictions attribution output page",
        ("output", "page"),
    ),
    "report": Command("stages.report:report", "one report over all analyses", "pages output"),
    "record": Command("engines:record", "tell DVC what Snakemake made", "[config]", ()),
    "sync": Command("engines:sync", "after clone, pull or checkout: tell Snakemake what DVC has", "[config]", ()),
    "schema": Command("config:write_schema", "JSON schema of the configuration", "[output]", ()),
    "doctor": Command("doctor:doctor", "check that everything needed is here", "", ()),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit status: 0, 1 for a mistake that is explained, 130 when interrupted."""
    options = vars(_parser().parse_args(arguments))
    name, debug = options.pop("command"), options.pop("debug")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _run(COMMANDS[name], options)
    except PellucidError as error:
        if debug:
            raise
        print(f"pellucid {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"pellucid {name}: interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0


def _run(command: Command, options: dict[str, Any]) -> None:
    module, _, function = command.function.partition(":")
    given = {key: value for key, value in options.items() if value is not None}
    started = time.perf_counter()
    getattr(import_module(f"pellucid.{module}"), function)(**given)
    seconds = time.perf_counter() - started
    for path in (given[key] for key in command.outputs):
        print(f"wrote {path} ({_measure(path)}) in {seconds:.1f} s", file=sys.stderr)


def _measure(path: Path) -> str:
    sizes = [p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()]
    return f"{len(sizes)} file{'s' if len(sizes) != 1 else ''}, {sum(sizes) / 1e6:.2f} MB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pellucid", description="Interpretable deep learning on neural recordings, one stage at a time."
    )
    parser.add_argument("--version", action="version", version=f"pellucid {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    children = parser.add_subparsers(title="stages and tools", metavar="COMMAND", required=True)
    collect = children.add_parser("collect", help="gather what many jobs made into one table")
    gatherers = collect.add_subparsers(title="what", metavar="WHAT", required=True)
    for name, command in COMMANDS.items():
        group, _, what = name.rpartition(" ")
        child = (gatherers if group else children).add_parser(what, help=command.help, description=command.help)
        child.set_defaults(command=name)
        child.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for option in command.options.split():
            key = option.strip("[]")
            child.add_argument(f"--{key}", required=key == option, **OPTIONS[key])
    return parser


if __name__ == "__main__":
    sys.exit(main())
