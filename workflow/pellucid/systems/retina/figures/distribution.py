"""Whether stimuli drive the models within the range of their training: a field per model and phenomenon."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

FLAG = "#D55E00"
"""What a reader must not overlook."""


def distribution(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the share of rows outside the training range, framed where the stimulus counts as outside."""
    rows = known(results)
    phenomena = list(dict.fromkeys(str(row["phenomenon"]) for row in rows))
    models = sorted({str(row["model"]) for row in rows}, key=lambda m: (m != settings.model, _place(results, m), m))
    share, flags = _fields(rows, phenomena, models)
    made, axes = style.figure(
        1, 1, width=max(4.0, 2.5 + 0.75 * len(models)), height=1.3 + 0.3 * len(phenomena)
    )  # fmt: skip
    axis = axes[0, 0]
    drawn = axis.imshow(share, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        if np.isfinite(value):
            axis.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=7,
                      color="white" if value > 0.55 else "black")  # fmt: skip
        if flags[i, j]:
            axis.add_patch(Rectangle((j - 0.46, i - 0.42), 0.92, 0.84, fill=False, edgecolor=FLAG, linewidth=1.8))
    axis.set_xticks(range(len(models)), [shown.short(name, 14) for name in models], rotation=40, ha="right",
                    rotation_mode="anchor", fontsize=7.5)  # fmt: skip
    axis.set_yticks(range(len(phenomena)), [shown.short(shown.words(name), 24) for name in phenomena], fontsize=7.5)
    axis.tick_params(length=0)
    panels.bar(made, drawn, axis, "share of rows outside", shrink=0.9)
    style.save(made, folder, "distribution", rows, _caption(flags, phenomena, models, rows), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether stimuli were compared with the training range."""
    return bool(known(results))


def known(results: Results) -> shown.Rows:
    """Return the rows of all phenomena: model, seed, share of rows outside, and whether the stimulus is outside."""
    return [
        {"phenomenon": name, "model": str(row["model"]), "seed": row.get("seed", ""),
         "share": shown.number(row.get("share")), "outside": bool(row.get("outside"))}
        for name in shown.phenomena(results)
        for row in shown.noted(shown.group(results, f"phenomena/{name}"), "distribution")
    ]  # fmt: skip


def _place(results: Results, model: str) -> int:
    fitted = shown.models(results)
    return fitted.index(model) if model in fitted else len(fitted)


def _fields(rows: shown.Rows, phenomena: Sequence[str], models: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest share of any seed, (phenomenon, model), and whether any seed is outside."""
    share = np.full((len(phenomena), len(models)), np.nan)
    flags = np.zeros(share.shape, bool)
    for row in rows:
        place = phenomena.index(row["phenomenon"]), models.index(row["model"])
        share[place] = np.fmax(share[place], row["share"])
        flags[place] |= row["outside"]
    return share, flags


def _caption(flags: np.ndarray, phenomena: Sequence[str], models: Sequence[str], rows: shown.Rows) -> str:
    seeds = len({row["seed"] for row in rows})
    text = (
        "Share of the rows of each stimulus (per cent) in which the mean drive of a first-layer channel leaves the "
        f"range that it had over training rows by more than the margin, largest of {shown.plural(seeds, 'seed')}. "
    )
    if not flags.any():
        return text + "No stimulus counts as outside the training range of any model. No interval; null: 0."
    said = [
        f"{model} ({shown.said([shown.words(phenomena[i]) for i in np.flatnonzero(flags[:, j]).tolist()])})"
        for j, model in enumerate(models)
        if flags[:, j].any()
    ]
    return text + (
        f"Frames: {shown.OUTSIDE}; responses there are extrapolated and are no evidence about the retina: "
        f"{'; '.join(said)}. No interval; null: 0."
    )
