"""What fits say together: means over mice, intervals and tests whose units are mice, and the published tests over fits.

Fits that share a test mouse are not independent: the 20 ordered (validation, test) pairs of five mice are five mice.
Where one animal is cut into blocks the units are blocks, and nothing is said of other animals.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from pellucid.learning import intervals
from pellucid.systems.cortex.model.settings import Evaluate

Rows = Sequence[Mapping[str, Any]]

EXACT = 20
"""Up to so many units every choice of signs is tried; beyond, 2^18 of them are drawn."""


def score_of(rows: Rows) -> str:
    """Return the column that a model is judged by: "auc", or "r" for a decoder of speed."""
    return "r" if rows[0]["target"] == "speed" else "auc"


def of_model(table: Rows, model: str) -> list[Mapping[str, Any]]:
    """Return the rows of one model."""
    return [row for row in table if row["model"] == model]


def by_unit(rows: Rows, score: str) -> dict[str, float]:
    """Return the mean score of each test mouse or block over its fits (validation mice and seeds).

    Fits whose score is undefined do not count; a unit without any other is left out here and counted in `models`.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        if np.isfinite(row[score]):
            found.setdefault(row["test"], []).append(row[score])
    return {name: float(np.mean(values)) for name, values in found.items()}


def models(table: Rows, settings: Evaluate) -> list[dict[str, Any]]:
    """Return one row per model.

    auc, r      mean over mice of the mean over each mouse's fits; None where the model has no such score
    low, high   95 % interval of that mean over mice (t) or blocks (bootstrap), cut where the score ends
    sd          over all fits, as published (Ajioka et al. 2024), though they share mice
    undefined   number of fits without a score, as one state never occurs in their test windows
    """
    rows = []
    for model in dict.fromkeys(row["model"] for row in table):
        own = of_model(table, model)
        score, kind = score_of(own), own[0]["unit"]
        each = by_unit(own, score)
        values = np.array([row[score] for row in own if np.isfinite(row[score])])
        ends = np.clip(interval(np.array(list(each.values())), kind, settings), 0 if score == "auc" else -1, 1)
        mean = float(np.mean(list(each.values()))) if each else float("nan")
        rows.append(
            {
                "model": model,
                "target": own[0]["target"],
                "null": own[0]["null"],
                "unit": kind,
                "auc": mean if score == "auc" else None,
                "r": mean if score == "r" else None,
                "r2": _mean(own, "r2") if score == "r" else None,
                "low": float(ends[0]),
                "high": float(ends[1]),
                "sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
                "fits": len(own),
                "mice": len(each),
                "undefined": len(own) - len(values),
            }
        )
    return rows


def comparisons(table: Rows, settings: Evaluate) -> list[dict[str, Any]]:
    """Return one row per model with the target of the reference, against the reference.

    difference  mean over the mice (blocks) that both were tested on of model - reference, with its paired interval
    p_mice      exact sign-flip test over mice; p_least is the smallest that so many mice can give
    p_ranksum   Wilcoxon rank-sum test over all fits, p_holm the same after Holm's correction over the rows given
                here; published (Ajioka et al. 2024), though fits share mice and are paired
    """
    reference = of_model(table, settings.reference)
    score = score_of(reference)
    own = _fits(reference, score)
    rows = []
    for model in dict.fromkeys(row["model"] for row in table):
        other = of_model(table, model)
        if model == settings.reference or score_of(other) != score:
            continue
        difference = paired(other, reference, score)
        low, high = interval(difference, reference[0]["unit"], settings)
        rows.append(
            {
                "model": model,
                "reference": settings.reference,
                "score": score,
                "unit": reference[0]["unit"],
                "mice": len(difference),
                "difference": float(difference.mean()) if len(difference) else float("nan"),
                "low": low,
                "high": high,
                "p_mice": sign_flip(difference, settings.seed),
                "p_least": 2 / 2 ** len(difference) if len(difference) else float("nan"),
                "p_ranksum": rank_sum(_fits(other, score), own),
            }
        )
    corrected = holm(np.array([row["p_ranksum"] for row in rows]))
    return [{**row, "p_holm": float(p)} for row, p in zip(rows, corrected)]


def paired(rows: Rows, reference: Rows, score: str) -> np.ndarray:
    """Return model - reference of each mouse or block that both have a score on, shape (unit,)."""
    one, other = by_unit(rows, score), by_unit(reference, score)
    return np.array([one[name] - other[name] for name in one if name in other])


def interval(values: np.ndarray, kind: str, settings: Evaluate, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean over units, (low, high); NaN with fewer than two.

    values  (unit,)
    kind    "mouse": Student's t over mice; "block": bootstrap percentiles over blocks
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    if kind == "block":
        drawn = np.random.default_rng(settings.seed).integers(0, count, (settings.bootstrap, count))
        low, high = intervals.pointwise(values[drawn].mean(axis=1), level)
        return float(low), float(high)
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return float(values.mean()) - half, float(values.mean()) + half


def sign_flip(differences: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p of paired differences when each could have had either sign, exact up to 20 of them.

    p = share of all 2^n choices of signs whose |sum| is at least the one found
    differences  (unit,)
    seed         of drawn signs, beyond 20 units
    NaN without differences; with n mice never below 2 / 2^n.
    """
    count = len(differences)
    if not count:
        return float("nan")
    if count <= EXACT:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
    else:
        generator = np.random.default_rng(seed)
        drawn = [1 - 2 * generator.integers(0, 2, (1 << 16, count)) for _ in range(4)]
        sums = np.concatenate([differences.sum(keepdims=True), *(signs @ differences for signs in drawn)])
    rounding = 1e-12 * np.abs(differences).sum()
    return float(np.mean(np.abs(sums) >= abs(differences.sum()) - rounding))


def rank_sum(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p of the Wilcoxon rank-sum test, normal approximation; NaN with fewer than two values.

    first, second  (fit,)
    """
    if min(len(first), len(second)) < 2:
        return float("nan")
    return float(stats.ranksums(first, second).pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values after Holm's step-down correction, shape (test,); NaN stays and does not count as a test.

    p_(k) -> max over j <= k of min(1, (m - j + 1) p_(j)), p_(1) <= ... <= p_(m)
    """
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected


def _fits(rows: Rows, score: str) -> np.ndarray:
    return np.array([row[score] for row in rows if np.isfinite(row[score])])


def _mean(rows: Rows, score: str) -> float:
    each = by_unit(rows, score)
    return float(np.mean(list(each.values()))) if each else float("nan")
