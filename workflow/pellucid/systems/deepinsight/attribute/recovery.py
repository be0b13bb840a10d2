"""Does influence find what a simulation put in? Scored against simulated truth before it is shown on real data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from pellucid import artifacts


def bands(
    influence: np.ndarray, low: np.ndarray, frequencies: np.ndarray, truth: xr.Dataset, terms: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how well the band influences recover the truth, as rows for the report.

    influence, low  (frequency, output); terms: its outputs
    truth           band_hz (output) and `informative`
    """
    true = dict(zip(truth["output"].values, truth["band_hz"].values))
    octaves = np.abs(np.log2(frequencies[:, None] / np.array(list(true.values()))))
    far = (octaves > 0.5 + 1e-6).all(axis=1)  # the neighbours on a grid of half octaves are leakage of the wavelet
    if not truth.attrs["informative"]:
        above = float((low > 0).any())
        return [
            _row("null: any band above 0", above, 0.0),
            _row("null: largest influence", float(influence.max()), None),
        ]
    rows = []
    for column, term in enumerate(terms):
        order = np.argsort(-influence[:, column])
        best = int(np.argmin(np.abs(frequencies - true[term])))
        rank = 1 + int(np.flatnonzero(order == best)[0])
        rows.append(_row(f"{term}: rank of the true band ({true[term]:.4g} Hz)", float(rank), 1.0))
    total = influence.mean(axis=1)
    first = set(np.argsort(-total)[: len(true)])
    expected = {int(np.argmin(np.abs(frequencies - hz))) for hz in true.values()}
    rows.append(_row("true bands ranked first and second", float(first == expected), 1.0))
    rows.append(_row("largest |influence| more than half an octave away", float(np.abs(influence[far]).max()), None))
    return rows


def channels(influence: np.ndarray, truth: xr.Dataset, terms: Sequence[str]) -> list[dict[str, Any]]:
    """Return, per output, the chance that a carrying channel has more influence than another (1: always)."""
    rows = []
    for column, term in enumerate(terms):
        carries = truth["carries"].sel(output=term).values.astype(bool)
        if carries.any() and not carries.all():
            above = influence[carries, column][:, None] > influence[~carries, column]
            rows.append(_row(f"{term}: carrying channels above the others", float(above.mean()), 1.0))
    return rows


def _row(name: str, value: float, expected: float | None) -> dict[str, Any]:
    note = "" if expected is None else f"{expected:g} if the truth is recovered"
    return artifacts.headline_row(f"influence: {name}", value, model="", note=note)
