"""Pages that can be read anywhere: one file each, with its style and figures inside."""

import base64
import csv
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; color: #222; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ line-height: 1.2; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }}
td.number {{ text-align: right; }}
figure {{ margin: 2rem 0; }}
figure img {{ max-width: 100%; height: auto; }}
figcaption {{ color: #555; max-width: 45rem; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #181818; color: #ddd; }} figcaption {{ color: #aaa; }} figure img {{ background: #fff; }}
  a {{ color: #8bf; }} th, td {{ border-color: #444; }}
}}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """Return a whole page."""
    return _PAGE.format(title=html.escape(title), body=body)


def body(text: str) -> str:
    """Return the body of a page made by `page`."""
    return text.partition("<main>\n")[2].rpartition("\n</main>")[0]


def heading(text: str, level: int, anchor: str | None = None) -> str:
    """Return a heading."""
    mark = f' id="{html.escape(anchor)}"' if anchor else ""
    return f"<h{level}{mark}>{html.escape(text)}</h{level}>"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with the columns of its first row."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    lines = "\n".join(f"<tr>{''.join(_cell(value) for value in row.values())}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"


def condensed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return headline numbers as a reader wants them: a value with its unit, its interval and the band of chance."""
    return [
        {
            **{key: row[key] for key in ("analysis", "model") if key in row},
            "number": row["name"],
            "value": shown(row["value"]) + ("" if row["unit"] in ("1", 1.0) else f" {row['unit']}"),
            "95 % interval": _range(row["low"], row["high"]),
            "chance, 95 %": _range(row["chance_low"], row["chance_high"]),
            "note": row["note"],
        }
        for row in rows
    ]


def figure(path: Path, caption: str, numbers: str) -> str:
    """Return a figure with its PNG inside; `numbers` is the address of the CSV behind it."""
    data = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(caption.strip())
    link = f'<a href="{html.escape(numbers)}">Numbers behind this figure.</a>'
    image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(path.stem)}">'
    return f"<figure>\n{image}\n<figcaption>{text} {link}</figcaption>\n</figure>"


def shown(value: object) -> str:
    """Return a value as a reader wants it: three significant digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file, numbers as float and empty cells as None."""
    with path.open(newline="") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{shown(low)} to {shown(high)}"


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, (int, float)) else ""
    return f"<td{kind}>{html.escape(shown(value))}</td>"


def _value(text: str) -> float | str | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text
