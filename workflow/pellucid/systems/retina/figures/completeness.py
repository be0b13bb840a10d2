"""Whether contributions add up to the response: the largest residual of every phenomenon, against the tolerance."""

from pathlib import Path

import numpy as np

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

TOLERANCE = 1e-3
LEAST = 1e-9
"""Residuals below are drawn there: rounding."""


def completeness(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the largest residual of each phenomenon as a share of the largest change, on a logarithmic axis."""
    phenomena, line = _phenomena(results), tolerance(results)
    made, axes = style.figure(1, 1, width=5.2, height=0.95 + 0.26 * len(phenomena))
    axis = axes[0, 0]
    table: shown.Rows = []
    for place, name in enumerate(phenomena):
        whole, seeds = largest(results, name)
        above = whole > line
        axis.plot(np.maximum(seeds, LEAST), np.full(len(seeds), place), "o", color="0.6", markersize=3.5,
                  markeredgewidth=0)  # fmt: skip
        axis.plot(max(whole, LEAST), place, "D", color="#D55E00" if above else "black", markersize=4.5)
        error = shown.number(shown.group(results, f"phenomena/{name}").attrs.get("accuracy"))
        axis.plot(np.maximum(error, LEAST), place, "D", color="black", markerfacecolor="none", markersize=6.5)
        table.append({"phenomenon": name, "seed": "all", "residual": whole, "error": error, "tolerance": line})
        table += [{"phenomenon": name, "seed": i, "residual": value, "error": np.nan, "tolerance": line}
                  for i, value in enumerate(seeds)]  # fmt: skip
    axis.axvline(line, color="black", linestyle="--", linewidth=0.9, zorder=0)
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xlim(
        *_decades(np.array([*(max(row["residual"], LEAST) for row in table), *(row["error"] for row in table), line]))
    )
    panels.rows(axis, [shown.words(name) for name in phenomena])
    style.label(axis, "largest residual / largest change of the rate", "")
    entries = {"residual, all seeds": panels.line("black", linestyle="", marker="D"),
               "estimated error": panels.line("black", linestyle="", marker="D", markerfacecolor="none"),
               "residual, one seed": panels.line("0.6", linestyle="", marker="o"),
               "tolerance": panels.line("black", linestyle="--")}  # fmt: skip
    panels.legend(made, entries)
    style.save(made, folder, "completeness", table, _caption(results, settings, table, line), dpi=settings.dpi)


def _decades(values: np.ndarray) -> tuple[float, float]:
    """Return whole powers of ten around all values, none below the least one."""
    powers = np.log10(np.maximum(values[np.isfinite(values)], LEAST))
    return float(10 ** np.floor(powers.min() - 0.1)), float(10 ** np.ceil(powers.max() + 0.1))


def possible(results: Results) -> bool:
    """Tell whether residuals are known."""
    return bool(_phenomena(results))


def tolerance(results: Results) -> float:
    """Return the tolerance that contributions were integrated to."""
    found = [shown.group(results, f"phenomena/{name}").attrs.get("tolerance") for name in _phenomena(results)]
    return max((shown.number(one) for one in found if one is not None), default=TOLERANCE)


def largest(results: Results, name: str) -> tuple[float, np.ndarray]:
    """Return max |residual| / max |r - r(0)| of a phenomenon: the largest of its seeds, and of each seed, (seed,)."""
    found = shown.group(results, f"phenomena/{name}")
    whole = shown.number(found.attrs.get("completeness"))
    if not {"residual", "rate", "zero"} <= set(found.data_vars):
        return whole, np.empty(0)
    values = []
    silent = np.atleast_1d(found.attrs.get("silent", [])).tolist()
    for seed in shown.seeds(found):
        own = found.sel(seed=seed)
        if seed in silent:
            continue
        rate = own["rate"].transpose("trial", "time", "neuron").values
        residual = own["residual"].transpose("trial", "time", "neuron").values
        change = np.abs(rate - own["zero"].values)[np.isfinite(residual)]
        most = float(change.max()) if len(change) else 0.0
        values.append(float(np.nanmax(np.abs(residual))) / most if most > 0 else np.nan)
    return whole, np.array(values)


def _phenomena(results: Results) -> list[str]:
    return [
        name for name in shown.phenomena(results)
        if np.isfinite(shown.number(shown.group(results, f"phenomena/{name}").attrs.get("completeness")))
    ]  # fmt: skip


def _caption(results: Results, settings: Settings, table: shown.Rows, line: float) -> str:
    model = str(results.attribution.attrs.get("model", settings.model))
    whole = [row for row in table if row["seed"] == "all"]
    above = [shown.words(row["phenomenon"]) for row in whole if row["residual"] > line]
    text = (
        f"Completeness of the contributions of model {model}: largest |r - r(0) - sum of contributions| over "
        f"conditions, rows and cells, as a share of the largest |r - r(0)| (no unit). Dashed: tolerance, {line:g}. "
    )
    if above:
        text += f"Above it (vermilion): {shown.said(above)}; their contributions must not be read as exact. "
    else:
        text += f"All {len(whole)} phenomena are below it. "
    text += "Open: the estimated error of the contributions themselves, which a residual of 0 does not bound. "
    return text + f"Values below {LEAST:g} are drawn there. No interval. Null: 1, contributions that explain nothing."
