"""Models that see some of the bands only, against those that see all: what low and high frequencies carry."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import families, panels, scored, shown
from pellucid.systems.deepinsight.figures.scored import Score
from pellucid.systems.deepinsight.figures.settings import Settings

KEYS = ("bands",)
MOST_ROWS = 20
NO_ENDS = {"lowest_hz": np.nan, "highest_hz": np.nan}


def models(results: Results) -> list[str]:
    """Return whole models, each before its band-limited versions, then Bayesian decoders; none without limited ones.

    A limited model without a whole counterpart stands alone.
    """
    fits = {name: fit for name, fit in shown.first_fits(results).items() if name in shown.decoders(results)}
    limited = [name for name, fit in fits.items() if shown.is_limited(fit)]
    kinds = list(dict.fromkeys(families.rest(fits[name], KEYS) for name in limited))

    def place(name: str) -> tuple[int, bool, float]:
        bands = families.bands_hz(results, fits[name])
        return kinds.index(families.rest(fits[name], KEYS)), name in limited, float(np.mean(np.log(bands)))

    own = sorted((name for name, fit in fits.items() if families.rest(fit, KEYS) in kinds), key=place)
    bayes = [name for name, fit in fits.items() if fit.settings["kind"] == "bayes"]
    return (own + bayes)[:MOST_ROWS] if limited else []


def limited(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the bands that each model sees and its scores, a row per model."""
    names = models(results)
    known = {name: own for name, own in scored.scores(results, names).items() if len(own) > 1}
    titles = scored.ordered(list(known))[:4]
    made, axes = style.figure(1, 1 + len(titles), width=1.6 + 1.9 * (1 + len(titles)), height=1.1 + 0.27 * len(names))
    fits = shown.first_fits(results)
    seen = {name: families.bands_hz(results, fits[name]) for name in names}
    _coverage(axes[0, 0], results, names, seen)
    table: shown.Rows = []
    for axis, title in zip(axes[0, 1:], titles):
        table += _scores(axis, names, known[title], title, seen)
    entries = {
        "score, 95 %" if _whole(known) else "score": panels.line("black", marker="o"),
        "chance, 95 %": panels.patch("0.85"),
    }
    panels.below(made, entries)
    listed = "; ".join(f"{name}: {_bands_said(bands)}" for name, bands in seen.items())
    caption = (
        f"Models that see some of the bands only, trained anew, against those that see all (n = {len(names)} models, "
        f"{shown.fits_said(results, names[0])}, same test rows). Left: the bands of each. "
        + scored.said([score for own in known.values() for score in own.values()])
        + f" Grey: 95 % band when {shown.chance_said(results)}. Bands: {listed}."
    )
    style.save(made, folder, "limited", table, caption, dpi=settings.dpi)


def _coverage(axis: Axes, results: Results, names: Sequence[str], seen: dict[str, np.ndarray]) -> None:
    """Mark the bands of each model on an axis of all bands."""
    every = np.asarray(results.features.first()["frequency"].values, float)
    for row, name in enumerate(names):
        axis.plot(every, np.full(len(every), row), "|", color="0.85", markersize=6)
        axis.plot(seen[name], np.full(len(seen[name]), row), "|", color="black", markersize=7, markeredgewidth=1.3)
        if not len(seen[name]):
            axis.text(0.5, row, "spikes", transform=axis.get_yaxis_transform(), fontsize=7, ha="center", va="center",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    panels.bands(axis, every)
    panels.rows(axis, names)
    style.label(axis, "frequency (Hz)", "", "bands seen")


def _scores(
    axis: Axes, names: Sequence[str], known: dict[str, Score], title: str, seen: dict[str, np.ndarray]
) -> shown.Rows:
    table: shown.Rows = []
    for row, name in enumerate(names):
        if name not in known:
            continue
        one = known[name]
        axis.fill_betweenx([row - 0.35, row + 0.35], one.chance_low, one.chance_high, color="0.85", linewidth=0)
        panels.row_point(axis, row, one.value, one.low, one.high, "black" if len(seen[name]) else style.COLOURS[1])
        bands = seen[name]
        ends = {"lowest_hz": bands.min(), "highest_hz": bands.max()} if len(bands) else NO_ENDS
        about = {"model": name, **ends, "bands": len(bands), "score": title, "units": one.unit}
        table.append(about | one.row())
    panels.rows(axis, names, named=False)
    axis.locator_params(axis="x", nbins=4)
    style.label(axis, scored.axis(title, one.unit), "", scored.title(title))
    return table


def _whole(known: dict[str, dict[str, Score]]) -> bool:
    return all(score.whole for own in known.values() for score in own.values())


def _bands_said(bands: np.ndarray) -> str:
    if not len(bands):
        return "spikes"
    said = [f"{hz:.0f}" if hz >= 1000 else f"{hz:.3g}" for hz in sorted(bands)]
    return f"{', '.join(said)} Hz" if len(bands) < 4 else f"{said[0]} to {said[-1]} Hz ({len(bands)} bands)"
