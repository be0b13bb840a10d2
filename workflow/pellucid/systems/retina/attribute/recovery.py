"""How the circuits of a fit compare with the simulated retina that it was fitted to."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid.systems.retina.attribute import measures
from pellucid.systems.retina.attribute.groups import Found
from pellucid.systems.retina.attribute.measures import Row
from pellucid.systems.retina.attribute.phenomenon import Explained
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.attribute.tasks import response
from pellucid.systems.retina.attribute.teacher import Known

MAIN = 0.5
"""Share of the largest change of the teacher's rate from which on a row belongs to the main response."""

SIGNS = {"dark": "OFF", "bright": "ON"}
"""Polarity that a probe excites, by the first word of its name."""


def group(
    found: Mapping[str, Found],
    known: Known,
    maps: tuple[int, int],
    matches: Mapping[str, xr.Dataset],
    settings: Settings,
) -> xr.Dataset:
    """Return rows of what was recovered, as JSON in attributes.

    found    phenomenon -> what was found; maps: height and width of the fit's first layer
    matches  recording -> matched interneurons
    probes   one row per flash or step and seed: share of contributions with the correct polarity in the main response
             (share) and over all rows (share_all), the same of a teacher of channels, r with the teacher,
             peak_difference in bins, outside (of the range of training)
    circuits one row per phenomenon and seed: labels of the smallest sufficient circuit and of the teacher's, same
    omitted  one row per seed: latency_slope and the teacher's, s per s
    interneurons  one row per interneuron and seed: label and true_label, distance_px of the places, r
    """
    rows = {
        "probes": [row for name, one in found.items() for row in probes(name, one, settings)],
        "circuits": [row for name, one in found.items() for row in circuits(name, one, settings)],
        "omitted": [row for name, one in found.items() for row in omitted(name, one, settings)],
        "interneurons": [row for name, one in matches.items() for row in interneurons(name, one, known, maps)],
    }
    attrs = {name: json.dumps(values) for name, values in rows.items()}
    return xr.Dataset(attrs=attrs | {"mechanism": known.mechanism})


def probes(name: str, found: Found, settings: Settings) -> list[Row]:
    """Return the recovery of one flash or step by every seed, nothing for others or if the teacher does not respond."""
    sign = SIGNS.get(name.removeprefix("probe_").partition("_")[0])
    if found.task.kind != "probe" or found.task.teacher is None or sign is None:
        return []
    if found.teacher is not None and found.teacher.silent:
        return []
    main, truth = response(found.task.teacher[0], MAIN), found.teacher
    every = np.ones(len(main), bool)
    outside = {(row["model"], row["seed"]): row["outside"] for row in found.distribution}
    rows = []
    for seed, one in found.explained.items():
        scores = {
            key: measures.value(found.measures, key, settings.model, seed) for key in ("r_teacher", "peak_difference")
        }
        rows.append(
            {
                "phenomenon": name,
                "seed": seed,
                "polarity": sign,
                "share": truth and polarity(one, found.labels[seed], sign, main),
                "share_all": truth and polarity(one, found.labels[seed], sign, every),
                "teacher_share": truth and polarity(truth, found.teacher_labels, sign, main),
                "teacher_share_all": truth and polarity(truth, found.teacher_labels, sign, every),
                "r": _number(scores["r_teacher"]),
                "peak_difference": _number(scores["peak_difference"]),
                "outside": outside.get((settings.model, seed)),
            }
        )
    return rows


def polarity(found: Explained, labels: Sequence[str], sign: str, rows: np.ndarray) -> float | None:
    """Return the share of sum |A| over some rows, (row,) bool, that channels of a polarity have; None of nothing."""
    size = np.abs(np.nan_to_num(found.contribution[:, rows].astype(float))).sum((0, 1, 2))
    own = np.array([label.startswith(f"{sign} ") for label in labels])
    return float(size[own].sum() / size.sum()) if size.sum() > 0 else None


def circuits(name: str, found: Found, settings: Settings) -> list[Row]:
    """Return whether the smallest sufficient circuit of labels is the teacher's, which the same rule gives."""
    if found.teacher is None:
        return []
    truth = found.teacher.smallest(settings, labels=True)
    rows = []
    for seed, one in found.explained.items():
        best = one.smallest(settings, labels=True)
        rows.append(
            {
                "phenomenon": name,
                "seed": seed,
                "labels": list(best.groups),
                "true_labels": list(truth.groups),
                "same": set(best.groups) == set(truth.groups),
                "explained": _number(best.explained),
                "explained_lesion": _number(best.explained_lesion),
            }
        )
    return rows


def omitted(name: str, found: Found, settings: Settings) -> list[Row]:
    """Return the latency slopes of the omitted stimulus response, nothing for other phenomena or without a teacher."""
    if found.task.kind != "omitted" or found.task.teacher is None:
        return []
    truth = measures.value(found.measures, "latency_slope", "teacher")
    return [
        {
            "phenomenon": name,
            "seed": seed,
            "latency_slope": _number(measures.value(found.measures, "latency_slope", settings.model, seed)),
            "teacher": _number(truth),
        }
        for seed in found.explained
    ]


def interneurons(recording: str, found: xr.Dataset, known: Known, maps: tuple[int, int]) -> list[Row]:
    """Return where planted interneurons were found: units of either first layer lie on the same image, centred."""
    if known.planted is None or known.network is None:
        return []
    planted = known.planted
    at = {str(cell): place for place, cell in enumerate(planted["neuron"].values)}
    rows: list[Row] = []
    for match in json.loads(found.attrs["matches"]):
        if match["layer"] != "first" or match["neuron"] not in at:
            continue
        feature, *true = (int(planted[name].values[at[match["neuron"]]]) for name in ("feature", "row", "column"))
        apart = [
            (match[axis] - (size - 1) / 2) - (place - (whole - 1) / 2)
            for axis, size, place, whole in zip(("row", "column"), maps, true, known.network.maps)
        ]
        rows.append(
            {
                "recording": recording,
                "seed": match["seed"],
                "neuron": match["neuron"],
                "label": match["label"],
                "true_label": known.labels[feature],
                "distance_px": float(np.hypot(*apart)),
                "r": match["r"],
                "null_99": match["null_99"],
            }
        )
    return rows


def said(found: xr.Dataset, settings: Settings) -> str:
    """Return what a reader has to know where the simulated mechanism is none that contributions can show."""
    rows: list[dict[str, Any]] = json.loads(found.attrs["omitted"])
    if found.attrs["mechanism"] != "depression":
        return ""
    known = [row for row in rows if None not in (row["latency_slope"], row["teacher"])]
    gaps = [abs(row["latency_slope"] - row["teacher"]) for row in known]
    apart = f"; its latency slope is within {max(gaps):.2f} s/s of the teacher's" if gaps else ""
    return (
        f"the simulated response is made by a depressing synapse, the circuits of {settings.model} by feed-forward "
        f"channels{apart}: attribution alone cannot tell the two mechanisms apart"
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
