"""Which channel takes part in which phenomenon, with its sign: single channels of one seed, and labels over seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import channels, panels, shown
from pellucid.systems.retina.figures.channels import Channels
from pellucid.systems.retina.figures.settings import Settings


def summary(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the share of each channel in each phenomenon, coloured by the sign of its contribution."""
    found, known = shown.group(results, "summary"), channels.load(results)
    share, signed = (found[name].transpose("seed", "trial", "feature").values.astype(float)
                     for name in ("share", "signed"))  # fmt: skip
    phenomena = [shown.words(str(name)) for name in found["trial"].values]
    order = _order(known, share)
    several = known is not None and len(share) > 1
    size = len(order), len(channels.LOOKS) if several else 0
    made, axes = style.figure(
        1, 1 + several, width=2.1 + 0.36 * size[0] + (1.1 + 0.62 * size[1]) * several,
        height=1.45 + 0.3 * len(phenomena),
    )  # fmt: skip
    axes[0, 0].get_gridspec().set_width_ratios([0.36 * n + 0.3 for n in (size if several else size[:1])])
    drawn = _channels(axes[0, 0], share[0], signed[0], order, phenomena, known)
    table = _table(phenomena, share[0], signed[0], order, known)
    if several and known is not None:
        labels, totals, signs = by_label(share, signed, known)
        drawn = _labels(axes[0, 1], totals, signs, labels, len(phenomena))
        table += [
            {"panel": "label", "phenomenon": name, "channel": "", "label": label, "share": totals[i, j],
             "signed": signs[i, j]}
            for i, name in enumerate(phenomena)
            for j, label in enumerate(labels)
        ]  # fmt: skip
    panels.bar(made, drawn, axes[0].tolist(), "signed share of contributions", shrink=0.9)
    style.save(made, folder, "summary", table, _caption(results, settings, len(share), several), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether the shares of channels are known."""
    return shown.has(results, "summary", "share", "signed") and shown.group(results, "summary").sizes["trial"] > 0


def by_label(share: np.ndarray, signed: np.ndarray, known: Channels) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the labels that occur, and means over seeds of summed shares, (phenomenon, label), without and with sign.

    share, signed  (seed, phenomenon, feature)
    """
    labels = [label for label in channels.LOOKS if any(label in own for own in known.labels)]
    own = np.array([[[one == label for one in line] for label in labels] for line in known.labels])
    sums = [np.einsum("spf,slf->spl", np.nan_to_num(values), own) for values in (share, signed)]
    lost = ~np.isfinite(share).any(2)
    means = [shown.mean(np.where(lost[..., None], np.nan, values)) for values in sums]
    return labels, means[0], means[1]


def _order(known: Channels | None, share: np.ndarray) -> list[int]:
    """Return the channels of the first seed, grouped by label and the largest shares first."""
    level = shown.mean(share[0])
    labels = known.labels[0] if known else [""] * len(level)
    rank = {label: i for i, label in enumerate(channels.LOOKS)}
    return sorted(range(len(level)), key=lambda c: (rank.get(labels[c], len(rank)), -np.nan_to_num(level[c])))


def _channels(
    axis: Axes,
    share: np.ndarray,
    signed: np.ndarray,
    order: list[int],
    phenomena: Sequence[str],
    known: Channels | None,
) -> AxesImage:
    """Draw the channels of one seed; the number in a field is the share in per cent."""
    drawn = _fields(axis, share[:, order], signed[:, order])
    labels = [f"{c}: {known.labels[0][c]}" if known else str(c) for c in order]
    axis.set_xticks(range(len(order)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    if known is not None:
        for tick, channel in zip(axis.get_xticklabels(), order):
            tick.set_color(channels.look(known.labels[0][channel])[0])
    axis.set_yticks(range(len(phenomena)), [shown.short(name, 24) for name in phenomena], fontsize=7.5)
    axis.set_title("channels, first seed", fontsize=8)
    return drawn


def _labels(axis: Axes, share: np.ndarray, signed: np.ndarray, labels: Sequence[str], count: int) -> AxesImage:
    drawn = _fields(axis, share, signed)
    axis.set_xticks(range(len(labels)), list(labels), rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    for tick, label in zip(axis.get_xticklabels(), labels):
        tick.set_color(channels.look(label)[0])
    axis.set_yticks(range(count), [""] * count)
    axis.set_title("labels, mean over seeds", fontsize=8)
    return drawn


def _fields(axis: Axes, share: np.ndarray, signed: np.ndarray) -> AxesImage:
    """Draw signed shares as colours, and shares as numbers where they are not small."""
    drawn = panels.signed(axis, signed, 1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            dark = abs(signed[row, column]) > 0.55
            axis.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6.5,
                      color="white" if dark else "black")  # fmt: skip
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(share.shape[1] + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(share.shape[0] + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="0.85", linewidth=0.5)
    axis.tick_params(which="minor", length=0)
    return drawn


def _table(
    phenomena: Sequence[str], share: np.ndarray, signed: np.ndarray, order: list[int], known: Channels | None
) -> shown.Rows:
    return [
        {"panel": "channel", "phenomenon": name, "channel": c, "label": known.labels[0][c] if known else "",
         "share": share[i, c], "signed": signed[i, c]}
        for i, name in enumerate(phenomena)
        for c in order
    ]  # fmt: skip


def _caption(results: Results, settings: Settings, seeds: int, several: bool) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    text = (
        f"Channels of the first layer of model {model} in each phenomenon: numbers are shares, in per cent, of the sum "
        "of |contribution| over conditions, rows of the response window and cells (0 is left out); colours are the "
        "same with sign (no unit; red: excitation, blue: inhibition, pale: both or none). Names: number of the "
        "channel, ON or OFF, fast or slow. Rows without numbers: no response. "
    )
    if several:
        text += f"Left: first seed. Right: shares summed over channels of one label, mean over {seeds} seeds. "
    else:
        text += "One seed. " if seeds == 1 else f"First of {seeds} seeds. "
    return text + shown.warning(results) + "No interval. Null: equal shares of all channels."
