"""The base of every block of settings: typed, immutable, and without unknown keys."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of the configuration; an unknown key is an error, a value never changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
