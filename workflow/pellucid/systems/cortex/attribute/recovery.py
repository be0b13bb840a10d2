"""The driving ROIs of a simulation, and how well importance and occlusion find them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.attribution.occlusion import Patches
from pellucid.systems.cortex.model import scores


@dataclass(frozen=True)
class Known:
    """What a simulation says of its ROIs.

    rois         (roi,) ids as text
    driving      (roi,) bool, whether behaviour drives it strongly
    row, column  (roi,) centres as fractions of the image's height and width
    """

    rois: Sequence[str]
    driving: np.ndarray
    row: np.ndarray
    column: np.ndarray

    def among(self, ids: Sequence[object]) -> np.ndarray | None:
        """Return which of the traces of a decoder drive, (roi,) bool; None if they are not the simulated ROIs."""
        place = {roi: index for index, roi in enumerate(self.rois)}
        names = [str(one) for one in ids]
        if not set(names) <= set(place):
            return None
        driving = np.array([bool(self.driving[place[name]]) for name in names])
        return driving if driving.any() else None

    def cells(self, patches: Patches) -> np.ndarray:
        """Return which patches hold the centre of a driving ROI, (row, column) bool."""
        height, width = patches.shape
        return patches.holding(self.row[self.driving] * height, self.column[self.driving] * width)


def known(truth: Mapping[str, xr.DataTree]) -> Known | None:
    """Return what the first simulated raw folder says of its ROIs; None without one that has driving ROIs.

    truth  by the name of the raw folder, see pellucid.artifacts.open_truth
    """
    for tree in truth.values():
        if "truth" in tree.children and "driving" in tree["truth"].dataset:
            group = tree["truth"].to_dataset()
            driving = group["driving"].values.astype(bool)
            if driving.any():
                return Known(
                    [str(roi) for roi in group["roi"].values], driving, group["row"].values, group["column"].values
                )
    return None


def found(share: np.ndarray, driving: np.ndarray) -> np.ndarray:
    """Return how many of the k driving ROIs are among the k of largest share, (...); NaN where a share is.

    share    (..., roi)
    driving  (roi,) bool
    """
    first = np.argsort(-share, axis=-1, kind="stable")[..., : int(driving.sum())]
    return np.where(np.isfinite(share).all(-1), driving[first].sum(-1), np.nan)


def recovered(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the AUC of occlusion maps (..., row, column) against cells that hold a driving ROI, (...).

    It is the chance that such a cell has a larger score than another one; NaN where a map is not finite.
    """
    flat = maps.reshape(-1, cells.size)
    truth = cells.ravel().astype(float)
    areas = [scores.auc(truth, one) if np.isfinite(one).all() else np.nan for one in flat]
    return np.reshape(areas, maps.shape[:-2])
