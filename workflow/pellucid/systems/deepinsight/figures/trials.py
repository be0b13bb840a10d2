"""A choice decoded trial by trial: the mean prediction of each test trial, and how often it is wrong."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results, row_indices
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import families, panels, scored, shown
from pellucid.systems.deepinsight.figures.settings import Settings

CLASSES = ((-1, "o", "#0072B2"), (1, "^", "#E69F00"))
"""The two choices with their symbols and colours."""


@dataclass(frozen=True)
class Trials:
    """The test trials of one recording: number, true choice and mean decoded choice, each (trial,)."""

    number: np.ndarray
    true: np.ndarray
    decoded: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Tell which trials are decoded with the wrong sign, shape (trial,)."""
        return np.asarray(np.sign(self.decoded) != np.sign(self.true))


def column(results: Results) -> int | None:
    """Return the column of the first choice among the outputs, None without a choice or without trials."""
    group = results.features.first()
    described = json.loads(group.attrs["targets"])
    found = [i for i, name in enumerate(group["target"].values) if described[str(name)]["kind"] == "choice"]
    return found[0] if found and "group" in group else None


def decoded(results: Results, settings: Settings) -> dict[str, Trials]:
    """Return the test trials of every recording in which the shown model predicts the choice."""
    output = column(results)
    found: dict[str, Trials] = {}
    for name in results.features.stores if output is not None else ():
        group = results.features.group(name)
        sums: dict[int, list[np.ndarray]] = {}
        for fit in results.fits:
            rows = row_indices(results.features.folds[fit.fold].test.get(name, []))
            if fit.model != settings.model or not len(rows):
                continue
            guess = shown.prediction(results, name, rows, fit.model, fit.fold, fit.seed)[:, output]
            values = np.stack([group["behaviour"].values[rows, output], guess], axis=1)
            known = np.isfinite(values).all(axis=1)
            numbers = group["group"].values[rows[known]]
            for number in np.unique(numbers[numbers >= 0]):
                sums.setdefault(int(number), []).append(values[known & (group["group"].values[rows] == number)])
        if sums:
            means = np.array([np.concatenate(sums[number]).mean(axis=0) for number in sorted(sums)])
            found[name] = Trials(np.array(sorted(sums)), means[:, 0], means[:, 1])
    return found


def trials(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the mean decoded choice of every test trial, and the share of wrong trials of every model."""
    found = decoded(results, settings)
    kept = dict(list(found.items())[: settings.recordings])
    names = families.compared(results, settings)
    known = {name: own for name, own in scored.scores(results, names).items() if "trial error" in name}
    made, axes = style.figure(1, len(kept) + bool(known), width=max(4.0, 3.3 * (len(kept) + bool(known))), height=3.1)
    table: shown.Rows = []
    for axis, (name, one) in zip(axes[0], kept.items()):
        table += _panel(axis, name, one)
        axis.set_ylabel("mean decoded choice" if axis is axes[0, 0] else "")
    if known:
        own = next(iter(known.values()))
        _shares(axes[0, -1], {model: own[model] for model in names if model in own})
        absent = {"recording": "", "trial": "", "true": np.nan, "decoded": np.nan}
        table += [{**absent, "model": model, **score.row()} for model, score in own.items()]
    entries = {f"choice {value:+d}": panels.line(c, marker=m, linestyle="none") for value, m, c in CLASSES}
    wrong = panels.line("white", marker="s", linestyle="none", markeredgecolor="black")
    panels.below(made, entries | {"wrong": wrong, **({"chance, 95 %": panels.patch("0.85")} if known else {})})
    said = "; ".join(f"{name}: {one.wrong.sum()} of {len(one.true)} wrong" for name, one in found.items())
    caption = (
        f"Choice decoded trial by trial by model {settings.model}: mean prediction over the rows of each test trial "
        f"({shown.fits_said(results, settings.model)}); a trial is wrong (black frame) if its mean has the wrong "
        f"sign. {said}. "
        + (f"Right: share of wrong trials of each model. {scored.said(list(next(iter(known.values())).values()))} "
           "Grey: 95 % band of chance." if known else "")
    )  # fmt: skip
    style.save(made, folder, "trials", table, caption, dpi=settings.dpi)


def _panel(axis: Axes, name: str, one: Trials) -> shown.Rows:
    panels.zero(axis)
    for value, marker, colour in CLASSES:
        own = np.sign(one.true) == value
        for wrong in (False, True):
            chosen = own & (one.wrong == wrong)
            axis.plot(one.number[chosen], one.decoded[chosen], marker, color=colour, markersize=4.5,
                      markeredgecolor="black" if wrong else colour, markeredgewidth=1.2 if wrong else 0.5)  # fmt: skip
    top = 1.08 * max(1.0, panels.limit(one.decoded))
    axis.set_ylim(-top, top)
    style.label(axis, "trial", "", f"{name}: {one.wrong.sum()} of {len(one.true)} wrong")
    absent = {"model": "", **dict.fromkeys(scored.NUMBERS, np.nan)}
    return [
        {"recording": name, "trial": int(number), "true": a, "decoded": b, **absent}
        for number, a, b in zip(one.number, one.true, one.decoded)
    ]


def _shares(axis: Axes, known: dict[str, scored.Score]) -> None:
    for row, score in enumerate(known.values()):
        axis.fill_betweenx([row - 0.35, row + 0.35], score.chance_low, score.chance_high, color="0.85", linewidth=0)
        panels.row_point(axis, row, score.value, score.low, score.high, "black")
    panels.rows(axis, list(known))
    axis.set_xlim(left=0)
    style.label(axis, "share of wrong trials", "", "models")
