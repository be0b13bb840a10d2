"""What pydantic complains about, said as a user would: the key as written, and the nearest one that is known."""

import difflib
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from pellucid.errors import ConfigError
from pellucid.settings import Block


def explain(error: ValidationError, block: type[Block], prefix: str) -> ConfigError:
    """Turn the complaints of pydantic into one message.

    error   an unknown key is explained first, since it may be the reason why another is missing
    block   the class that was validated
    prefix  put before the key, such as "config.yaml, "
    """
    complaints = error.errors(include_url=False)
    first: Any = next((one for one in complaints if one["type"] == "extra_forbidden"), complaints[0])
    holder, shown = descend(block, first["loc"])
    place = f"{prefix}{'.'.join(shown)}".rstrip("., ")
    key, found = shown[-1] if shown else "", repr(first["input"])
    if first["type"] == "extra_forbidden":
        known = sorted(holder.model_fields) if holder else []
        remedy = f"{nearest(key, known)}Known keys here: {', '.join(known)}."
        return ConfigError(place, expected="a known key", found=f"unknown {key!r}", remedy=remedy)
    if first["type"] == "missing":
        return ConfigError(place, expected=f"the key {key!r}", found="none", remedy="Add it.")
    if first["type"] == "union_tag_not_found":
        tag = first["ctx"]["discriminator"].strip("'")
        return ConfigError(f"{place}.{tag}", expected=f"the key {tag!r}", found="none", remedy="Add it.")
    if first["type"] in ("union_tag_invalid", "literal_error"):
        return _choice(first, place)
    return ConfigError(
        place,
        expected=first["msg"].removeprefix("Value error, ").removeprefix("Input should be "),
        found=found if len(found) < 80 else found[:77] + "...",
        remedy="Correct the value.",
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known word was meant, or nothing if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def descend(kind: Any, location: Sequence[str | int]) -> tuple[type[Block] | None, list[str]]:  # noqa: ANN401 - a type
    """Follow a location of pydantic through blocks, maps, lists and unions.

    kind  the class, or type of a field, that the location starts from
    Returns the block that holds the last key (None if a map or list does), and the location as a user would write it:
    without the names of members of unions, which pydantic puts in.
    """
    holder: type[Block] | None = None
    shown: list[str] = []
    for part in map(str, location):
        members = {_label(member): member for member in _members(kind)}
        if part in members:
            kind = members[part]
            continue
        kind = next((member for member in members.values() if get_origin(member) or _is_block(member)), kind)
        holder = kind if _is_block(kind) else None
        kind = _inside(kind, part)
        shown.append(part)
    return holder, shown


def _choice(complaint: Any, place: str) -> ConfigError:  # noqa: ANN401 - one complaint of pydantic
    """Explain a value that is not among those allowed."""
    context = complaint["ctx"]
    choices = re.findall(r"'([^']*)'", context.get("expected_tags", context.get("expected", "")))
    if "tag" in context:
        place = f"{place}.{context['discriminator'].strip(chr(39))}"
    value = str(context.get("tag", complaint["input"]))
    remedy = f"{nearest(value, choices)}Correct the value."
    return ConfigError(place, expected=f"one of {', '.join(choices)}", found=repr(value), remedy=remedy)


def _is_block(kind: Any) -> bool:  # noqa: ANN401 - a type
    return isinstance(kind, type) and issubclass(kind, Block)


def _members(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type
    """Return the members of a union; none for any other type."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else ()


def _label(member: Any) -> str:  # noqa: ANN401 - a type
    """Return what pydantic calls a member of a union: its `system` or `kind` where that is fixed, else its name."""
    for tag in ("system", "kind"):
        annotation = member.model_fields[tag].annotation if _is_block(member) and tag in member.model_fields else None
        if get_origin(annotation) is Literal and len(get_args(annotation)) == 1:
            return str(get_args(annotation)[0])
    return getattr(member, "__name__", str(member))


def _inside(kind: Any, part: str) -> Any:  # noqa: ANN401 - a type
    """Return the type found under a key of a block or map, or at an index of a list."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if _is_block(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if arguments else None
