"""Whether the parts of the image that the model is said to use are the ones it uses."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

DROPS = {"lost correlation": ("inside", "outside"), "lost variance": ("variance_inside", "variance_outside")}
"""What the loss of pixels costs: title, and the scores inside and outside the field."""

Panel = Callable[[Axes], list[dict[str, Any]]]


def faithfulness(results: Results, settings: Settings, folder: Path) -> None:
    """Draw drops of the score inside and outside the field, the residual of completeness, and the null of masks."""
    drawn = _panels(results)
    made, axes = style.figure(1, len(drawn), width=0.4 + 2.5 * len(drawn), height=2.7)
    table = [row for axis, panel in zip(axes[0], drawn.values()) for row in panel(axis)]
    style.save(made, folder, "faithfulness", table, _caption(results, settings, list(drawn)), dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether any of the panels has data."""
    return bool(_panels(results))


def _panels(results: Results) -> dict[str, Panel]:
    drawn: dict[str, Panel] = {}
    if shown.has(results, "faithfulness"):
        group = shown.group(results, "faithfulness")
        for what, (inside, outside) in DROPS.items():
            if inside in group and outside in group:
                drawn[what] = partial(_drops, group=group, what=what)
        if "residual" in group:
            drawn["residual"] = partial(_residual, group=group)
    if shown.has(results, "null") and shown.has(results, "where"):
        null, where = shown.group(results, "null"), shown.group(results, "where")
        if all("confidence" in one and np.isfinite(one["confidence"]).any() for one in (null, where)):
            drawn["null"] = partial(_null, where=where, null=null)
    return drawn


def _drops(axis: Axes, group: xr.Dataset, what: str) -> list[dict[str, Any]]:
    inside, outside = (group[name].values.astype(float) for name in DROPS[what])
    axis.plot(outside, inside, "o", color=shown.colour(0), markersize=3.2, alpha=0.55, markeredgewidth=0)
    panels.unity(axis, *panels.span(inside, outside, np.zeros(1)))
    both = np.isfinite(inside) & np.isfinite(outside)
    share = float(np.mean(inside[both] > outside[both])) if both.any() else float("nan")
    style.label(axis, "pixels elsewhere", "pixels in the field", f"{what}\ninside larger: {100 * share:.0f} %")
    return _rows(f"{what}, inside", inside) + _rows(f"{what}, outside", outside)


def _residual(axis: Axes, group: xr.Dataset) -> list[dict[str, Any]]:
    values = np.abs(group["residual"].values.astype(float))
    known = np.maximum(values[np.isfinite(values)], 1e-9)
    low, high = (np.floor(np.log10(known.min())), np.ceil(np.log10(known.max()) + 1e-9)) if len(known) else (-3, 0)
    axis.hist(known, bins=np.logspace(low, max(high, low + 1), 21).tolist(), color=shown.colour(2), linewidth=0)
    axis.set_xscale("log")
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label(axis, "residual of completeness", "neurons", "integrated gradients")
    return _rows("residual", values)


def _null(axis: Axes, where: xr.Dataset, null: xr.Dataset) -> list[dict[str, Any]]:
    found = shown.mean(where["confidence"].values.astype(float))
    values = null["confidence"].values.astype(float)
    values = values if values.ndim == 1 else shown.mean(values)
    bins = np.linspace(0, 1, 21).tolist()
    for name, own, colour in (("model", found, shown.colour(0)), ("null", values, style.GREY)):
        axis.hist(own[np.isfinite(own)], bins=bins, color=colour, alpha=0.65, linewidth=0, label=name)
    axis.legend(fontsize=7, loc="upper center", ncols=2)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, axis.get_ylim()[1] * 1.2)
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label(axis, "confidence of masks", "neurons", "against the null")
    return _rows("confidence", found) + _rows("confidence, null", values)


def _rows(what: str, values: np.ndarray) -> list[dict[str, Any]]:
    return [{"what": what, "neuron": neuron, "value": value} for neuron, value in enumerate(values)]


def _caption(results: Results, settings: Settings, drawn: list[str]) -> str:
    text = f"Checks of what model {settings.model} is said to use, a dot or count per neuron; no unit. "
    for what, names in DROPS.items():
        if what in drawn:
            group = shown.group(results, "faithfulness")
            inside, outside = (float(np.nanmedian(group[name].values)) for name in names)
            text += f"{what.capitalize()}: median {inside:.3g} for pixels in the field, {outside:.3g} elsewhere. "
    if set(DROPS) & set(drawn):
        text += (
            "The pixels of the largest effective field are replaced by their training mean, or equally many pixels at "
            "random places elsewhere (the null); line: equality. Variance: mean squared change over the variance of "
            "predictions. "
        )
    if "residual" in drawn:
        residual = float(np.nanmedian(np.abs(shown.group(results, "faithfulness")["residual"].values)))
        text += (
            "Completeness: integrated gradients from the mean image must add up to the change of the response; "
            f"size of the residual, median {residual:.2g} (0: exact). "
        )
    if "null" in drawn:
        text += (
            "Confidence, the share of the sum of |mask| within 2 px of the peak, against the same of the null: a fit "
            "to permuted responses or an untrained network. "
        )
        text += f"Null here: {shown.group(results, 'null').attrs.get('source', 'not said')}. "
    return text + "No interval."
