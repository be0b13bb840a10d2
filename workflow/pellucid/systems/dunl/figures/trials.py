"""Single trials: the signal, what the model makes of it, its codes, and the share of every kernel in the drive."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings


@dataclass(frozen=True)
class Example:
    """One trial of one neuron, in the units that are drawn.

    time  (time,) s; signal and rate (time,); drive (time,); component and code (time, kernel)
    onset, kind  (event,) of the trial's events
    """

    name: str
    neuron: str
    time: np.ndarray
    signal: np.ndarray
    rate: np.ndarray
    drive: np.ndarray
    baseline: float
    component: np.ndarray
    code: np.ndarray
    onset: np.ndarray
    kind: np.ndarray


def trials(results: Results, settings: Settings, folder: Path) -> None:
    """Draw signal, fitted expected value and codes of example trials, a column each."""
    rows, counts = _examples(results, settings), _counted(results)
    blocks = ("counts", "rate", "codes") if counts else ("signal", "codes")
    made, axes = _columns(rows, len(blocks), [0.45, 1, 0.9] if counts else [1.3, 0.9])
    for number, examples in enumerate(rows):
        block = axes[number * len(blocks) : (number + 1) * len(blocks)]
        for column, example in enumerate(examples):
            own = list(block[:, column])
            panels.mark_events(own, example.onset, example.kind)
            if counts:
                _counts(own[0], example)
                own[1].plot(example.time, example.rate, color=panels.DARK)
            else:
                _signal(own[0], example)
            _codes(own[-1], example)
            own[0].set_title(f"{example.neuron}, {example.name}", fontsize=8, pad=9)
        _label(block, results, settings, "codes")
    panels.legend(made, _entries(results, rows, lines=not counts))
    caption = (
        f"Test trials of {_names(rows)} (model {settings.model}). "
        + ("Counts per bin; expected count divided by the width of a bin; " if counts else "Signal and fitted value; ")
        + f"codes ({shown.drive_units(results, settings)}), drawn where their kernel starts (side by "
        "side where several do), a colour per kernel. Symbols and dotted lines: events. Fit of the whole trial, "
        "kernels from training trials; no interval, no null."
    )
    style.save(made, folder, "trials", _table(rows, results), caption, dpi=settings.dpi)


def with_codes(results: Results) -> bool:
    """Tell whether the codes of the examples are stored bin by bin."""
    return all("code" in group for group in shown.recordings(results, "components").values())


def decomposition(results: Results, settings: Settings, folder: Path) -> None:
    """Draw how the shares of the kernels and the baseline add up to the drive and the expected value of a trial."""
    rows, counts = _examples(results, settings), _counted(results)
    made, axes = _columns(rows, 4, [0.45, 1, 0.8, 0.8] if counts else [1, 1, 0.8, 1])
    for number, examples in enumerate(rows):
        block = axes[number * 4 : (number + 1) * 4]
        for column, example in enumerate(examples):
            own = list(block[:, column])
            panels.mark_events(own, example.onset, example.kind)
            if counts:
                _counts(own[0], example)
            else:
                own[0].plot(example.time, example.signal, color=style.GREY, linewidth=0.8)
                own[3].plot(example.time, example.signal, color=style.GREY, linewidth=0.8)
            _shares(own[1], example)
            own[2].axhline(example.baseline, color=style.GREY, linestyle="--", linewidth=1)
            own[2].plot(example.time, example.drive, color=panels.DARK)
            own[3].plot(example.time, example.rate, color=panels.DARK)
            own[0].set_title(f"{example.neuron}, {example.name}", fontsize=8, pad=9)
        _label(block, results, settings, "drive")
    entries = _entries(results, rows, lines=True) | {"baseline": panels.line(style.GREY, linestyle="--")}
    panels.legend(made, entries)
    residual = max(float(g.attrs.get("residual", np.nan)) for g in shown.recordings(results, "components").values())
    caption = (
        f"Decomposition by model {settings.model} of single test trials of {_names(rows)}. Top to bottom: "
        + ("counts per bin" if counts else "signal")
        + f"; share of each kernel in the drive, h_k * x_k ({shown.drive_units(results, settings)}); drive z, the "
        "baseline (dashed) plus all shares; expected value"
        + (" in Hz" if counts else " over the signal (grey)")
        + ". Symbols and dotted lines: events. No interval, no null. "
        + (f"Largest difference between drive and sum: {residual:.1e}." if np.isfinite(residual) else "")
    )
    style.save(made, folder, "decomposition", _table(rows, results), caption, dpi=settings.dpi)


def _examples(results: Results, settings: Settings) -> list[list[Example]]:
    """Return the shown trials of each shown neuron, from the first recording that has examples."""
    recording, group = next(iter(shown.recordings(results, "components").items()))
    features = results.features.group(recording)
    names = group["neuron"].values if "neuron" in group.coords else np.arange(group.sizes["neuron"])
    known = np.isfinite(group["drive"].values).any(axis=1)  # (trial, neuron)
    rows = []
    share = shown.mean(np.abs(group["component"].values).sum(axis=3).reshape(-1, group.sizes["neuron"]))
    neurons = [index for index in np.argsort(-share, kind="stable") if known[:, index].any()]
    for neuron in neurons[: settings.neurons]:
        chosen = np.flatnonzero(known[:, neuron])[: settings.examples]
        rows.append([_example(results, group, features, trial, neuron, str(names[neuron])) for trial in chosen])
    most = max(len(row) for row in rows)
    return [row for row in rows if len(row) == most]


def _example(results: Results, group: xr.Dataset, features: xr.Dataset, trial: int, neuron: int, name: str) -> Example:
    row = int(group["trial"].values[trial])
    at = {"trial": trial, "neuron": neuron}
    kind = str(features["trial_type"].values[row])
    return Example(
        name=f"trial {row}" if kind == "all" else f"trial {row} ({kind})",
        neuron=f"neuron {name}",
        time=group["time"].values,
        signal=group["signal"].isel(at).values,
        rate=group["rate"].isel(at).values * shown.scale(results, float(np.diff(group["time"].values[:2])[0])),
        drive=group["drive"].isel(at).values,
        baseline=float(group["baseline"].isel(at).values),
        component=group["component"].isel(at).values,
        code=group["code"].isel(at).values if "code" in group else np.zeros((group.sizes["time"], 0)),
        onset=features["onset"].values[row],
        kind=features["event_kind"].values[row],
    )


def _names(rows: Sequence[Sequence[Example]]) -> str:
    names = ", ".join(examples[0].neuron for examples in rows)
    return f"{names}, whose kernels have the largest shares in the drive"


def _counted(results: Results) -> bool:
    return bool(results.features.first().attrs["kind"] == "counts")


def _columns(rows: Sequence[Sequence[Example]], blocks: int, ratios: list[float]) -> tuple[Figure, np.ndarray]:
    """Return a figure with a column per trial and a block of panels below each other per neuron."""
    made, axes = style.figure(
        blocks * len(rows),
        len(rows[0]),
        width=max(3.2, 2.4 * len(rows[0])) + 1.4,
        height=len(rows) * (1.0 + 0.95 * sum(ratios)),
        sharex=True,
        height_ratios=ratios * len(rows),
    )
    return made, axes


def _counts(axis: Axes, example: Example) -> None:
    known = np.flatnonzero(np.nan_to_num(example.signal) > 0)
    axis.vlines(example.time[known], 0, example.signal[known], color=panels.DARK, linewidth=1)
    axis.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axis.set_ylim(0, None if len(known) else 1)


def _signal(axis: Axes, example: Example) -> None:
    axis.plot(example.time, example.signal, color=style.GREY, linewidth=0.8)
    axis.plot(example.time, example.rate, color=panels.DARK)


def _shares(axis: Axes, example: Example) -> None:
    axis.axhline(0, color=style.GREY, linewidth=0.6)
    for kernel, values in enumerate(example.component.T):
        beside = np.convolve(np.nan_to_num(values) != 0, np.ones(3), "same") > 0
        share = np.where(beside, values, np.nan)  # no line where the kernel is silent
        axis.fill_between(example.time, 0, share, color=shown.colour(kernel), alpha=0.2, linewidth=0)
        axis.plot(example.time, share, color=shown.colour(kernel))


def _codes(axis: Axes, example: Example) -> None:
    """Draw the codes as stems; those of kernels that start together stand side by side."""
    axis.axhline(0, color=style.GREY, linewidth=0.6)
    several = example.code.shape[1]
    step = 0.012 * float(example.time[-1] - example.time[0])
    for kernel in range(several):
        values = np.nan_to_num(example.code[:, kernel])
        at = np.flatnonzero(values)
        together = (np.nan_to_num(example.code[at]) != 0).sum(axis=1) > 1
        x = example.time[at] + np.where(together, (kernel - (several - 1) / 2) * step, 0)
        axis.vlines(x, 0, values[at], color=shown.colour(kernel), linewidth=1.2)
        axis.plot(x, values[at], "o", color=shown.colour(kernel), markersize=3)


def _label(block: np.ndarray, results: Results, settings: Settings, kind: str) -> None:
    """Name the panels of one neuron; panels of a row share their y axis."""
    units, drive = shown.signal_units(results), shown.drive_units(results, settings)
    counted = _counted(results)
    first = "count" if counted else style.with_units("signal", units)
    expected = "rate (Hz)" if counted else style.with_units("fit", units)
    names = [first, f"share ({drive})", f"drive ({drive})", expected]
    if kind == "codes":
        names = [first, expected, f"code ({drive})"] if counted else [first, f"code ({drive})"]
    for row, name in zip(block, names):
        low, high = zip(*(axis.get_ylim() for axis in row))
        for axis in row:
            axis.set_ylim(min(low), max(high))
            axis.tick_params(labelleft=axis is row[0])
        row[0].set_ylabel(name if drive != "1" else name.replace(" (1)", ""))
    for axis in block[-1]:
        axis.set_xlabel("time (s)")
        axis.tick_params(labelbottom=True)


def _entries(results: Results, rows: Sequence[Sequence[Example]], *, lines: bool) -> dict[str, Artist]:
    """Return the legend: kernels, lines and kinds of events."""
    entries: dict[str, Artist] = {
        name: panels.line(shown.colour(index), linewidth=2) for index, name in enumerate(shown.kernels(results))
    }
    if lines:
        entries["sum, fitted value"] = panels.line(panels.DARK)
    if lines and not _counted(results):
        entries["signal"] = panels.line(style.GREY)
    kinds = np.concatenate([example.kind for row in rows for example in row])
    return entries | panels.event_entries(json.loads(results.features.first().attrs["events"]), kinds)


def _table(rows: Sequence[Sequence[Example]], results: Results) -> list[dict[str, object]]:
    return [entry for row in rows for example in row for entry in _entry(example, shown.kernels(results))]


def _entry(example: Example, kernels: Sequence[str]) -> Iterator[dict[str, object]]:
    for index, time in enumerate(example.time):
        yield {
            "neuron": example.neuron,
            "trial": example.name,
            "time_s": time,
            "signal": example.signal[index],
            "expected": example.rate[index],
            "drive": example.drive[index],
            "baseline": example.baseline,
            **{f"share_{name}": example.component[index, k] for k, name in enumerate(kernels)},
            **{f"code_{name}": code for name, code in zip(kernels, example.code[index])},
        }
