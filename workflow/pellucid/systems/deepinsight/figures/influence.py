"""Which inputs carry the behaviour: influence of bands and channels, and whether it is faithful to the network."""

import json
from pathlib import Path

import numpy as np

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels
from pellucid.systems.deepinsight.figures.settings import Settings


def spectrum(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the influence of every band on every output with simultaneous intervals and the null."""
    group = schema.group(results.attribution, "band")
    frequencies, terms = group["frequency"].values, list(group["output"].values)
    made, axes = panels.grid(len(terms), columns=4, width=3.3, height=2.8, least=4.0)
    table = []
    for column, (axis, term) in enumerate(zip(axes, terms)):
        value, low, high = (group[name].values[:, column] for name in ("influence", "low", "high"))
        colour = style.COLOURS[column % len(style.COLOURS)]
        axis.axhline(0, color=style.GREY, linewidth=0.6)
        axis.axhline(
            float(group["null_high"].values[column]),
            color=style.GREY,
            linestyle="--",
            linewidth=0.8,
            label="null, 95 %",
        )
        axis.fill_between(frequencies, low, high, color=colour, alpha=0.25, linewidth=0)
        axis.plot(frequencies, value, "o-", color=colour, markersize=3)
        axis.set_xscale("log")
        axis.legend(fontsize=6)
        style.label(axis, "frequency (Hz)", "influence, (loss' - loss) / loss" if panels.first(axis) else "", term)
        ratio, spread = group["sample_ratio"].values[:, column], group["repeat_sd"].values[:, column]
        table += [
            {
                "output": term,
                "frequency_hz": f,
                "influence": v,
                "low": lo,
                "high": hi,
                "repeat_sd": sd,
                "published_sample_ratio": r,
            }
            for f, v, lo, hi, sd, r in zip(frequencies, value, low, high, spread, ratio)
        ]
    caption = (
        f"Influence of each band of model {results.attribution.attrs['model']}: relative increase of the test loss "
        "when the band is shuffled in time over all channels, as a ratio of means. Shading: 95 % intervals over folds, "
        "seeds and blocks of test time, holding together over all bands. Dashed: largest influence under circularly "
        "shifted behaviour. " + _recovery_text(results)
    )
    style.save(made, folder, "influence_bands", table, caption, dpi=settings.dpi)


def channels(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the influence of every channel on every output, with simultaneous intervals."""
    group = schema.group(results.attribution, "channel")
    names, terms = [str(name) for name in group["channel"].values], list(group["output"].values)
    made, axes = style.figure(len(terms), 1, height=0.8 + 1.7 * len(terms), sharex=True)
    table = []
    for column, (axis, term) in enumerate(zip(axes[:, 0], terms)):
        value, low, high = (group[name].values[:, column] for name in ("influence", "low", "high"))
        axis.axhline(0, color=style.GREY, linewidth=0.6)
        axis.vlines(np.arange(len(names)), low, high, color=style.COLOURS[column % len(style.COLOURS)], alpha=0.5)
        axis.plot(np.arange(len(names)), value, "o", markersize=3, color=style.COLOURS[column % len(style.COLOURS)])
        style.label(axis, "", "influence", term)
        table += [
            {"output": term, "channel": n, "influence": v, "low": lo, "high": hi}
            for n, v, lo, hi in zip(names, value, low, high)
        ]
    step = max(1, len(names) // 16)
    axes[-1, 0].set_xticks(np.arange(0, len(names), step), names[::step])
    axes[-1, 0].set_xlabel("channel")
    caption = (
        "Influence of each channel, all its bands shuffled together in time; bars: 95 % intervals over folds, seeds "
        "and blocks of test time, holding together over all channels."
    )
    style.save(made, folder, "influence_channels", table, caption, dpi=settings.dpi)


def faithfulness(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the loss when the most and the least influential bands are shuffled together."""
    group = schema.group(results.attribution, "deletion")
    counts, terms = group["feature"].values, list(group["output"].values)
    made, axes = panels.grid(len(terms), columns=4, width=3.3, height=2.6, least=4.0)
    table = []
    for column, (axis, term) in enumerate(zip(axes, terms)):
        for which, colour in (("most", style.COLOURS[1]), ("least", style.COLOURS[0])):
            values = group[which].values[:, column]
            axis.plot(counts, values, "o-", color=colour, markersize=3, label=f"{which} influential first")
            table += [{"output": term, "order": which, "bands": int(k), "influence": v} for k, v in zip(counts, values)]
        axis.set_xticks(counts)
        style.label(axis, "bands shuffled together", "relative increase of loss" if panels.first(axis) else "", term)
    axes[0].legend()
    caption = (
        "Faithfulness: influences are faithful to the network if shuffling the most influential bands together hurts "
        "more than shuffling as many of the least influential ones."
    )
    style.save(made, folder, "influence_faithfulness", table, caption, dpi=settings.dpi)


def _recovery_text(results: Results) -> str:
    rows = json.loads(results.attribution.attrs["headline"])
    said = "; ".join(f"{row['name'].removeprefix('influence: ')}: {row['value']:.3g}" for row in rows)
    return f"Against simulated truth: {said}." if said else ""
