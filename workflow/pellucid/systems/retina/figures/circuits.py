"""How few channels make each phenomenon: the smallest sufficient circuits of all seeds, and what each size explains."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, responses, shown
from pellucid.systems.retina.figures.settings import Settings

EXPLAINED, SHIFT = 0.9, 1
"""A circuit is sufficient if it explains this share of the variance and moves the main peak by at most so many bins."""

SIZES = ("#8FD744", "#21918C", "#443983", "#440154")
LOWEST = -0.5
"""Shares below are drawn there: circuits far worse than r(0) alone."""


def circuits(results: Results, settings: Settings, folder: Path) -> None:
    """Draw for each phenomenon size and labels of the smallest sufficient circuit, and what each size explains."""
    found = known(results)
    phenomena = list(found)
    sizes = sorted({int(row["size"]) for rows in found.values() for row in rows})
    made, axes = style.figure(1, 2, width=9.4, height=1.25 + 0.36 * len(phenomena))
    axes[0, 0].get_gridspec().set_width_ratios([1.0, 1.5])
    table: shown.Rows = []
    for place, name in enumerate(phenomena):
        table += _smallest(axes[0, 0], place, name, found[name], sizes)
        table += _explained(axes[0, 1], place, name, found[name], sizes)
    labels = [shown.words(name) for name in phenomena]
    panels.rows(axes[0, 0], labels)
    panels.rows(axes[0, 1], [""] * len(phenomena))
    for place, name in enumerate(phenomena):
        panels.beside(axes[0, 0], place, _labels(found[name]))
    _axes(axes[0, 0], axes[0, 1], sizes, _lowest(table))
    entries = {
        f"{shown.plural(size, 'channel')}, contributions": panels.line(_colour(size, sizes), linestyle="", marker="o")
        for size in sizes
    }
    entries["the same by lesion"] = panels.line("0.3", linestyle="", marker="o", markerfacecolor="white")
    panels.below(made, entries)
    style.save(made, folder, "circuits", table, _caption(results, settings, found, sizes), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether circuits are known."""
    return bool(known(results))


def known(results: Results) -> dict[str, shown.Rows]:
    """Return the rows of circuits of every phenomenon that has any."""
    found = {
        name: responses.rows(shown.group(results, f"phenomena/{name}"), "circuit")
        for name in shown.children(results, "phenomena")
    }
    return {name: rows for name, rows in found.items() if rows}


def sufficient(rows: Sequence[dict[str, object]]) -> dict[object, dict[str, object] | None]:
    """Return the smallest sufficient circuit of each seed, None where none of the sizes is enough."""
    found: dict[object, dict[str, object] | None] = {}
    for row in sorted(rows, key=lambda row: shown.number(row["size"])):
        seed = row.get("seed")
        found.setdefault(seed, None)
        if found[seed] is None and _enough(row):
            found[seed] = row
    return found


def _enough(row: dict[str, object]) -> bool:
    if "sufficient" in row:
        return bool(row["sufficient"])
    shift = shown.number(row.get("peak_shift_bins"))
    return shown.number(row.get("explained")) >= EXPLAINED and abs(shift) <= SHIFT


def _smallest(axis: Axes, place: int, name: str, rows: shown.Rows, sizes: Sequence[int]) -> shown.Rows:
    """Draw how many seeds need how many channels; more than the largest size: none was enough."""
    found = sufficient(rows)
    more = max(sizes) + 1
    count = Counter(more if row is None else int(shown.number(row["size"])) for row in found.values())
    for size, number in count.items():
        colour = style.GREY if size == more else _colour(size, sizes)
        axis.plot(size, place, "o", color=colour, markersize=4 + 8 * np.sqrt(number / len(found)))
        if len(found) > 1:
            axis.text(
                size, place, str(number), ha="center", va="center", fontsize=6.5, color="white", fontweight="bold"
            )
    return [
        {"panel": "smallest", "phenomenon": name, "seed": seed, "size": "" if row is None else row["size"],
         "labels": "" if row is None else ", ".join(map(str, _list(row))), "explained": np.nan if row is None else
         shown.number(row.get("explained")), "explained_lesion": np.nan if row is None else
         shown.number(row.get("explained_lesion")), "peak_shift_bins": np.nan if row is None else
         shown.number(row.get("peak_shift_bins"))}
        for seed, row in found.items()
    ]  # fmt: skip


def _explained(axis: Axes, place: int, name: str, rows: shown.Rows, sizes: Sequence[int]) -> shown.Rows:
    """Draw the share of variance that circuits of each size explain, by truncation and by lesion, each seed a dot."""
    for size in sizes:
        own = [row for row in rows if int(row["size"]) == size]
        at = place + 0.62 * ((sizes.index(size) + 0.5) / len(sizes) - 0.5)
        colour = _colour(size, sizes)
        lesion = np.maximum([shown.number(row.get("explained_lesion")) for row in own], LOWEST)
        kept = np.maximum([shown.number(row.get("explained")) for row in own], LOWEST)
        both = [shown.mean(kept), shown.mean(lesion)]
        axis.plot(both, [at, at], color=colour, linewidth=0.9)
        axis.plot(lesion, np.full(len(own), at), "o", color=colour, markerfacecolor="white", markersize=4)
        axis.plot(kept, np.full(len(own), at), "o", color=colour, markersize=3.6, markeredgewidth=0)
    return [
        {"panel": "explained", "phenomenon": name, "seed": row.get("seed"), "size": row["size"],
         "labels": ", ".join(map(str, _list(row))), "explained": shown.number(row.get("explained")),
         "explained_lesion": shown.number(row.get("explained_lesion")),
         "peak_shift_bins": shown.number(row.get("peak_shift_bins"))}
        for row in rows
    ]  # fmt: skip


def _lowest(table: shown.Rows) -> float:
    """Return the lowest share that is drawn."""
    values = np.array([row[key] for row in table for key in ("explained", "explained_lesion")], float)
    return max(LOWEST, float(np.nanmin([0.0, *values])))


def _axes(left: Axes, right: Axes, sizes: Sequence[int], low: float) -> None:
    left.set_xticks([*sizes, max(sizes) + 1], [*map(str, sizes), "more"])
    left.set_xlim(min(sizes) - 0.6, max(sizes) + 1.6)
    style.label(left, "channels needed (number: seeds)", "", "smallest sufficient circuit")
    right.axvline(EXPLAINED, color="black", linestyle="--", linewidth=0.8, zorder=0)
    right.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    right.set_xlim(low - 0.05, 1.06)
    style.label(right, "share of variance of r - r(0) explained", "", "all sizes")


def _labels(rows: shown.Rows) -> str:
    """Return the labels of the sufficient circuits, the most frequent first, with the number of seeds."""
    found = [row for row in sufficient(rows).values() if row is not None]
    if not found:
        return "none sufficient"
    counts = Counter(" + ".join(map(str, _list(row))) for row in found)
    text, number = counts.most_common(1)[0]
    every = len(sufficient(rows))
    return text if every == 1 else f"{text} ({number} of {every})"


def _list(row: dict[str, object]) -> list[object]:
    found = row.get("labels") or []
    return list(found) if isinstance(found, list | tuple) else [found]


def _colour(size: int, sizes: Sequence[int]) -> str:
    return SIZES[min(sizes.index(size), len(SIZES) - 1)]


def _caption(results: Results, settings: Settings, found: dict[str, shown.Rows], sizes: Sequence[int]) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    seeds = len({row.get("seed") for rows in found.values() for row in rows})
    cut = any(min(shown.number(row.get("explained")), shown.number(row.get("explained_lesion"))) < LOWEST
              for rows in found.values() for row in rows)  # fmt: skip
    return (
        f"Circuits of model {model}, {shown.plural(seeds, 'seed')}: the most important channels of the first layer, "
        f"{', '.join(map(str, sizes))} of them. Left: the smallest that is sufficient, explaining at least "
        f"{EXPLAINED:g} of the variance of r - r(0) with its main peak within {SHIFT} bin, and its labels, the most "
        "frequent ones over seeds; more: none of these sizes is sufficient. Right: share explained (no unit) by r(0) "
        "plus the contributions of the channels (filled, truncation) and by the network with all other channels held "
        "at their value at the mean grey (open, lesion); lines join the means; the two differ where kept and dropped "
        "channels interact. Each dot is a seed; there is no interval. "
        + (f"Shares below {LOWEST:g} are drawn there. " if cut else "")
        + "Null: 0, r(0) alone."
    )
