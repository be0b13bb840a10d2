"""What the figures share: the shown model, names and colours of its kernels, and the codes of all traces."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex

from pellucid import schema
from pellucid.artifacts import Fit, Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures.settings import Settings

PALETTE = tuple(colour for colour in style.COLOURS if colour != "#000000")
"""Colours of kernels and models; black is truth, or a mean."""

DRIVES = {"poisson": "log count", "binomial": "logit"}
"""Units of the drive z by likelihood; those of a Gaussian likelihood are the units of the signal."""


@dataclass(frozen=True)
class Codes:
    """The codes of every test trial of every neuron that has any, all recordings one after the other.

    code    (trace, kernel) sum over the trial, NaN where the kernel has no event; truth: the same, or None
    count   (trace,) raw count or mean signal of the window of the response
    neuron  (trace,) index into neurons; covariates: name -> (trace,); trial_type (trace,)
    """

    code: np.ndarray
    truth: np.ndarray | None
    count: np.ndarray
    neuron: np.ndarray
    trial_type: np.ndarray
    covariates: dict[str, np.ndarray]
    neurons: tuple[str, ...]


def fit(results: Results, settings: Settings) -> Fit:
    """Return the first fit of the shown model."""
    return next(one for one in results.fits if one.model == settings.model)


def kernels(results: Results) -> list[str]:
    """Return the names of the kernels, in the order of the axis `kernel`."""
    return [str(name) for name in json.loads(results.attribution.attrs["kernels"])]


def colour(index: int) -> str:
    """Return the colour of a kernel, or of a fold, the same in all figures."""
    return PALETTE[index % len(PALETTE)]


def true_colour(results: Results, settings: Settings, name: str) -> str:
    """Return the colour of a true kernel: that of the kernel of the shown model it is matched with, else grey."""
    names = kernels(results)
    matched = {
        row["kernel"]: row["matched"]
        for row in results.metrics.get("kernels") or []
        if row["model"] == settings.model and row["matched"] in names
    }
    found = name if name in names else matched.get(name)
    return style.GREY if found is None else colour(names.index(found))


def shade(index: int, count: int) -> str:
    """Return the colour of one of several ordered levels, from dark to light."""
    return to_hex(colormaps["viridis"](0.92 * index / max(1, count - 1)))


def model_colours(results: Results, models: Iterable[str]) -> dict[str, str]:
    """Return the colours of the models of a figure: the same in all figures if the palette has one for every fit."""
    fitted = list(dict.fromkeys(one.model for one in results.fits))
    named = fitted if len(fitted) <= len(PALETTE) else list(dict.fromkeys(models))
    count = len(named)
    return {model: colour(index) if count <= len(PALETTE) else shade(index, count) for index, model in enumerate(named)}


def drive_units(results: Results, settings: Settings) -> str:
    """Return the units of drive and codes: kernels have unit norm, so that codes carry the units of the drive."""
    likelihood = str(fit(results, settings).settings["likelihood"])
    return DRIVES.get(likelihood) or signal_units(results)


def signal_units(results: Results) -> str:
    """Return the units in which signals and rates are drawn: Hz for counts, else those of the features."""
    group = results.features.first()
    return "Hz" if group.attrs["kind"] == "counts" else str(group["signal"].attrs.get("units", "1"))


def count_name(results: Results) -> tuple[str, str]:
    """Return the name and the units of what codes are compared with: the raw count, or the mean signal."""
    if results.features.first().attrs["kind"] == "counts":
        return "raw count", "spikes"
    return "mean signal", signal_units(results)


def scale(results: Results, step_s: float) -> float:
    """Return the factor from values per bin of so many seconds to `signal_units`: 1 / width for counts."""
    return 1 / step_s if results.features.first().attrs["kind"] == "counts" else 1.0


def within(found: "Codes", text: str) -> np.ndarray:
    """Tell which traces are of the named conditions, "a, b" or "all", (trace,)."""
    return np.asarray((text == "all") | np.isin(found.trial_type, text.split(", ")))


def recordings(results: Results, name: str) -> dict[str, xr.Dataset]:
    """Return recording -> group /NAME/RECORDING of the attribution, in the order of the features."""
    found = results.attribution.children[name].children
    return {key: schema.group(results.attribution, f"{name}/{key}") for key in results.features.stores if key in found}


def codes(results: Results) -> Codes:
    """Return the codes of all recordings."""
    groups = recordings(results, "codes")
    names = [
        f"{recording}/{unit}" if len(groups) > 1 else str(unit)
        for recording, group in groups.items()
        for unit in (group["neuron"].values if "neuron" in group.coords else range(group.sizes["neuron"]))
    ]
    starts = np.cumsum([0, *(group.sizes["neuron"] for group in groups.values())])
    own = {"code", "sd", "count", "baseline", "kkt", "truth", "trial_type"}
    first = next(iter(groups.values()))
    covariates = [
        str(name)
        for name, values in first.data_vars.items()
        if name not in own and values.dims == ("trial",) and values.dtype.kind in "fiub"
    ]

    def trials(name: str) -> np.ndarray:
        """Return a variable (trial,) repeated for each neuron."""
        return np.concatenate([np.repeat(group[name].values, group.sizes["neuron"]) for group in groups.values()])

    def traces(name: str) -> np.ndarray:
        """Return a variable (trial, neuron, ...) with its first two axes joined; truth that is not known is NaN."""
        values = [(group[name] if name in group else group["code"] * np.nan).values for group in groups.values()]
        return np.concatenate([value.reshape(-1, *value.shape[2:]) for value in values])

    return Codes(
        code=traces("code"),
        truth=traces("truth") if any("truth" in group for group in groups.values()) else None,
        count=traces("count"),
        neuron=np.concatenate(
            [np.tile(np.arange(g.sizes["neuron"]), g.sizes["trial"]) + s for g, s in zip(groups.values(), starts)]
        ),
        trial_type=trials("trial_type").astype(object).astype(str),
        covariates={name: trials(name).astype(float) for name in covariates},
        neurons=tuple(names),
    )


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of the given rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the mean of the finite values along an axis, NaN where there are none."""
    known = np.isfinite(values)
    number = known.sum(axis)
    return np.asarray(np.where(number > 0, np.where(known, values, 0).sum(axis) / np.maximum(number, 1), np.nan))


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean of the finite values, NaN for fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")


def number(value: object) -> float:
    """Return a number of metrics.json, NaN where it is missing."""
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
