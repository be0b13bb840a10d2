"""Tables as text: one line of names, then one line per sample; an empty cell is a missing value, NaN."""

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import Field

from pellucid.errors import DataError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

BLOCK_LINES = 10_000


class Settings(layout.Layout):
    """Which columns become which arrays, and how the text is written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="what separates cells; a tab is written \\t")
    columns: list[str] | None = Field(None, description="names of the columns of a file without a line of names")
    skip_lines: int = Field(0, ge=0, description="lines before the names")
    missing: list[str] = Field(["", "nan", "NaN", "NA"], description="cells that stand for a missing value")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if there is none."""
    return layout.select(files, (".csv", ".tsv", ".txt"))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity; a column of whole numbers is int64, any other float64.

    files     tables; of several, columns are named `stem/column`
    settings  their layout and format
    Raises DataError, naming the line of a cell that is not a number or of a row of another length.
    """
    files = select(files, settings)
    parts = {path.stem: _table(path, settings) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))


def write(path: Path, columns: "Mapping[str, np.ndarray]", *, delimiter: str = ",") -> None:
    """Write columns of equal length; numbers as their shortest exact text, NaN as an empty cell.

    path     the file
    columns  name -> numbers, shape (n,)
    """
    from pellucid import store

    rows = zip(*([_text(value) for value in column.tolist()] for column in columns.values()), strict=True)
    with store.atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _text(value: float) -> str:
    return "" if value != value else repr(value)


def _table(path: Path, settings: Settings) -> "dict[str, np.ndarray]":
    """Read a table block by block, holding only its numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _columns(file, path, settings)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(path), expected="a table in UTF-8", found=str(error), remedy="Save it as text.") from error


def _columns(file: TextIO, path: Path, settings: Settings) -> "dict[str, np.ndarray]":
    import numpy as np

    lines = csv.reader(itertools.islice(file, settings.skip_lines, None), delimiter=settings.delimiter)
    names = settings.columns or [name.strip() for name in next(lines, [])]
    if not names or len(set(names)) < len(names):
        raise DataError(
            str(path), expected="a line of different names", found=str(names), remedy="Name each column once."
        )
    blocks: list[list[np.ndarray]] = [[] for _ in names]
    rows = _rows(lines, len(names), path, settings.skip_lines)
    while block := list(itertools.islice(rows, BLOCK_LINES)):
        for index, name in enumerate(names):
            cells = [row[index] for _, row in block]
            try:
                blocks[index].append(_numbers(cells, settings.missing))
            except ValueError:
                raise _not_a_number(path, name, cells, [line for line, _ in block], settings.missing) from None
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in zip(names, blocks)}


def _rows(
    lines: Any,  # noqa: ANN401 - a csv.reader, whose type has no name
    width: int,
    path: Path,
    skipped: int,
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells; an empty line is only accepted at the end."""
    empty = 0
    for row in lines:
        line = lines.line_num + skipped
        if not row:
            empty = empty or line
        elif empty or len(row) != width:
            raise DataError(
                f"{path}, line {empty or line}",
                expected=f"{width} cells",
                found="an empty line" if empty else str(len(row)),
                remedy="Correct the line, or the delimiter in the options.",
            )
        else:
            yield line, row


def _numbers(cells: list[str], missing: list[str]) -> "np.ndarray":
    """Return int64 if every cell is a whole number, float64 otherwise. Raises ValueError."""
    import numpy as np

    if any("_" in cell for cell in cells):  # Python would read 1_0 as ten
        raise ValueError
    try:
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array([np.nan if cell.strip() in missing else float(cell) for cell in cells])


def _not_a_number(path: Path, name: str, cells: list[str], lines: list[int], missing: list[str]) -> DataError:
    for cell, line in zip(cells, lines):
        try:
            _numbers([cell], missing)
        except ValueError:
            return DataError(
                f"{path}, line {line}, column {name}",
                expected="a number, or one of the texts for a missing value",
                found=repr(cell),
                remedy="Correct the cell, or name its text in `missing`.",
            )
    raise AssertionError("a block with a wrong cell has a wrong cell")  # pragma: no cover
