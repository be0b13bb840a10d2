"""What is shown of one phenomenon: a few conditions, one cell or the mean over cells, the first seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import Results
from pellucid.systems.retina.figures import channels, kinds, shown
from pellucid.systems.retina.figures.settings import Settings

MOST_ROWS = 1000
"""Of longer stimuli the first SHOWN_ROWS rows are drawn."""

SHOWN_ROWS = 250


@dataclass(frozen=True)
class Response:
    """One phenomenon as it is drawn: the first seed, chosen conditions, one cell or the mean over cells.

    titles        name of each condition; control: whether it is only compared with
    stimulus      (trial, time) contrast, or position of a bar, px
    full          (trial, time) rate of the attributed model; low, high: smallest and largest over seeds
    reduced       size -> (trial, time) rate of the circuit of so many channels; others: model or teacher -> rate
    kept          numbers of the shown channels, the most important first, with their labels
    contribution  (trial, time, channel) of these; rest: (trial, time) the sum of all others
    zero          rate at the mean grey
    """

    name: str
    kind: str
    cell: str
    titles: list[str]
    control: list[bool]
    time: np.ndarray
    stimulus: np.ndarray
    full: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reduced: Mapping[int, np.ndarray]
    others: Mapping[str, np.ndarray]
    kept: list[int]
    labels: list[str]
    contribution: np.ndarray
    rest: np.ndarray
    zero: float
    units: str
    total: int
    cut: bool


def names(results: Results) -> list[str]:
    """Return the phenomena that responses and contributions are known of, in the order of the configuration."""
    wanted = ("rate", "contribution", "stimulus")
    return [name for name in shown.phenomena(results) if shown.has(results, f"phenomena/{name}", *wanted)]


def load(results: Results, settings: Settings, name: str) -> Response:
    """Return what is shown of one phenomenon, read condition by condition."""
    found = shown.group(results, f"phenomena/{name}")
    kind = str(found.attrs.get("kind", name))
    some = chosen(found, settings.conditions)
    rows = slice(None) if found.sizes["time"] <= MOST_ROWS else slice(0, SHOWN_ROWS)
    part = found.isel(trial=some, time=rows)
    rates = part["rate"].values.astype(float)
    cell = _cell(settings, kind, shown.names(found, found.sizes["neuron"]), rates[0])
    rate = _of(rates, cell)
    control = controls(found)
    parts = _of(_contribution(part), cell)
    order = _order(part, parts)
    first, others = order[: settings.channels], order[settings.channels :]
    known = channels.load(results)
    zero = part["zero"].values.astype(float)[0]
    return Response(
        name, kind, "" if cell is None else shown.names(found, found.sizes["neuron"])[cell],
        [titles(found)[i] for i in some], [bool(control[i]) for i in some], part["time"].values.astype(float),
        part["stimulus"].values.astype(float), rate[0], rate.min(0), rate.max(0), _reduced(part, cell),
        _others(part, cell), first, [known.labels[0][c] if known else "" for c in first],
        parts[..., first], parts[..., others].sum(-1),
        float(zero.mean() if cell is None else zero[cell]), str(found["rate"].attrs.get("units", "1")),
        found.sizes["trial"], found.sizes["time"] > MOST_ROWS,
    )  # fmt: skip


def chosen(found: xr.Dataset, most: int) -> list[int]:
    """Return the conditions that are shown: evenly over those with a stimulus, and a control if there is one."""
    control = controls(found)
    given = np.array([_given(line) for line in found["stimulus"].values])
    usable = np.flatnonzero(given) if given.any() else np.arange(len(given))
    tested = [int(i) for i in usable if not control[i]]
    against = [int(i) for i in usable if control[i]]
    if not tested:
        tested, against = against, []
    spare = min(len(against), max(most - len(tested), 1 if most > 1 else 0))
    some = [tested[i] for i in shown.thinned(len(tested), most - spare)]
    level = found["rate"].isel(seed=0, trial=against).values.astype(float) if spare else np.empty(0)
    largest = sorted(range(len(against)), key=lambda i: -float(np.ptp(level[i].mean(-1))))[:spare] if spare else []
    return some + sorted(against[i] for i in largest)


def _given(stimulus: np.ndarray) -> bool:
    """Tell whether a condition shows anything: a contrast that is not always 0, or a bar; (time,), NaN: nothing."""
    known = stimulus[np.isfinite(stimulus)]
    return bool(len(known)) and bool(len(known) < len(stimulus) or known.any())


def controls(found: xr.Dataset) -> np.ndarray:
    """Return which conditions are only compared with, (trial,)."""
    return np.asarray(found["control"].values if "control" in found else np.zeros(found.sizes["trial"])).astype(bool)


def titles(found: xr.Dataset) -> list[str]:
    """Return the name of each condition."""
    if "label" in found.coords:
        return [str(one) for one in found["label"].values]
    unit = str(found["trial"].attrs.get("units", "1")).removeprefix("1")
    return [f"{value:.3g} {unit}".strip() for value in found["trial"].values.astype(float)]


def _cell(settings: Settings, kind: str, cells: Sequence[str], rate: np.ndarray) -> int | None:
    """Return the cell that is shown, None for the mean; rate (trial, time, neuron)."""
    if settings.cell is not None and settings.cell in cells:
        return list(cells).index(settings.cell)
    if not kinds.of(kind).one_cell or len(cells) == 1:
        return 0 if len(cells) == 1 else None
    return int(np.nanargmax(np.nan_to_num(np.ptp(rate, axis=1)).max(0)))


def _of(values: np.ndarray, cell: int | None) -> np.ndarray:
    """Return the rate of one cell or the mean over cells; the last axis of values is `neuron`."""
    return shown.mean(values, axis=-1) if cell is None else values[..., cell]


def _first(values: np.ndarray) -> np.ndarray:
    """Return the first seed with any number, of (seed, ...)."""
    return np.asarray(next((one for one in values if np.isfinite(one).any()), values[0]))


def _reduced(part: xr.Dataset, cell: int | None) -> dict[int, np.ndarray]:
    if "truncated" not in part:
        return {}
    values = part["truncated"].isel(seed=0).transpose("output", "trial", "time", "neuron").values.astype(float)
    sizes = part["output"].values.astype(int) if "output" in part.coords else np.arange(len(values)) + 1
    return {int(size): _of(own, cell) for size, own in zip(sizes, values)}


def _others(part: xr.Dataset, cell: int | None) -> dict[str, np.ndarray]:
    """Return the responses of the baselines and of the simulated teacher."""
    found: dict[str, np.ndarray] = {}
    for variable in map(str, part.data_vars):
        if variable.startswith("rate_"):
            found[variable.removeprefix("rate_")] = _of(_first(part[variable].values.astype(float)), cell)
    if "teacher" in part:
        found["teacher"] = _of(part["teacher"].values.astype(float), cell)
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _contribution(part: xr.Dataset) -> np.ndarray:
    """Return the contributions of the first seed, (trial, time, feature, neuron)."""
    found = part["contribution"].isel(seed=0).transpose("trial", "time", "feature", "neuron")
    return found.values.astype(float)


def _order(part: xr.Dataset, parts: np.ndarray) -> list[int]:
    """Return the channels of the first seed by importance; by what is drawn if it is silent.

    parts  (trial, time, feature)
    """
    silent = np.atleast_1d(part.attrs.get("silent", [])).tolist()
    if "order" in part and shown.seeds(part)[0] not in silent:
        return [int(c) for c in part["order"].values[0]]
    return [int(c) for c in np.argsort(-shown.mean(np.abs(parts), (0, 1)), kind="stable")]


def rows(found: xr.Dataset, name: str) -> list[dict[str, Any]]:
    """Return a list of rows that an attribute of a phenomenon holds."""
    return [dict(row) for row in shown.noted(found, name)]
