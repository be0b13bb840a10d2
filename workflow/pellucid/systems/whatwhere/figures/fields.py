"""Receptive fields of example neurons, one row per way to see them: gradients, exciting image, average, truth."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.whatwhere.figures import masks, panels, shown
from pellucid.systems.whatwhere.figures.settings import Settings

ROWS = {
    "gradient": "gradient\nat mean image",
    "mean_gradient": "mean gradient",
    "mei": "most exciting\nimage",
    "average": "response-weighted\naverage (STA)",
    "truth": "true filter",
}


def fields(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the effective fields of example neurons, a column each."""
    group = shown.group(results, "fields")
    names, found = shown.names(results), masks.positions(results, settings)
    chosen = [n for n in shown.examples(results, settings, settings.fields * 4) if n < group.sizes["neuron"]]
    chosen = shown.thinned(np.array(chosen, int), settings.fields).tolist()
    rows = [name for name in ROWS if name in group and np.isfinite(group[name].values[chosen]).any()]
    height, width = group["gradient"].shape[-2:]
    size = 0.95
    made, axes = style.figure(
        len(rows), len(chosen), width=1.3 + size * max(1.0, width / height) * len(chosen),
        height=0.45 + size * max(1.0, height / width) * len(rows),
    )  # fmt: skip
    table: list[dict[str, Any]] = []
    for line, name in zip(axes, rows):
        for axis, neuron in zip(line, chosen):
            values = group[name].values[neuron]
            panels.picture(axis, values)
            axis.plot(found[neuron, 1], found[neuron, 0], "+", color="black", markersize=4, markeredgewidth=0.6)
            table.append(_numbers(group, name, neuron, names[neuron]))
        line[0].set_ylabel(ROWS[name], fontsize=7, rotation=0, ha="right", va="center")
    for axis, neuron in zip(axes[0], chosen):
        axis.set_title(shown.short(names[neuron], 14) + _gain(group, neuron), fontsize=6.5, pad=2)
    style.save(made, folder, "fields", table, _caption(results, settings, group, rows, chosen), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether fields of some neuron with a score are there."""
    if not shown.has(results, "fields") or not shown.has(results, "where"):
        return False
    seen = shown.group(results, "fields").sizes["neuron"]
    return bool((shown.examples(results, settings, settings.fields * 4) < seen).any())


def _numbers(group: xr.Dataset, name: str, neuron: int, label: str) -> dict[str, Any]:
    """Return size and place of a field: norm, the largest absolute value and where it is, cosine with the truth."""
    values = group[name].values[neuron]
    plane = panels.plane_of(values)
    row, column = np.unravel_index(int(np.nanargmax(np.abs(plane))) if np.isfinite(plane).any() else 0, plane.shape)
    return {
        "field": name, "neuron": label, "norm": float(np.sqrt(np.nansum(values**2))),
        "peak": float(plane[row, column]), "peak_row_px": int(row), "peak_column_px": int(column),
        "cosine_truth": _cosine(values, group, neuron),
    }  # fmt: skip


def _cosine(values: np.ndarray, group: xr.Dataset, neuron: int) -> float:
    if "truth" not in group:
        return float("nan")
    truth = group["truth"].values[neuron]
    if values.reshape(-1, *truth.shape).shape[0] != 1:
        return float("nan")
    norm = float(np.linalg.norm(values) * np.linalg.norm(truth))
    return float(np.vdot(values, truth)) / norm if norm > 0 else float("nan")


def _gain(group: xr.Dataset, neuron: int) -> str:
    gain = float(group["mei_gain"].values[neuron]) if "mei_gain" in group else float("nan")
    return f"\nMEI x {gain:.2g}" if np.isfinite(gain) else ""


def _caption(results: Results, settings: Settings, group: xr.Dataset, rows: list[str], chosen: list[int]) -> str:
    text = (
        f"Effective fields of model {settings.model}, best fit of fold 0, each scaled by its own largest value (no "
        "unit). "
        + panels.planes(group["gradient"].shape[1])
        + "Cross: found centre. Gradient of the response at the mean image, and its mean over test images. "
    )
    if "mei" in rows:
        text += (
            "Most exciting image (MEI): of the norm of the median test image; MEI x: response to it over the largest "
            "response to a test image. "
        )
    if "average" in rows:
        text += "Average: training images weighted by the response, the control that needs no model. "
    if "truth" in rows:
        cosines = [_cosine(group["gradient"].values[n], group, n) for n in range(group.sizes["neuron"])]
        count = int(np.isfinite(cosines).sum())
        text += (
            f"Median cosine of gradient and true filter {np.nanmedian(cosines):.3f} over {count} neurons (null: 0). "
        )
    else:
        text += "True filters are not known; no null. "
    return text + shown.evenly(results, settings, len(chosen))
