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

LISTED = 20
"""How many texts of a column are listed where no row has the one asked for."""


class Settings(layout.Layout):
    """Which columns become which arrays, and how the text is written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="what separates cells; a tab is written \\t")
    columns: list[str] | None = Field(None, description="names of the columns of a file without a line of names")
    skip_lines: int = Field(0, ge=0, description="lines before the names")
    missing: list[str] = Field(["", "nan", "NaN", "NA"], description="cells that stand for a missing value")
    text: list[str] = Field(default_factory=list, description="columns kept as text")
    where: dict[str, str] = Field(
        default_factory=dict, description="column -> the exact text of the rows to keep, in every table"
    )


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if there is none."""
    return layout.select(files, (".csv", ".tsv", ".txt"))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity; a column of whole numbers is int64, any other float64, or text.

    files     tables; of several, columns are named `stem/column`
    settings  their layout and format
    Raises DataError, naming the line of a cell that is not a number in a column that is used or of a row of another
    length, or where no row has the text asked for.
    """
    files = select(files, settings)
    parts = {path.stem: table(path, settings) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))


def write(path: Path, columns: "Mapping[str, np.ndarray]", *, delimiter: str = ",") -> None:
    """Write columns of equal length; numbers as their shortest exact text, NaN as an empty cell.

    path     the file
    columns  name -> numbers or strings, shape (n,)
    """
    from pellucid import store

    rows = zip(*([_text(value) for value in column.tolist()] for column in columns.values()), strict=True)
    with store.atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if value != value else repr(value)


class _Table(Mapping[str, "np.ndarray"]):
    """The columns of one table; a wrong cell is an error only where its column is used."""

    def __init__(self, columns: "Mapping[str, np.ndarray]", wrong: Mapping[str, DataError]) -> None:
        self._columns, self._wrong = columns, wrong

    def __getitem__(self, name: str) -> "np.ndarray":
        if name in self._wrong:
            raise self._wrong[name]
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def table(path: Path, settings: Settings) -> Mapping[str, "np.ndarray"]:
    """Return the columns of one table by name, shape (row,); a wrong cell is an error where its column is used.

    It is read block by block, holding only its numbers and the texts asked for. Raises DataError.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _columns(file, path, settings)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(path), expected="a table in UTF-8", found=str(error), remedy="Save it as text.") from error


def _columns(file: TextIO, path: Path, settings: Settings) -> _Table:
    import numpy as np

    lines = csv.reader(itertools.islice(file, settings.skip_lines, None), delimiter=settings.delimiter)
    names = settings.columns or [name.strip() for name in next(lines, [])]
    if not names or len(set(names)) < len(names):
        raise DataError(
            str(path), expected="a line of different names", found=str(names), remedy="Name each column once."
        )
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in names}
    wrong: dict[str, DataError] = {}
    rows = _rows(lines, len(names), path, settings.skip_lines)
    if settings.where:
        rows = _chosen(rows, names, settings.where, path)
    while block := list(itertools.islice(rows, BLOCK_LINES)):
        for index, name in enumerate(names):
            cells = [row[index] for _, row in block]
            try:
                if name not in wrong:
                    blocks[name].append(np.array(cells) if name in settings.text else _numbers(cells, settings.missing))
            except ValueError:
                wrong[name] = _not_a_number(path, name, cells, [line for line, _ in block], settings.missing)
                blocks[name].clear()
    return _Table({name: np.concatenate(parts) if parts else np.empty(0) for name, parts in blocks.items()}, wrong)


def _chosen(
    rows: Iterator[tuple[int, list[str]]], names: list[str], where: Mapping[str, str], path: Path
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that have the texts asked for. Raises DataError for an unknown column, or if there is no row."""
    for name in where:
        if name not in names:
            raise DataError(
                f"{path}, column {name}",
                expected=f"one of {', '.join(names[:12])}" + (", ..." if len(names) > 12 else ""),
                found="no such column",
                remedy="Correct `where`.",
            )
    wanted = [(names.index(name), text) for name, text in where.items()]
    seen: list[dict[str, None]] = [{} for _ in wanted]
    kept = False
    for line, row in rows:
        if all(row[index] == text for index, text in wanted):
            kept = True
            yield line, row
        for known, (index, _) in zip(seen, wanted):
            if len(known) < LISTED:
                known.setdefault(row[index])
    if not kept:
        texts = "; ".join(f"{name} with {', '.join(map(repr, known))}" for name, known in zip(where, seen))
        raise DataError(
            str(path),
            expected=f"rows with {', '.join(f'{name} {text!r}' for name, text in where.items())}",
            found=f"none, but {texts}" if any(seen) else "no rows",
            remedy="Correct `where`.",
        )


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
