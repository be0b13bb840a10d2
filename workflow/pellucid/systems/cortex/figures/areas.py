"""How far a part of the cortex suffices: decoders of some ROIs only, or of all but some."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import listing, outline, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

MOST_MAPS = 14


def areas(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the AUC of the shown model and of those restricted to some ROIs, with maps of the ROIs that each sees."""
    every = possible(results, settings)
    models = shown.kept(results, settings, every)
    about = shown.about(results)
    layout = _layout(results, about[settings.model]["input"])
    seen = {model: used(about[model], layout) for model in models}
    mapped = layout is not None and np.isfinite(_places(layout)).all(1).any() and len(models) <= MOST_MAPS
    made, axes = style.figure(1, 1, width=6.8, height=0.9 + (0.46 if mapped else 0.22) * max(3, len(models)))
    axis = axes[0, 0]
    table = listing.draw(axis, results, models, "auc")
    panels.chance(axis)
    axis.set_xlim(*panels.auc_range(*listing.values(table)))
    axis.set_yticks(range(len(models)), [_label(model, about[model]) for model in models], fontsize=7)
    for place, model in enumerate(models):
        text = shown.digits(listing.means(results, model, "auc")[0])
        panels.beside(axis, place, text)
        if mapped and layout is not None:
            _inset(axis, place, len(models), _places(layout), seen[model])
    style.label(axis, "AUC on test frames", "", "")
    panels.legend(made, {"mean": panels.line("black", marker="D")} | panels.of_tests(results))
    remarks = listing.remarks(table, axis.get_xlim())
    table = [row | {"rois": _count(results, str(row["model"]))} for row in table]
    style.save(
        made,
        folder,
        "areas",
        table,
        _caption(results, settings, models, len(every), mapped) + " " + remarks,
        dpi=settings.dpi,
    )


def possible(results: Results, settings: Settings) -> list[str]:
    """Return the shown model and those restricted to some ROIs of the same input, none if there is no such model."""
    about = shown.about(results)
    own = about[settings.model].get("input")
    scored, nulls = shown.with_score(results, "auc"), shown.nulls(results)
    found = [
        model
        for model in scored
        if about[model].get("input") == own and model not in nulls and (restricted(about[model]) is not None)
    ]
    return [model for model in scored if model == settings.model or model in found] if found else []


def restricted(settings: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Return how a model is restricted, "only" or "without", and which ROIs or areas that names; None if it is not."""
    for key, word in (("rois", "only"), ("without_rois", "without")):
        if settings.get(key):
            return word, [str(name) for name in settings[key]]
    return None


def used(settings: Mapping[str, Any], layout: xr.Dataset | None) -> np.ndarray:
    """Return which ROIs of the input a model sees, (roi,) bool; ROIs are named by id or area."""
    if layout is None:
        return np.empty(0, bool)
    names = [str(name) for name in layout["roi"].values]
    area = [str(name) for name in layout["area"].values] if "area" in layout.coords else [""] * len(names)
    how = restricted(settings)
    if how is None:
        return np.ones(len(names), bool)
    word, chosen = how
    named = np.array([name in chosen or (place != "" and place in chosen) for name, place in zip(names, area)])
    return named if word == "only" else ~named


def _layout(results: Results, name: str) -> xr.Dataset | None:
    found = results.features.first(name)
    return found if "roi" in found.coords else None


def _places(layout: xr.Dataset) -> np.ndarray:
    """Return row and column of each ROI, (roi, 2), NaN where they are not known."""
    sides = [layout[side].values if side in layout.coords else np.full(layout.sizes["roi"], np.nan)
             for side in ("row", "column")]  # fmt: skip
    return np.stack(sides, axis=1).astype(float)


def _inset(axis: Axes, place: int, count: int, places: np.ndarray, seen: np.ndarray) -> None:
    """Draw a small cortex at the right of a row, with the ROIs that the model sees."""
    low, high = axis.get_ylim()
    bottom = (place + 0.46 - low) / (high - low)
    inset = axis.inset_axes((1.1, bottom, 0.1, 0.92 / abs(high - low)))
    outline.draw(inset, linewidth=0.4)
    known = np.isfinite(places).all(1)
    for chosen, colour in ((seen, "black"), (~seen, "0.8")):
        own = places[known & chosen]
        inset.plot(own[:, 1], own[:, 0], "o", color=colour, markersize=1.5, markeredgewidth=0)


def _label(model: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a model with the ROIs it is restricted to."""
    how = restricted(settings)
    if how is None:
        return f"{shown.short(model)}\n(all ROIs)"
    word, names = how
    text = ", ".join(names)
    return f"{shown.short(model)}\n({word} {text if len(text) <= 22 else f'{len(names)} named'})"


def _some(names: Sequence[str], most: int = 12) -> str:
    """Return names as a list, cut after so many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _count(results: Results, model: str) -> float:
    return next((shown.number(row.get("rois")) for row in shown.table(results) if row["model"] == model), np.nan)


def _caption(results: Results, settings: Settings, models: Sequence[str], total: int, mapped: bool) -> str:
    about = shown.about(results)
    lists = [f"{model}: {how[0]} {_some(how[1])}" for model in models if (how := restricted(about[model])) is not None]
    return (
        f"AUC (no unit) of {shown.of(len(models), total, 'decoders')} fitted anew to part of the ROIs "
        f"({'; '.join(lists)}) beside model {settings.model}. Dots: fits (folds x seeds), "
        f"{panels.coloured(results)}; diamond, bar and number: mean over {tested.counted(results)}; bar: "
        f"{tested.said(results, 'models')}. "
        + (f"Right: the ROIs that each sees (black). {outline.SAID}" if mapped else "")
        + "Line at 0.5: chance. "
        + shown.null_sentence(results)
        + shown.transductive(results, models)
        + "What suffices is not what is used: ROIs without own signal may cancel shared noise."
    )
