"""Choosing on validation: the best restart of each fit, and the model among those of different K, L and lambda."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.artifacts import Fit
from pellucid.errors import DataError
from pellucid.systems.dunl.model.matching import stability


def best_restarts(fits: Sequence[Fit]) -> dict[tuple[str, int], Fit]:
    """Return, for every (model, fold), the seed with the least validation loss."""
    best: dict[tuple[str, int], Fit] = {}
    for fit in fits:
        key = (fit.model, fit.fold)
        if key not in best or validation(fit) < validation(best[key]):
            best[key] = fit
    return best


def validation(fit: Fit) -> float:
    """Return the least validation loss in the history of a fit."""
    return min(row["validation"] for row in fit.history())


def rows(fits: Sequence[Fit], listed: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per model: validation loss of its best restarts, stability of its kernels, whether it is chosen.

    listed  models to choose among; none: all dunl models
    Losses compare between models of the same data alone: those whose bins, recordings, trials or kind of loss differ
    from the first are left out. Stability is the mean |<h, h'>| of matched kernels over pairs of restarts and folds.
    Raises DataError if a listed model was not fitted.
    """
    known = list(dict.fromkeys(fit.model for fit in fits if fit.settings["kind"] == "dunl"))
    wrong = sorted(set(listed) - set(known))
    if wrong:
        raise DataError(
            "evaluate.select",
            expected=f"models of kind dunl: {', '.join(known)}",
            found=", ".join(wrong),
            remedy="Correct the names.",
        )
    by_model = {model: [fit for fit in fits if fit.model == model] for model in (listed or known)}
    if not by_model:
        return []
    first = next(iter(by_model.values()))[0]
    alike = {model: own for model, own in by_model.items() if _data_of(own[0]) == _data_of(first)}
    made = [_row(model, own) for model, own in alike.items()]
    least = min(row["validation"] for row in made)
    return [{**row, "chosen": row["validation"] == least} for row in made]


def _data_of(fit: Fit) -> tuple[Any, ...]:
    kept = ["coarsen", "recordings", "train_trials", "likelihood", "validation"]
    if fit.settings["validation"] == "objective":
        kept.append("bin_weight")
    return tuple(str(fit.settings[key]) for key in kept)


def _row(model: str, own: Sequence[Fit]) -> dict[str, Any]:
    best = best_restarts(own)
    losses = [validation(fit) for fit in best.values()]
    settings = own[0].settings
    dictionaries = np.stack([fit.weights()["kernels"] for fit in own])  # (restart, dictionary, kernel, lag)
    stable = [stability(dictionaries[:, index]) for index in range(dictionaries.shape[1])]
    return {
        "model": model,
        "validation": float(np.mean(losses)),
        "low": float(min(losses)),
        "high": float(max(losses)),
        "stability": float(np.mean(stable)) if len(own) > 1 else None,
        "kernels": len(settings["kernels"]),
        "lag_bins": settings["lag_bins"],
        "penalty": settings["penalty"],
    }
