"""Does influence find what a simulation put in? Scored against simulated truth before it is shown on real data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid import artifacts, schema
from pellucid.systems.deepinsight.model.losses import Target

NEAR_OCTAVES = 0.5
"""Neighbours on a grid of half octaves hear a band as well: leakage of the wavelet."""


@dataclass(frozen=True)
class Carried:
    """The bands that carry one term of the loss.

    low_hz, high_hz  interval in which they lie; equal where a single frequency is known
    bands_hz         (band,) those of the model's grid
    """

    low_hz: float
    high_hz: float
    bands_hz: np.ndarray

    @property
    def text(self) -> str:
        """The frequency or the interval."""
        if self.low_hz == self.high_hz:
            return f"{self.low_hz:.4g} Hz"
        return f"{self.low_hz:.4g}-{self.high_hz:.4g} Hz"


def names(targets: Sequence[Target], truth: xr.Dataset) -> dict[str, str]:
    """Return term -> output of the truth: the term's own name or that of its target; others are left out."""
    known = {str(name) for name in truth["output"].values}
    found = {term: term if term in known else target.name for target in targets for term in target.terms}
    return {term: name for term, name in found.items() if name in known}


def carried(truth: xr.Dataset, frequencies: np.ndarray, targets: Sequence[Target]) -> dict[str, Carried]:
    """Return the bands of a grid that carry each term, where the truth knows them and the grid has them.

    truth        band_hz, or band_low_hz and band_high_hz, and maybe redundant_hz, each (output)
    frequencies  (band,) Hz
    """
    found = {}
    for term, name in names(targets, truth).items() if truth.attrs["informative"] else ():
        one = truth.sel(output=name)
        single = float(one["band_hz"]) if "band_hz" in one else np.nan
        low, high = (float(one[key]) if key in one else single for key in ("band_low_hz", "band_high_hz"))
        inside = frequencies[(frequencies >= low) & (frequencies <= high)]
        others = [float(one["redundant_hz"])] if "redundant_hz" in one else []
        single = single if np.isfinite(single) else np.sqrt(low * high)
        bands = [*inside] if low < high and len(inside) else [*_nearest(frequencies, single)]
        bands += [hz for other in others for hz in _nearest(frequencies, other)]
        if bands:
            found[term] = Carried(low, high, np.unique(bands))
    return found


def bands(
    influence: np.ndarray, low: np.ndarray, frequencies: np.ndarray, truth: xr.Dataset, targets: Sequence[Target]
) -> list[dict[str, Any]]:
    """Return how well the band influences recover the truth, as rows for the report.

    influence, low  (frequency, term) of the targets
    """
    if not truth.attrs["informative"]:
        above = float((low > 0).any())
        largest = float(influence.max())
        return [row("null: any band above 0", above, 0.0), row("null: largest influence", largest, None)]
    true = carried(truth, frequencies, targets)
    terms = [term for target in targets for term in target.terms]
    rows = []
    for column, term in enumerate(terms):
        if term in true:
            order = frequencies[np.argsort(-influence[:, column])]
            rank = 1 + int(np.flatnonzero(np.isin(order, true[term].bands_hz))[0])
            rows.append(row(f"{term}: rank of the true band ({true[term].text})", float(rank), 1.0))
    expected = {hz for one in true.values() for hz in one.bands_hz}
    if expected and all(one.low_hz == one.high_hz and len(one.bands_hz) == 1 for one in true.values()):
        first = set(frequencies[np.argsort(-influence.mean(axis=1))[: len(expected)]])
        said = "first and second" if len(expected) == 2 else f"before all others ({len(expected)})"
        rows.append(row(f"true bands ranked {said}", float(first == expected), 1.0))
    octaves = np.abs(np.log2(frequencies[:, None] / _all_hz(true)))
    far = (octaves > NEAR_OCTAVES + 1e-6).all(axis=1)
    if expected and far.any():
        largest = float(np.abs(influence[far]).max())
        rows.append(row("largest |influence| more than half an octave away", largest, None))
    return rows


def channels(influence: np.ndarray, truth: xr.Dataset, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return, per term, the chance that a carrying channel has more influence than another (1: always)."""
    known = names(targets, truth)
    rows = []
    for column, term in enumerate(term for target in targets for term in target.terms):
        if term not in known:
            continue
        carries = truth["carries"].sel(output=known[term]).values.astype(bool)
        if carries.any() and not carries.all():
            above = influence[carries, column][:, None] > influence[~carries, column]
            rows.append(row(f"{term}: carrying channels above the others", float(above.mean()), 1.0))
    return rows


def redundant(
    name: str, group: xr.Dataset, band: xr.Dataset, members: Sequence[int], true: Mapping[str, Carried]
) -> list[dict[str, Any]]:
    """Return how much more influence a group of redundant bands has than the sum of its bands.

    group, band  /group and /band; members: numbers of the bands of the group called `name`
    """
    rows, inside = [], set(band["frequency"].values[list(members)])
    for term, one in true.items():
        if one.low_hz == one.high_hz and len(one.bands_hz) > 1 and set(one.bands_hz) <= inside:
            singles = band["influence"].sel(output=term).values[list(members)].sum()
            ratio = float(group["influence"].sel(feature=name, output=term) / singles)
            note = "above 1 if single shuffles underestimate redundant bands"
            rows.append(row(f"{term}: group {name} over the sum of its bands", ratio, None) | {"note": note})
    return rows


def redundant_pairs(group: xr.Dataset, true: Mapping[str, Carried]) -> list[dict[str, Any]]:
    """Return the interaction of every two bands that carry one term, with its interval; group is /pairs."""
    rows = []
    for term, one in true.items():
        if one.low_hz < one.high_hz:
            continue
        both = np.isin(group["first_hz"].values, one.bands_hz) & np.isin(group["second_hz"].values, one.bands_hz)
        for number in np.flatnonzero(both):
            pair = group.isel(feature=number).sel(output=term)
            name = f"{term}: interaction of {float(pair['first_hz']):.4g} and {float(pair['second_hz']):.4g} Hz"
            note = f"above 0 if the truth is recovered; p_holm = {float(pair['p_holm']):.2g}"
            bounds = {"low": float(pair["low"]), "high": float(pair["high"]), "note": note}
            rows.append(row(name, float(pair["interaction"]), None) | bounds)
    return rows


def elimination(group: xr.Dataset, units: xr.Dataset, targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return whether eliminating a class hurts the variable it is tuned to more than the others, beyond the control.

    group  /elimination; units: unit_class and tuned (neuron) of the truth
    Compared are the excesses influence - control, each a mean over the terms of a target.
    """
    terms = [str(term) for term in group["output"].values]
    excess = (group["influence"] - group["control"]).values
    by_target = {
        target.name: excess[:, [terms.index(term) for term in target.terms]].mean(axis=1) for target in targets
    }
    rows = []
    for number, name in enumerate(group["feature"].values):
        tuned = {str(x) for x in units["tuned"].values[units["unit_class"].values == name]}
        own, others = ([t for t in by_target if (t in tuned) == mine] for mine in (True, False))
        rows += [
            row(f"eliminating {name}: {a} hurt more than {b}", float(by_target[a][number] > by_target[b][number]), 1.0)
            for a in own
            for b in others
        ]
    return rows


def row(name: str, value: float, expected: float | None) -> dict[str, Any]:
    """Return a row for the report; expected: the value if the truth is recovered, none if there is no such value."""
    note = "" if expected is None else f"{expected:g} if the truth is recovered"
    return artifacts.headline_row(f"influence: {name}", value, model="", note=note)


def truth_groups(truth: Mapping[str, xr.DataTree], name: str = "truth") -> list[xr.Dataset]:
    """Return one group of every simulated recording that has it."""
    return [schema.group(tree, name) for tree in truth.values() if name in tree.children]


def joined(
    truth: Mapping[str, xr.DataTree], frequencies: np.ndarray, targets: Sequence[Target]
) -> dict[str, np.ndarray]:
    """Return the bands (Hz) of a grid that carry each term in any of the simulated recordings."""
    found: dict[str, np.ndarray] = {}
    for known in truth_groups(truth):
        for term, one in carried(known, frequencies, targets).items():
            found[term] = np.union1d(found.get(term, one.bands_hz), one.bands_hz)
    return found


def _nearest(frequencies: np.ndarray, hertz: float) -> np.ndarray:
    """Return the band nearest to a frequency, (1,), or none if all are more than half an octave away."""
    if not np.isfinite(hertz):
        return frequencies[:0]
    best = int(np.argmin(np.abs(frequencies - hertz)))
    return frequencies[best : best + int(abs(np.log2(frequencies[best] / hertz)) <= NEAR_OCTAVES)]


def _all_hz(true: Mapping[str, Carried]) -> np.ndarray:
    """Return all frequencies that carry a term, (frequency,): as the truth gives them, and the bands that hold them."""
    exact = [one.low_hz for one in true.values() if one.low_hz == one.high_hz]
    return np.array([*exact, *(hz for one in true.values() for hz in one.bands_hz)])
