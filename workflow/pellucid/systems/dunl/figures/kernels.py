"""The kernels: every restart, the chosen ones, how much neurons differ, and the truth where it is known."""

from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings


def kernels(results: Results, settings: Settings, folder: Path) -> None:
    """Draw each kernel against lag: the chosen restart of every fold, all other restarts, and the truth."""
    group = schema.group(results.attribution, "kernels")
    lag, found = group["lag"].values, group["kernel_shape"].values
    truth = group["truth"].values if "truth" in group else None
    names = shown.kernels(results)
    made, axes = panels.grid(len(names), extra=1.5)
    table = []
    for index, (axis, name) in enumerate(zip(axes, names)):
        drawn = _draw(axis, lag, found[..., index], group["chosen_seed"].values.astype(int), shown.colour(index))
        title = name
        if truth is not None:
            axis.plot(lag, truth[:, index], color="black", linestyle="--", linewidth=1.2)
            drawn["truth"] = truth[:, index]
            title += f": error {_error(drawn['chosen'], truth[:, index]):.2f}"
        style.label(axis, "lag (s)", "kernel (unit norm)" if panels.first(axis) else "", title)
        table += [
            {"kernel": name, "line": line, "lag_s": x, "value": y}
            for line, values in drawn.items()
            for x, y in zip(lag, values)
        ]
    panels.legend(made, _entries(several(results), truth is not None, found.shape[0] * found.shape[1] > found.shape[0]))
    style.save(made, folder, "kernels", table, _caption(settings.model, found, truth), dpi=settings.dpi)


def by_neuron(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the kernel of every neuron as a row of an image, neurons in the order of the time of their peak."""
    group = schema.group(results.attribution, "kernels")
    lag, names = group["lag"].values, shown.kernels(results)
    chosen = _chosen(
        group["kernel_shape"].values, group["chosen_seed"].values.astype(int)
    )  # (fold, lag, neuron, kernel)
    mean = shown.mean(chosen)
    step = float(lag[1] - lag[0]) if len(lag) > 1 else 1.0
    limit = float(np.nanquantile(np.abs(mean), 0.995))
    made, axes = panels.grid(len(names), height=2.6, extra=0.7)
    table = []
    for index, (axis, name) in enumerate(zip(axes, names)):
        order = np.argsort(np.nan_to_num(np.abs(mean[..., index])).argmax(axis=0), kind="stable")
        image = axis.imshow(
            mean[:, order, index].T,
            aspect="auto",
            interpolation="nearest",
            extent=(lag[0] - step / 2, lag[-1] + step / 2, len(order) + 0.5, 0.5),
            vmin=-limit,
            vmax=limit,
            cmap="RdBu_r",
        )
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        style.label(axis, "lag (s)", "neuron, by time of peak" if panels.first(axis) else "", name)
        table += [
            {"kernel": name, "row": row + 1, "neuron": int(neuron), "lag_s": x, "value": y}
            for row, neuron in enumerate(order)
            for x, y in zip(lag, mean[:, neuron, index])
        ]
    made.colorbar(image, ax=axes, label="kernel (unit norm)", pad=0.02)
    caption = (
        f"Kernels of each of the {mean.shape[1]} neurons of model {settings.model}, one dictionary per neuron; rows "
        "are sorted by the lag of the largest absolute value, separately per kernel. Mean over folds of the restart "
        "with the lowest validation loss; each kernel has unit norm (no unit). No null."
    )
    style.save(made, folder, "kernels_by_neuron", table, caption, dpi=settings.dpi)


def several(results: Results) -> bool:
    """Tell whether every neuron has a dictionary of its own."""
    return schema.group(results.attribution, "kernels").sizes["neuron"] > 1


def _draw(axis: Axes, lag: np.ndarray, found: np.ndarray, chosen: np.ndarray, colour: str) -> dict[str, np.ndarray]:
    """Draw one kernel (fold, seed, lag, neuron); return what is drawn, name -> (lag,)."""
    axis.axhline(0, color=style.GREY, linewidth=0.6)
    drawn = {}
    for fold, seed in np.ndindex(found.shape[:2]):
        values = _median(found[fold, seed])
        if np.isfinite(values).any():
            axis.plot(lag, values, color=colour, alpha=0.45, linewidth=0.6)
            drawn[f"fold {fold}, restart {seed}"] = values
    best = _chosen(found, chosen)  # (fold, lag, neuron)
    if best.shape[2] == 1:
        for values in best[..., 0]:
            axis.plot(lag, values, color=colour, linewidth=1.8, alpha=0.9)
        return drawn | {"chosen": shown.mean(best[..., 0])}
    neurons = shown.mean(best)
    low, middle, high = np.nanquantile(neurons, [0.25, 0.5, 0.75], axis=1)
    axis.fill_between(lag, low, high, color=colour, alpha=0.25, linewidth=0)
    axis.plot(lag, middle, color=colour, linewidth=1.8)
    return drawn | {"chosen": middle, "lower quartile": low, "upper quartile": high}


def _entries(per_neuron: bool, truth: bool, restarts: bool) -> dict[str, Artist]:
    entries: dict[str, Artist] = {
        "chosen, median\nof neurons" if per_neuron else "chosen restart\nof each fold": panels.line(
            style.GREY, linewidth=1.8
        )
    }
    if per_neuron:
        entries["quartiles of\nneurons"] = panels.patch("0.8")
    if restarts:
        entries["every restart"] = panels.line(style.GREY, linewidth=0.6)
    if truth:
        entries["truth"] = panels.line("black", linestyle="--")
    return entries


def _caption(model: str, found: np.ndarray, truth: np.ndarray | None) -> str:
    folds, seeds, _, neurons, _ = found.shape
    text = (
        f"Kernels of model {model}, unit norm (no unit), against the lag from their start. Thin: every restart of "
        f"every fold ({folds} x {seeds}). "
    )
    if neurons > 1:
        text += (
            f"Each of {neurons} neurons has its own kernels: thick is their median, shaded their quartiles, of the "
            "restart with the lowest validation loss, averaged over folds; thin lines are medians too. "
        )
    else:
        text += "Thick: the restart with the lowest validation loss, one line per fold. "
    if truth is None:
        return text + "No truth is known and there is no null: agreement of restarts is the evidence."
    return text + (
        "Dashed: the simulated kernel. Error: sqrt(1 - c^2), c the inner product of unit-norm truth and thick line "
        "(mean over folds); 0 is perfect, 1 orthogonal. No null."
    )


def _chosen(found: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen restart of every fold, (fold, ...)."""
    return np.stack([found[fold, seed] for fold, seed in enumerate(chosen)])


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median over neurons of the kernel of one restart (lag, neuron), NaN where it was not fitted."""
    known = np.isfinite(values).all(axis=0)
    return np.median(values[:, known], axis=1) if known.any() else np.full(len(values), np.nan)


def _error(found: np.ndarray, truth: np.ndarray) -> float:
    """Return sqrt(1 - c^2), c the cosine of the angle between two kernels (published)."""
    cosine = found @ truth / (np.linalg.norm(found) * np.linalg.norm(truth))
    return float(np.sqrt(max(1 - cosine**2, 0)))
