"""The flat rows of one fit: its scores on all test windows together, and session by session."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.artifacts import Fit
from pellucid.systems.cortex.model import bouts, scores
from pellucid.systems.cortex.model.restore import Decoder
from pellucid.systems.cortex.model.settings import Evaluate
from pellucid.systems.cortex.model.tested import Tested, Unit

Row = dict[str, Any]

OF_STATE = (
    *("positive", "bouts", "auc", "auc_low", "auc_high", "accuracy", "balanced_accuracy", "average_precision"),
    *("youden", "ece", "onset_s", "onsets", "onsets_found", "offset_s", "offsets", "offsets_found"),
)
"""Scores of a decoded state; NaN for a decoder of speed."""

OF_SPEED = ("r", "r2")
"""Scores of a decoded speed; NaN for a decoder of a state."""


def row(decoder: Decoder, tested: Tested, each: Sequence[Row], unit: Unit, settings: Evaluate) -> Row:
    """Return the row of one fit: what it is, then its scores on all test windows with a label.

    each  the rows of its test sessions, from `sessions`

    A decoder of null labels is scored on the swapped labels of the test sessions; the column `null` says so.
    """
    known = tested.known()
    speed = decoder.settings.target == "speed"
    found = _speed(known) if speed else _state(known, settings)
    undefined = 0 if speed else sum(bool(np.isnan(one["auc"])) for one in each)
    return {
        **_about(decoder, unit),
        "sessions": len(each),
        "windows": len(known.state),
        **{name: found.get(name, float("nan")) for name in (*OF_STATE, *OF_SPEED)},
        **_training(decoder.fit),
        "parameters": decoder.parameters,
        "transductive": decoder.transductive,
        "undefined": undefined,
    }


def sessions(decoder: Decoder, tested: Tested) -> list[Row]:
    """Return one row per test session, with its own AUC or, for a decoder of speed, its own r."""
    rows = []
    speed, known = decoder.settings.target == "speed", tested.known()
    for index in np.unique(tested.session):
        own = known.only(known.session == index)
        rows.append(
            {
                "model": decoder.fit.model,
                "fold": decoder.fit.fold,
                "seed": decoder.fit.seed,
                "recording": tested.names[index],
                "windows": len(own.state),
                "positive": float("nan") if speed or not len(own.state) else float(np.mean(own.state == 1)),
                "auc": float("nan") if speed else scores.auc(own.state, own.prediction),
                "r": scores.correlation(own.state, own.prediction) if speed else float("nan"),
            }
        )
    return rows


def _about(decoder: Decoder, unit: Unit) -> Row:
    fit, settings = decoder.fit, decoder.settings
    return {
        "model": fit.model,
        "fold": fit.fold,
        "seed": fit.seed,
        "kind": settings.kind,
        "cell": settings.cell if settings.kind in ("rnn", "cnn_rnn") else None,
        "input": settings.input,
        "target": settings.target,
        "window_s": settings.window_s,
        "lag_s": settings.lag_s,
        "rois": 0 if settings.of_movie else len(decoder.rois),
        "unit": unit.kind,
        "test": unit.name,
        "validation_mouse": unit.validation,
        "null": settings.swap or False,
    }


def _training(fit: Fit) -> Row:
    notes = fit.notes
    return {name: notes.get(name) for name in ("validation", "epochs", "best_epoch", "weights")}


def _state(known: Tested, settings: Evaluate) -> Row:
    state, probability = known.state, known.prediction
    stretch = bouts.stretches(known.session, known.row, known.segment)
    bout = bouts.bouts(state, stretch)
    low, high = bouts.auc_interval(state, probability, bout, resamples=settings.bootstrap, seed=settings.seed)
    onset, offset = (
        bouts.latency(known.time, state, probability, stretch, onset=direction) for direction in (True, False)
    )
    return {
        "positive": float(np.mean(state == 1)) if len(state) else float("nan"),
        "bouts": int(bout[-1]) + 1 if len(bout) else 0,
        "auc": scores.auc(state, probability),
        "auc_low": low,
        "auc_high": high,
        "accuracy": scores.accuracy(state, probability),
        "balanced_accuracy": scores.balanced_accuracy(state, probability),
        "average_precision": scores.average_precision(state, probability),
        "youden": scores.youden(state, probability),
        "ece": scores.calibration_error(state, probability, settings.bins),
        "onset_s": onset.median_s,
        "onsets": onset.transitions,
        "onsets_found": onset.found,
        "offset_s": offset.median_s,
        "offsets": offset.transitions,
        "offsets_found": offset.found,
    }


def _speed(known: Tested) -> Row:
    if len(known.state) < 2:
        return {}
    return {
        "r": scores.correlation(known.state, known.prediction),
        "r2": scores.explained(known.state, known.prediction),
    }
