"""The numbers to read first, and what a reader has to be warned of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import headline_row
from pellucid.systems.cortex.attribute import agreement
from pellucid.systems.cortex.attribute.settings import Settings

Row = dict[str, Any]

FIRST = 4
"""ROIs named where the driving ones are not known."""


def rows(groups: Mapping[str, xr.Dataset], settings: Settings) -> list[Row]:
    """Return the headline rows of all groups; numbers that are not defined are left out."""
    made = []
    if "/importance" in groups:
        null = groups.get("/null", groups["/untrained"])
        made += [*_found(groups["/importance"], null), *_checks(groups, settings), _lag(groups["/importance"])]
        made.append(_deleted(groups["/deletion"], _leading(groups["/importance"])))
        made = [row | {"model": settings.model} for row in made]
    if "/occlusion" in groups:
        model = groups["/occlusion"].attrs["model"]
        made += [row | {"model": model} for row in _occluded(groups["/occlusion"])]
    return [row for row in made if np.isfinite(row["value"])]


def warning(groups: Mapping[str, xr.Dataset], settings: Settings) -> str:
    """Return what a reader has to know, empty if nothing."""
    said = []
    if "/importance" in groups:
        error = groups["/importance"]["completeness"].values
        over = int((error > settings.tolerance).sum())
        if over:
            said.append(
                f"completeness error of expected gradients above {settings.tolerance:.0%} in {over} of "
                f"{int(np.isfinite(error).sum())} fits, at most {agreement.largest(error):.0%}: use more steps"
            )
        if settings.explain == "probability":
            share = agreement.mean(groups["/importance"]["saturated"].values)
            said.append(f"the probability is explained, and {share:.0%} of windows are saturated: they count little")
        if settings.background == "test":
            said.append("baselines are windows of the test sessions")
    if "/occlusion" in groups:
        ones = agreement.largest(np.abs(groups["/occlusion"]["ones"].values))
        if ones > 0:
            said.append(f"a mask that hides nothing changes the AUC by up to {ones:.2g}")
    return "; ".join(said)


def _found(group: xr.Dataset, null: xr.Dataset) -> list[Row]:
    share = group["share"].values
    if "driving" in group:
        driving = group["driving"].values.astype(bool)
        count, chance = int(driving.sum()), float(driving.mean())
        found = group["found"].values[np.isfinite(group["found"].values)]
        note = f"all {count} in {int((found == count).sum())} of {len(found)} fits"
        return [
            _row(f"driving ROIs among the {count} of largest importance", agreement.mean(found) / count, note)
            | {"chance": chance},
            _row("share of importance of the driving ROIs", agreement.mean(share[..., driving].sum(-1)), "")
            | {"chance": chance},
        ]
    order = np.argsort(-_average(share), kind="stable")[:FIRST]
    names = ", ".join(str(name) for name in group["roi"].values[order])
    chance = np.sort(_average(null["share"].values))[-len(order) :].sum()
    note = f"{names}; chance: the largest of {null.attrs['source']}"
    return [
        _row(f"share of importance of the {len(order)} largest ROIs", _average(share)[order].sum(), note)
        | {"chance": float(chance)}
    ]


def _average(values: np.ndarray) -> np.ndarray:
    """Return the mean over fits, gaps left out; values (fold, seed, x), mean (x,)."""
    return np.asarray(np.nanmean(values.reshape(-1, values.shape[-1]), axis=0))


def _checks(groups: Mapping[str, xr.Dataset], settings: Settings) -> list[Row]:
    own, single = groups["/importance"], groups["/univariate"]
    error = own["completeness"].values
    typical = agreement.mean(own["completeness_mean"].values)
    explained = f"of the {settings.explain}, {settings.steps} steps, {settings.baselines} baselines"
    made = [
        _row(
            "completeness error of expected gradients, largest",
            agreement.largest(error),
            f"{explained}; mean {typical:.2g}",
        ),
        _row("share of windows with a saturated probability", agreement.mean(own["saturated"].values), ""),
    ]
    others = {
        "|r| of single traces with the state": np.abs(single["correlation"].values)[:, None],
        "that of random weights": groups["/untrained"]["share"].values,
    }
    if "/null" in groups:
        others["that of the label null"] = groups["/null"]["share"].values
    return made + [
        _row(f"rank correlation of importance with {name}", agreement.mean(agreement.ranks(own["share"].values, other)),
             "over ROIs, mean over fits")
        for name, other in others.items()
    ]  # fmt: skip


def _lag(group: xr.Dataset) -> Row:
    lag = float(group["lag"].values[int(np.argmax(_average(group["profile"].values)))])
    return _row("lag of largest importance", lag, "after the labelled frame if positive", "s")


def _leading(group: xr.Dataset) -> int:
    return int(group["driving"].values.sum()) if "driving" in group else FIRST


def _deleted(group: xr.Dataset, leading: int) -> Row:
    counts = group["count"].values
    place = min(int(np.searchsorted(counts, leading)), len(counts) - 1)
    lost, random = (agreement.mean(group["auc"].values[..., 0] - group[name].values[..., place])
                    for name in ("auc", "random"))  # fmt: skip
    note = "replaced by their training mean; chance: as many random ROIs"
    return _row(f"AUC lost without the {counts[place]} most important ROIs", lost, note) | {"chance": random}


def _occluded(group: xr.Dataset) -> list[Row]:
    square, circle = (group[name].values.reshape(*group["ones"].shape, -1) for name in ("square", "circle"))
    ones, border = group["ones"].values, group["border"].values
    strength = group["t"].values.reshape(group.sizes["fold"], 1, -1)
    strips = f"strips at the borders up to {agreement.mean(border.max(-1)):.3f}"
    made = [
        _row("largest AUC lost under a square patch", agreement.mean(square.max(-1)), f"mean over fits; {strips}"),
        _row("AUC lost under a mask that hides nothing", agreement.largest(np.abs(ones)), "0 if masks are exact"),
        _row("correlation of maps with square and circular patches", agreement.mean(agreement.linear(square, circle)),
             "mean over fits; .86 in one published example (Ajioka et al. 2024, reference code)"),
        _row("rank correlation of the occlusion map with |t| of pixels",
             agreement.mean(agreement.ranks(square, strength)), "mean |t| within each patch"),
    ]  # fmt: skip
    if "true" in group:
        cells = group["true"].values
        found = group["recovered"].values
        note = (
            f"{int(cells.sum())} of {cells.size} cells hold one; at least {-agreement.largest(-found):.3f} in every fit"
        )
        made.append(
            _row("AUC of the occlusion map against cells with a driving ROI", agreement.mean(found), note)
            | {"chance": 0.5}
        )
    return made


def _row(name: str, value: float, note: str, unit: str = "1") -> Row:
    return headline_row(name, float(value), model="", unit=unit, note=note)
