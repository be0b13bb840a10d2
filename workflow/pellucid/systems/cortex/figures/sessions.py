"""AUC of every test session of the shown model; sessions in which one state is absent have none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings


def sessions(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the AUC of every session, in the order of the mice."""
    rows = _rows(results, settings)
    names = sorted({str(row["recording"]) for row in rows}, key=lambda name: (_subject(results, name), name))
    made, axes = style.figure(1, 1, width=6.2, height=max(2.2, 0.85 + 0.16 * len(names)))
    axis = axes[0, 0]
    values = np.array([shown.number(row["auc"]) for row in rows])
    low, high = panels.auc_range(values, np.empty(0))
    undefined = [name for name in names if not np.isfinite(_auc(rows, name)).any()]
    for place, name in enumerate(names):
        _session(axis, place, results, [row for row in rows if row["recording"] == name], low)
        said = "undefined" if name in undefined else shown.digits(float(shown.mean(_auc(rows, name))))
        panels.beside(axis, place, said, panels.FLAG if name in undefined else "black")
    panels.rows(axis, names, size=7.0 if len(names) <= 24 else 5.5)
    panels.chance(axis)
    axis.set_xlim(low, high)
    style.label(axis, "AUC within the session", "", f"model {settings.model}")
    bar = panels.line("black", marker="|", linestyle="", markersize=7)
    entries = {"mean of the fits": bar} | panels.of_tests(results)
    if undefined:
        entries["undefined"] = panels.line(panels.FLAG, marker="x", linestyle="")
    panels.legend(made, entries)
    table = [
        {"recording": row["recording"], "subject": _subject(results, str(row["recording"])), "fold": row["fold"],
         "seed": row["seed"], "windows": row["windows"], "positive": shown.number(row["positive"]),
         "auc": shown.number(row["auc"])}
        for name in names for row in rows if row["recording"] == name
    ]  # fmt: skip
    style.save(made, folder, "sessions", table, _caption(results, settings, rows, undefined), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model was scored in any session."""
    return bool(_rows(results, settings))


def _rows(results: Results, settings: Settings) -> shown.Rows:
    if shown.speed(shown.about(results)[settings.model]):
        return []
    return [row for row in shown.listed(results, "sessions") if row["model"] == settings.model]


def _auc(rows: Sequence[dict[str, Any]], recording: str) -> np.ndarray:
    return np.array([shown.number(row["auc"]) for row in rows if row["recording"] == recording])


def _subject(results: Results, recording: str) -> str:
    store = results.features.stores.get(recording)
    return str(store.attrs.get("subject", "")) if store is not None else ""


def _session(axis: Axes, place: int, results: Results, rows: shown.Rows, low: float) -> None:
    """Draw one session: a dot for each fit, coloured by test mouse, and their mean; a cross if it is undefined."""
    known = tested.of_folds(results)
    own = [{**row, "test": known.get(int(row["fold"]), "")} for row in rows]
    found = tested.grouped(own, "auc")
    colours = shown.colours(tested.names(results))
    many = len(colours) > 1 and len(found) > 1
    for test, values in found.items():
        spread = 0.5 * (list(colours).index(test) / (len(colours) - 1) - 0.5) if many else 0.0
        axis.plot(
            values, np.full(len(values), place + spread), "o", color=colours[test], markersize=3.2, alpha=0.75,
            markeredgewidth=0,
        )  # fmt: skip
    middle = float(shown.mean(np.array([shown.number(row["auc"]) for row in rows])))
    if np.isfinite(middle):
        axis.plot(middle, place, "|", color="black", markersize=9, markeredgewidth=1.2, zorder=1)
    else:
        axis.plot(low, place, "x", color=panels.FLAG, markersize=5, clip_on=False)


def _caption(results: Results, settings: Settings, rows: shown.Rows, undefined: Sequence[str]) -> str:
    count = len({row["recording"] for row in rows})
    text = (
        f"AUC (no unit) of model {settings.model} within each of {shown.plural(count, 'test session')}: dots: "
        f"{len(rows)} fits and sessions, {panels.coloured(results)}; bar and number: their mean; no interval. "
    )
    lost = sum(not np.isfinite(shown.number(row["auc"])) for row in rows)
    text += f"{lost} of the dots are undefined, as one state is absent there" if lost else "None is undefined"
    text += f"; sessions without any: {', '.join(undefined)}. " if undefined else ". "
    return (
        text + "Line at 0.5: chance. " + shown.null_sentence(results)
        + shown.transductive(results, [settings.model])
    )  # fmt: skip
