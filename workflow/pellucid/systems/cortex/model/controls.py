"""Whether a decoder of something that is not neural activity does about as well as the main one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.systems.cortex.model import statistics
from pellucid.systems.cortex.model.settings import Evaluate

_SEES = (
    (("violet", "405", "isosbestic", "haemo", "hemo"), "haemodynamics"),
    (("shift", "motion", "movement"), "movement of the image"),
    (("vessel",), "blood vessels"),
    (("border", "edge"), "light at the borders of the image"),
)
"""Words in the name of a control or of its input, and what such a control reads."""


def rows(table: statistics.Rows, settings: Evaluate) -> list[dict[str, Any]]:
    """Return one row per control, in the order of the settings.

    auc, reference_auc  means over the mice (blocks) that both were tested on
    flagged             auc >= reference_auc - margin: a confound that the main decoder may be reading
    said                the same as a sentence
    A control that is not flagged does not prove that there is no confound.
    """
    reference = statistics.of_model(table, settings.reference)
    return [_row(statistics.of_model(table, name), reference, settings) for name in settings.controls]


def _row(own: statistics.Rows, reference: statistics.Rows, settings: Evaluate) -> dict[str, Any]:
    score = statistics.score_of(reference)
    one, other = statistics.by_unit(own, score), statistics.by_unit(reference, score)
    both = [name for name in one if name in other]
    value, against = (_mean([found[name] for name in both]) for found in (one, other))
    flagged = bool(both) and value >= against - settings.margin - 1e-12  # a difference equal to it, but for rounding
    found = {
        "model": own[0]["model"],
        "reference": settings.reference,
        "score": score,
        "unit": own[0]["unit"],
        "mice": len(both),
        "auc": value,
        "reference_auc": against,
        "difference": value - against,
        "margin": settings.margin,
        "flagged": flagged,
    }
    return {**found, "said": _said(found, own[0], settings.margin)}


def _said(found: Mapping[str, Any], about: Mapping[str, Any], margin: float) -> str:
    name, reference = found["model"], found["reference"]
    label = "AUC" if found["score"] == "auc" else found["score"]
    if not found["mice"]:
        return f"{name}: no {label} on the same {found['unit']} as {reference}: nothing can be said"
    said = f"{name}: {label} {number(found['auc'])} is "
    if not found["flagged"]:
        less = f"{number(-found['difference'])} below {reference} ({number(found['reference_auc'])})"
        return f"{said}{less}: not flagged, which does not prove that there is no confound"
    near = "above" if found["difference"] > 0 else f"within {number(margin)} of"
    return f"{said}{near} {reference} ({number(found['reference_auc'])}): {_warning(about, reference)}"


def _warning(about: Mapping[str, Any], reference: str) -> str:
    """Return what a flagged control means, as far as its name or its input's says what it reads."""
    if about["null"]:
        return (
            "labels that do not belong to the recording are decoded as well, so the score shows no state of the mouse"
        )
    for name in (about["model"], about["input"]):
        for words, meaning in _SEES:
            if any(word in name for word in words):
                return f"the decoder may read {meaning}, not neural activity"
    return f"{reference} may rest on no more than this control is given"


def number(value: float) -> str:
    """Return a score with three decimals and no leading zero, ".970"."""
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
