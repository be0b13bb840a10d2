"""Chance by retraining: models trained on behaviour shifted in time, against shifts of finished predictions."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, scored, shown
from pellucid.systems.deepinsight.figures.settings import Settings


def retrained(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the scores of retrained models within the band of circular shifts of the model they stand for."""
    rows = list(results.metrics["retrained"])
    names = scored.ordered(list(dict.fromkeys(row["name"] for row in rows)))
    models = list(dict.fromkeys(row["model"] for row in rows))
    whole = scored.scores(results, [row["of"] for row in rows])
    made, axes = style.figure(1, len(names), width=max(4.2, 1.3 + 2.4 * len(names)), height=1.2 + 0.34 * len(models))
    table: shown.Rows = []
    for axis, name in zip(axes[0], names):
        for row in (one for one in rows if one["name"] == name):
            place = models.index(row["model"])
            axis.fill_betweenx(
                [place - 0.36, place + 0.36], row["chance_low"], row["chance_high"], color="0.85", linewidth=0
            )
            panels.row_point(axis, place, row["value"], row["low"], row["high"], style.COLOURS[1])
            decoder = whole.get(name, {}).get(row["of"])
            value = np.nan if decoder is None else decoder.value
            axis.plot(value, place, "D", color=style.COLOURS[0], markersize=4)
            table.append({**row, "value_of_decoder": value})
        panels.rows(axis, models, named=axis is axes[0, 0])
        unit = next((score.unit for score in whole.get(name, {}).values()), "1")
        axis.locator_params(axis="x", nbins=5)
        style.label(axis, scored.axis(name, unit), "", scored.title(name))
    panels.below(made, {
        "retrained, 95 %": panels.line(style.COLOURS[1], marker="o"),
        "circular shifts, 95 %": panels.patch("0.85"),
        "the decoder itself": panels.line(style.COLOURS[0], marker="D", linestyle="none"),
    })  # fmt: skip
    inside = sum(bool(row["inside"]) for row in rows)
    shifts = {fit.model: fit.settings["shift_s"] for fit in results.fits if fit.model in models}
    said = ", ".join(f"{model} by {seconds:g} s" for model, seconds in shifts.items())
    caption = (
        f"Chance, two ways. Orange: models trained and scored on behaviour shifted in time ({said}), with 95 % "
        f"intervals over folds, seeds and blocks of test time. Grey: 95 % band of the decoder's finished predictions "
        f"when {shown.chance_said(results)}. Blue: the decoder itself. {inside} of {len(rows)} scores of retrained "
        f"models lie inside the band. n = {shown.plural(len(models), 'retrained model')}, "
        f"{shown.fits_said(results, models[0])}."
    )
    style.save(made, folder, "retrained", table, caption, dpi=settings.dpi)
