"""The configuration: four maps, assembled from the settings of readers and systems, without unknown keys."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import Field, ValidationError, create_model, model_validator

from pellucid import readers, systems
from pellucid.errors import ConfigError, MissingError
from pellucid.settings import Block

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class File(Block):
    """One public file, known by its checksum."""

    url: str = Field(pattern=r"^https?://", description="public address, at a fixed commit or version")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    mirror: str | None = Field(None, description="path below the folder PELLUCID_DATA, looked in first")


class Fetch(Block):
    """A set of public files that becomes data/raw/NAME."""

    files: dict[str, File] = Field(min_length=1, description="file name -> where it is")
    licence: str = Field(description="licence of the data, or that none is stated")
    citation: str = Field(description="whom to cite")


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

    @model_validator(mode="after")
    def _check_options(self) -> "Recording":
        readers.settings(self.reader).model_validate(self.options)
        return self


class _Fit(Block):
    """Which networks are trained: every model, for every fold and seed."""

    seeds: list[int] = Field(default=[0], min_length=1)


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
    return create_model(
        f"{system}_simulation",
        __base__=Block,
        system=(Literal[system], ...),
        seed=(int, ...),
        options=(options, Field(description="settings of the simulator")),
    )


@functools.cache
def model() -> type[Block]:
    """Return the class of a whole configuration, over all known systems."""

    def union(make: Any) -> Any:  # noqa: ANN401 - pydantic types made at run time
        members = tuple(make(system) for system in systems.SYSTEMS)
        return Annotated[Union[members], Field(discriminator="system")] if len(members) > 1 else members[0]  # noqa: UP007

    return create_model(
        "Configuration",
        __base__=Block,
        name=(str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="names the report: results/reports/NAME")),
        root=(str, Field(description="the repository's root, seen from this file (DVC needs it)")),
        config=(str, Field(description="this file, seen from the root (DVC needs it)")),
        simulate=(dict[Name, union(_simulation)], {}),
        fetch=(dict[Name, Fetch], {}),
        recordings=(dict[Name, Recording], ...),
        analyses=(dict[Name, union(_analysis)], ...),
    )


def read(path: Path) -> dict[str, Any]:
    """Read and check a configuration; returns the plain mapping as written. Raises ConfigError or MissingError."""
    import yaml

    if not path.is_file():
        raise MissingError(str(path), expected="a configuration", found="no such file", remedy="Correct --config.")
    try:
        raw = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(str(path), expected="YAML", found=str(error), remedy="Correct the line named.") from error
    check(raw, str(path))
    found: dict[str, Any] = raw
    return found


def check(raw: object, where: str) -> Block:
    """Check a configuration and return it typed. Raises ConfigError with the nearest known key.

    raw    the mapping as read from YAML
    where  the file, for the message
    """
    try:
        typed = model().model_validate(raw)
    except ValidationError as error:
        raise _explain(error, where) from None
    _check_names(typed, where)
    return typed


def parse(block: type[Block], raw: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 - an instance of `block`
    """Return one block of settings, checked. Raises ConfigError."""
    try:
        return block.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, where) from None


def fit_settings(fit: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of one model: `shared` with the keys that `models.NAME` sets in their place."""
    return {**fit.get("shared", {}), **fit.get("models", {"main": {}})[name]}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration, for editors."""
    return model().model_json_schema()


def _check_names(typed: Any, where: str) -> None:  # noqa: ANN401 - the class is made at run time
    datasets = {recording.dataset for recording in typed.recordings.values()}
    for key, analysis in typed.analyses.items():
        if analysis.dataset not in datasets:
            raise ConfigError(
                f"{where}, analyses.{key}.dataset",
                expected=f"a dataset of `recordings`: {', '.join(sorted(datasets))}",
                found=repr(analysis.dataset),
                remedy="Correct it, or add the recordings.",
            )
        for name, changes in analysis.fit.models.items():
            shared = analysis.fit.shared.model_dump(exclude_unset=True)
            parse(type(analysis.fit.shared), {**shared, **changes}, f"{where}, analyses.{key}.fit.models.{name}")
    made = [*typed.simulate, *typed.fetch]
    if len(made) != len(set(made)):
        raise ConfigError(where, expected="simulate and fetch to share no name", found=str(made), remedy="Rename one.")
    for key, recording in typed.recordings.items():
        parts = Path(recording.raw).parts
        if parts[:2] == ("data", "raw") and (len(parts) < 3 or parts[2] not in made):
            raise ConfigError(
                f"{where}, recordings.{key}.raw",
                expected=f"data/raw/NAME with NAME in simulate or fetch ({', '.join(made) or 'none'}), or a local path",
                found=recording.raw,
                remedy="Correct the path, or add the entry that makes it.",
            )


def _explain(error: ValidationError, where: str) -> ConfigError:
    """Turn the first complaint of pydantic into one message that names the key and the nearest known one."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"] if not str(part).startswith("function-")]
    place = f"{where}, {'.'.join(location)}" if location else where
    if first["type"] == "extra_forbidden":
        known = sorted(_keys(model() if len(location) == 1 else None, location))
        near = difflib.get_close_matches(location[-1], known or _every_key(), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        listing = f"Known keys here: {', '.join(known)}." if known else "Remove it or correct its spelling."
        return ConfigError(place, expected="a known key", found=f"unknown {location[-1]!r}", remedy=hint + listing)
    found = repr(first["input"])
    return ConfigError(
        place,
        expected=first["msg"].removeprefix("Value error, ").removeprefix("Input should be "),
        found=found if len(found) < 80 else found[:77] + "...",
        remedy="Correct the value.",
    )


def _keys(block: type[Block] | None, _location: list[str]) -> set[str]:
    return set(block.model_fields) if block else set()


@functools.cache
def _every_key() -> list[str]:
    """Return every key any block knows, from the JSON schema."""
    found: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json_schema())
    return sorted(found)
