"""Simulated retinas: whether polarity, responses and circuits of the teacher that made the data are found."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

TEACHER = "#8B5A2B"
OUTSIDE = "#D55E00"
SCORES = {
    "share": "share of contributions with\nthe correct polarity",
    "r": "r with the teacher's response",
    "peak_difference": "peak after the teacher's (bins)",
}


def recovery(results: Results, settings: Settings, folder: Path) -> None:
    """Draw what the probes of a simulation give, and how many seeds have the teacher's circuit."""
    found = shown.group(results, "recovery")
    probes, same = shown.noted(found, "probes"), shown.noted(found, "circuits")
    keys = [key for key in SCORES if any(row.get(key) is not None for row in probes)]
    made, axes = style.figure(
        1, len(keys) + bool(same), width=1.4 + 2.15 * len(keys) + 3.1 * bool(same),
        height=1.3 + 0.26 * max(len(_names(probes)), len(_names(same))),
    )  # fmt: skip
    table: shown.Rows = []
    for axis, key in zip(axes[0], keys):
        table += _panel(axis, probes, key, named=axis is axes[0, 0])
    table += _panel(axes[0, -1], same, "same", named=True) if same else []
    panels.below(made, _legend(bool(probes), any(row.get("outside") for row in probes)))
    style.save(made, folder, "recovery", table, _caption(results, settings, table), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether the recording is simulated and something of it was looked for."""
    if not shown.has(results, "recovery"):
        return False
    found = shown.group(results, "recovery")
    return bool(shown.noted(found, "probes") or shown.noted(found, "circuits"))


def _names(rows: shown.Rows) -> list[str]:
    return list(dict.fromkeys(str(row["phenomenon"]) for row in rows))


def _panel(axis: Axes, rows: shown.Rows, key: str, *, named: bool) -> shown.Rows:
    """Draw one score of every phenomenon, each seed a dot."""
    names, table = _names(rows), []
    for place, name in enumerate(names):
        own = [row for row in rows if row["phenomenon"] == name]
        values = np.array([shown.number(row.get(key)) for row in own])
        true = shown.middle(row.get("teacher_share") for row in own) if key == "share" else float("nan")
        if key == "same":
            axis.barh(place, shown.mean(values), height=0.6, color="0.55")
            panels.beside(axis, place, ", ".join(map(str, own[0].get("true_labels", []))), TEACHER)
        else:
            spread = 0.3 * ((np.arange(len(own)) + 0.5) / len(own) - 0.5)
            for value, shift, row in zip(values, spread, own):
                colour = OUTSIDE if row.get("outside") else "black"
                axis.plot(value, place + shift, "o", color=colour, markersize=4, alpha=0.8, markeredgewidth=0)
            axis.plot(true, place, "|", color=TEACHER, markersize=12, markeredgewidth=1.6)
        table += [{"score": key, "phenomenon": name, "seed": row.get("seed"), "value": value, "teacher": true,
                   "outside": bool(row.get("outside"))} for value, row in zip(values, own)]  # fmt: skip
    panels.rows(axis, [shown.words(name.removeprefix("probe_")) for name in names], named=named)
    _range(axis, key, np.array([row["value"] for row in table]))
    return table


def _range(axis: Axes, key: str, values: np.ndarray) -> None:
    if key == "peak_difference":
        most = max(1.5, panels.limit(values) + 0.5)
        axis.set_xlim(-most, most)
        axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    else:
        axis.set_xlim(min(0.0, 1.05 * float(np.nanmin([0.0, *values]))), 1.04)
    style.label(axis, SCORES.get(key, "share of seeds with\nthe teacher's labels"), "")


def _legend(probes: bool, outside: bool) -> dict[str, panels.Artist]:
    entries: dict[str, panels.Artist] = {}
    if probes:
        entries["a seed"] = panels.line("black", linestyle="", marker="o")
        entries["teacher"] = panels.line(TEACHER, linestyle="", marker="|", markersize=8)
    if outside:
        entries[f"a seed, {shown.OUTSIDE}"] = panels.line(OUTSIDE, linestyle="", marker="o")
    return entries


def _caption(results: Results, settings: Settings, table: shown.Rows) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    found = shown.group(results, "recovery")
    seeds = len({row["seed"] for row in table})
    text = f"Recovery of the simulated teacher by model {model}, {shown.plural(seeds, 'seed')}. "
    if any(row["score"] == "r" for row in table):
        text += "Full-field flashes and steps of both signs: "
        if any(row["score"] == "share" for row in table):
            text += "share of |contribution| during the main response that channels of the correct polarity have, "
        text += "correlation with the teacher's noiseless response over time (no unit), and difference of the times of "
        text += "the peaks (bins). "
    same = [row["value"] for row in table if row["score"] == "same"]
    if same:
        text += (
            "Right: share of seeds whose smallest sufficient set of labels is the teacher's (brown), found in the same "
            f"way; {int(np.nansum(same))} of {len(same)} over all phenomena. "
        )
    slopes = shown.noted(found, "omitted")
    known = [row for row in slopes if None not in (row["latency_slope"], row["teacher"])]
    if known:
        own, true = (shown.middle(row[key] for row in known) for key in ("latency_slope", "teacher"))
        text += f"Latency slope of the omitted stimulus response: {own:.2f}, the teacher's {true:.2f} (s/s). "
    text += shown.warning(results)
    return text + "No interval. Null: shares of channels by number, r = 0; labels drawn at random."
