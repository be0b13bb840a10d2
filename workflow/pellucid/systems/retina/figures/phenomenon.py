"""One phenomenon: stimulus, responses of the full and the reduced model, contributions of channels, measures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import channels, kinds, measured, panels, phenomenon_caption, responses, shown
from pellucid.systems.retina.figures.measured import Look
from pellucid.systems.retina.figures.responses import Response
from pellucid.systems.retina.figures.settings import Settings

REDUCED = ("#8FD744", "#21918C", "#443983", "#440154")
"""Colours of circuits of 1, 2, 3 ... channels."""

TEACHER = "#8B5A2B"
RATIOS = [0.55, 1.0, 1.0]
BESIDE = 2.3
"""Width of the measures, inches."""

NARROWEST = 6.7
"""Smallest width of all panels: both legends fit below them."""


def drawer(name: str) -> Callable[[Results, Settings, Path], None]:
    """Return the function that draws one phenomenon."""

    def draw(results: Results, settings: Settings, folder: Path) -> None:
        phenomenon(results, settings, folder, name)

    draw.__name__ = f"phenomenon_{name}"
    return draw


def phenomenon(results: Results, settings: Settings, folder: Path, name: str) -> None:
    """Draw one phenomenon into the files phenomenon_NAME."""
    found, own = shown.group(results, f"phenomena/{name}"), responses.load(results, settings, name)
    looks = _looks(results, settings, own)
    order = [settings.model, *(f"reduced_{size}" for size in own.reduced), *own.others]
    kept = measured.measures(found, order, settings.measures)
    made, grid, beside = _layout(own, len(kept))
    _responses(grid, own, looks, settings.model)
    _contributions(grid[2], own)
    table: shown.Rows = []
    for axis, one in zip(beside, kept):
        table += measured.draw(axis, one, looks, kinds.of(own.kind).condition)
    _legends(made, results, settings, own, found, looks)
    caption = phenomenon_caption.caption(results, settings, own, found, kept)
    style.save(made, folder, f"phenomenon_{name}", _table(own, table), caption, dpi=settings.dpi)


def _looks(results: Results, settings: Settings, own: Response) -> dict[str, Look]:
    """Return how each model is drawn: full black, reduced from pale to dark, baselines dashed, teacher dotted."""
    colours = shown.colours(results, settings)
    found = {settings.model: Look("full model", "black", "-", "o")}
    for i, size in enumerate(own.reduced):
        found[f"reduced_{size}"] = Look(shown.plural(size, "channel"), REDUCED[min(i, len(REDUCED) - 1)], "-", ".")
    for name in own.others:
        teacher = name == "teacher"
        found[name] = Look(name, TEACHER if teacher else colours.get(name, style.GREY), ":" if teacher else "--", ".")
    return found


def _layout(own: Response, count: int) -> tuple[Figure, np.ndarray, list[Axes]]:
    """Return a figure, the axes of conditions (3, condition) and those of measures."""
    columns = len(own.titles)
    each = max(1.75, (NARROWEST - BESIDE * (count > 0)) / columns)
    made, axes = style.figure(1, 1, width=0.7 + each * columns + BESIDE * (count > 0), height=5.4)
    axes[0, 0].remove()
    outer = GridSpec(1, 2 if count else 1, figure=made, width_ratios=[each * columns, BESIDE] if count else None)
    inner = outer[0, 0].subgridspec(3, columns, height_ratios=RATIOS)
    grid = np.empty((3, columns), object)
    for i, j in np.ndindex(grid.shape):
        axis = made.add_subplot(inner[i, j], sharex=grid[0, j] if i else None, sharey=grid[i, 0] if j else None)
        axis.tick_params(labelsize=6.5, labelbottom=i == 2, labelleft=j == 0)
        grid[i, j] = axis
    side = outer[0, 1].subgridspec(max(2, count), 1) if count else None
    return made, grid, [made.add_subplot(side[i, 0]) for i in range(count)] if side is not None else []


def _responses(grid: np.ndarray, own: Response, looks: dict[str, Look], model: str) -> None:
    """Draw the stimulus above the rates of the full and reduced models, baselines and teacher."""
    size = "spikes\nper bin" if own.units == "count" else shown.unit(own.units)
    position = kinds.of(own.kind).stimulus != "contrast"
    for column, title in enumerate(own.titles):
        above, axis = grid[0, column], grid[1, column]
        _stimulus(above, own.time, own.stimulus[column], position)
        above.set_title(shown.short(title, 24) + ("\n(control)" if own.control[column] else ""), fontsize=7.5)
        axis.axhline(own.zero, color="0.7", linewidth=0.7, zorder=0)
        axis.fill_between(own.time, own.low[column], own.high[column], color="black", alpha=0.15, linewidth=0)
        for name, values in own.others.items():
            axis.plot(own.time, values[column], color=looks[name].colour, linestyle=looks[name].dashes, linewidth=0.9)
        for i, values in own.reduced.items():
            axis.plot(own.time, values[column], color=looks[f"reduced_{i}"].colour, linewidth=1.0)
        axis.plot(own.time, own.full[column], color=looks[model].colour, linewidth=1.5)
    grid[0, 0].set_ylabel(kinds.of(own.kind).stimulus, fontsize=7.5)
    grid[1, 0].set_ylabel(f"rate ({size})", fontsize=7.5)
    grid[0, 0].set_ylim(*panels.span(own.stimulus, *([] if position else [np.zeros(1)]), margin=0.1))
    for line in grid[:2, 0]:
        line.yaxis.set_major_locator(MaxNLocator(4))


def _stimulus(axis: Axes, time: np.ndarray, values: np.ndarray, position: bool) -> None:
    """Draw a contrast as steps, a position as a line; dots where a bar is shown for moments only."""
    rare = position and np.isfinite(values).mean() < 0.5
    axis.plot(time, values, "." if rare else "-", color="black", linewidth=1.0, markersize=2.5,
              drawstyle="default" if position else "steps-mid")  # fmt: skip


def _contributions(axes: np.ndarray, own: Response) -> None:
    """Draw the contributions of the most important channels over time, coloured by label, and the sum of the rest."""
    for column, axis in enumerate(axes):
        axis.axhline(0, color="0.7", linewidth=0.7, zorder=0)
        axis.plot(own.time, own.rest[column], color=style.GREY, linewidth=0.8, linestyle=":")
        for number, label in reversed(list(enumerate(own.labels))):
            colour, dashes = channels.look(label)
            axis.plot(own.time, own.contribution[column, :, number], color=colour, linestyle=dashes,
                      linewidth=width(own, number))  # fmt: skip
        axis.set_xlim(own.time[0], own.time[-1])
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.set_xlabel("time (s)", fontsize=7.5)
    axes[0].yaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_ylabel("contribution\nto the rate", fontsize=7.5)


def width(own: Response, number: int) -> float:
    """Return the width of a channel's line: thinner for every more important channel of the same label."""
    same = own.labels[:number].count(own.labels[number])
    return float((1.6, 0.9, 0.5)[min(same, 2)])


def _legends(
    made: Figure, results: Results, settings: Settings, own: Response, found: xr.Dataset, looks: dict[str, Look]
) -> None:
    """Write the models on the lower left and the channels on the lower right, below all panels."""
    outside = phenomenon_caption.outside(found)
    entries: dict[str, Artist] = {}
    for name, look in looks.items():
        text = look.name
        if name.startswith("reduced_"):
            text = phenomenon_caption.explained(found, int(name.removeprefix("reduced_")))
        text += f" ({shown.OUTSIDE})" if name in outside else ""
        entries[text] = panels.line(look.colour, linestyle=look.dashes)
    parts: dict[str, Artist] = {}
    for number, (channel, label) in enumerate(zip(own.kept, own.labels)):
        colour, dashes = channels.look(label)
        parts[f"{channel}: {label}" if label else f"channel {channel}"] = panels.line(
            colour, linestyle=dashes, linewidth=width(own, number)
        )
    if found.sizes["feature"] > len(own.kept):
        parts["all other channels"] = panels.line(style.GREY, linestyle=":")
    rest = f"contributions (r(0) = {own.zero:.3g} {shown.unit(own.units)})"
    look_of_text = {"fontsize": 6.5, "title_fontsize": 7, "alignment": "left", "ncols": 2, "handlelength": 2.4}
    made.legend([*entries.values()], [*entries], loc="outside lower left", title="responses", **look_of_text)
    made.legend([*parts.values()], [*parts], loc="outside lower right", title=rest, **look_of_text)


def _table(own: Response, measures: shown.Rows) -> shown.Rows:
    """Return the curves that are drawn, one row per condition and time, and then the measures."""
    columns = {"stimulus": own.stimulus, "full": own.full, "full_low": own.low, "full_high": own.high}
    columns |= {f"reduced_{size}": values for size, values in own.reduced.items()} | dict(own.others)
    columns |= {f"channel_{c}": own.contribution[..., i] for i, c in enumerate(own.kept)} | {"other_channels": own.rest}
    empty: dict[str, object] = dict.fromkeys(("entry", "condition", "time_s", *columns, "measure", "unit", "model",
                                              "seed", "value"), "")  # fmt: skip
    curves = [
        empty | {"entry": "curve", "condition": title, "time_s": at}
        | {name: values[i, j] for name, values in columns.items()}
        for i, title in enumerate(own.titles)
        for j, at in enumerate(own.time)
    ]  # fmt: skip
    return curves + [empty | {"entry": "measure"} | row for row in measures]
