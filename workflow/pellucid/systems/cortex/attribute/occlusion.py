"""Occlusion of a decoder of movies: AUC lost when patches, or strips at the borders, are hidden in all frames."""

from dataclasses import dataclass

import numpy as np

from pellucid.attribution.occlusion import Patches, drops
from pellucid.systems.cortex.model import scores
from pellucid.systems.cortex.model.restore import Decoder


@dataclass(frozen=True)
class Maps:
    """AUC of the whole movie minus AUC of the movie without some pixels, of one fit.

    auc     of the whole movie
    square  (row, column) of patches
    circle  (row, column)
    border  (border,)
    ones    of a mask that hides nothing: exactly 0, or something other than the mask differs
    """

    auc: float
    square: np.ndarray
    circle: np.ndarray
    border: np.ndarray
    ones: float


def maps(decoder: Decoder, patches: Patches, most: int | None = None) -> Maps:
    """Return what hiding each patch of the normalised movie costs.

    most  test windows that are used, evenly spaced; none: all
    Hidden pixels are 0, each pixel's own mean over its session, in all frames and channels of a window (Ajioka et al.
    2024, reference code). The AUC is pooled over test sessions; NaN where one state does not occur.
    """
    windows = decoder.windows("test")
    chosen = windows.thinned(most or windows.count)
    state = windows.state[chosen]
    base = scores.auc(state, decoder.predict("test")[chosen])

    def score(masks: np.ndarray) -> np.ndarray:
        return np.array([scores.auc(state, one) for one in decoder.occluded("test", list(masks), chosen)])

    square, circle, border, ones = (
        drops(base, score, masks)
        for masks in (patches.squares(), patches.circles(), patches.borders(), patches.nothing())
    )
    return Maps(base, square.reshape(patches.grid), circle.reshape(patches.grid), border, float(ones[0]))
