"""How far the number of unrolled layers decides the size of codes: models that differ in their encoder alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import shown
from pellucid.systems.dunl.figures.settings import Settings

LEAST = 3
"""Numbers of layers that make a curve."""

Row = dict[str, Any]


def swept(results: Results) -> dict[str, int]:
    """Return the unrolled models that differ in their layers alone, name -> layers."""
    found: dict[str, tuple[int, str]] = {}
    for fit in results.fits:
        encoder = fit.settings.get("encoder", {})
        if fit.settings["kind"] == "dunl" and encoder.get("solver") == "unrolled":
            found[fit.model] = (int(encoder["layers"]), _rest(fit.settings))
    rests = [rest for _, rest in found.values()]
    common = max(set(rests), key=rests.count) if rests else ""
    return {model: layers for model, (layers, rest) in found.items() if rest == common}


def enough(results: Results) -> bool:
    """Tell whether there are enough numbers of layers for a curve."""
    return bool(results.metrics.get("codes")) and len(set(swept(results).values())) >= LEAST


def layers(results: Results, settings: Settings, folder: Path) -> None:
    """Draw mean codes, and their rank correlation with each covariate, against the number of layers."""
    models = swept(results)
    others = [fit.model for fit in results.fits if fit.settings["kind"] == "dunl" and fit.model not in models]
    places = {str(count): float(count) for count in sorted(models.values())}
    places |= {model: max(models.values()) * 2.0 ** (1 + i) for i, model in enumerate(dict.fromkeys(others))}
    covariates = list(dict.fromkeys(row["covariate"] for row in results.metrics.get("follow", [])))
    made, axes = style.figure(1, 1 + len(covariates), height=3.2, width=4.0 * (1 + len(covariates)) + 1.0)
    table: list[Row] = []
    panels = [("mean code", "codes", "mean_code", "")]
    panels += [(f"Spearman's rho with {name}", "follow", "rho", name) for name in covariates]
    for axis, (label, source, key, covariate) in zip(axes[0], panels):
        rows = [row for row in results.metrics[source] if row.get("covariate", "") == covariate]
        found = _points(rows, key, models, places)
        table += [{"panel": label, **point} for point in found]
        _panel(axis, found, places, set(models.values()))
        style.label(axis, "layers, or another encoder", label)
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    style.save(made, folder, "layers", table, _caption(covariates), dpi=settings.dpi)


def _points(rows: Sequence[Row], key: str, models: Mapping[str, int], places: Mapping[str, float]) -> list[Row]:
    """Return one row per kernel and encoder: the mean over folds and seeds, and that of the truth where it is known."""
    found = []
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        own = [row for row in rows if row["kernel"] == kernel]
        for name in places:
            here = [row[key] for row in own if name in (row["model"], str(models.get(row["model"], "")))]
            truth = float(np.mean([row["mean_true"] for row in own])) if key == "mean_code" else None
            if here:
                found.append({"kernel": kernel, "encoder": name, "value": float(np.mean(here)), "truth": truth})
    return found


def _panel(axis: Axes, found: Sequence[Row], places: Mapping[str, float], counts: set[int]) -> None:
    for index, kernel in enumerate(dict.fromkeys(row["kernel"] for row in found)):
        own = [row for row in found if row["kernel"] == kernel]
        colour = shown.colour(index)
        curve = [row for row in own if row["encoder"] in map(str, counts)]
        single = [row for row in own if row["encoder"] not in map(str, counts)]
        x, y = ([places[row["encoder"]] for row in curve], [row["value"] for row in curve])
        axis.plot(x, y, "o-", markersize=3, color=colour, label=kernel)
        x, y = ([places[row["encoder"]] for row in single], [row["value"] for row in single])
        axis.plot(x, y, "s", markersize=4, color=colour, markerfacecolor="none")
        if own[0]["truth"] is not None:
            axis.axhline(own[0]["truth"], color=colour, linestyle=":", linewidth=1)
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(places.values()), [name.replace("_", " ") for name in places], rotation=60, ha="right")
    axis.minorticks_off()


def _caption(covariates: Sequence[str]) -> str:
    said = (
        "Mean code of each kernel on test trials against the number of unrolled layers (filled, joined), and for the "
        "models whose encoder runs to tolerance or that differ in more (open squares). Dotted: the simulated mean. "
    )
    if covariates:
        said += "Right: Spearman's rho of codes with the covariate, each neuron's own, averaged over neurons. "
    return said + "Means over folds. No null."


def _rest(settings: Any) -> str:  # noqa: ANN401 - plain settings as read from JSON
    kept = {key: value for key, value in settings.items() if key not in ("encoder", "preset")}
    encoder = {key: value for key, value in settings["encoder"].items() if key != "layers"}
    return f"{sorted(kept.items(), key=str)} {sorted(encoder.items(), key=str)}"
