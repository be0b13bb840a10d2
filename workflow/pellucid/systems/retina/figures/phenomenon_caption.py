"""What the figure of a phenomenon says in words: conditions, circuits, models out of distribution, residuals."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Results
from pellucid.systems.retina.figures import kinds, responses, shown
from pellucid.systems.retina.figures.measured import Measured
from pellucid.systems.retina.figures.responses import Response
from pellucid.systems.retina.figures.settings import Settings


def outside(found: xr.Dataset) -> list[str]:
    """Return the models that a stimulus drives outside the range of their training, in any seed."""
    return list(dict.fromkeys(str(row["model"]) for row in responses.rows(found, "distribution") if row.get("outside")))


def explained(found: xr.Dataset, size: int) -> str:
    """Return what a circuit of some size explains of the full model's response, mean over seeds, in words."""
    rows = [row for row in responses.rows(found, "circuit") if int(row["size"]) == size]
    text = shown.plural(size, "channel")
    kept, lesion = (shown.middle(row.get(name) for row in rows) for name in ("explained", "explained_lesion"))
    if not np.isfinite(kept):
        return text
    return f"{text}: {percent(kept)}" + (f" (lesion {percent(lesion)})" if np.isfinite(lesion) else "")


def percent(share: float) -> str:
    """Return a share as a percentage; a negative one, worse than r(0) alone, in words."""
    return "< 0 %" if share < 0 else f"{100 * share:.0f} %"


def caption(results: Results, settings: Settings, own: Response, found: xr.Dataset, kept: Sequence[Measured]) -> str:
    """Return the caption of a phenomenon's figure."""
    cells, seeds = found.sizes["neuron"], found.sizes["seed"]
    whose = f"cell {own.cell}" if own.cell else f"mean over {shown.plural(cells, 'cell')}"
    if own.cell and settings.cell != own.cell and cells > 1:
        whose += f", the most responsive of {cells}"
    kind = "" if own.kind in (own.name, "probe") else f" ({shown.words(own.kind)})"
    model = str(results.attribution.attrs.get("model", settings.model))
    text = (
        f"Stimulus {shown.words(own.name)}{kind}, {shown.part(len(own.titles), own.total, 'condition')}; {whose}. "
        f"Above: {_stimulus(own)}. Middle: rate of model {model} ({shown.unit(own.units)}; black: first seed"
        + (f", grey: range of {seeds} seeds" if seeds > 1 else ", the only one")
        + ") and of its circuits of the most important channels, r(0) plus their contributions (truncation). "
        + _circuits(found)
        + "Horizontal line: r(0), the rate at the mean grey. Below: contributions of single channels of the first "
        "layer (integrated gradients from the mean grey), summed over space; with r(0) and all others they add up to "
        f"the rate, {_residual(found)}. "
    )
    silent = len(np.atleast_1d(found.attrs.get("silent", [])))
    text += f"{silent} of {shown.plural(seeds, 'seed')} without a response have no circuit. " if silent else ""
    text += f"Only the first {len(own.time)} rows are drawn. " if own.cut else ""
    text += _baselines(own) + _measures(kept, seeds) + _warning(found)
    return text + _null(own)


def _stimulus(own: Response) -> str:
    trace = kinds.of(own.kind).stimulus
    if trace != "contrast":
        return f"{trace}: place against the middle of the image or the start, none where there is no bar"
    return "contrast of the newest frame (s.d. of the training movie, 0: mean grey)"


def _circuits(found: xr.Dataset) -> str:
    sizes = sorted({int(row["size"]) for row in responses.rows(found, "circuit")})
    if not sizes:
        return ""
    said = "; ".join(explained(found, size) for size in sizes)
    return (
        f"Share of the variance of r - r(0) that they explain, mean over seeds, and that of the network with all other "
        f"channels held at their value at the mean grey (lesion): {said}. "
    )


def _residual(found: xr.Dataset) -> str:
    error = shown.number(found.attrs.get("completeness"))
    if not np.isfinite(error):
        return "with a residual that is not known"
    return f"to a residual of at most {error:.1g} of the largest change"


def _baselines(own: Response) -> str:
    others = [name for name in own.others if name != "teacher"]
    text = f"Dashed: {shown.said(others)}, first seed. " if others else ""
    return text + ("Dotted: the simulated teacher, noiseless. " if "teacher" in own.others else "")


def _measures(kept: Sequence[Measured], seeds: int) -> str:
    if not kept:
        return ""
    text = "Right: measures of the mean over cells; "
    text += "gaps: undefined, as without a response. "
    if seeds > 1:
        text += "Lines and diamonds: mean over seeds; shaded: range over seeds of the full model; dots: seeds. "
    return text


def _warning(found: xr.Dataset) -> str:
    rows, own = responses.rows(found, "distribution"), outside(found)
    if not rows:
        return "Whether the stimulus lies within the range of training is not known. "
    if not own:
        known = list(dict.fromkeys(str(row["model"]) for row in rows))
        return f"The stimulus lies within the training range of {shown.said(known)}. "
    said = []
    for model in own:
        share = max(shown.number(row.get("share")) for row in rows if row["model"] == model)
        said.append(f"{model} ({percent(share)} of the rows)")
    return f"Warning: the stimulus is {shown.OUTSIDE} of {shown.said(said)}; such responses are extrapolated. "


def _null(own: Response) -> str:
    if own.others:
        return "Null: r(0), no response; the baselines show what does not need the fitted network. "
    return "Null: r(0), no response; no baseline was shown the stimulus. "
