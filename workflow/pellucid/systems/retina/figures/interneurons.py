"""Recorded interneurons and the hidden units that follow them best, against shifted potentials and random weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import channels, panels, shown
from pellucid.systems.retina.figures.settings import Settings

NEEDED = ("correlation", "best_feature", "best_row", "best_column", "r", "null_shift")
UNTRAINED = "#CC79A7"
QUANTILE = 0.99


@dataclass(frozen=True)
class Match:
    """One interneuron and its unit in the network of the first seed.

    map      (height, width) correlation with the chosen unit's channel, all rows
    unit     channel, row and column, px of the map
    r        of the second half; seeds: (seed,) the same of every seed
    shifted  (draw,) r of shifted potentials; untrained: (network,) r with random weights
    """

    recording: str
    name: str
    map: np.ndarray
    unit: tuple[int, int, int]
    label: str
    r: float
    seeds: np.ndarray
    shifted: np.ndarray
    untrained: np.ndarray


def interneurons(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the correlation map of each interneuron's channel and its score among the nulls, and all scores."""
    every = load(results)
    order = sorted(range(len(every)), key=lambda i: -np.nan_to_num(every[i].r, nan=-2.0))
    chosen = [every[order[i]] for i in shown.thinned(len(order), settings.interneurons)]
    many = len(every) > len(chosen) or len(every[0].seeds) > 1
    wide = any(one.map.size > 1 for one in chosen)
    count = len(chosen)
    made, axes = style.figure(
        1 + wide, count + many, width=1.5 + 1.45 * count + 2.2 * many, height=2.1 + 1.5 * wide, sharey=False
    )
    most = panels.limit(*(one.map for one in chosen))
    for column, one in enumerate(chosen):
        if wide:
            drawn = _map(axes[0, column], one, most)
        _histogram(axes[-1, column], one, chosen, first=column == 0)
        axes[0, column].set_title(_title(one), fontsize=6.5, pad=3)
    if wide:
        panels.bar(made, drawn, axes[0, :count].tolist(), "r with the potential", shrink=0.85)
    if many:
        spec = axes[0, -1].get_gridspec()
        for axis in axes[:, -1]:
            axis.remove()
        _all(made.add_subplot(spec[:, -1]), [every[i] for i in order])
    panels.below(made, _legend())
    style.save(made, folder, "interneurons", _table(every), _caption(results, settings, every, count, many),
               dpi=settings.dpi)  # fmt: skip


def possible(results: Results) -> bool:
    """Tell whether interneurons were matched."""
    return bool(load(results))


def load(results: Results) -> list[Match]:
    """Return the matches of all interneurons of all recordings."""
    known = channels.load(results)
    found = []
    for recording in shown.children(results, "interneurons"):
        if shown.has(results, f"interneurons/{recording}", *NEEDED):
            group = shown.group(results, f"interneurons/{recording}")
            found += [_match(group, recording, i, known) for i in range(group.sizes["neuron"])]
    return found


def _match(group: xr.Dataset, recording: str, number: int, known: channels.Channels | None) -> Match:
    own = group.isel(neuron=number)
    first = own.isel(seed=0)
    unit = tuple(int(first[f"best_{name}"].values) for name in ("feature", "row", "column"))
    maps = first["correlation"].transpose("feature", "height", "width")
    untrained = own["untrained"].values.astype(float)[0] if "untrained" in own else np.empty(0)
    shifted = own["null_shift"].values.astype(float)[0]
    return Match(
        recording, shown.names(group, group.sizes["neuron"])[number], maps.isel(feature=unit[0]).values.astype(float),
        (unit[0], unit[1], unit[2]), known.labels[0][unit[0]] if known else "", float(first["r"].values),
        own["r"].values.astype(float), shifted[np.isfinite(shifted)], untrained[np.isfinite(untrained)],
    )  # fmt: skip


def _map(axis: Axes, one: Match, most: float) -> AxesImage:
    drawn = panels.signed(axis, one.map, most)
    axis.plot(one.unit[2], one.unit[1], "s", markerfacecolor="none", color="black", markersize=5, markeredgewidth=0.9)
    panels.frame(axis)
    return drawn


def _histogram(axis: Axes, one: Match, chosen: list[Match], *, first: bool) -> None:
    """Draw how often shifted potentials have each score, the untrained networks, and the score itself."""
    every = np.concatenate([np.concatenate([m.shifted, m.untrained, [m.r]]) for m in chosen])
    low, high = panels.span(every)
    bins = np.linspace(low, high, 41).tolist()
    axis.hist(one.shifted, bins=bins, color="0.7", linewidth=0)
    axis.axvline(float(np.quantile(one.shifted, QUANTILE)), color="0.35", linestyle=":", linewidth=1.1)
    axis.plot(
        one.untrained, np.zeros(len(one.untrained)), "^", color=UNTRAINED, markersize=4.5, clip_on=False, zorder=4
    )
    axis.axvline(one.r, color=shown.MODEL, linewidth=1.6)
    axis.set_xlim(low, high)
    axis.tick_params(labelsize=6.5)
    axis.set_xlabel("r, second half", fontsize=7)
    if first:
        axis.set_ylabel("shifted potentials", fontsize=7)


def _all(axis: Axes, order: list[Match]) -> None:
    """Draw the score of every interneuron, the best first, with its 99th percentile of shifted potentials."""
    for place, one in enumerate(order):
        axis.plot(one.seeds, np.full(len(one.seeds), place), "o", color=shown.MODEL, markersize=3, alpha=0.45,
                  markeredgewidth=0)  # fmt: skip
        axis.plot(one.r, place, "o", color=shown.MODEL, markersize=4)
        axis.plot(np.quantile(one.shifted, QUANTILE), place, "|", color="0.35", markersize=7, markeredgewidth=1.4)
        axis.plot(one.untrained, np.full(len(one.untrained), place), "^", color=UNTRAINED, markersize=3)
    panels.rows(axis, [one.name for one in order], size=6 if len(order) > 20 else 7)
    axis.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    style.label(axis, "r, second half", "", f"all {len(order)} interneurons")


def _title(one: Match) -> str:
    text = f"{shown.short(one.name, 16)}\nchannel {one.unit[0]}"
    return text + (f" ({one.label})" if one.label else "") + f"\nr = {shown.digits(one.r)}"


def _legend() -> dict[str, Artist]:
    return {
        "trained network": panels.line(shown.MODEL, linewidth=1.6),
        "shifted in time": panels.patch("0.7"),
        "their 99th percentile": panels.line("0.35", linestyle=":"),
        "untrained networks": panels.line(UNTRAINED, linestyle="", marker="^"),
    }


def _table(every: list[Match]) -> shown.Rows:
    return [
        {"recording": one.recording, "neuron": one.name, "channel": one.unit[0], "row": one.unit[1],
         "column": one.unit[2], "label": one.label, "r": one.r, "r_lowest_seed": float(np.nanmin(one.seeds)),
         "r_highest_seed": float(np.nanmax(one.seeds)), "shifted_99": float(np.quantile(one.shifted, QUANTILE)),
         "untrained": float(one.untrained.mean()) if len(one.untrained) else np.nan}
        for one in every
    ]  # fmt: skip


def _caption(results: Results, settings: Settings, every: list[Match], count: int, many: bool) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    seeds = len(every[0].seeds)
    passed = sum(one.r > np.quantile(one.shifted, QUANTILE) for one in every)
    recordings = list(dict.fromkeys(one.recording for one in every))
    text = (
        f"Interneurons that were never fitted, and units of the first layer of model {model} (recordings: "
        f"{shown.said(recordings)}): {shown.part(count, len(every), 'cell')}, evenly over their scores. Above: "
        "Pearson's correlation of the potential with the units of the chosen channel, first seed; square: the unit, "
        "chosen by the largest correlation over the first half of the recording. Below: its correlation over the "
        "second half (vermilion; no unit), and that of potentials shifted in time, with the unit chosen in the same "
        "way (grey, null), and of untrained networks (triangles, null). "
    )
    text += f"Right: all interneurons; pale: each of {shown.plural(seeds, 'seed')}. " if many else ""
    return text + f"{passed} of {len(every)} exceed the 99th percentile of shifted potentials. No interval."
