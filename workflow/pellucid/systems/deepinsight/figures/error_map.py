"""Where decoding fails: error of decoded places against the true place, on a map of the arena or along the track."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, shown, space
from pellucid.systems.deepinsight.figures.settings import Settings
from pellucid.systems.deepinsight.figures.space import Decoded, Place

KINDS = ("decoded", "chance", "test rows")
"""Panels of a map: median error, the same of chance, and how many rows are behind."""


def error_map(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the median error in bins of true place, with chance and the number of test rows, recording by recording."""
    found = space.place(results, settings)
    if found is None:
        return
    names = space.recordings(results, settings)
    known = {name: space.decoded(results, settings, name, found) for name in names}
    (_on_plane if found.plane else _on_track)(results, settings, folder, found, known)


def _on_plane(results: Results, settings: Settings, folder: Path, found: Place, known: Mapping[str, Decoded]) -> None:
    """Draw maps of an arena, a row of panels per recording."""
    table: shown.Rows = []
    spans = [np.ptp(one.true, axis=0) for one in known.values()]
    tall = max(float(span[1] / span[0]) for span in spans if span[0] > 0)
    made, axes = style.figure(len(known), 3, width=9.2, height=(0.8 + 2.2 * min(tall, 1.5)) * len(known))
    for line, (name, one) in zip(axes, known.items()):
        edges = _edges(one.true, settings.bins)
        error, count = _binned(one.true, found.error(one.true, one.guess), edges)
        chance, _ = _binned(one.true, found.error(one.true, one.chance), edges)
        maps = [np.where(count >= settings.least_rows, values, np.nan) for values in (error, chance)]
        for axis, title, values in zip(line, KINDS, [*maps, np.where(count > 0, count, np.nan)]):
            drawn = _map(axis, values, edges, "cividis" if title == "test rows" else "viridis")
            scale = "test rows per bin" if title == "test rows" else style.with_units("median error", found.units)
            made.colorbar(drawn, ax=axis, label=scale, pad=0.02, fraction=0.046 * tall + 0.01)
            y = style.with_units(found.labels[1], found.units) if axis is line[0] else ""
            above = f"{name}: {title}" if axis is line[0] else title
            style.label(axis, style.with_units(found.labels[0], found.units), y, above)
        table += _rows(name, found, edges, error, chance, count)
    text = _caption(results, settings, found, known)
    style.save(
        made, folder, "error_map", table, f"Error over the arena (scales of colours differ): {text}", dpi=settings.dpi
    )


def _on_track(results: Results, settings: Settings, folder: Path, found: Place, known: Mapping[str, Decoded]) -> None:
    """Draw median and quartiles of the error along a track, a panel per recording."""
    table: shown.Rows = []
    made, axes = panels.grid(len(known), width=4.0, height=2.7)
    for axis, (name, one) in zip(axes, known.items()):
        edges = _edges(one.true, settings.bins)
        parts = {}
        for title, guess in (("decoded", one.guess), ("chance", one.chance)):
            errors = found.error(one.true, guess)
            parts[title] = [_binned(one.true, errors, edges, share)[0] for share in (0.25, 0.5, 0.75)]
        count = _binned(one.true, errors, edges)[1]
        middle = (edges[0][1:] + edges[0][:-1]) / 2
        for (title, (low, value, high)), colour in zip(parts.items(), (shown.DECODED, shown.TRUE)):
            seen = count >= settings.least_rows
            axis.fill_between(
                middle, np.where(seen, low, np.nan), np.where(seen, high, np.nan), color=colour, alpha=0.2, linewidth=0
            )
            axis.plot(
                middle, np.where(seen, value, np.nan), "o-" if title == "decoded" else "--", color=colour, markersize=3
            )
        axis.set_ylim(bottom=0)
        place = style.with_units(f"true {found.labels[0]}", found.units)
        style.label(axis, place, style.with_units("error", found.units) if panels.first(axis) else "", name)
        table += _rows(name, found, edges, parts["decoded"][1], parts["chance"][1], count)
    panels.below(
        made, {"decoded": panels.line(shown.DECODED, marker="o"), "chance": panels.line(shown.TRUE, linestyle="--")}
    )
    text = _caption(results, settings, found, known)
    style.save(made, folder, "error_map", table, f"Error along the track: {text} Shading: quartiles.", dpi=settings.dpi)


def _edges(true: np.ndarray, bins: int) -> list[np.ndarray]:
    """Return the edges of bins along each axis: as wide on all, so many along the longest."""
    low, high = true.min(axis=0), true.max(axis=0)
    width = float((high - low).max()) / bins or 1.0
    counts = np.maximum(1, np.ceil((high - low) / width - 1e-9)).astype(int)
    return [start + width * np.arange(count + 1) for start, count in zip(low, counts)]


def _binned(
    true: np.ndarray, errors: np.ndarray, edges: list[np.ndarray], share: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return a quantile of the errors in each bin of true place, NaN in empty ones, and the number of rows."""
    shape = tuple(len(edge) - 1 for edge in edges)
    index = [np.clip(np.searchsorted(e, x, side="right") - 1, 0, len(e) - 2) for e, x in zip(edges, true.T)]
    flat = np.ravel_multi_index(index, shape)
    count = np.bincount(flat, minlength=int(np.prod(shape)))
    values = np.full(count.shape, np.nan)
    order = np.argsort(flat, kind="stable")
    for bin_, part in zip(np.flatnonzero(count), np.split(errors[order], np.cumsum(count[count > 0])[:-1])):
        values[bin_] = np.quantile(part, share)
    return values.reshape(shape), count.reshape(shape)


def _map(axis: Axes, values: np.ndarray, edges: list[np.ndarray], colours: str) -> AxesImage:
    drawn = axis.imshow(
        values.T,
        origin="lower",
        extent=(edges[0][0], edges[0][-1], edges[1][0], edges[1][-1]),
        vmin=0,
        cmap=colours,
        interpolation="nearest",
    )
    axis.set_facecolor("0.93")
    axis.set_aspect("equal")
    return drawn


def _rows(
    name: str, found: Place, edges: list[np.ndarray], error: np.ndarray, chance: np.ndarray, count: np.ndarray
) -> shown.Rows:
    return [
        {"recording": name}
        | {f"{label}_from": edge[i] for label, edge, i in zip(found.labels, edges, index)}
        | {f"{label}_to": edge[i + 1] for label, edge, i in zip(found.labels, edges, index)}
        | {"median_error": error[index], "chance": chance[index], "units": found.units, "rows": int(count[index])}
        for index in np.ndindex(count.shape)
    ]


def _caption(results: Results, settings: Settings, found: Place, known: Mapping[str, Decoded]) -> str:
    said = "; ".join(
        f"{name} {np.median(found.error(one.true, one.guess)):.3g} {found.units} (chance "
        f"{np.median(found.error(one.true, one.chance)):.3g}; n = {len(one.true)} rows of {one.fits} fits)"
        for name, one in known.items()
    )
    return (
        f"median error of {found.name} decoded by model {settings.model} in bins of true place, all test rows of "
        f"{space.said(list(known), results)} ({shown.fits_said(results, settings.model)}). Chance: the same "
        f"predictions against places shifted circularly by half of each test part. Bins of fewer than "
        f"{settings.least_rows} rows are left blank. Over all bins: {said}."
    )
