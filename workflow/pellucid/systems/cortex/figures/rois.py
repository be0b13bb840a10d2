"""Importance of ROIs as arrays: for each test mouse, lag and ROI, with the names and places of the ROIs."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Results
from pellucid.systems.cortex.figures import shown, tested


@dataclass(frozen=True)
class Importance:
    """Mean |attribution| of the windows of each test mouse or block, and what the axes are.

    magnitude  (unit, lag, roi), mean over the seeds and folds that test the unit
    signed     (unit, lag, roi) mean attribution of state 1 minus that of state 0, NaN where it is not known
    lag        (lag,) s from the labelled frame
    place      (roi, 2) row and column, fractions of image height and width, NaN where they are not known
    driving    (roi,) bool, whether a simulated ROI truly drives the state; False where no truth is known
    """

    magnitude: np.ndarray
    signed: np.ndarray
    lag: np.ndarray
    names: list[str]
    areas: list[str]
    place: np.ndarray
    driving: np.ndarray
    units: str

    def by_roi(self) -> np.ndarray:
        """Return the importance of each ROI, the sum over lags, (unit, roi)."""
        return np.asarray(self.magnitude.sum(1))

    def labels(self) -> list[str]:
        """Return the name of each ROI with its area."""
        return [name if area in ("", name) else f"{name} {area}" for name, area in zip(self.names, self.areas)]

    def order(self) -> np.ndarray:
        """Return the numbers of the ROIs, the most important first, (roi,)."""
        return np.argsort(-np.nan_to_num(shown.mean(self.by_roi()), nan=-np.inf), kind="stable")


def load(results: Results, name: str = "importance") -> Importance:
    """Return the importance of a group of the attribution: `importance`, `null` or `untrained`."""
    found = shown.group(results, name)
    _, magnitude = tested.by_test(results, found["magnitude"])
    signed = tested.by_test(results, found["signed"])[1] if "signed" in found else np.full_like(magnitude, np.nan)
    count = magnitude.shape[-1]
    names = [str(value) for value in found["roi"].values] if "roi" in found.coords else [str(i) for i in range(count)]
    areas = [str(value) for value in found["area"].values] if "area" in found.coords else [""] * count
    places = [found[side].values if side in found.coords else np.full(count, np.nan) for side in ("row", "column")]
    lag = found["lag"].values if "lag" in found.coords else np.arange(magnitude.shape[1])
    units = str(found["magnitude"].attrs.get("units", "1"))
    place = np.stack(places, axis=1).astype(float)
    driving = found["driving"].values.astype(bool) if "driving" in found else np.zeros(count, bool)
    return Importance(magnitude, signed, np.asarray(lag, float), names, areas, place, driving, units)


def beside(results: Results) -> dict[str, Importance]:
    """Return the importance of models that know nothing: of null labels, and of random weights."""
    known = [name for name in ("null", "untrained") if shown.has(results, name, "magnitude")]
    return {name: load(results, name) for name in known}


def matched(names: list[str], other: Importance) -> np.ndarray:
    """Return the importance of the named ROIs, mean over mice, in another set, (roi,); NaN where it has none."""
    levels = dict(zip(other.names, shown.mean(other.by_roi())))
    return np.array([levels.get(name, np.nan) for name in names], float)


def parcels(results: Results) -> np.ndarray | None:
    """Return the parcel map of the first recording that has one, (height, width) with 0 outside, or None."""
    for recording in sorted(results.features.stores):
        if "parcels" in results.features.stores[recording].children:
            return np.asarray(results.features.group(recording, "parcels")["parcels"].values)
    return None


def numbers(names: list[str], labels: np.ndarray) -> dict[str, int]:
    """Return the number in a parcel map of each ROI that is there: a ROI's id is the number of its parcel."""
    known = {str(int(label)): int(label) for label in np.unique(labels) if label}
    return {name: known[name] for name in names if name in known}


def univariate(results: Results, names: list[str], variable: str = "correlation") -> np.ndarray:
    """Return a univariate score of the named ROIs for each test mouse or block, (unit, roi); NaN where unknown."""
    found: xr.Dataset = shown.group(results, "univariate")
    _, values = tested.by_test(results, found[variable])
    own = [str(value) for value in found["roi"].values]
    columns = [values[:, own.index(name)] if name in own else np.full(len(values), np.nan) for name in names]
    return np.stack(columns, axis=1)
