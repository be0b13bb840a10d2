"""The base of every block of settings: typed, immutable, and without unknown keys."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of the configuration; an unknown key is an error, a value never changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, block by block at any depth; lists are replaced as a whole."""
    out = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if nested else value
    return out


def with_preset(presets: Mapping[str, Mapping[str, Any]], raw: Any) -> Any:  # noqa: ANN401 - whatever was written
    """Return what was written over the settings of the preset it names; anything without a known one as it is."""
    name = raw.get("preset") if isinstance(raw, dict) else None
    return merged(presets[name], raw) if isinstance(name, str) and name in presets else raw
