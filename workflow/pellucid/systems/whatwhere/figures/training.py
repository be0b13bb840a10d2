"""How the shown model learned: loss against step of every candidate of the penalties."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

PANELS = {"training": "training objective", "validation": "validation loss", "rate": "learning rate"}
MOST_FITS = 12
MOST_NAMED = 14

History = Sequence[Mapping[str, float]]


def training(results: Results, settings: Settings, folder: Path) -> None:
    """Draw objective, validation loss and learning rate of the shown model against steps."""
    fits = shown.fits(results, settings.model)
    kept = [fits[i] for i in shown.thinned(np.arange(len(fits)), MOST_FITS)]
    histories = [(fit, fit.history()) for fit in kept]
    candidates = sorted({int(row["candidate"]) for _, history in histories for row in history})
    colours = dict(zip(candidates, shown.colours(candidates).values()))
    made, axes = style.figure(1, len(PANELS), width=2.4 * len(PANELS) + 1.9, height=2.7)
    for axis, name in zip(axes[0], PANELS):
        for fit, history in histories:
            for candidate in candidates:
                own = [row for row in history if int(row["candidate"]) == candidate]
                _line(axis, name, fit, own, colours[candidate], chosen(fit) in (candidate, None))
        _scale(axis, name, histories)
        style.label(axis, "step", PANELS[name])
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    labels = _labels(kept[0], candidates)
    shown_ = candidates[:MOST_NAMED]
    panels.legend(made, {labels[c]: panels.line(colours[c]) for c in shown_}, "candidate of the penalties")
    caption = (
        f"Training of model {settings.model}, {len(kept)} of {len(fits)} fits (folds x seeds), each with "
        f"{len(candidates)} candidate{'s' * (len(candidates) > 1)} of the penalties. Thick: the candidate that "
        "validation images chose"
        + (", for each neuron its own, so that all are thick" if chosen(kept[0]) is None else "")
        + "; dot: the step whose weights are kept. The training objective is a sum over neurons and includes the "
        "penalties, the validation loss is a mean over neurons without them (loss in squared units of the response, "
        "or nats for Poisson); its axis spans 97 % of the values. No interval, no null."
    )
    style.save(made, folder, "training", _table(histories), caption, dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether the shown model is a network, which learns in steps."""
    return all(fit.settings.get("kind", "network") == "network" for fit in shown.fits(results, settings.model))


def chosen(fit: Fit) -> int | None:
    """Return the number of the chosen candidate, or None if neurons have their own."""
    found = fit.notes.get("chosen")
    return None if found is None else int(found)


def _line(axis: Axes, name: str, fit: Fit, rows: History, colour: str, thick: bool) -> None:
    if not rows:
        return
    steps = (np.array([row["epoch"] for row in rows]) + 1) * int(fit.settings["training"]["steps"])
    values = np.array([row[name] for row in rows])
    axis.plot(
        steps,
        values,
        color=colour,
        linewidth=1.6 if thick else 0.7,
        alpha=0.9 if thick else 0.6,
        drawstyle="steps-pre" if name == "rate" else "default",
    )
    best = int(np.argmin([row["validation"] for row in rows]))
    if thick and name != "rate":
        axis.plot(
            steps[best], values[best], "o", color=colour, markersize=4, markeredgecolor="white", markeredgewidth=0.5
        )


def _scale(axis: Axes, name: str, histories: Sequence[tuple[Fit, History]]) -> None:
    """Give rates and wide objectives a logarithmic axis, and validation losses the range of most of the run."""
    values = np.array([row[name] for _, history in histories for row in history])
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() > 20 * known.min():
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    elif name == "validation" and len(known) > 10:
        low, high = float(known.min()), float(np.quantile(known, 0.97))
        margin = 0.05 * (high - low) or 0.1 * abs(high) or 0.1
        axis.set_ylim(low - margin, high + margin)


def _labels(fit: Fit, candidates: Sequence[int]) -> dict[int, str]:
    """Return what tells each candidate from the others, in the words of the settings."""
    penalties = [dict(one) for one in fit.settings.get("penalties") or [{}]]
    varied = [name for name in penalties[0] if len({one.get(name) for one in penalties}) > 1]
    found = {}
    for candidate in candidates:
        own = penalties[candidate] if candidate < len(penalties) else {}
        said = [f"{name} {own.get(name, 0):g}" for name in varied]
        found[candidate] = "\n".join(said) or f"{candidate}"
    return found


def _table(histories: Sequence[tuple[Fit, History]]) -> list[dict[str, Any]]:
    return [
        {"fold": fit.fold, "seed": fit.seed, "chosen": chosen(fit) in (int(row["candidate"]), None),
         **{name: row[name] for name in ("candidate", "epoch", "rate", "training", "validation")}}
        for fit, history in histories
        for row in history
    ]  # fmt: skip
