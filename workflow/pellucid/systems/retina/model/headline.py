"""The numbers that are read first: correlation with its ceiling, calibration, information, and what is gained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.artifacts import HEADLINE
from pellucid.systems.retina.model.settings import Evaluate

Row = dict[str, Any]


def rows(table: Sequence[Row], cells: Sequence[Row], compared: Sequence[Row], settings: Evaluate) -> list[Row]:
    """Return headline rows: each model on each recording it was fitted to, and those it has not seen."""
    out = []
    for model, recording in dict.fromkeys((row["model"], row["recording"]) for row in table):
        own = [row for row in table if (row["model"], row["recording"]) == (model, recording)]
        out.append(_correlation(own, recording))
        if not np.isnan(own[0]["r_noiseless"]):
            out.append(
                _row(model, f"r with the noiseless rate, {recording}", _mean(own, "r_noiseless"), note=_trained(own))
            )
        if model == settings.reference:
            out += _of_reference(own, recording)
    for row in compared:
        if row["score"] == "r":
            note = f"{row['better']} of {row['cells']} cells better; interval over cells"
            name = f"r of {row['reference']} minus {row['model']}, {row['recording']}"
            out.append(_row(row["reference"], name, row["difference"], row["low"], row["high"], note=note))
    return out


def _correlation(own: Sequence[Row], recording: str) -> Row:
    ceiling, silent = _mean(own, "ceiling"), own[0]["silent"]
    said = [_trained(own)]
    said += ["null labels"] if own[0]["null"] else []
    said += ["single responses, no ceiling"] if np.isnan(ceiling) else [f"ceiling {ceiling:.3f}"]
    said += [f"{own[0]['neurons']} cells, {len(own)} fit{'s' if len(own) > 1 else ''}; interval over cells"]
    said += [f"{silent} cells without varying responses left out"] if silent else []
    low, high = _mean(own, "r_low"), _mean(own, "r_high")
    return _row(own[0]["model"], f"r with the response, {recording}", _mean(own, "r"), low, high, note="; ".join(said))


def _of_reference(own: Sequence[Row], recording: str) -> list[Row]:
    model = own[0]["model"]
    bits = [_mean(own, name) for name in ("bits_per_spike", "bits_low", "bits_high")]
    beaten = (
        "does not beat a constant rate" if not bits[0] > 0 else "over a constant rate; interval over blocks of rows"
    )
    return [
        _row(model, f"calibration slope, {recording}", _mean(own, "slope"), note="1: rates as large as observed"),
        _row(model, f"information, {recording}", *bits, unit="bits/spike", note=beaten),
    ]


def _trained(own: Sequence[Row]) -> str:
    return "fitted to this recording" if own[0]["trained"] else "fitted to another stimulus"


def _mean(own: Sequence[Row], name: str) -> float:
    values = [row[name] for row in own if np.isfinite(row[name])]
    return float(np.mean(values)) if values else float("nan")


def _row(
    model: str, name: str, value: float, low: float | None = None, high: float | None = None, *, unit: str = "1",
    note: str = "",
) -> Row:  # fmt: skip
    given = {"model": model, "name": name, "value": value, "unit": unit, "note": note}
    bounds = {"low": low, "high": high}
    return (
        {key: None for key in HEADLINE}
        | given
        | {key: v for key, v in bounds.items() if v is not None and np.isfinite(v)}
    )
