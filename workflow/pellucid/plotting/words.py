"""Words of titles and captions."""


def short(name: str, most: int = 24) -> str:
    """Return a name that fits beside a panel, its middle left out if it is long."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}...{name[-(most - most // 2 - 2) :]}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"
