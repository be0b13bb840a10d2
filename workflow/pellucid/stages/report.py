"""One report over all analyses: their numbers side by side, then each with its figures."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pellucid import store
from pellucid.stages import html


def report(pages: Sequence[Path], output: Path) -> None:
    """Write index.html, numbers.csv and numbers.txt.

    pages   folders written by `figures`, in the order of the report; others beside them are deleted
    output  folder of the report
    """
    from pellucid.artifacts import write_table

    store.keep_only(pages, "numbers.csv")
    numbers = [row for page in pages for row in html.read_rows(page / "numbers.csv")]
    write_table(output / "numbers.csv", numbers)
    for name, text in {
        "numbers.txt": aligned(html.condensed(numbers)),
        "index.html": _index(pages, numbers, output),
    }.items():
        with store.atomic_file(output / name) as unfinished:
            unfinished.write_text(text)


def aligned(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as plain text in columns."""
    cells = [list(rows[0]), *([html.shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join(lines) + "\n"


def _index(pages: Sequence[Path], numbers: Sequence[Mapping[str, Any]], output: Path) -> str:
    parts = [html.heading(f"Report {output.name}", 1), html.table(html.condensed(numbers))]
    for page in pages:
        text = html.body((page / "index.html").read_text())
        here = os.path.relpath(page, output)
        parts.append(re.sub(r'href="([^"#]+)"', partial(_moved, here), text))
    return html.page(f"Report {output.name}", "\n".join(parts))


def _moved(folder: str, link: re.Match[str]) -> str:
    """Return a relative link of a page in a folder as the report needs it."""
    return f'href="{os.path.normpath(os.path.join(folder, link[1]))}"'
