"""Settings of public files: single ones, and sets told apart by a number; light to import."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from pellucid.settings import Block

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class File(Block):
    """One public file, known by its checksum."""

    url: str = Field(pattern=r"^https?://", description="public address, at a fixed commit or version")
    sha256: Sha256 | None = Field(description="null where nobody knows it yet: any download is then accepted and noted")
    mirror: str | None = Field(None, description="path below the folder PELLUCID_DATA, looked in first")


class Packed(Block):
    """One file below the folder PELLUCID_DATA that holds what a set of numbered files holds."""

    mirror: str = Field(pattern=r"\.[A-Za-z0-9]+$", description="path below the folder PELLUCID_DATA, with its ending")
    sha256: Sha256


class Numbered(Block):
    """A set of public files told apart by a number; they become a folder."""

    url: str = Field(
        pattern=r"^https?://.*/[^/{}]*\{number\}[^/{}]*$",
        description="public address at a fixed commit or version, with {number} in the last part of the path",
    )
    first: int = Field(ge=0, description="number of the first file")
    last: int = Field(ge=0, description="number of the last file")
    sha256: Sha256 | None = Field(
        description="sha256 of the lines `NAME SHA256\\n` of all files, names without folder, sorted by code point; "
        "null where nobody knows it yet: any download is then accepted and noted"
    )
    packed: Packed | None = Field(None, description="taken instead, as NAME with its ending, if the mirror has it")

    @model_validator(mode="after")
    def _check(self) -> "Numbered":
        if self.last < self.first:
            raise ValueError("`last` of at least `first`")
        return self

    @property
    def urls(self) -> dict[str, str]:
        """File name -> address, for every number."""
        addresses = [self.url.replace("{number}", str(number)) for number in range(self.first, self.last + 1)]
        return {address.rpartition("/")[2]: address for address in addresses}


def _kind(entry: object) -> str:
    """Return which member of the union an entry of `files` is meant to be."""
    if isinstance(entry, Block):
        return type(entry).__name__
    return "Numbered" if isinstance(entry, Mapping) and {"first", "last", "packed"} & set(entry) else "File"


_SOURCE: TypeAdapter[File | Numbered] = TypeAdapter(
    Annotated[Annotated[File, Tag("File")] | Annotated[Numbered, Tag("Numbered")], Discriminator(_kind)]
)
Source = Annotated[File | Numbered, BeforeValidator(_SOURCE.validate_python)]
"""Either kind; complaints are about the one that is meant."""


class Fetch(Block):
    """A set of public files that becomes data/raw/NAME."""

    files: dict[str, Source] = Field(min_length=1, description="file name, or folder of numbered files -> where it is")
    licence: str = Field(description="licence of the data, or that none is stated")
    citation: str = Field(description="whom to cite")
