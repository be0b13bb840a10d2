"""The numbers to read first, and what a reader has to be warned of."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.artifacts import headline_row
from pellucid.systems.retina.attribute import measures
from pellucid.systems.retina.attribute.groups import Found
from pellucid.systems.retina.attribute.settings import Settings

Row = dict[str, Any]

FIRST = {
    "omitted": ("latency_slope", "slope of the omitted stimulus response's latency on the period"),
    "latency_steps": ("latency_rank", "rank correlation of latency with |contrast|"),
    "latency_flashes": ("latency_mass_rank", "rank correlation of latency with |contrast|"),
    "anticipation": ("ahead_um", "shift of activity ahead of a moving bar"),
    "reversal": ("delay", "delay of the burst after a bar turns"),
    "contrast_adaptation": ("frequency_slope", "change of the filter's frequency with contrast"),
    "reversing_grating": ("f2_f1", "second harmonic over first of a reversing grating"),
    "polarity_reversal": ("polarity_change", "change of polarity by a shifted surround"),
    "step": ("sustained", "sustained over peak response to a step"),
    "paired_flash": ("ratio_rank", "rank correlation of the second flash's response with the interval"),
    "object_motion": ("differential_global", "response to differential over that to global motion"),
}
"""The first measure of each kind of phenomenon."""


def rows(found: Mapping[str, Found], extra: Mapping[str, xr.Dataset], settings: Settings) -> list[Row]:
    """Return the headline rows; numbers that are not defined are left out.

    found  phenomenon -> what was found; extra: the other groups of the tree by path
    """
    made = [_completeness(found), *_circuits(found, settings), *_measures(found, settings)]
    if "/agreement" in extra:
        made += _agreement(extra["/agreement"])
    if "/recovery" in extra:
        made += _recovery(extra["/recovery"])
    for path, one in extra.items():
        if path.startswith("/interneurons/"):
            made += _interneurons(path.rpartition("/")[2], one)
    return [row | {"model": settings.model} for row in made if np.isfinite(row["value"])]


def warning(found: Mapping[str, Found], settings: Settings, *, full_field: bool) -> str:
    """Return what a reader of the phenomena has to know, empty if nothing."""
    said = []
    for model in dict.fromkeys(row["model"] for one in found.values() for row in one.distribution):
        names = [
            name
            for name, one in found.items()
            if any(row["outside"] for row in one.distribution if row["model"] == model)
        ]
        if names:
            said.append(f"outside the range that trained {model}: {', '.join(names)}")
    quiet = [name for name, one in found.items() if all(own.silent for own in one.explained.values())]
    if quiet:
        said.append(f"no response to {', '.join(quiet)}")
    loose = [name for name, one in found.items() if min(own.converged for own in one.explained.values()) < 1]
    if loose:
        worst = max(own.accuracy for name in loose for own in found[name].explained.values())
        said.append(
            f"errors of contributions above the tolerance of {settings.tolerance:g}, up to {worst:.2g}, in some rows "
            f"of {', '.join(loose)}"
        )
    if full_field:
        said.append("full-field stimuli only: nothing is claimed about space")
    return "; ".join(said)


def _completeness(found: Mapping[str, Found]) -> Row:
    every = [own for one in found.values() for own in one.explained.values()]
    error = max(own.accuracy for own in every)
    return _row(
        "largest residual of contributions, as a share of max |r - r(0)|",
        max(own.completeness for own in every),
        f"{len(found)} stimuli; estimated error of single channels up to {error:.2g}",
    )


def _circuits(found: Mapping[str, Found], settings: Settings) -> list[Row]:
    made = []
    for name, one in found.items():
        if one.task.kind == "probe":
            continue
        known = [own for own in one.explained.values() if not own.silent]
        if not known:
            continue
        best = [own.smallest(settings) for own in known]
        labels = [own.smallest(settings, labels=True).groups for own in known]
        short, cut = (_mean([getattr(circuit, key) for circuit in best]) for key in ("explained", "explained_lesion"))
        listed = "; ".join(dict.fromkeys(" + ".join(groups) for groups in labels))
        made.append(
            _row(
                f"channels of the smallest sufficient circuit, {name}",
                _mean([circuit.size for circuit in best]),
                f"by label {listed}; explained {short:.2f}, by lesion {cut:.2f}",
                "channels",
            )
        )
    return made


def _measures(found: Mapping[str, Found], settings: Settings) -> list[Row]:
    made = []
    for name, one in found.items():
        if one.task.kind not in FIRST:
            continue
        key, text = FIRST[one.task.kind]
        own = [row for row in one.measures if row["name"] == key]
        models = list(dict.fromkeys(row["model"] for row in own))
        others = [m for m in models if m != settings.model and not m.startswith(("reduced_", "lesioned_"))]
        beside = [(model, measures.value(own, key, model)) for model in others]
        note = ", ".join(f"{model} {value:.3g}" for model, value in beside if np.isfinite(value))
        value = measures.value(own, key, settings.model)
        unit = next((str(row["unit"]) for row in own), "1")
        made.append(_row(f"{text}, {name}", value, note, unit))
    return made


def _agreement(group: xr.Dataset) -> list[Row]:
    pairs, courses = json.loads(group.attrs["pairs"]), json.loads(group.attrs["courses"])
    made = []
    for name, chosen in (("seeds", False), ("experiments", True)):
        own = [row for row in pairs if row["experiments"] == chosen]
        if own:
            r = _mean([row["r"] for row in courses if row["experiments"] == chosen])
            note = f"chance: random circuits of the same sizes; contributions by label correlate with r = {r:.2f}"
            row = _row(f"overlap of circuits' labels between {name}", _mean([one["jaccard"] for one in own]), note)
            made.append(row | {"chance": _mean([one["chance"] for one in own])})
    return made


def _recovery(group: xr.Dataset) -> list[Row]:
    probes, circuits, omitted = (json.loads(group.attrs[name]) for name in ("probes", "circuits", "omitted"))
    made = []
    shares = [row for row in probes if row["share"] is not None]
    if shares:
        least = min(shares, key=lambda row: row["share"])
        note = f"mean over probes and seeds; least {least['share']:.2f} ({least['phenomenon']}); of the teacher "
        note += f"{_mean([row['teacher_share'] for row in shares]):.2f}"
        made.append(_row("share of contributions with the correct polarity", _mean([p["share"] for p in shares]), note))
    if probes:
        far = max((abs(row["peak_difference"]) for row in probes if row["peak_difference"] is not None), default=np.nan)
        note = f"peaks at most {far:g} bins apart"
        made.append(_row("correlation with the teacher's response to probes", _mean([p["r"] for p in probes]), note))
    if circuits:
        same = [float(row["same"]) for row in circuits]
        made.append(_row("smallest circuits with the teacher's labels", _mean(same), f"of {len(same)}"))
    gaps = [abs(row["latency_slope"] - row["teacher"]) for row in omitted
            if None not in (row["latency_slope"], row["teacher"])]  # fmt: skip
    if gaps:
        made.append(_row("largest difference from the teacher's latency slope", max(gaps), "", "s/s"))
    return made


def _interneurons(recording: str, group: xr.Dataset) -> list[Row]:
    r, null = group["r"].values, group["null_shift"].values
    random = group["untrained"].values
    beyond = int((r > np.nanquantile(null, 0.99, axis=-1)).sum())
    note = f"{beyond} of {r.size} above the 99th percentile of shifted potentials"
    if np.isfinite(random).any():
        note += f"; random weights {_mean(random):.2f}"
    row = _row(f"correlation of interneurons with their units, {recording}", _mean(r), note)
    return [row | {"chance": _mean(null), "chance_high": float(np.nanquantile(null, 0.99))}]


def _row(name: str, value: float, note: str, unit: str = "1") -> Row:
    return headline_row(name, float(value), model="", unit=unit, note=note)


def _mean(values: Sequence[Any] | np.ndarray) -> float:
    known = np.array([np.nan if value is None else value for value in np.ravel(np.array(values, object))], float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
