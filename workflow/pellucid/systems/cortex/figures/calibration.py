"""Whether decoded probabilities are right: share of state 1 against the probability that the shown model gives."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results, row_indices
from pellucid.plotting import style
from pellucid.systems.cortex.figures import panels, shown, stretch, tested
from pellucid.systems.cortex.figures.settings import Settings

BINS = 10


def calibration(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the reliability of the shown model for each test mouse, and how often each probability is given."""
    counts = reliability(results, settings)
    names = list(counts)
    made, axes = style.figure(2, 1, width=4.6, height=4.2, sharex=True, height_ratios=[3, 1])
    axis, below = axes[0, 0], axes[1, 0]
    axis.plot([0, 1], [0, 1], color="0.55", linewidth=0.8, zorder=0)
    colours = shown.colours(tested.names(results))
    centres = (np.arange(BINS) + 0.5) / BINS
    for name in names:
        number, given, true = counts[name]
        colour = colours.get(name, style.GREY)
        axis.plot(given, true, "-o", color=colour, markersize=3, linewidth=0.9, alpha=0.8)
        below.plot(centres, number / number.sum(), color=colour, linewidth=0.9, drawstyle="steps-mid")
    if len(names) > 1:
        middle = [tested.interval(np.stack([counts[name][i] for name in names]))[0] for i in (1, 2)]
        axis.plot(*middle, "-D", color="black", markersize=4, linewidth=1.6)
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    style.label(axis, "", "share of frames in state 1", f"model {settings.model}")
    below.set_ylim(0, None)
    style.label(below, "decoded probability of state 1", "share of frames")
    panels.legend(made, {"mean": panels.line("black", marker="D")} | panels.of_tests(results) if len(names) > 1 else {})
    table = [
        {"test": name, "bin_low": i / BINS, "bin_high": (i + 1) / BINS, "frames": int(number[i]),
         "probability": given[i], "share": true[i]}
        for name, (number, given, true) in counts.items() for i in range(BINS)
    ]  # fmt: skip
    style.save(made, folder, "calibration", table, _caption(results, settings, table), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model gives probabilities of test frames."""
    return not shown.speed(shown.about(results)[settings.model]) and bool(reliability(results, settings))


def reliability(results: Results, settings: Settings) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return for each test mouse, in bins of probability: frames, mean probability and share of state 1, (bin,)."""
    sums: dict[str, np.ndarray] = {}
    known = tested.of_folds(results)
    for fit in shown.fits(results, settings.model):
        if fit.fold not in known or fit.fold >= len(results.features.folds):
            continue
        for recording, rows in results.features.folds[fit.fold].test.items():
            p = stretch.probability(results, recording, settings.model, fit.fold, fit.seed)
            if p is None:
                continue
            at = row_indices(rows)
            p, state = p[at], stretch.state(results, recording, fit.fold)[at]
            own = np.isfinite(p) & np.isfinite(state)
            bins = np.minimum((p[own] * BINS).astype(int), BINS - 1)
            new = np.stack([np.bincount(bins, weight, BINS) for weight in (np.ones(own.sum()), p[own], state[own])])
            sums[known[fit.fold]] = sums.get(known[fit.fold], 0) + new
    return {
        name: (one[0], *(np.where(one[0] > 0, part / np.maximum(one[0], 1), np.nan) for part in one[1:]))
        for name, one in sums.items()
        if one[0].sum()
    }


def _caption(results: Results, settings: Settings, table: shown.Rows) -> str:
    frames = sum(row["frames"] for row in table)
    own = [shown.number(row.get("ece")) for row in shown.table(results) if row["model"] == settings.model]
    error = float(shown.mean(np.array(own)))
    said = f" Expected calibration error: {shown.digits(error)}, mean over fits." if np.isfinite(error) else ""
    return (
        f"Share of test frames in state 1 against the probability that model {settings.model} gives, in {BINS} equal "
        f"bins ({frames} predictions: frames x fits), {panels.coloured(results)}; black: mean over "
        f"{tested.counted(results)}, no interval. Below: how often each probability is given.{said} Line: perfect "
        "calibration; null: a decoder that knows only the share of state 1 gives one point on that line. "
        + shown.transductive(results, [settings.model])
    )
