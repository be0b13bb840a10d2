"""What a model is tested on: rows of a recording with their responses, repeats, ceiling and, simulated, true rates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, row_indices
from pellucid.systems.retina.model import truth as truths
from pellucid.systems.retina.model.ceiling import ceiling
from pellucid.systems.retina.model.settings import Evaluate


@dataclass(frozen=True)
class Tested:
    """The test rows of one recording.

    rows      (row,) of the recording
    response  (row, neuron) mean over repeats, or the one response there is
    single    (repeat, row, neuron) every presentation
    repeated  whether there are several
    ceiling   (neuron,) of the correlation with `response`, NaN without repeats
    constant  (neuron,) mean response in training rows of the recording, the constant rate to beat
    rate      (row, neuron) noiseless rate of a simulation in the same unit, None where unknown
    """

    name: str
    stimulus: str
    experiment: str
    neurons: np.ndarray
    units: str
    rate_hz: float
    start_s: float
    rows: np.ndarray
    response: np.ndarray
    single: np.ndarray
    repeated: bool
    ceiling: np.ndarray
    constant: np.ndarray
    rate: np.ndarray | None


def of(features: Features, fold: int, settings: Evaluate, truth: Mapping[str, xr.DataTree]) -> list[Tested]:
    """Return the test rows of every recording of ganglion cells that has any."""
    return [
        _of(features, fold, name, row_indices(ranges), settings, truth)
        for name, ranges in sorted(features.folds[fold].test.items())
        if "responses" in features.stores[name].children and len(row_indices(ranges))
    ]


def _of(
    features: Features, fold: int, name: str, rows: np.ndarray, settings: Evaluate, truth: Mapping[str, xr.DataTree]
) -> Tested:
    tree, group = features.stores[name], features.group(name, "responses")
    single = group["response"].values[rows][None]
    repeated = "repeats" in tree.children
    if repeated:
        shown = features.group(name, "repeats")
        place = {int(frame): index for index, frame in enumerate(shown["frame"].values)}
        chosen = [place[int(row)] for row in rows]
        single = shown["response"].transpose("repeat", "time", "neuron").values[:, chosen]
    with np.errstate(invalid="ignore"):
        response = np.nanmean(single, axis=0)
    units = str(group["response"].attrs["units"])
    return Tested(
        name=name,
        stimulus=str(tree.attrs.get("stimulus", "")),
        experiment=f"{tree.attrs['subject']}/{tree.attrs['session']}",
        neurons=np.array([str(cell) for cell in group["neuron"].values], object),
        units=units,
        rate_hz=float(group.attrs["rate_hz"]),
        start_s=float(group.attrs["start_s"]),
        rows=rows,
        response=response,
        single=single,
        repeated=repeated,
        ceiling=ceiling(single, splits=settings.splits, generator=np.random.default_rng(settings.seed)),
        constant=features.statistics[f"{name}/response_mean"].values[fold],
        rate=_true_rate(tree, rows, list(group["neuron"].values), units, truth),
    )


def _true_rate(
    tree: xr.DataTree, rows: np.ndarray, cells: list[str], units: str, truth: Mapping[str, xr.DataTree]
) -> np.ndarray | None:
    """Return the noiseless rate of rows, (row, neuron), from the truth of the recording's raw folder."""
    known, stimulus = truths.of(tree, truth), str(tree.attrs.get("stimulus", ""))
    if known is None or stimulus not in known.children:
        return None
    group = known.children[stimulus].to_dataset()
    rate = group["rate"].sel(neuron=np.array([str(cell) for cell in cells], object)).values
    factor = float(group.attrs["rate_hz"]) if units == "Hz" else 1.0
    return np.asarray(factor * rate[rows])
