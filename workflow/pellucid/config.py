"""The configuration: four maps, assembled from the settings of readers and systems, without unknown keys."""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError, create_model, field_validator

from pellucid import readers, systems
from pellucid.complaints import explain, nearest
from pellucid.errors import ConfigError, MissingError
from pellucid.public import Fetch
from pellucid.settings import Block, merged

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Recording(Block):
    """One session of one subject; its raw files were simulated, fetched, or lie at a local path."""

    dataset: Name
    subject: Name
    session: str = "1"
    raw: str = Field(description="file or folder; data/raw/NAME is made by the entry NAME of simulate or fetch")
    reader: str
    options: dict[str, Any] = Field(default_factory=dict, description="settings of the reader")
    licence: str = "not stated"
    citation: str = "not stated"


class _Fit(Block):
    """Which networks are trained: every model, for every fold and seed."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)

    @field_validator("seeds")
    @classmethod
    def _check_twice(cls, seeds: list[int]) -> list[int]:
        if len(seeds) != len(set(seeds)):
            raise ValueError("each seed once")
        return seeds


def _analysis(system: str) -> type[Block]:
    """Assemble the block of an analysis from the settings of its system."""
    shared = systems.settings(system, "model")
    fit = create_model(
        f"{system}_fit",
        __base__=_Fit,
        shared=(shared, Field(default_factory=shared, description="settings of every model")),
        models=(
            dict[Name, dict[str, Any]],
            Field(default={"main": {}}, min_length=1, description="model -> the settings that differ from shared"),
        ),
    )
    parts: dict[str, Any] = {
        "system": (Literal[system], ...),
        "dataset": (Name, ...),
        "preprocess": (systems.settings(system, "features"), ...),
        "fit": (fit, ...),
        "evaluate": (systems.settings(system, "model", "Evaluate"), ...),
        "attribute": (systems.settings(system, "attribute"), ...),
        "figures": (systems.settings(system, "figures"), ...),
    }
    return create_model(f"{system}_analysis", __base__=Block, **parts)


def _simulation(system: str) -> type[Block]:
    options = systems.settings(system, "simulate")
    parts: dict[str, Any] = {
        "system": (Literal[system], ...),
        "seed": (int, Field(ge=0)),
        "options": (options, Field(description="settings of the simulator")),
    }
    return create_model(f"{system}_simulation", __base__=Block, **parts)


def _maps(make: Callable[[str], type[Block]]) -> Any:  # noqa: ANN401 - a type made at run time
    """Return the type of a map from names to the blocks that `make` gives for each system, told apart by `system`."""
    members = tuple(make(system) for system in systems.SYSTEMS)
    union: Any = Union.__getitem__(members)
    return dict[Name, Annotated[union, Field(discriminator="system")] if len(members) > 1 else members[0]]  # type: ignore[misc]


@functools.cache
def model() -> type[Block]:
    """Return the class of a whole configuration, over all known systems."""
    parts: dict[str, Any] = {
        "name": (str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="names the report: results/reports/NAME")),
        "root": (str, Field(description="the repository's root, seen from this file (DVC needs it)")),
        "config": (str, Field(description="this file, seen from the root (DVC needs it)")),
        "simulate": (_maps(_simulation), Field(description="simulated raw data; {} for none")),
        "fetch": (dict[Name, Fetch], Field(description="public raw data; {} for none")),
        "recordings": (dict[Name, Recording], Field(min_length=1)),
        "analyses": (_maps(_analysis), Field(min_length=1)),
    }
    return create_model("Configuration", __base__=Block, **parts)


def read(path: Path) -> dict[str, Any]:
    """Read and check a configuration; returns the plain mapping as written. Raises ConfigError or MissingError."""
    raw = load(path)
    check(raw, str(path))
    return raw


def load(path: Path) -> dict[str, Any]:
    """Read a configuration unchecked, but for keys written twice. Raises ConfigError or MissingError."""
    import yaml

    if not path.is_file():
        raise MissingError(str(path), expected="a configuration", found="no such file", remedy="Correct --config.")
    try:
        _check_twice(yaml.compose(path.read_text(), Loader=yaml.SafeLoader), str(path))
        raw: dict[str, Any] = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(str(path), expected="YAML", found=str(error), remedy="Correct the line named.") from error
    return raw


def check(raw: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - the class is made at run time
    """Check a configuration and return it typed. Raises ConfigError with the nearest known key.

    raw    the mapping as read from YAML
    where  the file, for the message
    """
    typed = _validate(model(), raw, f"{where}, ")
    _check_names(typed, where)
    for key, recording in typed.recordings.items():
        parse(readers.settings(recording.reader), recording.options, f"{where}, recordings.{key}.options")
    for key in typed.analyses:
        block = typed.analyses[key].fit.shared.__class__
        for name in typed.analyses[key].fit.models:
            parse(block, fit_settings(raw["analyses"][key]["fit"], name), f"{where}, analyses.{key}.fit.models.{name}")
    return typed


def parse(block: type[Block], raw: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - an instance of `block`
    """Return one block of settings, checked. Raises ConfigError."""
    return _validate(block, raw, f"{where}.")


def fit_settings(fit: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of one model: `shared`, with what `models.NAME` changes, key by key at any depth."""
    return merged(fit.get("shared", {}), fit.get("models", {"main": {}})[name])


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration, for editors."""
    return model().model_json_schema()


def write_schema(output: Path | None = None) -> None:
    """Write the JSON schema of a configuration to a file, or print it."""
    text = json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)


def made_from(raw: str) -> str | None:
    """Return NAME of raw files at or below data/raw/NAME, which simulate or fetch makes; None for a local path."""
    parts = Path(raw).parts
    return (parts[2] if len(parts) > 2 else "") if parts[:2] == ("data", "raw") else None


def _check_twice(node: Any, where: str) -> None:  # noqa: ANN401 - a node of yaml
    """Refuse a key written twice in one mapping, of which YAML would keep the last in silence."""
    pairs = node.value if getattr(node, "id", None) == "mapping" else []
    seen: set[str] = set()
    for key, value in pairs:
        if key.value in seen:
            raise ConfigError(
                f"{where}, line {key.start_mark.line + 1}",
                expected="each key once",
                found=f"{key.value!r} again",
                remedy="Remove or rename one of the two.",
            )
        seen.add(key.value)
        _check_twice(value, where)
    for item in node.value if getattr(node, "id", None) == "sequence" else []:
        _check_twice(item, where)


def _check_names(typed: Any, where: str) -> None:  # noqa: ANN401 - the class is made at run time
    """Refuse names that point nowhere, or at two things."""
    datasets = sorted({recording.dataset for recording in typed.recordings.values()})
    for key, analysis in typed.analyses.items():
        if analysis.dataset not in datasets:
            raise ConfigError(
                f"{where}, analyses.{key}.dataset",
                expected=f"a dataset of `recordings` ({', '.join(datasets) or 'none'})",
                found=repr(analysis.dataset),
                remedy=f"{nearest(analysis.dataset, datasets)}Correct it, or add the recordings.",
            )
    made = [*typed.simulate, *typed.fetch]
    if len(made) != len(set(made)):
        raise ConfigError(where, expected="simulate and fetch to share no name", found=str(made), remedy="Rename one.")
    _check_recordings(typed, made, where)


def _check_recordings(typed: Any, made: list[str], where: str) -> None:  # noqa: ANN401 - the class is made at run time
    for key, recording in typed.recordings.items():
        if recording.reader not in readers.READERS:
            raise ConfigError(
                f"{where}, recordings.{key}.reader",
                expected=f"one of {', '.join(readers.READERS)}",
                found=repr(recording.reader),
                remedy=f"{nearest(recording.reader, readers.READERS)}Correct it, or add a reader to pellucid.readers.",
            )
        name = made_from(recording.raw)
        if name is not None and name not in made:
            raise ConfigError(
                f"{where}, recordings.{key}.raw",
                expected=f"data/raw/NAME with NAME in simulate or fetch ({', '.join(made) or 'none'}), or a local path",
                found=recording.raw,
                remedy=f"{nearest(name, made)}Correct the path, or add the entry that makes it.",
            )


def _validate(block: type[Block], raw: object, prefix: str) -> Any:  # noqa: ANN401 - an instance of `block`
    try:
        return block.model_validate(raw)
    except ValidationError as error:
        raise explain(error, block, prefix) from None
