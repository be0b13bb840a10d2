"""Learned first-layer kernels beside the true ones (Klindt et al. 2017, Figs. 3c, 4b)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

MOST_MODELS = 14
TRUTH = "truth"


@dataclass(frozen=True)
class Kernel:
    """One learned kernel, sign aligned: fold, seed, number, values (feature, height, width), r with the truth."""

    fold: int
    seed: int
    number: int
    values: np.ndarray
    match: int | None
    r: float


def kernels(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the first-layer kernels of each model, a row each, below the true ones."""
    models = _models(results, settings)
    truth = true_kernels(results)
    found = {model: learned(results, model, truth) for model in models}
    rows = {model: _first(own, settings.kernels) for model, own in found.items()}
    columns = max([len(own) for own in rows.values()] + [0 if truth is None else min(len(truth), settings.kernels)])
    lines = len(rows) + (truth is not None)
    high, wide = next((one.values.shape[1:] for own in rows.values() for one in own), (1, 1))
    size = 0.3 + 0.7 * min(1.6, max(0.5, high / wide))
    made, axes = style.figure(lines, columns, width=max(3.6, 1.3 + 0.78 * columns), height=0.25 + size * lines)
    table: list[dict[str, Any]] = []
    for line, model in zip(axes, rows):
        table += _row(line, model, rows[model], truth is not None)
    if truth is not None:
        own = [Kernel(0, 0, index, values[None], None, float("nan")) for index, values in enumerate(truth)]
        table += _row(axes[-1], TRUTH, own[:columns], False)
    style.save(made, folder, "kernels", table, _caption(results, found, rows, truth), dpi=settings.dpi)


def available(results: Results) -> list[str]:
    """Return the models whose kernels are known, in the order of the fits."""
    if not shown.has(results, "kernels"):
        return []
    known = set(results.attribution["kernels"].children) - {TRUTH}
    return [model for model in dict.fromkeys(fit.model for fit in results.fits) if model in known]


def true_kernels(results: Results) -> np.ndarray | None:
    """Return the true kernels, (kernel, height, width), or None."""
    return shown.group(results, "kernels/truth")["kernel"].values if shown.has(results, "kernels/truth") else None


def learned(results: Results, model: str, truth: np.ndarray | None) -> list[Kernel]:
    """Return the kernels of all fits of a model: matched with the truth, sign turned to fit it.

    Without a truth, or a partner among the true kernels, the sign makes the value of largest size positive.
    """
    stored = shown.group(results, f"kernels/{model}")
    values, matches, rs = (stored[name].values for name in ("kernel", "match", "r"))
    folds, seeds = (stored[axis].values.astype(int).tolist() for axis in ("fold", "seed"))
    found = []
    for fold, seed, index in np.ndindex(values.shape[:3]):
        kernel, r = values[fold, seed, index], float(rs[fold, seed, index])
        if not np.isfinite(kernel).all():
            continue
        match = int(matches[fold, seed, index])
        sign = np.sign(r) if np.isfinite(r) and r else np.sign(kernel.ravel()[np.abs(kernel).argmax()]) or 1.0
        found.append(Kernel(folds[fold], seeds[seed], index, kernel * sign, None if match < 0 else match, abs(r)))
    most = len(truth) if truth is not None else 0
    each = maps(results, model)
    return sorted(
        found,
        key=lambda one: (one.fold, one.seed, one.number // each, most if one.match is None else one.match, one.number),
    )


def maps(results: Results, model: str) -> int:
    """Return the kernels of one core: a fit has several cores where few neurons share one."""
    return int(shown.fits(results, model)[0].settings["core"]["layers"][0]["maps"])


def _models(results: Results, settings: Settings) -> list[str]:
    known = available(results)
    kept = set(sorted(known, key=lambda model: (model != settings.model, known.index(model)))[:MOST_MODELS])
    return [model for model in known if model in kept]


def _first(own: Sequence[Kernel], most: int) -> list[Kernel]:
    """Return so many kernels that no fit is cut in the middle, unless one alone has more."""
    per_fit = max([one.number for one in own], default=0) + 1
    return list(own[: max(1, most // per_fit) * per_fit][:most])


def _row(axes: Sequence[Axes], model: str, own: Sequence[Kernel], truth: bool) -> list[dict[str, Any]]:
    for axis in axes[len(own) :]:
        axis.set_axis_off()
    table = []
    for axis, one in zip(axes, own):
        panels.picture(axis, one.values)
        place = f"fit {one.fold}-{one.seed}" if model != TRUTH else f"true {one.number}"
        axis.set_title(f"{place}\n|r| {one.r:.2f}" if truth and np.isfinite(one.r) else place, fontsize=6, pad=2)
        table.append(
            {"model": model, "fold": one.fold, "seed": one.seed, "kernel": one.number, "match": one.match, "r": one.r,
             "height_px": one.values.shape[1], "width_px": one.values.shape[2],
             "values": " ".join(f"{value:.4g}" for value in one.values.ravel())}
        )  # fmt: skip
    if len(own):
        axes[0].set_ylabel(shown.short(model, 18), rotation=0, ha="right", va="center", fontsize=7)
    return table


def _caption(
    results: Results, found: dict[str, list[Kernel]], rows: dict[str, list[Kernel]], truth: np.ndarray | None
) -> str:
    total, drawn = sum(map(len, found.values())), sum(map(len, rows.values()))
    several = next((one.values.shape[0] for own in found.values() for one in own), 1)
    text = (
        f"First-layer kernels, {drawn} of {total} learned by {len(rows)} of {len(available(results))} models"
        + (" (the shown one and the first others)" if len(rows) < len(available(results)) else "")
        + "; fit: fold-seed. Each is scaled by its own largest value (no unit). "
        + panels.planes(several)
    )
    if truth is None:
        return text + "The sign makes the largest value positive. The truth is not known, and there is no null."
    matched = [one.r for own in found.values() for one in own if np.isfinite(one.r)]
    if matched:
        text += (
            "Signs follow the true kernel (last row) that each is paired with, one to one, best in sum; |r|: size of "
            f"their correlation over pixels, displaced by up to {_shift(results)} px, median "
            f"{np.median(matched):.3f} over all {len(matched)} pairs. "
        )
    return text + "Others have no partner. Null: the |r| of models fitted to permuted responses, where there are any."


def _shift(results: Results) -> int:
    return int(shown.group(results, f"kernels/{available(results)[0]}").attrs["shift_px"])
