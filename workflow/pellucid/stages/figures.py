"""The figures of an analysis, each with its caption and the numbers behind it, and a page that shows them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid import config, store, systems
from pellucid.errors import DataError
from pellucid.stages import html

KINDS = (".svg", ".png", ".csv", ".txt")
"""What each figure consists of: two drawings, the numbers behind it and its caption."""


def figures(
    analysis: str,
    system: str,
    params: Mapping[str, Any],
    features: Path,
    fits: Path,
    metrics: Path,
    predictions: Path,
    attribution: Path,
    output: Path,
    page: Path,
) -> None:
    """Draw the figures of an analysis and write its page.

    analysis     its name, for titles
    system       whose figures
    params       the block `figures` of the analysis
    features     features.json
    fits         fits.json
    metrics      metrics.json
    predictions  store of predictions
    attribution  store of attributions
    output       folder of NAME.svg, .png, .csv and .txt per figure, replaced as a whole
    page         folder of index.html and numbers.csv, replaced as a whole
    Raises DataError if a figure lacks one of its files.
    """
    from pellucid.artifacts import Features, Results, load_fits

    settings = config.parse(systems.settings(system, "figures"), params, "figures")
    scores = store.read_json(metrics)
    results = Results(
        analysis=analysis,
        features=Features.load(features),
        fits=load_fits(fits),
        metrics=scores,
        predictions=store.open_store(predictions),
        attribution=store.open_store(attribution),
    )
    with store.atomic_folder(output) as partial:
        systems.entry(system, "figures.draw")(results, settings, partial)
        check(partial)
    headline = [*scores["headline"], *json.loads(results.attribution.attrs.get("headline", "[]"))]
    with store.atomic_folder(page) as partial:
        _write_page(analysis, system, headline, output, partial, os.path.relpath(output, page))


def check(folder: Path) -> list[str]:
    """Return the names of the figures in a folder. Raises DataError unless each has all of its files."""
    names = sorted({path.stem for path in folder.iterdir() if path.suffix in KINDS})
    lacking = [
        f"{name}{kind}"
        for name in names
        for kind in KINDS
        if not (folder / f"{name}{kind}").is_file() or not (folder / f"{name}{kind}").stat().st_size
    ]
    if lacking or not names:
        raise DataError(
            str(folder).removesuffix(".partial"),
            expected=f"figures as {', '.join(f'NAME{kind}' for kind in KINDS)}, none empty",
            found=f"no {', '.join(lacking) or 'figure'}",
            remedy="Write them in figures/draw.py.",
        )
    return names


def _write_page(
    analysis: str, system: str, headline: Sequence[Mapping[str, Any]], drawn: Path, folder: Path, address: str
) -> None:
    from pellucid.artifacts import HEADLINE, write_table

    numbers = [{"analysis": analysis, **{key: row[key] for key in HEADLINE}} for row in headline]
    write_table(folder / "numbers.csv", numbers)
    parts = [html.heading(f"{analysis} ({system})", 2, analysis)]
    parts.append(
        html.table(html.condensed([{key: value for key, value in row.items() if key != "analysis"} for row in numbers]))
    )
    for name in check(drawn):
        caption = (drawn / f"{name}.txt").read_text()
        parts.append(html.figure(drawn / f"{name}.png", caption, f"{address}/{name}.csv"))
    with store.atomic_file(folder / "index.html") as partial:
        partial.write_text(html.page(analysis, "\n".join(parts)))
