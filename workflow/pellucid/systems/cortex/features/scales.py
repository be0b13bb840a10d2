"""Scale of every trace of every recording, from training frames only."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Fold, row_indices

NAMES = ("minimum", "maximum", "mean", "sd")


def of_traces(item: str, groups: Mapping[str, xr.Dataset], folds: Sequence[Fold]) -> dict[str, xr.DataArray]:
    """Return ITEM/RECORDING/NAME (fold, roi) for each of NAMES, in the unit of the traces.

    item    name of the input; groups: recording -> its features
    A recording's statistics are those of its training frames; where it has none in a fold, those of the training frames
    of all recordings together. The s.d. divides by the number of frames.
    """
    own = {name: _own(group["signal"].values.astype(np.float64), name, folds) for name, group in groups.items()}
    found = {}
    for name, table in own.items():
        filled = table.copy()
        for index, fold in enumerate(folds):
            if name not in fold.train:
                filled[index] = _pooled({other: own[other][index] for other in fold.train}, fold)
        for place, statistic in enumerate(NAMES):
            found[f"{item}/{name}/{statistic}"] = xr.DataArray(filled[:, place], dims=("fold", "roi"))
    return found


def _own(signal: np.ndarray, name: str, folds: Sequence[Fold]) -> np.ndarray:
    """Return the statistics of a recording's training frames, (fold, statistic, roi); NaN where it has none."""
    out = np.full((len(folds), len(NAMES), signal.shape[1]), np.nan)
    known: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
    for index, fold in enumerate(folds):
        rows = tuple(fold.train.get(name, []))
        if rows and rows not in known:
            part = signal[row_indices(rows)]
            known[rows] = np.stack([part.min(0), part.max(0), part.mean(0), part.std(0)])
        if rows:
            out[index] = known[rows]
    return out


def _pooled(tables: Mapping[str, np.ndarray], fold: Fold) -> np.ndarray:
    """Return the statistics of the training frames of all recordings together, (statistic, roi)."""
    low, high, mean, sd = np.stack([tables[name] for name in tables], axis=1)
    frames = np.array([sum(stop - start for start, stop in fold.train[name]) for name in tables], float)
    share = (frames / frames.sum())[:, None]
    middle = (share * mean).sum(0)
    variance = (share * (sd**2 + (mean - middle) ** 2)).sum(0)
    return np.stack([low.min(0), high.max(0), middle, np.sqrt(variance)])
