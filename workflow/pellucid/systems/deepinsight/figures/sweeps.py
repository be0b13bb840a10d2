"""Curves over what models differ in: the amount of training data, the length of the window, and averaging."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import families, panels, scored, shown
from pellucid.systems.deepinsight.figures.families import Family, Value
from pellucid.systems.deepinsight.figures.scored import Score
from pellucid.systems.deepinsight.figures.settings import Settings

MOST_LINES = 6
MARKERS = "osD^vP"


@dataclass(frozen=True)
class Sweep:
    """What models differ in: name of the figure, settings that may differ, value on the axis, axis and caption."""

    name: str
    keys: tuple[str, ...]
    value: Value
    axis: str
    said: str


DATA = Sweep("amount_error", ("train_s",), families.training_s, "training data (s)", "the amount of training data")
WINDOW = Sweep(
    "window_length", ("window_rows", "bayes.rows"), families.window_s, "window (s)", "the length of the window they see"
)
AVERAGING = Sweep(
    "averaging", ("average_rows",), families.average_s, "power averaged over (s)",
    "the time over which power is averaged before the decoder, windows being as many averages long",
)  # fmt: skip
AVERAGING_SPAN = Sweep(
    "averaging", ("average_rows", "window_rows"), families.average_s, "power averaged over (s)",
    "the time over which power is averaged before the decoder, windows being as long in time",
)  # fmt: skip


def amount_error(results: Results, settings: Settings, folder: Path) -> None:
    """Draw scores against the amount of training data."""
    _draw(results, settings, folder, DATA)


def window_length(results: Results, settings: Settings, folder: Path) -> None:
    """Draw scores against the length of the window."""
    _draw(results, settings, folder, WINDOW)


def averaging(results: Results, settings: Settings, folder: Path) -> None:
    """Draw scores against the averaging of power."""
    _draw(results, settings, folder, AVERAGING if _own(results, settings, AVERAGING) else AVERAGING_SPAN)


def possible(results: Results, settings: Settings, *sweeps: Sweep) -> bool:
    """Tell whether any models differ in nothing but what one of the sweeps is about."""
    return any(_own(results, settings, sweep) for sweep in sweeps)


def _own(results: Results, settings: Settings, sweep: Sweep) -> list[Family]:
    """Return the families of a sweep; those that vary averaging and window keep one span."""
    found = families.of(results, settings, sweep.keys, sweep.value)
    if sweep is not AVERAGING_SPAN:
        return found
    fits = shown.first_fits(results)
    span = [{families.window_s(results, fits[model]) for model in family.models.values()} for family in found]
    return [family for family, spans in zip(found, span) if len(spans) == 1]


def _draw(results: Results, settings: Settings, folder: Path, sweep: Sweep) -> None:
    every = _own(results, settings, sweep)
    found = every[:MOST_LINES]
    models = [model for family in found for model in family.models.values()]
    known = scored.scores(results, models)
    names = [name for name in scored.ordered(list(known)) if len(known[name]) > 1]
    made, axes = panels.grid(len(names), width=3.1, height=2.7)
    table: shown.Rows = []
    ticks = sorted({value for family in found for value in family.models})
    for axis, name in zip(axes, names):
        for place, family in enumerate(found):
            table += _line(axis, family, known[name], name, sweep, place)
        _log_ticks(axis, ticks)
        unit = next(iter(known[name].values())).unit
        style.label(axis, sweep.axis, scored.axis(name, unit), scored.title(name))
    entries = {
        shown.short(family.label): panels.line(style.COLOURS[i], marker=MARKERS[i]) for i, family in enumerate(found)
    }
    panels.below(made, entries | {f"chance of {shown.short(found[0].label)}": panels.patch("0.85")})
    lines = (
        f"{len(found)} of {len(every)} such families" if len(found) < len(every) else shown.plural(len(found), "line")
    )
    caption = (
        f"Scores on the same test rows of models that differ only in {sweep.said}: {lines}, n = {len(models)} models "
        f"({shown.fits_said(results, found[0].label)}); a line is named after its model {settings.model} or its first "
        f"one. "
        + scored.said([score for own in known.values() for score in own.values()])
        + f" Grey: 95 % band when {shown.chance_said(results)}, line of {found[0].label}."
    )
    style.save(made, folder, sweep.name, table, caption, dpi=settings.dpi)


def _line(axis: Axes, family: Family, known: dict[str, Score], name: str, sweep: Sweep, place: int) -> shown.Rows:
    """Draw a family, and the band of chance behind the first; return what is drawn."""
    own = [(x, model, known[model]) for x, model in family.models.items() if model in known]
    if not own:
        return []
    colour = style.COLOURS[place]
    x, low, high = np.array([(x, score.low, score.high) for x, _, score in own]).T
    if place == 0:
        band = np.array([(score.chance_low, score.chance_high) for *_, score in own])
        axis.fill_between(x, *band.T, color="0.85", linewidth=0, zorder=0)
    shift = 1 + 0.02 * place
    axis.vlines(x * shift, low, high, color=colour, linewidth=1.2)
    axis.plot(x * shift, [score.value for *_, score in own], f"{MARKERS[place]}-", color=colour, markersize=3.5)
    return [
        {"score": name, "units": score.unit, "family": family.label, "model": model, f"{sweep.name}_s": value}
        | score.row()
        for value, model, score in own
    ]


def _log_ticks(axis: Axes, ticks: Sequence[float]) -> None:
    """Make the axis of x logarithmic with ticks at the values there are."""
    axis.set_xscale("log")
    kept = ticks[:: -(-len(ticks) // 6)]
    axis.minorticks_off()
    axis.set_xticks(kept, [f"{tick:.3g}" for tick in kept], rotation=30 if len(kept) > 4 else 0)


def profiles(results: Results, settings: Settings) -> dict[float, int]:
    """Return the profiles of models that differ from the attributed one in their training data only, by seconds."""
    if not shown.has(results, "profiles", "pearson", "train_s"):
        return {}
    fits, group = shown.first_fits(results), shown.group(results, "profiles")
    own = families.rest(fits[shown.explained(results, settings)], ("train_s",))
    seconds = {
        number: float(value)
        for number, (name, value) in enumerate(zip(group["model"].values, group["train_s"].values))
        if np.isfinite(value) and families.rest(fits[str(name)], ("train_s",)) == own
    }
    return {value: number for number, value in sorted(seconds.items(), key=lambda item: item[1])}


def amount(results: Results, settings: Settings, folder: Path) -> None:
    """Draw how the influence profile settles with the amount of training data: r with the whole, rank of true bands."""
    group, found = shown.group(results, "profiles"), profiles(results, settings)
    x, places = np.array(list(found)), list(found.values())
    terms = list(group["output"].values)
    pearson, rank = group["pearson"].values[places], group["rank"].values[places]
    ranked, main = bool(np.isfinite(rank).any()), shown.explained(results, settings)
    whole = families.training_s(results, shown.first_fits(results)[main]) or np.nan
    made, axes = style.figure(1, 1 + ranked, width=3.6 + 3.0 * ranked + 0.4, height=2.9)
    table: shown.Rows = []
    for column, term in enumerate(terms):
        how = {"color": style.COLOURS[column % 8], "markersize": 3.5}
        marker = MARKERS[column % 6]
        axes[0, 0].plot(x, pearson[:, column], f"{marker}-", **how)
        if ranked:
            axes[0, 1].plot(x * (1 + 0.03 * column), rank[:, column], f"{marker}-", **how)
        table += [
            {"output": term, "model": str(group["model"].values[place]), "train_s": seconds, "pearson": r, "rank": k}
            for seconds, place, r, k in zip(x, places, pearson[:, column], rank[:, column])
        ]
    axes[0, 0].plot(whole, 1, "*", color="black", markersize=7, clip_on=False)
    for axis, text in zip(axes[0], ("r with the profile\nof all training data", "rank of the true band")):
        _log_ticks(axis, [*x, whole] if axis is axes[0, 0] else list(x))
        style.label(axis, "training data (s)", text)
    axes[0, 0].set_ylim(min(0.0, float(np.nanmin(pearson)) - 0.05), 1.05)
    if ranked:
        axes[0, 1].set_ylim(max(3.0, float(np.nanmax(rank)) + 1), 0)
    entries = {str(t): panels.line(style.COLOURS[i % 8], marker=MARKERS[i % 6]) for i, t in enumerate(terms)}
    panels.below(made, entries | {"all data": panels.line("black", marker="*", linestyle="none")})
    caption = (
        f"How much data a stable influence profile needs: Pearson's r between the influence of all bands on each "
        f"output in networks trained on the first seconds of the training rows only and in {main}, trained on all "
        f"(star: 1 by definition); n = {len(x)} networks, {shown.plural(group.sizes['frequency'], 'band')}, "
        f"{shown.fits_said(results, main)}. Each point is one profile over all folds, seeds and blocks; no interval, "
        f"no chance."
        + (" Right: rank of the influence of the band that truly carries the output, 1 the first." if ranked else "")
    )
    style.save(made, folder, "amount", table, caption, dpi=settings.dpi)
