"""Sets of inputs shuffled together: pairs of bands against the sum of both alone, and named groups."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, shown
from pellucid.systems.deepinsight.figures.settings import Settings

LEVEL = 0.05
"""Level of significance of an interaction, after correction for all pairs."""


def pairs(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the interaction of every pair of bands as a matrix per output; significant ones are marked."""
    group = shown.group(results, "pairs")
    first, second, terms = group["first_hz"].values, group["second_hz"].values, list(group["output"].values)
    bands = np.unique(np.concatenate([first, second]))
    found = shown.noted(group, ("interaction", "low", "high", "p", "p_holm"))
    most = panels.limit(found["interaction"])
    made, axes = panels.grid(len(terms), columns=3, width=3.4, height=3.6, least=4.8)
    table: shown.Rows = []
    for column, (axis, term) in enumerate(zip(axes, terms)):
        own = {name: values[:, column] for name, values in found.items()}
        places = [np.sort(pair)[::-1] for pair in np.searchsorted(bands, np.stack([first, second], axis=1))]
        drawn = _matrix(axis, np.array(places), own["interaction"], own["p_holm"], bands, most)
        style.label(axis, "frequency (Hz)", "frequency (Hz)" if panels.first(axis) else "", term)
        table += [
            {"output": term, "first_hz": a, "second_hz": b, **{name: own[name][i] for name in own}}
            for i, (a, b) in enumerate(zip(first, second))
        ]
    made.colorbar(drawn, ax=axes, label="interaction, relative increase of loss", shrink=0.7, pad=0.02)
    marked = {term: sum(row["p_holm"] < LEVEL for row in table if row["output"] == term) for term in terms}
    caption = (
        f"Interaction of bands of model {shown.explained(results, settings)}: influence of two bands shuffled together "
        "minus the sum of both shuffled alone; above 0 (red): each stands in for the other, as redundant bands do. "
        f"Dots: p < {LEVEL:g}, Wilcoxon signed-rank test over n = {group.attrs['n']} blocks of test time of all folds "
        f"and seeds, Holm-Sidak over all {len(first)} pairs "
        f"({'; '.join(f'{term}: {count}' for term, count in marked.items())}); blocks of a fold are not fully "
        "independent. The intervals are in the table behind."
    )
    style.save(made, folder, "pairs", table, caption, dpi=settings.dpi)


def _matrix(
    axis: Axes, places: np.ndarray, values: np.ndarray, p: np.ndarray, bands: np.ndarray, most: float
) -> AxesImage:
    """Draw the lower triangle of a matrix; places (pair, 2) row and column."""
    image = np.full((len(bands), len(bands)), np.nan)
    image[places[:, 0], places[:, 1]] = values
    drawn = axis.imshow(image, cmap="RdBu_r", vmin=-most, vmax=most, origin="lower", interpolation="nearest")
    marked = places[p < LEVEL]
    axis.plot(marked[:, 1], marked[:, 0], ".", color="black", markersize=3)
    ticks = np.arange(0, len(bands), max(1, -(-len(bands) // 9)))
    axis.set_xticks(ticks, panels.hertz(bands[ticks]), rotation=60, ha="right", rotation_mode="anchor")
    axis.set_yticks(ticks, panels.hertz(bands[ticks]))
    return drawn


def groups(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the influence of every named group of inputs on every output, with intervals and the null."""
    group = shown.group(results, "group")
    names, terms = [str(name) for name in group["feature"].values], list(group["output"].values)
    found = shown.noted(group, ("influence", "low", "high", "null_high"))
    made, axes = panels.grid(len(terms), columns=3, width=2.7, height=0.9 + 0.24 * len(names), least=4.0)
    table: shown.Rows = []
    for column, (axis, term) in enumerate(zip(axes, terms)):
        null = float(found["null_high"][column])
        panels.zero(axis, vertical=True)
        axis.axvline(null, color=style.GREY, linestyle="--", linewidth=0.8)
        for row, name in enumerate(names):
            value, low, high = (float(found[key][row, column]) for key in ("influence", "low", "high"))
            panels.row_point(axis, row, value, low, high, style.COLOURS[column % len(style.COLOURS)])
            table.append(
                {"output": term, "group": name, "influence": value, "low": low, "high": high, "null_high": null}
            )
        panels.rows(axis, names, named=panels.first(axis))
        axis.locator_params(axis="x", nbins=4)
        style.label(axis, "influence, (loss' - loss) / loss", "", term)
    panels.below(
        made,
        {"influence, 95 %": panels.line("black", marker="o"), "null, 95 %": panels.line(style.GREY, linestyle="--")},
    )
    caption = (
        f"Influence of named groups of bands and channels of model {shown.explained(results, settings)}, all members "
        f"of a group shuffled together in time; n = {shown.plural(len(names), 'group')}, "
        f"{shown.fits_said(results, shown.explained(results, settings))}. Bars: 95 % intervals over folds, seeds and "
        f"blocks of test time, holding together over all groups. Dashed: largest influence under circularly shifted "
        f"behaviour. Groups of different sizes are not directly comparable."
    )
    style.save(made, folder, "groups", table, caption, dpi=settings.dpi)
