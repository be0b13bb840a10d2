"""What: feature weights of all neurons as bar codes, sorted by type, and how the number of types was chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

CURVES = {
    "silhouette": "silhouette",
    "ari_seeds": "ARI across seeds",
    "ari_bootstrap": "ARI, bootstrap",
    "ari_null": "ARI, null",
}


def bar_codes(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the feature weights of all neurons sorted by type, their stability, and the choice of types."""
    what, types = shown.group(results, "what"), shown.group(results, "types")
    weights = what["weight"].values[0, shown.best(results, settings)[0]].astype(float)  # (neuron, feature)
    order = _order(types, weights)
    truth = types["truth"].values if "truth" in types else None
    selection = shown.attribute(types.attrs, "selection") or []
    pair = weights.shape[1] == 2
    ratios = [
        1.5 + 0.12 * min(weights.shape[1], 16),
        0.45,
        0.8,
        *([2.4] if pair else []),
        *([2.4] if selection else []),
    ]
    made, axes = style.figure(1, len(ratios), width=1.2 + 1.05 * sum(ratios), height=3.3)
    axes[0, 0].get_gridspec().set_width_ratios(ratios)
    _matrix(made, axes[0, 0], weights[order])
    label = types["label"].values[0].astype(int)
    _strips(axes[0, 1], {"cluster": label[order]} | ({} if truth is None else {"true": truth[order].astype(int)}))
    stability = types["stability"].values[0].astype(float)
    _stability(axes[0, 2], stability[order])
    if pair:
        kinds, word = (label, "cluster") if truth is None else (truth.astype(int), "type")
        _scatter(axes[0, 3], _used(what, weights)[order], kinds[order], word)
    if selection:
        _selection(axes[0, -1], selection, _chosen(types))
    names = shown.names(results)
    table = [
        {"neuron": names[n], "cluster": label[n], "true_type": "" if truth is None else int(truth[n]),
         "stability": stability[n], **{f"weight_{k}": weights[n, k] for k in range(weights.shape[1])}}
        for n in order
    ]  # fmt: skip
    style.save(made, folder, "bar_codes", table, _caption(settings, what, types, len(order)), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether there are types and two or more features."""
    present = shown.has(results, "what") and shown.has(results, "types")
    return present and shown.group(results, "what").sizes["feature"] > 1


def _order(types: xr.Dataset, weights: np.ndarray) -> np.ndarray:
    """Return the neurons that have weights in the order of display."""
    order = types["order"].values[0].astype(int)
    return np.asarray(order[np.isfinite(weights[order]).all(1)])


def _matrix(made: Figure, axis: Axes, values: np.ndarray) -> None:
    limit = float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    image = axis.imshow(
        values, aspect="auto", interpolation="nearest", cmap="RdBu_r" if signed else "Greys",
        vmin=-limit if signed else 0, vmax=limit,
    )  # fmt: skip
    made.colorbar(image, ax=axis, location="left", label="feature weight (unit norm)", shrink=0.6, pad=0.05)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    style.label(axis, "feature", "neuron, sorted by cluster", "bar codes")


def _strips(axis: Axes, labels: Mapping[str, np.ndarray]) -> None:
    """Draw a column of colours per kind of label; labels {name: (neuron,)}."""
    from matplotlib.colors import to_rgb

    colour = _colours(np.concatenate(list(labels.values())))
    picture = np.array([[to_rgb(colour[int(value)]) for value in row] for row in np.stack(list(labels.values()), 1)])
    axis.imshow(picture, aspect="auto", interpolation="nearest")
    axis.set_xticks(range(len(labels)), list(labels), rotation=60, ha="right", rotation_mode="anchor")
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def _colours(labels: np.ndarray) -> dict[int, str]:
    """Return a colour for each label, grey for neurons without a type (below 0)."""
    known = shown.colours(sorted({int(value) for value in labels if value >= 0}))
    return known | ({-1: "0.8"} if (labels < 0).any() else {})


def _stability(axis: Axes, values: np.ndarray) -> None:
    edges = np.arange(len(values) + 1) - 0.5
    axis.stairs(np.nan_to_num(values), edges.tolist(), orientation="horizontal", fill=True, color="0.7")
    axis.set(xlim=(0, 1), ylim=(len(values) - 0.5, -0.5))
    axis.set_yticks([])
    axis.set_xticks([0, 1])
    style.label(axis, "stability", "")


def _used(what: xr.Dataset, weights: np.ndarray) -> np.ndarray:
    """Return the weights of unit norm (neuron, feature) in the size with which they are used."""
    if "raw" not in what:
        return weights
    return np.asarray(weights * np.linalg.norm(what["raw"].values[0].astype(float), axis=1, keepdims=True))


def _scatter(axis: Axes, weights: np.ndarray, kinds: np.ndarray, word: str) -> None:
    """Draw weight 1 against weight 2, coloured by type (Fig. 4c)."""
    for kind, colour in _colours(kinds).items():
        own = weights[kinds == kind]
        axis.plot(
            own[:, 0],
            own[:, 1],
            ".",
            color=colour,
            markersize=4,
            alpha=0.6,
            markeredgewidth=0,
            label=f"{word} {kind}" if kind >= 0 else "no type",
        )
    axis.axhline(0, color="0.85", linewidth=0.7, zorder=0)
    axis.axvline(0, color="0.85", linewidth=0.7, zorder=0)
    low, high = panels.span(weights, np.zeros(1))
    axis.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    axis.legend(fontsize=6.5, loc="best", handletextpad=0.1)
    style.label(axis, "weight of feature 0", "weight of feature 1", "as used")


def _selection(axis: Axes, rows: Sequence[Mapping[str, Any]], chosen: Sequence[int]) -> None:
    clusters = sorted({int(row["clusters"]) for row in rows})
    for index, (key, name) in enumerate(CURVES.items()):
        values = [
            np.array([shown.number(row.get(key)) for row in rows if int(row["clusters"]) == count])
            for count in clusters
        ]
        middle = np.array([shown.mean(own) for own in values])
        if not np.isfinite(middle).any():
            continue
        null = key == "ari_null"
        colour = style.GREY if null else shown.colour(index)
        axis.plot(clusters, middle, "--" if null else "-", marker="osD^"[index], markersize=3, color=colour, label=name)
        low, high = (np.array([f(own[np.isfinite(own)], initial=start) for own in values])
                     for f, start in ((np.min, np.inf), (np.max, -np.inf)))  # fmt: skip
        axis.fill_between(clusters, low, high, where=high >= low, color=colour, alpha=0.15, linewidth=0)
    for count in sorted(set(chosen)):
        axis.vlines(count, -0.05, 1.08, color="black", linestyle=":", linewidth=0.9, zorder=0)
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), 1.45)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=6.5, loc="upper center", ncols=2, columnspacing=0.8, handlelength=1.6)
    style.label(axis, "number of clusters", "", "choice of types (dotted)")


def _chosen(types: xr.Dataset) -> list[int]:
    found = shown.attribute(types.attrs, "chosen")
    return [int(value) for value in (found if isinstance(found, list) else [found])] if found is not None else []


def _caption(settings: Settings, what: xr.Dataset, types: xr.Dataset, count: int) -> str:
    folds = what.sizes["fold"]
    source = str(types.attrs.get("stability_from", f"{what.sizes['seed']} seeds"))
    text = (
        f"Feature weights of model {settings.model}, {count} neurons x {what.sizes['feature']} features, best fit of "
        "fold 0, each neuron's scaled to unit norm (no unit), sorted by cluster. Stability: mean overlap of a "
        f"neuron's cluster with its cluster in others' clusterings ({source}), 0 to 1. "
    )
    for name, said in (("purity", "Purity of weights"), ("ari_truth", "Adjusted Rand index (ARI) with true types")):
        value = shown.attribute(types.attrs, name)
        values = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        if values:
            text += f"{said}, by fold: {', '.join(f'{one:.2f}' for one in values)}. "
    if what.sizes["feature"] == 2:
        text += "Scatter: weight of one feature against the other, in the size in which they are used (Klindt et al. "
        text += "2017, Fig. 4c). "
    if shown.attribute(types.attrs, "selection"):
        text += (
            f"Right: mean and range over {folds} fold{'s' * (folds > 1)} of what chose the number of clusters; dotted: "
            "chosen. Null (grey, dashed): ARI after features were permuted over neurons."
        )
    return text
