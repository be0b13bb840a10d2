"""The numbers to read first: positions, types and fields, each beside its chance level."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import headline_row
from pellucid.systems.whatwhere.attribute import bars, where
from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.model import scores

Row = dict[str, Any]


def rows(groups: Mapping[str, xr.Dataset], best: list[int], settings: Settings) -> list[Row]:
    """Return the headline rows of all groups; numbers that are not defined are left out.

    best  place of the best seed along `seed`, per fold
    """
    made = [*_positions(groups["/where"], groups["/null"], best), *_types(groups["/types"])]
    made += _faithful(groups["/faithfulness"], settings)
    return [_plain(row) | {"model": settings.model} for row in made if np.isfinite(row["value"])]


def _positions(place: xr.Dataset, null: xr.Dataset, best: list[int]) -> list[Row]:
    source = f"chance: {null.attrs['source']}"
    found = np.stack([place["row"].values, place["column"].values], axis=-1)[np.arange(len(best)), best]
    made = []
    if "true_row" in place:
        true = np.stack([place["true_row"].values, place["true_column"].values], axis=-1)
        error, luck = _median(where.distance(found, true)), _median(null["error"].values)
        made.append(_row("median location error", error, source, unit="px") | {"chance": luck})
    near, luck = (_near(null[name].values) for name in ("model_distance", "distance"))
    made.append(_row("positions within 1 px of where averages put them", near, source) | {"chance": luck})
    near, luck = (_median(one["confidence"].values) for one in (place, null))
    made.append(_row("share of a mask within 2 px of its peak, median", near, source) | {"chance": luck})
    spread = _mean(np.sqrt(np.nanvar(found, axis=1).sum(-1)))
    made.append(_row("s.d. of positions over neurons", spread, "where it is small, masks test what, not where", "px"))
    note = f"{place.sizes['seed']} seeds, {place.sizes['fold']} folds"
    return [*made, _row("share of seeds that agree on a position within 1 px", _mean(place["agreement"].values), note)]


def _types(kinds: xr.Dataset) -> list[Row]:
    chosen = bars.chosen_rows(kinds)
    if not chosen:
        return []
    counts = ", ".join(str(row["clusters"]) for row in chosen)
    several = kinds.attrs["stability_from"] == "seeds"
    key, name = ("ari_seeds", "seeds") if several else ("ari_bootstrap", "resampled neurons, as there is one seed")
    note = f"{counts} types per fold; chance: features permuted over neurons"
    made = []
    for said, own, null in ((f"adjusted Rand index of types between {name}", key, "ari_null"),
                            ("silhouette of types", "silhouette", "silhouette_null")):  # fmt: skip
        value, luck = (_mean([row[which] for row in chosen]) for which in (own, null))
        made.append(_row(said, value, note) | {"chance": luck})
    if "ari_truth" in kinds.attrs:
        values = _mean(json.loads(kinds.attrs["ari_truth"]))
        made.append(
            _row("adjusted Rand index of types with true ones", values, f"{counts} types per fold") | {"chance": 0.0}
        )
    return made


def _faithful(lost: xr.Dataset, settings: Settings) -> list[Row]:
    made = []
    note = f"chance: equally many pixels outside the field; {int(np.isfinite(lost['inside']).sum())} neurons"
    for said, inside, outside in (
        ("test correlation lost without the pixels of the field", "inside", "outside"),
        ("prediction variance lost without the pixels of the field", "variance_inside", "variance_outside"),
    ):
        row = _row(said, _mean(lost[inside].values), note) | {"chance": _mean(lost[outside].values)}
        for name, prefix in ((inside, ""), (outside, "chance_")):
            low, high = scores.interval(lost[name].values, resamples=settings.resamples, seed=settings.seed)
            row |= {f"{prefix}low": low, f"{prefix}high": high}
        made.append(row)
    note = "of the change of the response from the mean image; median over neurons"
    return [*made, _row("residual of integrated gradients", _median(lost["residual"].values), note)]


def _row(name: str, value: float, note: str, unit: str = "1") -> Row:
    return headline_row(name, value, model="", unit=unit, note=note)


def _plain(row: Row) -> Row:
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}


def _defined(values: Any) -> np.ndarray:  # noqa: ANN401 - numbers, some of them None
    flat = np.asarray(values, float).ravel()
    return np.asarray(flat[np.isfinite(flat)])


def _mean(values: Any) -> float:  # noqa: ANN401
    known = _defined(values)
    return float(known.mean()) if len(known) else float("nan")


def _median(values: Any) -> float:  # noqa: ANN401
    known = _defined(values)
    return float(np.median(known)) if len(known) else float("nan")


def _near(distance: np.ndarray) -> float:
    return _mean(_defined(distance) <= where.SAME_PX)
