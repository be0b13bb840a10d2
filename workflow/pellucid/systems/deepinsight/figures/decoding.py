"""What goes in and what comes out: features with behaviour, true and decoded behaviour, errors and scores."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pellucid import schema
from pellucid.artifacts import Results, row_indices
from pellucid.plotting import style
from pellucid.preprocess import behaviour as behaviours
from pellucid.systems.deepinsight.figures.settings import Settings


def features(results: Results, settings: Settings, folder: Path) -> None:
    """Draw normalised features of the first test fold as an image, with behaviour on the same clock below."""
    name, rows = _shown(results, settings)
    group = results.features.group(name)
    median, mad = (results.features.statistics[key].values[0] for key in ("median", "mad"))
    scaled = (group["power"][rows].values - median) / mad
    several = scaled.shape[1] > 1
    image = scaled.mean(axis=2).T if several else scaled[:, 0].T
    time = group["time"].values[rows]
    made, axes = style.figure(2, 1, height=4.2, sharex=True, height_ratios=(2, 1))
    limit = float(np.quantile(np.abs(image), 0.99))
    shown = axes[0, 0].imshow(
        image,
        aspect="auto",
        origin="upper",
        extent=(time[0], time[-1], len(image), 0),
        vmin=-limit,
        vmax=limit,
        cmap="RdBu_r",
    )
    made.colorbar(
        shown, ax=axes[0, 0], label="power, (x - median) / MAD" if several else "(x - median) / MAD", pad=0.01
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
    for label, _, units, values in _targets(results, name, rows):
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
    name, rows = _shown(results, settings)
    time = results.features.group(name)["time"].values[rows]
    true = list(_targets(results, name, rows))
    decoded = list(_targets(results, name, rows, settings.model))
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


def errors(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the distribution of absolute errors of every model over all test rows, with chance."""
    models = list(schema.group(results.predictions, next(iter(results.predictions.children)))["model"].values)
    pooled: dict[tuple[str, str], list[np.ndarray]] = {}
    units: dict[str, str] = {}
    for name, rows, model, fold, seed in _test_parts(results, models):
        for (label, period, unit, true), (*_, guess) in zip(
            _targets(results, name, rows), _targets(results, name, rows, model, fold, seed)
        ):
            units[label] = unit
            known = np.isfinite(guess) & np.isfinite(true)
            pooled.setdefault((label, model), []).append(_distance(true[known], guess[known], period))
            if model == settings.model and known.any():
                half = np.roll(true[known], known.sum() // 2)
                pooled.setdefault((label, "chance"), []).append(_distance(half, guess[known], period))
    made, axes = style.figure(1, len(units), height=2.8, width=4.4 * len(units))
    table = []
    for axis, (label, unit) in zip(axes[0], units.items()):
        top = np.quantile(np.concatenate(pooled[label, "chance"]), 0.99)
        for model in [*models, "chance"]:
            joined = np.concatenate(pooled[label, model])
            grid = np.linspace(0, top, 200)
            share = np.searchsorted(np.sort(joined), grid, side="right") / len(joined)
            colour = style.GREY if model == "chance" else style.COLOURS[models.index(model) % len(style.COLOURS)]
            axis.plot(
                grid,
                share,
                "--" if model == "chance" else "-",
                color=colour,
                label=f"{model} ({np.median(joined):.3g})",
            )
            table += [
                {"target": label, "model": model, "error": x, "units": unit, "share": y} for x, y in zip(grid, share)
            ]
        axis.legend(fontsize=6, title="median error", title_fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
        style.label(axis, style.with_units("absolute error", unit), "share of test rows", label)
    caption = (
        "Distribution of errors over all test rows of all folds. Chance: the same predictions against behaviour "
        "shifted circularly by half of each test part."
    )
    style.save(made, folder, "errors", table, caption, dpi=settings.dpi)


def scores(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the headline scores of every model with their intervals and the 95 % band of circular shifts."""
    rows = results.metrics["headline"]
    names = list(dict.fromkeys(row["name"] for row in rows))
    made, axes = style.figure(1, len(names), height=2.8, width=max(3.6, 2.6 * len(names)))
    for axis, name in zip(axes[0], names):
        own = [row for row in rows if row["name"] == name]
        for x, row in enumerate(own):
            axis.fill_between([x - 0.35, x + 0.35], row["chance_low"], row["chance_high"], color="0.85", linewidth=0)
            axis.plot([x, x], [row["low"], row["high"]], color=style.COLOURS[x % len(style.COLOURS)])
            axis.plot(x, row["value"], "o", color=style.COLOURS[x % len(style.COLOURS)])
        axis.set_xticks(range(len(own)), [row["model"] for row in own], rotation=30, ha="right")
        style.label(axis, "", style.with_units(name.partition(", mean")[0], own[0]["unit"]))
    caption = (
        "Scores on test rows. Point and bar: value and 95 % interval over folds, seeds and blocks of test time; "
        "grey: 95 % band of the same score when behaviour is shifted circularly."
    )
    style.save(made, folder, "scores", rows, caption, dpi=settings.dpi)


def _shown(results: Results, settings: Settings) -> tuple[str, slice]:
    """Return a recording and a stretch of its first fold's test rows."""
    name, rows = next(iter(results.features.folds[0].test.items()))
    time = results.features.group(name)["time"].values
    start, stop = max(rows, key=lambda part: part[1] - part[0])
    last = int(np.searchsorted(time, time[start] + settings.seconds + 10))
    first = int(np.searchsorted(time, time[start] + 10)) if last < stop else start
    return name, slice(first, min(stop, last))


def _test_parts(results: Results, models: list[str]) -> Iterator[tuple[str, np.ndarray, str, int, int]]:
    fits = {(fit.model, fit.fold, fit.seed) for fit in results.fits}
    for model, fold, seed in sorted(fits, key=lambda key: (models.index(key[0]), *key[1:])):
        for name, rows in results.features.folds[fold].test.items():
            yield name, row_indices(rows), model, fold, seed


def _targets(
    results: Results,
    name: str,
    rows: slice | np.ndarray,
    model: str | None = None,
    fold: int | None = None,
    seed: int | None = None,
) -> Iterator[tuple[str, float | None, str, np.ndarray]]:
    """Yield (label, period if circular, units, values (row,)) of true behaviour, or of a model's prediction."""
    group = results.features.group(name)
    described = json.loads(group.attrs["targets"])
    labels, targets = list(group["label"].values), list(group["target"].values)
    if model is None:
        values = group["behaviour"][rows].values
    else:
        found = schema.group(results.predictions, name)["prediction"].sel(model=model)
        found = found.isel(fold=0 if fold is None else list(found.fold.values).index(fold))
        values = found.isel(seed=0 if seed is None else list(found.seed.values).index(seed))[rows].values
    for target in dict.fromkeys(targets):
        columns, about = [i for i, other in enumerate(targets) if other == target], described[target]
        if about["kind"] == "circular":
            yield target, about["period"], about["units"], behaviours.decircular(values[:, columns], about["period"])
            continue
        for column in columns:
            period = 2 * np.pi if about["kind"] == "angle" else None
            yield labels[column], period, "rad" if period else about["units"], values[:, column]


def _distance(true: np.ndarray, guess: np.ndarray, period: float | None) -> np.ndarray:
    return np.abs(true - guess) if period is None else behaviours.circular_error(true, guess, period)
