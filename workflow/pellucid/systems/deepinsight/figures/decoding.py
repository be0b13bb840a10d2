"""What goes in and what comes out: features with behaviour on the same clock, true and decoded behaviour."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import shown
from pellucid.systems.deepinsight.figures.settings import Settings


def features(results: Results, settings: Settings, folder: Path) -> None:
    """Draw normalised features of the first test fold as an image, with behaviour on the same clock below."""
    name, rows, _ = shown.stretch(results, settings) or shown.anywhere(results, settings)
    group = results.features.group(name)
    median, mad = (results.features.statistics[key].values[0] for key in ("median", "mad"))
    scaled = (group["power"][rows].values - median) / mad
    several = scaled.shape[1] > 1
    image = scaled.mean(axis=2).T if several else scaled[:, 0].T
    time = group["time"].values[rows]
    made, axes = style.figure(2, 1, height=4.2, sharex=True, height_ratios=(2, 1))
    limit = float(np.quantile(np.abs(image), 0.99))
    drawn = axes[0, 0].imshow(
        image,
        aspect="auto",
        origin="upper",
        extent=(time[0], time[-1], len(image), 0),
        vmin=-limit,
        vmax=limit,
        cmap="RdBu_r",
    )
    made.colorbar(
        drawn, ax=axes[0, 0], label="power, (x - median) / MAD" if several else "(x - median) / MAD", pad=0.01
    )
    if several:
        ticks = np.arange(0, len(image), max(1, len(image) // 8))
        axes[0, 0].set_yticks(ticks + 0.5, [f"{hz:.3g}" for hz in group["frequency"].values[ticks]])
    style.label(
        axes[0, 0],
        "",
        "frequency (Hz)" if several else "channel",
        f"{name}: features, mean over channels" if several else f"{name}: features",
    )
    for label, _, units, values in shown.targets(results, name, rows):
        axes[1, 0].plot(time, values, label=style.with_units(label, units))
    axes[1, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    style.label(axes[1, 0], "time (s)", "behaviour")
    table = [
        {"time_s": time[i], **{f"row_{k}": image[k, i] for k in range(len(image))}}
        for i in range(0, len(time), max(1, len(time) // 500))
    ]
    caption = (
        f"Input of the decoder for recording {name}: features scaled by median and MAD of training rows, and behaviour "
        "on the same clock."
    )
    style.save(made, folder, "features", table, caption, dpi=settings.dpi)


def traces(results: Results, settings: Settings, folder: Path) -> None:
    """Draw true and decoded behaviour over a stretch of test rows."""
    name, rows, fold = shown.stretch(results, settings) or shown.anywhere(results, settings)
    time = results.features.group(name)["time"].values[rows]
    true = list(shown.targets(results, name, rows))
    decoded = list(shown.targets(results, name, rows, settings.model, fold))
    made, axes = style.figure(len(true), 1, height=0.6 + 1.5 * len(true), sharex=True)
    columns: dict[str, np.ndarray] = {"time_s": time}
    for axis, (label, period, units, values), (_, _, _, guess) in zip(axes[:, 0], true, decoded):
        marker = {"marker": ".", "linestyle": "none", "markersize": 3} if period else {}
        axis.plot(time, values, color=style.GREY, label="true", **marker)
        axis.plot(time, guess, color=style.COLOURS[1], label="decoded", **marker)
        style.label(axis, "", style.with_units(label, units))
        columns |= {f"{label}_true": values, f"{label}_decoded": guess}
    axes[0, 0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axes[-1, 0].set_xlabel("time (s)")
    table = [dict(zip(columns, row)) for row in zip(*columns.values())]
    caption = (
        f"True and decoded behaviour on test rows of recording {name} (model {settings.model}, first fold and seed); "
        "gaps are rows that are not scored."
    )
    style.save(made, folder, "decoding", table, caption, dpi=settings.dpi)
