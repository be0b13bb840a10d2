"""How well every decoder does: the distribution of its errors, and its headline scores against chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import families, panels, scored, shown
from pellucid.systems.deepinsight.figures.settings import Settings

Pooled = dict[tuple[str, str], list[np.ndarray]]
"""(target, model or "chance") -> absolute errors, one array per test part."""

DASHES = ("-", "-.", ":")
"""Styles of lines, one for every round of the palette."""


def errors(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the distribution of absolute errors of every model over all test rows, with chance."""
    models = families.compared(results, settings)
    pooled, units = _pooled(results, settings, models)
    across = min(3, len(units))
    made, axes = panels.grid(len(units), width=4.4, height=2.8, least=4.4 * across)
    table: shown.Rows = []
    for axis, (label, unit) in zip(axes, units.items()):
        own = [model for model in [*models, "chance"] if (label, model) in pooled]
        table += _cumulated(axis, {model: pooled[label, model] for model in own}, models, label, unit)
    caption = (
        "Distribution of errors over all test rows of all folds. Chance: the same predictions against behaviour "
        "shifted circularly by half of each test part." + shown.left_out(results, models)
    )
    style.save(made, folder, "errors", table, caption, dpi=settings.dpi)


def _pooled(results: Results, settings: Settings, models: Sequence[str]) -> tuple[Pooled, dict[str, str]]:
    """Return the absolute errors of models and chance, and the units of every target that any of them decodes."""
    pooled: Pooled = {}
    units: dict[str, str] = {}
    for name, rows, model, fold, seed in shown.test_parts(results, models):
        for (label, period, unit, true), (*_, guess) in zip(
            shown.targets(results, name, rows), shown.targets(results, name, rows, model, fold, seed)
        ):
            known = np.isfinite(guess) & np.isfinite(true)
            if not known.any():
                continue
            units[label] = unit
            pooled.setdefault((label, model), []).append(shown.distance(true[known], guess[known], period))
            if model == settings.model:
                half = np.roll(true[known], known.sum() // 2)
                pooled.setdefault((label, "chance"), []).append(shown.distance(half, guess[known], period))
    return pooled, units


def _cumulated(
    axis: Axes, pooled: Mapping[str, Sequence[np.ndarray]], models: Sequence[str], label: str, unit: str
) -> shown.Rows:
    """Draw the share of test rows below each error, a line per model; return what is drawn."""
    widest = pooled.get("chance") or [part for parts in pooled.values() for part in parts]
    grid = np.linspace(0, np.quantile(np.concatenate(widest), 0.99), 200)
    table: shown.Rows = []
    for model, parts in pooled.items():
        joined = np.concatenate(parts)
        share = np.searchsorted(np.sort(joined), grid, side="right") / len(joined)
        rounds, place = divmod(models.index(model), len(style.COLOURS)) if model in models else (0, 0)
        axis.plot(
            grid,
            share,
            "--" if model == "chance" else DASHES[rounds % len(DASHES)],
            color=style.GREY if model == "chance" else style.COLOURS[place],
            label=f"{model} ({np.median(joined):.3g})",
        )
        table += [{"target": label, "model": model, "error": x, "units": unit, "share": y} for x, y in zip(grid, share)]
    axis.legend(fontsize=6, title="median error", title_fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
    style.label(axis, style.with_units("absolute error", unit), "share of test rows", label)
    return table


def scores(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the headline scores of every model with their intervals and the 95 % band of circular shifts."""
    kept = families.compared(results, settings)
    rows = [row for row in results.metrics["headline"] if row["model"] in kept and row["name"] != scored.RETRAINED]
    names = list(dict.fromkeys(row["name"] for row in rows))
    most = max(sum(row["name"] == name for row in rows) for name in names)
    made, axes = panels.grid(len(names), columns=4, width=max(2.6, 0.3 * most), height=2.8)
    for axis, name in zip(axes, names):
        own = [row for row in rows if row["name"] == name]
        for x, row in enumerate(own):
            colour = style.COLOURS[x % len(style.COLOURS)]
            if row["chance_low"] is not None:
                axis.fill_between(
                    [x - 0.35, x + 0.35], row["chance_low"], row["chance_high"], color="0.85", linewidth=0
                )
            if row["low"] is not None:
                axis.plot([x, x], [row["low"], row["high"]], color=colour)
            axis.plot(x, row["value"], "o", color=colour)
        axis.set_xticks(range(len(own)), [row["model"] for row in own], rotation=30 if most < 9 else 60, ha="right")
        style.label(axis, "", style.with_units(name.partition(", mean")[0], own[0]["unit"]))
    caption = (
        "Scores on test rows. Point and bar: value and 95 % interval over folds, seeds and blocks of test time; "
        f"grey: 95 % band of the same score when {shown.chance_said(results)}." + shown.left_out(results, kept)
    )
    style.save(made, folder, "scores", rows, caption, dpi=settings.dpi)
