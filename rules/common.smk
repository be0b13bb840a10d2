# What rules look up: blocks of the configuration, sources, inputs; and what keeps Snakemake and DVC in step.
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pellucid import config as configuration
from pellucid.errors import PellucidError
from pellucid.stages import sources

if shutil.which("pellucid") is None:  # Snakemake called by its path, without activating the environment
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

CONFIG_FILE = str(config.get("config", "config.yaml"))
OTHER_ENGINE = "DVC_STAGE" in os.environ or "PELLUCID_ENGINE" in os.environ

try:
    for path in workflow.configfiles:
        configuration.load(Path(path))
    SETTINGS = configuration.check(config, CONFIG_FILE)
except PellucidError as error:
    raise WorkflowError(str(error)) from None


def block(wildcards, stage):
    """Return a block of an analysis as JSON, the form in which it reaches the command line and the provenance."""
    return json.dumps(config["analyses"][wildcards.analysis][stage], sort_keys=True)


def fit_block(wildcards):
    """Return the settings of one model of an analysis as JSON."""
    fit = config["analyses"][wildcards.analysis]["fit"]
    return json.dumps(configuration.fit_settings(fit, wildcards.model), sort_keys=True)


def system(wildcards):
    """Return the system of an analysis."""
    return config["analyses"][wildcards.analysis]["system"]


def code(wildcards, stage):
    """Return the digest of a stage's sources for an analysis: a changed source reruns the stage."""
    return sources.digest(stage, system=system(wildcards))


def device(wildcards):
    """Return where a fit runs, as its settings say: the number of threads is part of the result."""
    fit = SETTINGS.analyses[wildcards.analysis].fit
    typed = type(fit.shared).model_validate_json(fit_block(wildcards))
    return getattr(typed, "device", None)


def recordings(analysis):
    """Return the names of the recordings of an analysis."""
    dataset = config["analyses"][analysis]["dataset"]
    return [name for name, recording in config["recordings"].items() if recording["dataset"] == dataset]


def recording_store(name):
    """Return the store of a recording."""
    return f"results/recordings/{config['recordings'][name]['dataset']}/{name}.zarr"


def feature_stores(wildcards):
    """Return the stores of features of an analysis, one per recording."""
    return [f"results/analyses/{wildcards.analysis}/features/{name}.zarr" for name in recordings(wildcards.analysis)]


def part_stores(wildcards):
    """Return the stores of the parts into which the work on a long recording is scattered; none if one job does it."""
    count = config["analyses"][wildcards.analysis]["preprocess"].get("parts", 1)
    folder = f"results/analyses/{wildcards.analysis}/parts/{wildcards.recording}"
    return [f"{folder}/{part}.zarr" for part in range(count)] if count > 1 else []


def features_block(wildcards):
    """Return the settings of features as JSON, without the number of parts, which does not change them."""
    given = config["analyses"][wildcards.analysis]["preprocess"]
    return json.dumps({key: value for key, value in given.items() if key != "parts"}, sort_keys=True)


def fit_folders(wildcards):
    """Return the folders of the fits of an analysis, one per model, fold and seed."""
    analysis = SETTINGS.analyses[wildcards.analysis]
    return expand(
        f"results/analyses/{wildcards.analysis}/fits/{{model}}/{{fold}}-{{seed}}",
        model=analysis.fit.models,
        fold=range(analysis.preprocess.split.folds),
        seed=analysis.fit.seeds,
    )


def raw(wildcards):
    """Return what a recording is converted from, as its command names it: local files, one by one, or the raw path.

    Listed one by one, a local file that is edited in place is seen.
    """
    path = Path(config["recordings"][wildcards.recording]["raw"])
    if configuration.made_from(str(path)) is not None or not path.is_dir():
        return [str(path)]
    return sorted(str(file) for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def raw_inputs(wildcards):
    """Return what a recording depends on: local files, or the folder that simulate or fetch makes."""
    made = configuration.made_from(config["recordings"][wildcards.recording]["raw"])
    return raw(wildcards) if made is None else [f"data/raw/{made}"]


def truth(wildcards):
    """Return the folders of the simulated recordings of an analysis."""
    made = {configuration.made_from(config["recordings"][name]["raw"]) for name in recordings(wildcards.analysis)}
    return [f"data/raw/{name}" for name in config["simulate"] if name in made]


def guard():
    """Refuse results that DVC checked out and Snakemake knows nothing about: it would take stale ones for fresh."""
    if OTHER_ENGINE or not workflow.is_main_process or not Path(CONFIG_FILE).with_name("dvc.lock").is_file():
        return
    results = any(Path("results/analyses").glob("*/*")) or any(Path("results/recordings").glob("*/*"))
    if results and not any(Path(".snakemake/metadata").glob("*")):
        raise WorkflowError(
            "results/ was not made by Snakemake in this folder (a clone, or a copy): its history is unknown. "
            f"Run `pellucid sync --config {CONFIG_FILE}` first; it checks the results against dvc.lock."
        )


def record():
    """Tell DVC what was made, where it is in use; a finished run never fails here."""
    in_use = Path(".git").exists() and Path(".dvc").is_dir() and shutil.which("dvc")
    if in_use and workflow.is_main_process and not OTHER_ENGINE:
        done = subprocess.run([sys.executable, "-m", "pellucid.cli", "record", "--config", CONFIG_FILE])
        if done.returncode:
            print("The results are complete; DVC does not know them yet.", file=sys.stderr)
