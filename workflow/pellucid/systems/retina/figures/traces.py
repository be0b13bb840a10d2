"""Recorded and predicted rates of the best, the median and the worst cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy import stats

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

MOST_MODELS = 3
RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class Test:
    """The test rows of one recording.

    rates     model -> prediction of its first fit, (time, neuron)
    response  (time, neuron) mean over repeats or the single response; half: 95 % half width of the mean, or NaN
    frame     (time,) rows of the movie
    """

    recording: str
    names: list[str]
    rates: Mapping[str, np.ndarray]
    response: np.ndarray
    half: np.ndarray
    frame: np.ndarray
    rate_hz: float
    units: str
    repeats: int


def traces(results: Results, settings: Settings, folder: Path) -> None:
    """Draw a stretch of the test movie: the response of three cells and what the models predict."""
    test = load(results, settings)
    cells = ranked(test, settings.model)
    first, stop = stretch(test, settings, list(cells.values()))
    made, axes = style.figure(len(cells), 1, width=7.4, height=0.6 + 1.45 * len(cells), sharex=True)
    colours = shown.colours(results, settings) | {settings.model: shown.MODEL}
    time = (test.frame[first:stop] - test.frame[first]) / test.rate_hz
    table: shown.Rows = []
    for axis, (rank, cell) in zip(axes[:, 0], cells.items()):
        _draw(axis, test, cell, slice(first, stop), time, colours)
        style.label(axis, "", "spikes per bin" if test.units == "count" else f"rate ({test.units})")
        axis.set_title(_title(test, rank, cell), loc="left", fontsize=8)
        table += _numbers(test, cell, slice(first, stop), time)
    axes[-1, 0].set_xlabel("time in the test movie (s from the first row shown)")
    entries = {"recorded": panels.line("black")}
    entries |= {model: panels.line(colours[model], linestyle=_dash(model, settings)) for model in test.rates}
    panels.legend(made, entries)
    style.save(made, folder, "traces", table, _caption(results, settings, test, time), dpi=settings.dpi)


def possible(results: Results, settings: Settings) -> bool:
    """Tell whether predictions of the shown model were stored."""
    return bool(_recordings(results, settings))


def load(results: Results, settings: Settings) -> Test:
    """Return the test rows of the first recording that the shown model was fitted to, else of the first scored one."""
    recording = _recordings(results, settings)[0]
    found = schema.group(results.predictions, recording, "predictions")
    prediction = found["prediction"]
    names = [str(model) for model in found["model"].values]
    rates = {name: _first(prediction.isel(model=names.index(name)).values) for name in _models(results, settings)
             if name in names}  # fmt: skip
    rates = {name: values for name, values in rates.items() if np.isfinite(values).any()}
    response, frame = found["response"].values.astype(float), found["frame"].values.astype(int)
    half, repeats = _half(results, recording, frame, response.shape)
    units = str(found.attrs.get("units", "1"))
    cells = shown.names(found, response.shape[1])
    return Test(recording, cells, rates, response, half, frame, float(found.attrs["rate_hz"]), units, repeats)


def ranked(test: Test, model: str) -> dict[str, int]:
    """Return the best, median and worst cell by the correlation of prediction and response; fewer of few cells."""
    r = correlations(test.rates[model], test.response)
    order = [n for n in np.argsort(-np.nan_to_num(r, nan=-2.0), kind="stable") if np.isfinite(r[n])]
    if len(order) < 3:
        return {("best", "worst")[i] if len(order) == 2 else "cell": int(n) for i, n in enumerate(order)}
    return dict(zip(RANKS, (int(order[0]), int(order[len(order) // 2]), int(order[-1]))))


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each column over the rows that both have, (neuron,); NaN where constant."""
    known = np.isfinite(a) & np.isfinite(b)
    x, y = (np.where(known, one - shown.mean(np.where(known, one, np.nan)), 0.0) for one in (a, b))
    norm = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    return np.asarray(np.where(norm > 0, (x * y).sum(0) / np.where(norm > 0, norm, 1), np.nan))


def stretch(test: Test, settings: Settings, cells: list[int]) -> tuple[int, int]:
    """Return the rows that are shown: consecutive frames whose correlation is nearest to that of all test rows."""
    length = min(len(test.frame), max(2, round(settings.seconds * test.rate_hz)))
    own, seen = test.rates[settings.model][:, cells], test.response[:, cells]
    whole = correlations(own, seen)
    best, chosen = np.inf, (0, length)
    for start in range(0, len(test.frame) - length + 1, max(1, length // 2)):
        stop = start + length
        if test.frame[stop - 1] - test.frame[start] != length - 1:
            continue
        distance = float(np.nansum((correlations(own[start:stop], seen[start:stop]) - whole) ** 2))
        if distance < best and np.ptp(seen[start:stop], axis=0).all():
            best, chosen = distance, (start, stop)
    return chosen


def _recordings(results: Results, settings: Settings) -> list[str]:
    trained = {str(row["recording"]) for row in shown.table(results)
               if row["model"] == settings.model and row.get("trained")}  # fmt: skip
    have = [
        name for name, child in results.predictions.children.items() if _predicted(child.to_dataset(), settings.model)
    ]
    return sorted(have, key=lambda name: (name not in trained, have.index(name)))


def _predicted(found: xr.Dataset, model: str) -> bool:
    if "prediction" not in found or model not in [str(name) for name in found["model"].values]:
        return False
    return bool(np.isfinite(_first(found["prediction"].sel(model=model).values)).any())


def _first(prediction: np.ndarray) -> np.ndarray:
    """Return the prediction of the first fit that has one, (time, neuron), of (fold, seed, time, neuron)."""
    fits = prediction.reshape(-1, *prediction.shape[2:]).astype(float)
    return np.asarray(next((own for own in fits if np.isfinite(own).any()), fits[0]))


def _models(results: Results, settings: Settings) -> list[str]:
    """Return the shown model and the first others that are no nulls."""
    own = [model for model in shown.ordered(results, settings) if model not in shown.nulls(results)]
    return own[:MOST_MODELS]


def _half(results: Results, recording: str, frame: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Return the 95 % half width of the mean over repeats at the test rows, (time, neuron), and the most repeats."""
    tree = results.features.stores.get(recording)
    if tree is None or "repeats" not in tree.children:
        return np.full(shape, np.nan), 0
    found = tree["repeats"].to_dataset()
    rows = {int(one): i for i, one in enumerate(found["frame"].values)}
    if not all(int(one) in rows for one in frame):
        return np.full(shape, np.nan), 0
    repeats = found["response"].values[:, [rows[int(one)] for one in frame]].astype(float)
    count = np.isfinite(repeats).sum(0)
    squares = np.where(np.isfinite(repeats), (repeats - shown.mean(repeats)) ** 2, 0).sum(0)
    degrees = np.maximum(count - 1, 1)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(squares / degrees / np.maximum(count, 1))
    return np.where(count > 1, half, np.nan), len(repeats)


def _draw(
    axis: Axes, test: Test, cell: int, rows: slice, time: np.ndarray, colours: Mapping[str, str]
) -> None:  # fmt: skip
    seen, half = test.response[rows, cell], test.half[rows, cell]
    axis.fill_between(time, seen - half, seen + half, color="0.8", linewidth=0, zorder=0)
    axis.plot(time, seen, color="black", linewidth=1.0 if test.repeats else 0.6)
    for number, (model, values) in enumerate(test.rates.items()):
        axis.plot(time, values[rows, cell], color=colours[model], linestyle="-" if number == 0 else "--",
                  linewidth=1.4 if number == 0 else 0.9, zorder=3 if number == 0 else 2)  # fmt: skip
    drawn = [values[rows, cell] for values in test.rates.values()]
    axis.set_ylim(
        min(0.0, *(float(np.nanmin(one)) for one in drawn)), panels.span(seen + np.nan_to_num(half), *drawn)[1]
    )
    axis.set_xlim(time[0], time[-1])


def _dash(model: str, settings: Settings) -> str:
    return "-" if model == settings.model else "--"


def _title(test: Test, rank: str, cell: int) -> str:
    r = {model: float(correlations(own[:, [cell]], test.response[:, [cell]])[0]) for model, own in test.rates.items()}
    said = ", ".join(f"{model} {shown.digits(value)}" for model, value in r.items())
    return f"{rank}: {test.names[cell]} (r: {said})" if rank in RANKS else f"{test.names[cell]} (r: {said})"


def _numbers(test: Test, cell: int, rows: slice, time: np.ndarray) -> shown.Rows:
    drawn = {"recorded": test.response[rows, cell], "half": test.half[rows, cell]}
    drawn |= {model: own[rows, cell] for model, own in test.rates.items()}
    return [
        {"neuron": test.names[cell], "time_s": time[i], "frame": int(test.frame[rows][i])}
        | {name: values[i] for name, values in drawn.items()}
        for i in range(len(time))
    ]


def _caption(results: Results, settings: Settings, test: Test, time: np.ndarray) -> str:
    text = (
        f"Responses to the test movie of recording {test.recording} and rates predicted by the first fit of each model "
        f"({shown.unit(test.units)}; bins of {1e3 / test.rate_hz:.3g} ms): the best, median and worst of "
        f"{shown.plural(len(test.names), 'cell')} by the r of model {settings.model} over all {len(test.frame)} test "
        f"rows. Shown are the {len(time) / test.rate_hz:.3g} s whose r of these cells is nearest to that of all rows. "
    )
    if test.repeats:
        text += f"Black: mean over {test.repeats} repeats; grey: its 95 % interval (t, over repeats). "
    else:
        text += "Black: the single response, as the movie was not repeated; there is no interval. "
    return text + "Null: a constant rate, r = 0."
