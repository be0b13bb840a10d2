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

EXPLAINED = 0.9
"""Published share of the variance that a sufficient circuit explains."""

SIZES = ("#8FD744", "#21918C", "#443983", "#440154")
BY = {"channel": ("o", "black", -0.17), "label": ("s", style.GREY, 0.17)}
"""Marker, colour and place of circuits counted in channels and in labels."""

TEACHER = "#8B5A2B"
LOWEST = -0.5
"""Shares below are drawn there: circuits far worse than r(0) alone."""


def circuits(results: Results, settings: Settings, folder: Path) -> None:
    """Draw for each phenomenon size and labels of the smallest sufficient circuit, and what each size explains."""
    phenomena = known(results)
    found = {name: rows(results, name, "circuit") for name in phenomena}
    least = {name: [row for row in rows(results, name, "smallest") if not row["lesion"]] for name in phenomena}
    sizes = sorted({int(row["size"]) for own in found.values() for row in own})
    made, axes = style.figure(1, 2, width=9.6, height=1.45 + 0.38 * len(phenomena))
    axes[0, 0].get_gridspec().set_width_ratios([1.0, 1.3])
    table: shown.Rows = []
    for place, name in enumerate(phenomena):
        table += _smallest(axes[0, 0], place, name, least[name])
        table += _explained(axes[0, 1], place, name, found[name], sizes)
        panels.beside(axes[0, 0], place, _labels(least[name]))
    panels.rows(axes[0, 0], [shown.words(name) for name in phenomena])
    panels.rows(axes[0, 1], [""] * len(phenomena))
    _axes(axes[0, 0], axes[0, 1], table)
    teacher = any(row["model"] == "teacher" for own in least.values() for row in own)
    panels.below(made, _legend(sizes, teacher))
    style.save(made, folder, "circuits", table, _caption(results, settings, least, table), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether circuits are known."""
    return bool(known(results))


def known(results: Results) -> list[str]:
    """Return the phenomena whose circuits are known: not those without a response."""
    names = shown.phenomena(results)
    return [name for name in names if rows(results, name, "circuit") and rows(results, name, "smallest")]


def rows(results: Results, name: str, what: str) -> shown.Rows:
    """Return a list of rows of one phenomenon."""
    return responses.rows(shown.group(results, f"phenomena/{name}"), what)


def _smallest(axis: Axes, place: int, name: str, least: shown.Rows) -> shown.Rows:
    """Draw how many seeds need how many channels or labels, and the teacher's labels."""
    for by, (marker, colour, offset) in BY.items():
        own = [row for row in least if row["by"] == by]
        sizes = Counter(_count(row) for row in own if row["model"] != "teacher")
        seeds = sum(sizes.values())
        for size, number in sizes.items():
            axis.plot(size, place + offset, marker, color=colour, markersize=4 + 5 * np.sqrt(number / seeds))
            if seeds > 1:
                axis.text(size, place + offset, str(number), ha="center", va="center", fontsize=5.5, color="white")
    for row in least:
        if row["model"] == "teacher" and row["by"] == "label":
            axis.plot(_count(row), place + BY["label"][2], "D", color=TEACHER, markerfacecolor="none", markersize=11)
    return [
        _row("smallest", name, row) | {"model": row["model"], "by": row["by"], "size": _count(row)} for row in least
    ]


def _count(row: dict[str, object]) -> int:
    """Return the size of a circuit, in channels or in labels."""
    return len(_list(row, "groups" if row["by"] == "label" else "channels"))


def _explained(axis: Axes, place: int, name: str, found: shown.Rows, sizes: Sequence[int]) -> shown.Rows:
    """Draw the share of variance that circuits of each size explain, by truncation and by lesion, each seed a dot."""
    for size in sizes:
        own = [row for row in found if int(row["size"]) == size]
        at = place + 0.62 * ((sizes.index(size) + 0.5) / len(sizes) - 0.5)
        colour = _colour(size, sizes)
        lesion = np.maximum([shown.number(row.get("explained_lesion")) for row in own], LOWEST)
        kept = np.maximum([shown.number(row.get("explained")) for row in own], LOWEST)
        axis.plot([shown.mean(kept), shown.mean(lesion)], [at, at], color=colour, linewidth=0.9)
        axis.plot(lesion, np.full(len(own), at), "o", color=colour, markerfacecolor="white", markersize=4)
        axis.plot(kept, np.full(len(own), at), "o", color=colour, markersize=3.6, markeredgewidth=0)
    return [_row("explained", name, row) for row in found]


def _row(panel: str, name: str, row: dict[str, object]) -> dict[str, object]:
    about = {
        "panel": panel,
        "phenomenon": name,
        "model": "",
        "seed": row.get("seed", ""),
        "by": "",
        "size": row["size"],
    }
    labels = ", ".join(map(str, _list(row, "groups" if row.get("by") == "label" else "labels")))
    scores = {key: shown.number(row.get(key)) for key in ("explained", "explained_lesion", "disagreement")}
    return about | {"labels": labels} | scores


def _axes(left: Axes, right: Axes, table: shown.Rows) -> None:
    sizes = [row["size"] for row in table if row["panel"] == "smallest"]
    left.set_xticks(range(min(1, *sizes), max(sizes) + 1))
    left.set_xlim(min(1, *sizes) - 0.5, max(sizes) + 0.5)
    style.label(left, "channels or labels needed (number: seeds)", "", "smallest sufficient circuit")
    right.axvline(EXPLAINED, color="black", linestyle="--", linewidth=0.8, zorder=0)
    right.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    right.set_xlim(_lowest(table) - 0.05, 1.06)
    style.label(right, "share of variance of r - r(0) explained", "", "first channels by importance")


def _lowest(table: shown.Rows) -> float:
    """Return the lowest share that is drawn."""
    values = [row[key] for row in table if row["panel"] == "explained" for key in ("explained", "explained_lesion")]
    return max(LOWEST, float(np.nanmin([0.0, *values])))


def _labels(least: shown.Rows) -> str:
    """Return the most frequent set of labels with the number of seeds, and the teacher's if it differs."""
    own = [row for row in least if row["by"] == "label"]
    sets = [_joined(row) for row in own if row["model"] != "teacher"]
    text, number = Counter(sets).most_common(1)[0]
    text += f" ({number} of {len(sets)})" if len(sets) > 1 else ""
    true = [_joined(row) for row in own if row["model"] == "teacher"]
    return text + (f"\nteacher: {true[0]}" if true else "")


def _joined(row: dict[str, object]) -> str:
    return " + ".join(sorted(map(str, _list(row, "groups")))) or "no response"


def _list(row: dict[str, object], key: str) -> list[object]:
    found = row.get(key) or []
    return list(found) if isinstance(found, list | tuple) else [found]


def _colour(size: int, sizes: Sequence[int]) -> str:
    return SIZES[min(sizes.index(size), len(SIZES) - 1)]


def _legend(sizes: Sequence[int], teacher: bool) -> dict[str, panels.Artist]:
    entries: dict[str, panels.Artist] = {
        "counted in channels": panels.line(BY["channel"][1], linestyle="", marker=BY["channel"][0]),
        "counted in labels": panels.line(BY["label"][1], linestyle="", marker=BY["label"][0]),
    }
    if teacher:
        entries["teacher's labels"] = panels.line(TEACHER, linestyle="", marker="D", markerfacecolor="none")
    for size in sizes:
        entries[shown.plural(size, "channel")] = panels.line(_colour(size, sizes), linestyle="", marker="o")
    return entries | {"the same by lesion": panels.line("0.3", linestyle="", marker="o", markerfacecolor="white")}


def _caption(results: Results, settings: Settings, least: dict[str, shown.Rows], table: shown.Rows) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    seeds = len({row.get("seed") for own in least.values() for row in own if row["model"] != "teacher"})
    cut = any(min(row["explained"], row["explained_lesion"]) < LOWEST for row in table if row["panel"] == "explained")
    teacher = any(row["model"] == "teacher" for own in least.values() for row in own)
    return (
        f"Circuits of model {model}, {shown.plural(seeds, 'seed')}. Left: the smallest set of first-layer channels, or "
        "of labels with all of their channels, added by importance, that is sufficient: it explains enough of the "
        f"variance of r - r(0) (published: {EXPLAINED:g}, dashed on the right) and leaves the main peak where it is; "
        "number: seeds; text: the most frequent set of labels. Size 0: no response. "
        + ("Diamonds: what the same rule finds in the simulated teacher. " if teacher else "")
        + "Right: share explained (no unit) by r(0) plus the contributions of the most important channels (filled, "
        "truncation), and by the network with all other channels held at their value at the mean grey (open, lesion); "
        "lines join the means; the two differ where kept and dropped channels interact. Each dot is a seed; there is "
        "no interval. " + (f"Shares below {LOWEST:g} are drawn there. " if cut else "") + "Null: 0, r(0) alone."
    )
