"""A stretch of a test session: frames or traces, the true states, speed, and what the decoders say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, rois, shown, stretch, tested
from pellucid.systems.cortex.figures.settings import Settings
from pellucid.systems.cortex.figures.stretch import Stretch


def examples(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the example of the shown model and a control."""
    part = stretch.chosen(results, settings)
    if part is None:
        return
    data = results.features.group(part.recording, str(part.fit.settings["input"]))
    movie, speed = "movie" in data, _speed(results, part)
    heights = [1.3 if movie else 2.4, *([0.6] if speed is not None else []), 1.1]
    made, grid = style.figure(len(heights), 1, width=7.4, height=0.5 + 1.15 * sum(heights), height_ratios=heights,
                              sharex=not movie)  # fmt: skip
    axes = list(grid[:, 0])
    time, state = part.time(), stretch.state(results, part.recording, part.fit.fold)[part.start : part.stop]
    if movie:
        at = _moments(part, settings.frames)
        _frames(made, axes[0], data, part, at, state)
        _mark(axes[-1], time[at - part.start])
        columns: dict[str, np.ndarray] = {}
    else:
        columns = _traces(axes[0], results, data, part, settings)
    if speed is not None:
        axes[-2].plot(time, speed, color="0.2", linewidth=0.9)
        style.label(axes[-2], "", style.with_units("speed", _units(results, part)))
        columns["speed"] = speed
    decoded, entries = _decoded(axes[-1], results, part, settings)
    for axis in axes[1:] if movie else axes:
        panels.states(axis, time, state)
        _segments(axis, results, part)
        axis.set_xlim(time[0], time[-1])
    entries["true state 1"] = panels.patch(panels.STATE, 0.3)
    axes[-1].legend(list(entries.values()), list(entries), fontsize=6.5, loc="lower center", ncols=4,
                    bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1)  # fmt: skip
    table = _table({"time_s": time, "state": state, **decoded, **columns})
    style.save(made, folder, "examples", table, _caption(results, settings, part, movie), dpi=settings.dpi)


def important(results: Results, names: Sequence[str], count: int) -> tuple[list[str], str]:
    """Return the ROIs to show, and how a caption says they were chosen."""
    if shown.has(results, "importance", "magnitude"):
        found = rois.load(results)
        own = [found.names[number] for number in found.order() if found.names[number] in names]
        if own:
            return own[:count], "the most important ROIs for the explained model, the most important on top"
    if shown.has(results, "univariate", "correlation"):
        r = np.abs(np.nan_to_num(shown.mean(rois.univariate(results, list(names)))))
        return [names[i] for i in np.argsort(-r, kind="stable")[:count]], "ROIs of the highest |correlation| with state"
    return [names[i] for i in shown.thinned(len(names), count)], "ROIs evenly spaced in their order"


def second(results: Results, part: Stretch, settings: Settings) -> str | None:
    """Return the second decoder: the one asked for, else the first control, else the first null, if it predicts."""
    asked = [settings.control] if settings.control else []
    listed = [str(row["model"]) for row in shown.listed(results, "controls")]
    about = shown.about(results)
    for model in [*asked, *listed, *shown.nulls(results)]:
        same = model in about and shown.speed(about[model]) == shown.speed(part.fit.settings)
        if same and model != settings.model and _prediction(results, part, model) is not None:
            return model
    return None


def _traces(axis: Axes, results: Results, data: xr.Dataset, part: Stretch, settings: Settings) -> dict[str, np.ndarray]:
    """Draw the traces of some ROIs above each other, with a bar for their common scale."""
    names = [str(name) for name in data["roi"].values]
    own, _ = important(results, names, settings.traces)
    values = np.asarray(data["signal"].isel(time=slice(part.start, part.stop)).values, float)
    values = values[:, [names.index(name) for name in own]]
    centred = values - shown.mean(values)
    known = centred[np.isfinite(centred)]
    step = 1.15 * float(np.ptp(np.quantile(known, [0.005, 0.995]))) if len(known) else 1.0
    step = step or 1.0
    place = -step * np.arange(len(own))
    axis.plot(part.time(), centred + place, color="0.2", linewidth=0.8)
    area = dict(zip(names, map(str, data["area"].values))) if "area" in data.coords else {}
    labels = [name if area.get(name, "") in ("", name) else f"{name} {area[name]}" for name in own]
    axis.set_yticks(place, [shown.short(label, 18) for label in labels])
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(place[-1] - 0.75 * step, 0.75 * step)
    _scale_bar(axis, step, str(data["signal"].attrs.get("units", "1")))
    return {f"roi {name}": values[:, i] for i, name in enumerate(own)}


def _scale_bar(axis: Axes, step: float, units: str) -> None:
    """Draw a vertical bar of a round length, about one step, at the right of the traces."""
    power = 10 ** np.floor(np.log10(step))
    length = float(max(factor * power for factor in (1, 2, 5) if factor * power <= step * 1.001))
    low = axis.get_ylim()[0] + 0.1 * step
    across = axis.get_yaxis_transform()
    axis.plot([1.012, 1.012], [low, low + length], color="black", linewidth=1.5, transform=across, clip_on=False)
    text = f"{length:g}" + ("" if units in ("1", "") else f" {units}")
    axis.text(1.02, low + length / 2, text, transform=across, rotation=90, va="center", fontsize=6.5)


def _moments(part: Stretch, count: int) -> np.ndarray:
    """Return the rows of the frames shown, evenly spaced, not at the very ends, (frame,)."""
    inner = np.linspace(part.start, part.stop - 1, count + 2)[1:-1]
    return np.unique(inner.round().astype(int))


def _frames(made: Figure, axis: Axes, data: xr.Dataset, part: Stretch, rows: np.ndarray, state: np.ndarray) -> None:
    """Draw the mean image and some frames as differences from it."""
    spec = axis.get_subplotspec()
    axis.remove()
    if spec is None:
        return
    inner = spec.subgridspec(1, len(rows) + 1)
    ground = np.asarray(data["mean"].values, float)
    scale = float(data.attrs.get("sd", 1.0)) or 1.0
    values = (np.asarray(data["movie"].isel(time=rows).values, float) - ground) / scale
    known = np.abs(values[np.isfinite(values)])
    most = min(float(np.quantile(known, 0.995)), 10 * float(np.median(known))) or 1.0 if len(known) else 1.0
    first = made.add_subplot(inner[0, 0])
    first.imshow(ground, cmap="gray", interpolation="nearest")
    panels.bare(first, "mean image")
    axes = [made.add_subplot(inner[0, i + 1]) for i in range(len(rows))]
    for number, row in enumerate(rows):
        drawn = panels.signed(axes[number], values[number], most)
        label = state[row - part.start]
        said = f"{int(label)}" if np.isfinite(label) else "none"
        panels.bare(axes[number], f"{part.time()[row - part.start]:.4g} s\nstate {said}")
    bar = made.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, aspect=12)
    bar.set_label("frame - mean (s.d.)", fontsize=7)
    bar.ax.tick_params(labelsize=6.5)


def _mark(axis: Axes, times: np.ndarray) -> None:
    """Mark the times of the frames shown, at the foot of a panel."""
    axis.plot(times, np.full(len(times), -0.07), "^", color="black", markersize=4, clip_on=False, zorder=5)


def _decoded(
    axis: Axes, results: Results, part: Stretch, settings: Settings
) -> tuple[dict[str, np.ndarray], dict[str, Artist]]:
    """Draw the decoded probability (or speed) of the shown model and the control; return it, and the legend."""
    of_speed = shown.speed(part.fit.settings)
    found, entries = {}, {}
    for model, colour in zip((settings.model, second(results, part, settings)), (shown.PALETTE[0], style.GREY)):
        if model is None:
            continue
        own = _prediction(results, part, model)
        if own is None:
            continue
        axis.plot(part.time(), own, color=colour, linewidth=1.2, zorder=3 if model == settings.model else 2)
        found[model] = own
        entries[shown.short(model)] = panels.line(colour)
    if of_speed:
        style.label(axis, "time (s)", "decoded speed")
    else:
        axis.set_ylim(-0.08, 1.05)
        style.label(axis, "time (s)", "probability\nof state 1")
    return {f"decoded {model}": values for model, values in found.items()}, entries  # type: ignore[return-value]


def _prediction(results: Results, part: Stretch, model: str) -> np.ndarray | None:
    seeds = sorted({fit.seed for fit in shown.fits(results, model) if fit.fold == part.fit.fold})
    seed = part.fit.seed if part.fit.seed in seeds else next(iter(seeds), None)
    own = None if seed is None else stretch.probability(results, part.recording, model, part.fit.fold, seed)
    own = None if own is None else own[part.start : part.stop]
    return own if own is not None and np.isfinite(own).any() else None


def _speed(results: Results, part: Stretch) -> np.ndarray | None:
    found = stretch.predicted(results, part.recording)
    if found is None or "speed" not in found:
        return None
    return np.asarray(found["speed"].values[part.start : part.stop], float)


def _units(results: Results, part: Stretch) -> str:
    found = stretch.predicted(results, part.recording)
    return "" if found is None else str(found["speed"].attrs.get("units", "1"))


def _segments(axis: Axes, results: Results, part: Stretch) -> None:
    """Mark where one trial, or recorded stretch, ends and the next begins."""
    behaviour = results.features.group(part.recording, "behaviour")
    if "segment" not in behaviour:
        return
    segment = np.asarray(behaviour["segment"].values[part.start : part.stop])
    for step in np.flatnonzero(np.diff(segment)):
        axis.axvline(part.time()[step] + 0.5 / part.rate_hz, color="0.75", linewidth=0.5, zorder=0)


def _table(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _caption(results: Results, settings: Settings, part: Stretch, movie: bool) -> str:
    models = [settings.model, second(results, part, settings)]
    test = tested.of_folds(results).get(part.fit.fold, "")
    test = test if tested.blocks(results) else f"mouse {test}"
    text = (
        f"One stretch of {(part.stop - part.start) / part.rate_hz:.4g} s of test session {part.recording}, fold "
        f"{part.fit.fold} (test {test}), seed {part.fit.seed}: n = 1, no interval. "
        "It is the stretch whose true states are most equally frequent; the decoders had no part in the "
        "choice. Shaded: true state 1. "
    )
    if movie:
        text += "Frames (triangles): difference from the session's mean image in s.d. over all pixels and frames. "
    else:
        data = results.features.group(part.recording, str(part.fit.settings["input"]))
        _, how = important(results, [str(name) for name in data["roi"].values], settings.traces)
        text += f"Traces: {how}, all on one scale (bar). "
    what = "speed" if shown.speed(part.fit.settings) else "probability of state 1"
    text += f"Below: decoded {what} of model {models[0]}"
    text += f" and of {models[1]} (grey), which is a control or null. " if models[1] else "; no null was predicted. "
    text += "Vertical lines: borders of trials or gaps. " if _gaps(results, part) else ""
    return text + shown.transductive(results, [model for model in models if model])


def _gaps(results: Results, part: Stretch) -> bool:
    behaviour = results.features.group(part.recording, "behaviour")
    return "segment" in behaviour and bool(np.ptp(behaviour["segment"].values[part.start : part.stop]))
