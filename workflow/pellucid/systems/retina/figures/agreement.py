"""Whether networks of other seeds find the same circuits: overlap of their labels, and courses of contributions."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import channels, panels, shown
from pellucid.systems.retina.figures.settings import Settings

OTHERS = "#CC79A7"
"""Pairs of networks of different models."""


def agreement(results: Results, settings: Settings, folder: Path) -> None:
    """Draw for each phenomenon the overlap of circuits of all pairs of networks, and r of contributions by label."""
    found = shown.group(results, "agreement")
    pairs, courses = shown.noted(found, "pairs"), shown.noted(found, "courses")
    phenomena = list(dict.fromkeys(str(row["phenomenon"]) for row in pairs))
    labels = [label for label in channels.LOOKS if any(row["label"] == label for row in courses)]
    made, axes = style.figure(1, 1 + bool(labels), width=4.6 + 3.0 * bool(labels), height=1.1 + 0.36 * len(phenomena))
    table = _overlap(axes[0, 0], pairs, phenomena)
    panels.rows(axes[0, 0], [shown.words(name) for name in phenomena])
    entries = {
        "a pair of seeds": panels.line("0.55", linestyle="", marker="o"),
        "mean": panels.line("black", linestyle="", marker="D"),
        "random circuits (null)": panels.line("black", linestyle="", marker="|"),
    }
    if any(row.get("experiments") for row in pairs):
        entries["a pair of models"] = panels.line(OTHERS, linestyle="", marker="o")
    if labels:
        table += _courses(axes[0, 1], courses, phenomena, labels)
        panels.rows(axes[0, 1], [""] * len(phenomena))
        entries |= {f"r of {label}": panels.line(channels.look(label)[0], linestyle="", marker=_marker(label))
                    for label in labels}  # fmt: skip
    panels.legend(made, entries)
    caption = _caption(results, settings, pairs, bool(labels))
    style.save(made, folder, "agreement", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether networks of several seeds or models were compared."""
    return shown.has(results, "agreement") and bool(shown.noted(shown.group(results, "agreement"), "pairs"))


def _overlap(axis: Axes, pairs: shown.Rows, phenomena: list[str]) -> shown.Rows:
    table: shown.Rows = []
    for place, name in enumerate(phenomena):
        own = [row for row in pairs if row["phenomenon"] == name]
        values = np.array([shown.number(row["jaccard"]) for row in own])
        chance = shown.middle(row.get("chance") for row in own)
        other = np.array([bool(row.get("experiments")) for row in own])
        spread = 0.5 * ((np.arange(len(own)) * 0.618) % 1 - 0.5)
        for flags, colour in ((~other, "0.55"), (other, OTHERS)):
            axis.plot(values[flags], place + spread[flags], "o", color=colour, markersize=3, alpha=0.7,
                      markeredgewidth=0)  # fmt: skip
        axis.plot(chance, place, "|", color="black", markersize=11, markeredgewidth=1.4)
        axis.plot(shown.mean(values), place, "D", color="black", markersize=4.5)
        table += [_row("circuit", name, "", row, shown.number(row["jaccard"]), shown.number(row.get("chance")))
                  for row in own]  # fmt: skip
    axis.set_xlim(-0.04, 1.04)
    style.label(axis, "Jaccard index of labels", "", "smallest sufficient circuits")
    return table


def _courses(axis: Axes, courses: shown.Rows, phenomena: list[str], labels: list[str]) -> shown.Rows:
    """Draw mean and range over pairs of the correlation of contributions of each label."""
    table: shown.Rows = []
    for place, name in enumerate(phenomena):
        for number, label in enumerate(labels):
            own = [row for row in courses if (row["phenomenon"], row["label"]) == (name, label)]
            values = np.array([shown.number(row["r"]) for row in own])
            at = place + 0.64 * ((number + 0.5) / len(labels) - 0.5)
            if np.isfinite(values).any():
                colour = channels.look(label)[0]
                axis.plot([np.nanmin(values), np.nanmax(values)], [at, at], color=colour, linewidth=1.2)
                axis.plot(shown.mean(values), at, _marker(label), color=colour, markersize=4)
            table += [_row("course", name, label, row, shown.number(row["r"]), np.nan) for row in own]
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    values = np.array([row["value"] for row in table])
    axis.set_xlim(min(-0.1, panels.span(values)[0]), 1.06)
    style.label(axis, "r over conditions and time", "", "contributions of a label")
    return table


def _marker(label: str) -> str:
    return "o" if label.endswith("fast") else "s"


def _row(
    panel: str, phenomenon: str, label: str, row: dict[str, object], value: float, chance: float
) -> dict[str, object]:
    about = {key: row.get(key, "") for key in ("model_a", "seed_a", "model_b", "seed_b")}
    return {"panel": panel, "phenomenon": phenomenon, "label": label, **about, "value": value, "chance": chance}


def _caption(results: Results, settings: Settings, pairs: shown.Rows, courses: bool) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    networks = {(row[f"model_{side}"], row[f"seed_{side}"]) for row in pairs for side in "ab"}
    count = len({tuple(row.get(f"{key}_{side}") for side in "ab" for key in ("model", "seed")) for row in pairs})
    text = (
        f"Agreement of {len(networks)} networks ({shown.plural(count, 'pair')}; model {model} and others of other "
        if any(row.get("experiments") for row in pairs)
        else f"Agreement of {len(networks)} seeds of model {model} ({shown.plural(count, 'pair')}"
    )
    text += "experiments). " if any(row.get("experiments") for row in pairs) else "). "
    text += (
        "Left: overlap of the labels (ON or OFF, fast or slow) of the smallest sufficient circuits, 1 if they are the "
        "same set. "
    )
    if courses:
        text += (
            "Right: correlation of the contributions summed over the channels of a label, mean over cells, over "
            "conditions and time; mean and range over pairs. "
        )
    return text + "Null (bars): mean overlap of circuits of the same sizes drawn at random; r = 0 for contributions."
