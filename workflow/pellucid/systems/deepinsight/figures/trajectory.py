"""True and decoded places: the path through an arena, or the place along a track over time, with other behaviour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, shown, space
from pellucid.systems.deepinsight.figures.settings import Settings
from pellucid.systems.deepinsight.figures.space import Place

LONGER = 4
"""A track over time is drawn for so many times settings.seconds."""

PATH_S = 20.0
"""A path through an arena is drawn for so many seconds: longer ones cross themselves too often."""

MOST_SERIES = 6


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model predicts a place on any test rows."""
    return bool(space.recordings(results, settings))


def trajectory(results: Results, settings: Settings, folder: Path) -> None:
    """Draw paths through an arena beside all decoded behaviour over time, or a track over time for each recording."""
    found, names = space.place(results, settings), space.recordings(results, settings)
    if found is None:
        return
    if not found.plane:
        settings = settings.model_copy(update={"seconds": LONGER * settings.seconds})
    stretches = {name: part for name in names if (part := shown.stretch(results, settings, name)) is not None}
    series = {name: _stretch(results, settings, *part) for name, part in stretches.items()}
    (_in_plane if found.plane else _over_time)(results, settings, folder, found, series)


@dataclass(frozen=True)
class Trace:
    """One output over a stretch: period if circular, units, true and decoded values (row,)."""

    period: float | None
    units: str
    true: np.ndarray
    decoded: np.ndarray


@dataclass(frozen=True)
class Stretch:
    """A stretch of test rows: their times (row,) in s, and what is decoded there, by label."""

    time: np.ndarray
    traces: Mapping[str, Trace]


def _stretch(results: Results, settings: Settings, name: str, rows: slice, fold: int) -> Stretch:
    time = results.features.group(name)["time"].values[rows]
    true = shown.targets(results, name, rows)
    guess = shown.targets(results, name, rows, settings.model, fold)
    traces = {
        label: Trace(period, units, values, decoded)
        for (label, period, units, values), (*_, decoded) in zip(true, guess)
        if np.isfinite(decoded).any()
    }
    return Stretch(time, traces)


def _in_plane(results: Results, settings: Settings, folder: Path, found: Place, series: Mapping[str, Stretch]) -> None:
    """Draw the path of each recording, and behind it all behaviour of the first one over time."""
    first = next(iter(series.values()))
    labels = list(first.traces)[:MOST_SERIES]
    made, axes = style.figure(1, 1, width=8.2, height=max(3.0 * len(series), 1.0 * len(labels) + 0.7))
    axes[0, 0].remove()
    cells = made.add_gridspec(1, 2, width_ratios=(1.0, 1.5))
    paths, times = cells[0].subgridspec(len(series), 1), cells[1].subgridspec(len(labels), 1)
    for place, (name, one) in enumerate(series.items()):
        _path(made.add_subplot(paths[place]), name, one, found)
    shared = None
    for place, label in enumerate(labels):
        shared = made.add_subplot(times[place], sharex=shared)
        _line(shared, first.time, label, first.traces[label])
        shared.tick_params(labelbottom=place == len(labels) - 1)
    if shared is not None:
        shared.set_xlabel(f"time (s), {next(iter(series))}")
    panels.below(made, _entries() | {"1 s apart": panels.line("0.6", linewidth=0.6)})
    caption = (
        f"Path through the arena ({PATH_S:g} s from the first decoded row) and behaviour over time on test rows, true "
        f"and decoded by model {settings.model} (first seed, first fold that is predicted): up to "
        f"{settings.seconds:g} s of each of {space.said(list(series), results)}; time of the first. Thin lines join "
        "true and decoded place every second. " + _error_said(results, settings, found, list(series))
    )
    style.save(made, folder, "trajectory", _table(series, labels), caption, dpi=settings.dpi)


def _over_time(results: Results, settings: Settings, folder: Path, found: Place, series: Mapping[str, Stretch]) -> None:
    """Draw the place along a track over time, a panel per recording."""
    made, axes = style.figure(len(series), 1, height=0.8 + 1.7 * len(series))
    label = found.labels[0]
    for axis, (name, one) in zip(axes[:, 0], series.items()):
        _line(axis, one.time, label, one.traces[label])
        axis.set_title(name)
    axes[-1, 0].set_xlabel("time (s)")
    panels.below(made, _entries())
    round_track = f"; the track is circular, {found.period:g} {found.units} long" if found.period else ""
    caption = (
        f"Place along the track on test rows, true and decoded by model {settings.model} (first seed, first fold that "
        f"is predicted): up to {settings.seconds:g} s of each of {space.said(list(series), results)}{round_track}; "
        "gaps are rows that are not scored. " + _error_said(results, settings, found, list(series))
    )
    style.save(made, folder, "trajectory", _table(series, [label]), caption, dpi=settings.dpi)


def _path(axis: Axes, name: str, one: Stretch, found: Place) -> None:
    time, axes = one.time, [one.traces[label] for label in found.labels]
    true, guess = (np.stack(columns, axis=1) for columns in ([x.true for x in axes], [x.decoded for x in axes]))
    first = int(np.argmax(np.isfinite(guess).all(axis=1)))
    kept = slice(first, int(np.searchsorted(time, time[first] + PATH_S)))
    true, guess = true[kept], guess[kept]
    axis.plot(*true.T, color=shown.TRUE, linewidth=2.0, alpha=0.7)
    axis.plot(*guess.T, color=shown.DECODED, linewidth=1.0)
    step = max(1, round(1 / float(np.median(np.diff(time)))))
    for a, b in zip(true[::step], guess[::step]):
        axis.plot([a[0], b[0]], [a[1], b[1]], color="0.6", linewidth=0.6, zorder=0)
    axis.set_aspect("equal")
    x, y = (style.with_units(label, found.units) for label in found.labels)
    style.label(axis, x, y, name)


def _line(axis: Axes, time: np.ndarray, label: str, one: Trace) -> None:
    how: dict[str, Any] = {"marker": ".", "linestyle": "none", "markersize": 2.5} if one.period else {"linewidth": 1.0}
    axis.plot(time, one.true, color=shown.TRUE, **how | ({} if one.period else {"linewidth": 2.0, "alpha": 0.7}))
    axis.plot(time, one.decoded, color=shown.DECODED, **how)
    style.label(axis, "", style.with_units(label, one.units))


def _entries() -> dict[str, Artist]:
    return {"true": panels.line(shown.TRUE), "decoded": panels.line(shown.DECODED)}


def _table(series: Mapping[str, Stretch], labels: Sequence[str]) -> shown.Rows:
    table: shown.Rows = []
    for name, one in series.items():
        for row, time in enumerate(one.time):
            known: dict[str, Any] = {"recording": name, "time_s": time}
            for label in labels:
                trace = one.traces.get(label)
                known[f"{label}_true"] = np.nan if trace is None else trace.true[row]
                known[f"{label}_decoded"] = np.nan if trace is None else trace.decoded[row]
            table.append(known)
    return table


def _error_said(results: Results, settings: Settings, found: Place, names: Sequence[str]) -> str:
    """Return the sentence of a caption with the errors on all test rows, which no single stretch shows."""
    said = []
    for name in names:
        one = space.decoded(results, settings, name, found)
        error, chance = (float(np.median(found.error(one.true, x))) for x in (one.guess, one.chance))
        said.append(f"{name} {error:.3g} (chance {chance:.3g}; n = {len(one.true)} rows of {one.fits} fits)")
    return (
        f"Median error on all test rows, {found.units}: {'; '.join(said)}. Chance: the same predictions against places "
        "shifted circularly by half of each test part."
    )
